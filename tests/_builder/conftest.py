"""Source trees with a build backend of their own, and what builds them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from puffin_api._builder.build import Builder
from puffin_api._concurrency import Pump
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api._interpreter.probe import current_info
from puffin_api._model.build_settings import BuildSettings
from puffin_api._model.resolution import Resolution
from puffin_api.testing import RecordingReporter

# A backend in the tree that needs the standard library only; tests add to it or replace its hooks.
BACKEND = """
import json, os, sys, zipfile

def write_wheel(folder, name="app-1.0-py3-none-any.whl", **members):
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("app.py", "")
        for member, text in members.items():
            wheel.writestr(member, text)
    return name

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, config=json.dumps(config_settings), metadata=str(metadata_directory))
"""


class RecordingContext:
    """A ``BuildContext`` that resolves to nothing, installs nothing and notes what it was asked."""

    def __init__(self, target, *, on_resolve=None, on_install=None):
        self.target = target
        self.asked = []
        self.prefixes = []
        self._on_resolve = on_resolve
        self._on_install = on_install

    def resolve(self, requirements):
        self.asked.append(list(requirements))
        if self._on_resolve is not None:
            return self._on_resolve(requirements)
        return Resolution([], roots=(), target=self.target)

    def install(self, resolution, prefix):
        self.prefixes.append(prefix)
        if self._on_install is not None:
            self._on_install(resolution, prefix)


@dataclass
class Workshop:
    """A builder, and all that it writes to."""

    root: Path
    info: object
    context: RecordingContext
    env: dict = field(default_factory=lambda: {"PATH": os.environ["PATH"]})
    runner: object = field(default_factory=SubprocessRunner)
    slots: object = None
    reporter: RecordingReporter = field(default_factory=RecordingReporter)
    stacks: list = field(default_factory=list)

    @property
    def logs(self):
        return self.root / "logs"

    @property
    def scratch(self):
        return self.root / "scratch"

    @property
    def target(self):
        place = self.root / "target"
        place.mkdir(exist_ok=True)
        return place

    def builder(self):
        self.scratch.mkdir(exist_ok=True)
        return Builder(
            interpreter=self.info,
            context=self._context,
            runner=self.runner,
            logs=self.logs,
            env=self.env,
            slots=self.slots,
            scratch=self.scratch,
        )

    def _context(self, stack):
        self.stacks.append(stack)
        return self.context

    def tree(self, code="", *, backend=BACKEND, name="tree", **build_system):
        tree = self.root / name
        (tree / "backend").mkdir(parents=True)
        (tree / "backend" / "made.py").write_text(backend + textwrap.dedent(code), encoding="utf-8")
        table = {"requires": [], "build-backend": "made", "backend-path": ["backend"], **build_system}
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
        (tree / "pyproject.toml").write_text("[build-system]\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return tree

    @contextlib.contextmanager
    def pump(self, cancel=None):
        pump = Pump(self.reporter.on_event, cancel)
        try:
            yield pump
        finally:
            pump.close()

    @contextlib.contextmanager
    def open(self, tree, *, pump=None, cancel=None, settings=None, package="app", **options):
        """Open a build, heard by the reporter unless a pump is given."""
        with contextlib.ExitStack() as stack:
            pump = pump or stack.enter_context(self.pump(cancel))
            settings = settings or BuildSettings()
            yield stack.enter_context(
                self.builder().open(tree, package=package, settings=settings, pump=pump, **options)
            )

    def wheel(self, tree, *, editable=False, target=None, **options):
        with self.open(tree, **options) as build:
            return build.wheel(target or self.target, editable=editable)

    def metadata(self, tree, *, editable=False, **options):
        with self.open(tree, **options) as build:
            return build.metadata(self.target, editable=editable)


@pytest.fixture(scope="session")
def info():
    return current_info()


@pytest.fixture
def system_temporary(tmp_path, monkeypatch):
    """The system's temporary folder, as it looks to this process: empty."""
    place = tmp_path / "system-tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def workshop(tmp_path, info, system_temporary):
    """What is made in the temporary folders is gone at the end of every test, however it ends."""
    root = tmp_path / "work shop"  # backends have to bear spaces
    root.mkdir()
    shop = Workshop(root, info, RecordingContext(info.target()))
    yield shop
    assert not shop.scratch.exists() or os.listdir(shop.scratch) == []
    assert os.listdir(system_temporary) == []


class Pipe:
    """A named pipe that children open: tells whether any of them still runs."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self):
        """Wait until a child has written."""
        assert select.select([self._reader], [], [], 60)[0], "no child came"

    def read_to_end(self):
        """Read until no child has the pipe open."""
        data = b""
        while select.select([self._reader], [], [], 60)[0]:
            piece = os.read(self._reader, 100)
            if not piece:
                return data
            data += piece
        pytest.fail("a child that should be gone holds the pipe")

    def close(self):
        os.close(self._reader)


@pytest.fixture
def pipe(tmp_path):
    pipe = Pipe(tmp_path / "pipe")
    yield pipe
    pipe.close()
