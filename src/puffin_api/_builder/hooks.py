"""Calls the hooks of a build backend, and believes nothing that they return (PEP 517, PEP 660)."""

from __future__ import annotations

import functools
import os

import attrs
from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller, HookMissing

from puffin_api._builder.failure import disk_trouble
from puffin_api._fs import unique_name
from puffin_api._model.filename import parse_wheel_name
from puffin_api._model.requirement import parse_requirement
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from puffin_api._builder.backend import Backend
    from puffin_api._builder.failure import Phase
    from puffin_api._builder.hook_process import HookProcess


@attrs.frozen(kw_only=True, eq=False)
class Hooks:
    """The hooks of one source tree, in one environment."""

    tree: Path
    backend: Backend
    python: Path
    process: HookProcess
    config_settings: Mapping[str, str | list[str]]
    scratch: Path
    """Where results are written before they are known to be good."""

    def requires(self, *, editable: bool) -> tuple[str, ...]:
        """Return what the backend needs beyond what the tree declares."""
        what = "get_requires_for_build_editable" if editable else "get_requires_for_build_wheel"
        returned = self._call("get-requires", what)
        if not isinstance(returned, list) or not all(isinstance(item, str) for item in returned):
            raise self._nonsense("get-requires", what, returned, "a list of requirements")
        for item in returned:
            try:
                parse_requirement(item)
            except RequirementInvalid as error:
                raise self._nonsense("get-requires", what, item, f"a requirement: {error}") from error
        return tuple(returned)

    def metadata(self, *, editable: bool) -> Path | None:
        """Return a ``.dist-info`` folder, None where the backend has no hook for it."""
        kind = "editable" if editable else "wheel"
        what = f"prepare_metadata_for_build_{kind}"
        folder = self._folder("prepare-metadata")
        try:
            returned = self._call("prepare-metadata", what, str(folder), _allow_fallback=False)
        except HookMissing:
            return None
        path = self._named("prepare-metadata", what, returned, folder, ".dist-info")
        if not (path / "METADATA").is_file():
            raise self.process.failed("check", f"{what} returned {path.name!r}, which has no file METADATA")
        return path

    def wheel(self, metadata_directory: Path | None = None) -> Path:
        """Build a wheel and return its path."""
        return self._built("build-wheel", "build_wheel", metadata_directory)

    def editable(self, metadata_directory: Path | None = None) -> Path:
        """Build an editable wheel and return its path."""
        try:
            return self._built("build-editable", "build_editable", metadata_directory)
        except HookMissing as error:
            raise self.process.failed(
                "build-editable",
                f"the build backend {self.backend.build_backend} cannot make editable wheels (PEP 660)",
                hint="Install the project as it is, not editable, or use a newer build backend.",
            ) from error

    def _built(self, phase: Phase, what: str, metadata_directory: Path | None) -> Path:
        folder = self._folder(phase)
        given = None if metadata_directory is None else str(metadata_directory)
        returned = self._call(phase, what, str(folder), metadata_directory=given)
        path = self._named(phase, what, returned, folder, ".whl")
        if os.path.islink(path) or not path.is_file():
            raise self.process.failed("check", f"{what} returned {path.name!r}, which is no file")
        try:
            parse_wheel_name(path.name)
        except ValueError as error:
            raise self.process.failed("check", f"{what} returned {path.name!r}: {error}") from error
        return path

    def _named(self, phase: Phase, what: str, returned: object, folder: Path, ending: str) -> Path:
        """The entry of the folder that a hook names; nothing elsewhere will do."""
        expected = f"the name of a {ending} in the folder that it was given"
        is_name = isinstance(returned, str) and returned.endswith(ending)
        if not isinstance(returned, str) or not is_name or set(returned) & {"/", "\\", "\0"}:
            raise self._nonsense(phase, what, returned, expected)
        path = folder / returned
        if not path.exists():
            there = ", ".join(sorted(map(repr, os.listdir(folder)))) or "nothing"
            raise self.process.failed("check", f"{what} returned {returned!r}, but left {there}")
        return path

    def _nonsense(self, phase: Phase, what: str, returned: object, expected: str) -> Exception:
        shown = repr(returned)
        shown = shown if len(shown) <= 200 else f"{shown[:200]}..."
        return self.process.failed(phase, f"{what} returned {shown}, not {expected}")

    def _folder(self, phase: Phase) -> Path:
        """A new folder: whatever else a backend leaves in it is of no interest."""
        folder = self.scratch / f"result-{unique_name()}"
        with disk_trouble(self.process.package, phase):
            folder.mkdir()
        return folder

    def _call(self, phase: Phase, what: str, *arguments: object, **options: object) -> object:
        caller = BuildBackendHookCaller(
            str(self.tree),
            self.backend.build_backend,
            backend_path=list(self.backend.backend_path) or None,
            runner=functools.partial(_run, self.process, phase),
            python_executable=str(self.python),
        )
        hook: Callable[..., object] = getattr(caller, what)
        try:
            return hook(*arguments, config_settings=dict(self.config_settings) or None, **options)
        except BackendUnavailable as error:
            self.process.log.append((error.traceback or str(error)).encode("utf-8", "backslashreplace"))
            reason = f"the build backend {self.backend.build_backend!r} cannot be imported"
            raise self.process.failed(phase, reason) from error
        except OSError as error:
            if error is self.process.interruption:
                raise
            raise self.process.failed(phase, f"a file of the call is in trouble: {error}") from error


def _run(
    process: HookProcess,
    phase: Phase,
    cmd: Sequence[str],
    cwd: str | None = None,
    extra_environ: Mapping[str, str] | None = None,
) -> None:
    """Start a child as pyproject-hooks wants it started."""
    assert cwd is not None, "hooks run in the tree"
    process.run(phase, cmd, cwd, extra_environ or {})
