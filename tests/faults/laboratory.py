"""Runs changes of an environment in children, lets them fail or die, and looks at what is left."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
from pathlib import Path

import attrs

from puffin_api import Installer, PuffinError
from puffin_api._installer import recovery
from tests.faults.os_calls import DISK, WRITING
from tests.faults.rich_environment import SCENARIOS, Site, build, difference, exact_tree, tree


class Bench:
    """One scenario, ready to be run again and again."""

    def __init__(self, folder: Path, name: str, elsewhere: str) -> None:
        self.site = Site(folder / name, SCENARIOS[name], f"{elsewhere}/{name}" if elsewhere else "")
        self._kept = folder / name / "kept"
        answer = in_child(lambda: build(self.site))
        assert answer == {}, answer
        self._work, self._extra = pickle.loads((self.site.folder / "plans").read_bytes())
        for number, root in enumerate(self.site.roots):
            shutil.copytree(root, self._kept / str(number), symlinks=True)
        self.environment = self.site.environment()
        self.cache = tree([self.site.cache / "archive-v0"])
        self.old = tree(self.site.roots)
        self._immovable: list[int] = []
        self.operations: list[tuple[str, str, str]] = []
        self.new: dict[str, tuple] = {}
        self.changed_by_reading: list[str] = []
        self._measure()

    def _measure(self) -> None:
        """Run once without a fault, to know all operations and the result."""
        answer = self.run(kinds=WRITING)
        assert answer["outcome"] == "done", answer
        assert not answer["escaped"], answer["escaped"]
        self.operations = [tuple(item) for item in answer["log"]]
        self.new = tree(self.site.roots)
        assert self.new != self.old
        assert not self.problems()
        assert not self.leftovers()
        self.reset()

    def reset(self) -> None:
        """Put the old environment back."""
        for number, root in enumerate(self.site.roots):
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(self._kept / str(number), root, symlinks=True)

    def state(self, found=None, *, followed: bool = False, kept: bool = True) -> str:
        """Tell whether the environment is the old one or the new one; else how it differs from both.

        Args:
            found: What is there, where that is known.
            followed: Take a link into the cache for the file that it leads to.
            kept: Whether what is kept for an undo counts as a part of the old one.
        """
        old, new = self.old, self.new
        if found is None:
            found = tree(self.site.roots)
        if followed:
            found, old, new = map(self._followed, (found, old, new))
        if found == old or (not kept and self._without_kept(found) == self._without_kept(old)):
            return "old"
        # What a change has put aside has another name each time.
        if self._without_kept(found) == self._without_kept(new):
            return "new"
        return f"neither: {difference(old, found)} from the old, {difference(new, found)} from the new"

    def _without_kept(self, found):
        kept = f"{self.site.kept}{os.sep}"
        return {path: item for path, item in found.items() if not path.startswith(kept)}

    def _followed(self, found):
        # What could not be looked at was fetched anew, and links lead to that then.
        now = {**self.cache, **tree([self.site.cache / "archive-v0"])}
        files = {path: item for path, item in now.items() if item[0] == "file"}
        return {
            path: files.get(item[-1], item) if item[0] == "link" else item for path, item in found.items()
        }

    def leftovers(self, paths=None) -> list[str]:
        """Return what transactions and atomic writes have left behind."""
        if paths is None:
            paths = tree(self.site.roots)
        paths = self._without_kept(paths)
        return [path for path in paths if "/.puffin-" in path or path.endswith(".puffin-tmp")]

    def run(self, **fault):
        """Make the change in a child of this process; how it ended, None where it was killed."""
        if self.site.scenario.immovable:
            folders = [path for path, item in tree(self.site.roots).items() if item[0] == "folder"]
            self._immovable = [os.lstat(path).st_ino for path in folders]
        self._fingerprint = self.environment.fingerprint()
        return in_child(lambda: self._change(fault))

    def _change(self, fault):
        client = self.site.client()
        installer = Installer(self.environment, client)
        installer.prepare(self._extra.plan)  # opens the cache, whose faults are not what is looked at here

        def change():
            with client:  # closing waits for what is still removed
                try:
                    return [notice.code for notice in self._do(installer).notices]
                finally:
                    DISK.ready.set()

        return observed(change, clones=self.site.scenario.clones, immovable=self._immovable, **fault)

    def _do(self, installer):
        if self.site.scenario.undo:
            return installer.undo(self._work)
        return installer.install(self._prepared())

    def _prepared(self):
        """Return the prepared plan; the environment may have been copied since it was made."""
        plan = attrs.evolve(self._work.plan, environment_fingerprint=self._fingerprint)
        return attrs.evolve(self._work, plan=plan)

    def recover(self, **fault):
        """Recover in a child; how it ended, None where it was killed."""
        return in_child(lambda: observed(self._recover, immovable=self._immovable, **fault))

    def _recover(self):
        report = self.environment.recover()
        return [] if report is None else [item.outcome for item in report.transactions]

    def make_next_change(self) -> str:
        """Install something small and remove it again; says what the first of both told."""
        with self.site.client() as client:
            installer = Installer(self.environment, client)
            plan = attrs.evolve(self._extra.plan, environment_fingerprint=None)
            report = installer.install(attrs.evolve(self._extra, plan=plan))
            installer.uninstall(["tiny"], allow_broken=True)
        return "recovered" if any(notice.code == "recovered" for notice in report.notices) else "nothing"

    def only_read(self) -> list[str]:
        """Read the environment in every way; returns how that changed it."""
        before = exact_tree(self.site.roots)
        environment = self.environment
        environment.fingerprint()
        environment.installed()
        environment.check(deep=True)
        environment.satisfies(["alpha", "delta>=1"])
        environment.why("alpha")
        with self.site.client() as client:
            installer = Installer(environment, client)
            installer.plan_uninstall(["gamma"], allow_broken=True)
            if not self.site.scenario.undo and self._work.plan.resolution is not None:
                installer.plan(self._work.plan.resolution, mode="sync")
        return difference(before, exact_tree(self.site.roots))

    def problems(self) -> list[str]:
        """Return what a thorough check finds, apart from what is wrong on purpose."""
        return [
            str(problem)
            for problem in self.environment.check(deep=True)
            if getattr(problem, "name", "") != "legacy"
        ]

    def is_interrupted(self) -> bool:
        return bool(recovery.find_interrupted(self.site.site))


def observed(action, *, kinds=WRITING, **fault):
    """Do something on a disk that may fail, and describe what came of it."""
    DISK.arm(kinds, **fault)
    try:
        notices = action()
    except PuffinError as error:
        kind = type(error)
        answer = {
            "outcome": "failed",
            "kind": kind.__name__,
            "state": error.state,
            "message": str(error),
            "journal": getattr(error, "journal", None),
        }
    except BaseException as error:  # noqa: BLE001  # reported as what it is: the wrong kind
        answer = {"outcome": "escaped", "kind": type(error).__name__, "state": "", "message": repr(error)}
    else:
        answer = {"outcome": "done", "notices": notices}
    DISK.disarm()
    return {**answer, "fired": DISK.fired, "log": DISK.log, "escaped": DISK.escaped}


def in_child(action):
    """Fork, do it, and return what it returned; None where the child was killed, as some are meant to be."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _live_and_die(action, reader, writer)
    os.close(writer)
    with open(reader, "rb") as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return None
    return json.loads(text or b"{}")


def _live_and_die(action, reader, writer) -> None:
    status = 1
    try:
        os.close(reader)
        with open(writer, "wb") as stream:
            stream.write(json.dumps(action() or {}).encode())
        status = 0
    except BaseException:  # noqa: BLE001  # the process ends here in any case
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
