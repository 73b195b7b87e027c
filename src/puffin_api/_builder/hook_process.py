"""Runs hooks in child processes: a turn among the builds, the output as events, the end as data."""

from __future__ import annotations

import contextlib
import json
import os
import queue
from pathlib import Path

import attrs

from puffin_api._builder.build_log import Follower, open_regular
from puffin_api._builder.failure import ending, failed
from puffin_api._concurrency import WorkerPool
from puffin_api._model.cancel import CancelToken
from puffin_api._model.events import BuildFinished, BuildOutput, BuildStarted
from puffin_api.errors import PuffinError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Protocol

    from puffin_api._builder.build_log import BuildLog
    from puffin_api._builder.failure import Phase
    from puffin_api._concurrency import Pump, Task
    from puffin_api.errors import BuildFailed
    from puffin_api.protocols import Completed, Runner

    class Slots(Protocol):
        """How many backends may run at a time; a semaphore is one."""

        def acquire(self, *, timeout: float) -> bool: ...
        def release(self) -> None: ...


_POLL_SECONDS = 0.1
"""How often new output is looked for; the end of the child is noticed at once."""


@attrs.define(kw_only=True, eq=False)
class HookProcess:
    """Starts the children of one build, one after the other; for one thread."""

    package: str
    runner: Runner
    log: BuildLog
    script: Path
    """``hook_script.py`` where the child can read it."""
    options: tuple[str, ...]
    """For the interpreter."""
    variables: Mapping[str, str]
    """The complete environment of the children."""
    timeout: float | None
    slots: Slots | None
    pump: Pump
    interruption: BaseException | None = attrs.field(default=None, init=False)
    """What the caller ended the last child with: none of our errors."""
    _start: int = attrs.field(default=0, init=False)
    """Where the output of the last child begins in the log."""

    def run(self, phase: Phase, command: Sequence[str], cwd: str, variables: Mapping[str, str]) -> None:
        """Run the command that pyproject-hooks asks for; its result is in the folder that it ends with.

        Raises:
            BuildFailed: The child ended without a result.
            Cancelled: The caller's token was thrown.
        """
        python, *rest = command
        folder = rest[-1]
        status = os.path.join(folder, "status")
        argv = [python, *self.options, str(self.script), self.log.path, status, *rest]
        with self._turn(), self._events(phase) as task:
            self._start = self.log.size
            follower = Follower(self.log.path, self._start, self._teller(task))
            completed = self._complete(phase, argv, cwd, {**self.variables, **variables}, follower)
            self.log.append(completed.stderr + completed.stdout)  # from before the output was redirected
            follower.finish()
            self._check(phase, _exit_code(status, completed))
            for warning in self._take_warnings(phase, folder):
                self._teller(task)(warning)

    def failed(
        self, phase: Phase, reason: str, *, hint: str = "", exit_code: int | None = None
    ) -> BuildFailed:
        """Return the error for the last child, with what it printed."""
        return failed(
            self.package,
            phase,
            reason,
            hint=hint,
            exit_code=exit_code,
            log_tail=self.log.tail(self._start),
            log_path=self.log.path,
        )

    def _teller(self, task: int) -> Callable[[str], None]:
        def tell(line: str) -> None:
            self.pump.send(BuildOutput(task=task, line=line))

        return tell

    @contextlib.contextmanager
    def _turn(self) -> Generator[None]:
        """Wait for a free slot; kept for one child only, since builds wait for builds of what they need."""
        if self.slots is None:
            yield
            return
        while not self.slots.acquire(timeout=_POLL_SECONDS):
            self.pump.check()
        try:
            yield
        finally:
            self.slots.release()

    @contextlib.contextmanager
    def _events(self, phase: Phase) -> Generator[int]:
        """Tell the start and the end, in pairs."""
        self.pump.check()
        task = self.pump.begin(
            lambda task: BuildStarted(task=task, name=self.package, phase=phase),
            lambda task: BuildFinished(task=task, error="cancelled"),
        )
        error = ""
        try:
            yield task
        except BaseException as problem:
            error = problem.code if isinstance(problem, PuffinError) else type(problem).__name__
            raise
        finally:
            self.pump.end(task, lambda: BuildFinished(task=task, error=error))

    def _complete(
        self, phase: Phase, argv: Sequence[str], cwd: str, env: Mapping[str, str], follower: Follower
    ) -> Completed:
        """Run a child to its end, and tell what it prints meanwhile."""
        caller: CancelToken | None = self.pump.cancel  # type: ignore[assignment]  # the one kind there is
        stop = CancelToken.any(caller) if caller is not None else CancelToken()
        run = self.runner.run
        pool = WorkerPool(1, name="puffin-build")
        task = pool.submit(lambda: run(argv, cwd=Path(cwd), env=env, timeout=self.timeout, cancel=stop))
        try:
            self._follow(task, follower)
        except BaseException as error:
            stop.cancel("the build was interrupted")  # whatever ends the wait ends the child
            self.interruption = error
            raise
        finally:
            pool.close()
        try:
            return task.result()
        except TimeoutError as error:
            limit = f"{self.timeout:g} seconds" if self.timeout is not None else "allowed"
            raise self.failed(phase, f"it took longer than {limit}") from error
        except OSError as error:
            raise self.failed(phase, f"{argv[0]} could not be started: {error.strerror or error}") from error

    def _follow(self, task: Task[Completed], follower: Follower) -> None:
        done: queue.SimpleQueue[None] = queue.SimpleQueue()
        task.on_done(lambda: done.put(None))
        while not task.done:
            with contextlib.suppress(queue.Empty):
                done.get(timeout=_POLL_SECONDS)
            self.pump.check()
            if not self.pump.silent:
                follower.read()

    def _check(self, phase: Phase, exit_code: int) -> None:
        if exit_code != 0:
            raise self.failed(phase, f"the build backend {ending(exit_code)}", exit_code=exit_code)

    def _take_warnings(self, phase: Phase, folder: str) -> list[str]:
        """Check that there is a result, and take the warnings out of it.

        pyproject-hooks would raise them again as warnings of this process, which are not ours to give.
        """
        path = os.path.join(folder, "output.json")
        try:
            with open_regular(path) as file:
                result: object = json.load(file)
        except FileNotFoundError:
            raise self.failed(phase, "the build backend ended without a result", exit_code=0) from None
        except (OSError, ValueError, RecursionError) as error:
            raise self.failed(phase, f"the result of the build backend is no JSON: {error}") from error
        if not isinstance(result, dict) or "return_val" not in result:
            raise self.failed(phase, "the result of the build backend is not one of a hook")
        warnings = result.pop("warnings", None)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(result, stream)
        return _warning_lines(warnings)


def _exit_code(status: str, completed: Completed) -> int:
    """How the hook ended; the child that told has ended itself with all of its group."""
    try:
        with open_regular(status) as file:
            return int(file.read())
    except (OSError, ValueError):
        return completed.returncode


def _warning_lines(warnings: object) -> list[str]:
    found = warnings if isinstance(warnings, list) else []
    return [f"warning: {item['message']}" for item in found if isinstance(item, dict) and "message" in item]
