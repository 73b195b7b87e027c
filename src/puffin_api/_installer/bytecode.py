"""Compiles the modules of what was installed, by the interpreter that will import them.

Compiled files are a cache: they come after the commit, do not appear in RECORD, and what goes wrong with
them is told and harms nothing. They go with their sources all the same when we or pip remove those; uv leaves
those of modules beside other packages, as it does after its own installations.
"""

from __future__ import annotations

import os

from puffin_api._model.events import Notice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from puffin_api._concurrency import Pump, WorkerPool
    from puffin_api._model.cancel import CancelToken
    from puffin_api._wheel.lay_out import Layout, Places
    from puffin_api.protocols import Runner

_Failures = list[tuple[str, str]]
"""Path and reason."""
_ALONE = ("-I", "-S", "-B", "-W", "ignore")
"""Nothing of the environment is imported, not even by a ``.pth`` file, and nothing is said."""
_WORTH_A_CHILD = 40
"""Starting an interpreter takes about as long as compiling so many files."""


def python_sources(layouts: Iterable[Layout], places: Places) -> list[str]:
    """Return the absolute paths of the modules that were installed: not scripts, nor data elsewhere."""
    importable = {places.home["purelib"], places.home["platlib"]}
    found: list[str] = []
    for layout in layouts:
        base = places.folders[layout.place]
        found += [f"{base}{os.sep}{path}" for path in layout.tree if path.endswith(".py")]
        found += [
            f"{places.folders[extra.place]}{os.sep}{extra.path}"
            for extra in layout.extra
            if extra.place in importable and extra.path.endswith(".py")
        ]
    return found


class Compiler:
    """Compiles modules in child processes, and fails for no file's sake.

    Make it before the change that it is for: the change may replace this very library, of which nothing
    is read later.

    Args:
        interpreter: The one of the environment; None where it has none, as a plain folder.
        runner: Starts the children.
        workers: How many run at a time.
        pool: Waits for them; not one that the call runs in.
        pump: Where cancelling comes from; it ends the children, and leaves what is compiled so far.
        scratch: Folder for the lists that they get; None for the system's temporary folder.
    """

    def __init__(
        self,
        interpreter: Path | str | None,
        *,
        runner: Runner,
        workers: int,
        pool: WorkerPool,
        pump: Pump,
        scratch: Path | str | None = None,
    ) -> None:
        self._interpreter = None if interpreter is None else os.fspath(interpreter)
        self._runner = runner
        self._workers = workers
        self._pool = pool
        self._pump = pump
        self._scratch = scratch
        self._script = _script_source()

    def __call__(self, paths: Sequence[str]) -> list[Notice]:
        """Compile these sources, each into the ``__pycache__`` beside it; returns what is worth telling.

        Raises:
            Cancelled: The caller's token was thrown.
        """
        import tempfile

        if not paths:
            return []
        if self._interpreter is None:
            return [_skipped("the environment has no interpreter", len(paths))]
        try:
            with tempfile.TemporaryDirectory(prefix="puffin-compile-", dir=self._scratch) as folder:
                failures = self._compile(self._interpreter, paths, folder)
        except OSError as error:
            reason = f"{self._interpreter} could not be started: {error.strerror or error}"
            return [_skipped(reason, len(paths))]
        return [_failed(failures, len(paths))] if failures else []

    def _compile(self, interpreter: str, paths: Sequence[str], folder: str) -> _Failures:
        script = os.path.join(folder, "compile.py")
        with open(script, "wb") as file:
            file.write(self._script)
        job = _Job([interpreter, *_ALONE, script], self._runner, folder, self._pump)
        shares = list(enumerate(_shares(paths, self._workers)))
        results = self._pool.map(lambda share: list(job.run(share)), shares, pump=self._pump)
        return sorted(failure for result in results for failure in result)


def _shares(paths: Sequence[str], workers: int) -> list[Sequence[str]]:
    """Deal the files out, one by one: files of a package are of about the same size."""
    children = max(1, min(workers, len(paths) // _WORTH_A_CHILD))
    return [paths[first::children] for first in range(children)]


class _Job:
    """Compiles shares of the files, each in a child process."""

    def __init__(self, command: Sequence[str], runner: Runner, folder: str, pump: Pump) -> None:
        self._command = command
        self._runner = runner
        self._folder = folder
        self._cancel: CancelToken | None = pump.cancel  # type: ignore[assignment]  # the one kind there is

    def run(self, share: tuple[int, Sequence[str]]) -> Iterator[tuple[str, str]]:
        """Compile one share; where a file ends the child, the next child goes on behind it."""
        number, paths = share
        listed, told = (os.path.join(self._folder, f"{number}.{kind}") for kind in ("paths", "told"))
        while paths:
            with open(listed, "wb") as file:
                file.write(b"\0".join(map(os.fsencode, paths)))
            done = self._start(listed, told)
            lines = _read_lines(told)
            yield from ((paths[index], reason) for index, reason in _reasons(lines))
            if lines and lines[-1] == "end":
                return
            reached = len(lines) - 1
            if reached < 0:
                yield from ((path, f"the interpreter ended with {done}") for path in paths)
                return
            yield paths[reached], f"the interpreter ended with {done}"
            paths = paths[reached + 1 :]

    def _start(self, listed: str, told: str) -> int:
        if os.path.exists(told):
            os.unlink(told)
        return self._runner.run([*self._command, listed, told], env=None, cancel=self._cancel).returncode


def _script_source() -> bytes:
    """The text of the script for the children, also from a zip file."""
    import pkgutil

    source = pkgutil.get_data("puffin_api._installer", "compile_script.py")
    assert source is not None, "the package has lost its script"
    return source


def _read_lines(told: str) -> list[str]:
    try:
        with open(told, encoding="utf-8", errors="replace") as file:
            return file.read().split("\n")[1:]
    except FileNotFoundError:
        return []


def _reasons(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        number, _, reason = line.partition(" ")
        if reason:
            yield int(number), reason


def _skipped(reason: str, count: int) -> Notice:
    return Notice(
        code="compile-skipped",
        message=f"Modules were not compiled: {reason}",
        data={"reason": reason, "count": count},
    )


def _failed(failures: _Failures, count: int) -> Notice:
    return Notice(
        code="compile-failed",
        message=f"{len(failures)} of {count} modules could not be compiled, such as {failures[0][0]}",
        data={"count": count, "failures": [{"path": path, "reason": reason} for path, reason in failures]},
    )
