"""Create a venv, resolve and install real projects into it, import them there, show what was done.

Run it with ``make demo``, or ``python examples/demo.py flask requests`` for other projects. It asks the
indexes that your pip is configured for, and keeps what it fetched in your user cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from progress import progress_reporter

from puffin_api import (
    Cache,
    Client,
    Installer,
    Interpreter,
    Plan,
    PuffinError,
    Resolution,
    Resolver,
)

PROJECTS = ("flask", "jupyterlab")


def main(projects: list[str]) -> int:
    """Show it all in a temporary folder; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="puffin-demo-") as folder:
        try:
            show(projects, Path(folder, "demo-env"))
        except PuffinError as error:
            print(f"{error.code}: {error}", file=sys.stderr)
            if error.hint:
                print(f"hint: {error.hint}", file=sys.stderr)
            return 1
    return 0


def show(projects: list[str], prefix: Path) -> None:
    """Do the main job, a step at a time."""
    clock = Clock()
    environment = Interpreter.current().create_venv(prefix)
    clock.lap("create the virtual environment")
    heading(f"A virtual environment for {environment.target}")
    say(str(prefix))

    with Client.from_environ(os.environ, cache=Cache.user()) as client:
        resolver, installer = Resolver(client), Installer(environment, client)
        clock.skip()
        with progress_reporter() as reporter:
            resolution = resolver.resolve(projects, target=environment, reporter=reporter)
        clock.lap(f"resolve {len(resolution.packages)} packages")
        heading(f"Resolved {', '.join(resolution.roots)}: {len(resolution.packages)} packages")
        print_tree(resolution)
        print_why(resolution)

        clock.skip()
        resolver.resolve(projects, target=environment)
        clock.lap("resolve again, in the same process")
        plan = installer.plan(resolution)
        clock.lap("plan")
        heading("The plan: nothing has been changed yet")
        print_plan(plan)

        clock.skip()
        with progress_reporter() as reporter:
            report = installer.install(plan, reporter=reporter)
        clock.lap("download what is missing, unpack and install")
        fetched = megabytes(report.bytes_downloaded) if report.bytes_downloaded else "nothing"
        heading(f"Installed {len(report.changes)} packages; {fetched} had to be downloaded")
        for project in projects:
            import_there(environment.interpreter.path, project.replace("-", "_"))

        clock.skip()
        again = installer.plan(resolution)
        clock.lap("plan again: nothing to do")
        assert again.is_empty
        removal = installer.plan_uninstall(projects[:1], orphans=True)
        removed = installer.uninstall(removal)
        clock.lap(f"uninstall {projects[0]} and what only it needed")
        heading(f"Removed {projects[0]} and what only it needed")
        say(", ".join(change.name for change in removed.changes))
    heading("Timings")
    clock.print()


def print_tree(resolution: Resolution) -> None:
    """Print each package once, below the one through which it is nearest to what was asked for."""
    children: dict[str, list[str]] = {name: [] for name in resolution.packages}
    roots = sorted(resolution.root_names)
    reached = list(roots)
    for name in reached:
        for needed in sorted(resolution.packages[name].required_names):
            if needed in children and needed not in reached:
                children[name].append(needed)
                reached.append(needed)

    def walk(name: str, depth: int) -> None:
        say(f"{'  ' * depth}{name} {resolution.packages[name].version}")
        for child in children[name]:
            walk(child, depth + 1)

    for name in roots:
        walk(name, 0)


def print_why(resolution: Resolution) -> None:
    """Print the longest of the shortest ways to a package."""
    ways = [resolution.why(name)[0] for name in resolution.packages]
    longest = max(ways, key=lambda path: len(path.names))
    heading(f"Why {longest.names[-1]}?")
    say(str(longest))


def print_plan(plan: Plan) -> None:
    """Print what a plan will do, in short."""
    cached = sum(change.cached for change in plan.changes)
    missing = len(plan.changes) - cached
    size = f" ({megabytes(plan.download_bytes)})" if plan.download_bytes else ""
    say(f"{len(plan.changes)} changes: {cached} wheels from the cache, {missing} to be downloaded{size}")
    for change in plan.changes[:3]:
        say(f"{change.action} {change.name} {change.new or ''}")
    if len(plan.changes) > 3:
        say(f"... and {len(plan.changes) - 3} more")


def import_there(python: Path, module: str) -> None:
    """Import a module in the new environment, and say where it was found."""
    code = f"import {module}; print({module}.__file__)"
    begun = time.perf_counter()
    command = [str(python), "-I", "-W", "ignore", "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    seconds = time.perf_counter() - begun
    say(f"imported {module} in {seconds:.1f} s (Python compiles it the first time)")
    say(f"  from {found}")


def megabytes(count: int) -> str:
    """Say a number of bytes."""
    return f"{count / 1e6:.1f} MB"


def heading(text: str) -> None:
    """Begin a new part of the output."""
    print(f"\n{text}", flush=True)


def say(text: str) -> None:
    """Print a line of the part; at once, so that it keeps its place among the progress lines."""
    print(f"  {text}", flush=True)


class Clock:
    """Notes how long each step took; what is not noted is not counted."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._laps: list[tuple[str, float]] = []

    def skip(self) -> None:
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        self._laps.append((name, time.perf_counter() - self._last))
        self.skip()

    def print(self) -> None:
        for name, seconds in self._laps:
            say(f"{seconds * 1000:9.1f} ms  {name}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:] or list(PROJECTS)))
