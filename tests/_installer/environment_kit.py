"""A place to install into, a cache of wheels made for the test, and a disk that fails when told."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from pathlib import Path

from puffin_api._fs import unique_name
from puffin_api._installer.site_packages import list_distributions
from puffin_api._installer.transaction import commit
from puffin_api._model.cached import CachedWheel
from puffin_api._model.plan import Change
from puffin_api._model.target import Target
from puffin_api._testing.faulty_fs import FaultyFs
from puffin_api._testing.faulty_fs import SimulatedCrash as Crash  # noqa: F401  # what the tests call it
from puffin_api._testing.wheels import wheel_filename, write_wheel
from puffin_api._wheel.unpack import unpack_wheel

TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")


class Place:
    """An environment, with or without an interpreter, and a cache beside it."""

    def __init__(self, tmp_path: Path, *, prefix: Path | None = None) -> None:
        self.tmp_path = tmp_path
        self.prefix = tmp_path / "env" if prefix is None else prefix
        found = [
            *self.prefix.glob("lib/python3.*/site-packages"),
            self.prefix / "lib/python3.12/site-packages",
        ]
        self.site = found[0]
        self.bin = self.prefix / "bin"
        self.executable = str(self.bin / "python")
        self.site.mkdir(parents=True, exist_ok=True)
        self.bin.mkdir(exist_ok=True)

    @property
    def scheme(self):
        headers = self.prefix / "include/site/python3.12"
        return {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": self.bin,
            "data": self.prefix,
            "headers": headers,
        }

    def wheel(self, name, version="1.0", **options) -> CachedWheel:
        folder = self.tmp_path / f"cache/archive-v0/{unique_name()}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = write_wheel(folder.parent, name, version, **options)
        manifest = unpack_wheel(path, folder, filename=wheel_filename(name, version))
        path.unlink()
        return CachedWheel(archive=folder, manifest=manifest)

    def change(self, *wheels, remove=(), **options):
        """Install these wheels, over whatever is there, and remove these names, in one transaction."""
        installed = self.installed()
        changes = []
        for wheel in wheels:
            old = installed.get(wheel.name)
            action = "install" if old is None else "upgrade"
            version = None if old is None else old.version
            changes.append(Change(action=action, name=wheel.name, old=version, new=wheel.version))
        changes += [Change(action="remove", name=name, old="?", cause="asked") for name in remove]
        return commit_changes(self, changes, {wheel.name: wheel for wheel in wheels}, **options)

    def remove(self, *names, **options):
        return self.change(remove=names, **options)

    def installed(self):
        return list_distributions([self.site])

    def read(self, path):
        return (self.site / path).read_text(encoding="utf-8")

    def record(self, dist_info):
        rows = [line.rsplit(",", 2) for line in self.read(f"{dist_info}/RECORD").splitlines()]
        return {path: (digest, size) for path, digest, size in rows}

    def tree(self):
        return tree(self.prefix)


def commit_changes(place, changes, wheels, **options):
    """Carry out changes in one transaction."""
    options.setdefault("lock", nullcontext())
    options.setdefault("executable", place.executable)
    return commit(changes, wheels, place.scheme, **options)


def tree(top):
    """Everything below a folder: kind, executable bit and content by relative path."""
    found = {}
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            key = os.path.relpath(path, top)
            if os.path.islink(path):
                found[key] = ("link", os.readlink(path))
            elif os.path.isdir(path):
                found[key] = ("folder",)
            else:
                content = Path(path).read_bytes()
                found[key] = ("file", bool(os.stat(path).st_mode & 0o100), content)
    return found


class Folder(Place):
    """A plain folder: modules at its top, scripts in ``bin``."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.prefix = self.site = tmp_path / "folder"
        self.bin = self.prefix / "bin"
        self.executable = "/usr/bin/env python3"

    @property
    def scheme(self):
        site = self.site
        return {
            "purelib": site,
            "platlib": site,
            "scripts": self.bin,
            "data": site,
            "headers": site / "include",
        }


def failing_files(number, error=None, *, torn=False):
    """Return files whose operation of this number fails, and the list of operations that were asked for.

    Args:
        number: From 0; earlier operations are done.
        error: The error of the one operation; None for a crash, after which nothing is done any more.
        torn: Let the operation that crashes be done by half, where it has halves.
    """
    files = FaultyFs()
    if error is None:
        files.crash(at=number, torn=torn)
    else:
        files.fail(error, at=number)
    return files, files.operations


FAILURES = (errno.EIO, errno.ENOSPC, errno.EACCES)
