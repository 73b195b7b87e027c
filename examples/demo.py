"""Create a venv, resolve and install real projects into it, import them there, show what was done.

Run it with ``make demo``, or ``python examples/demo.py flask requests`` for other projects.
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
    clock.lap("create the venv")
    with Client.from_environ(os.environ, cache=Cache.user()) as client, progress_reporter() as reporter:
        clock.lap("open the client")
        resolution = Resolver(client).resolve(projects, target=environment, reporter=reporter)
        clock.lap(f"resolve {len(resolution.packages)} packages")
        installer = Installer(environment, client)
        plan = installer.plan(resolution)
        clock.lap("plan")
        report = installer.install(plan, reporter=reporter)
        clock.lap(f"fetch, unpack and install {len(report.changes)} wheels")
        again = installer.plan(resolution)
        clock.lap("plan again (nothing to do)")
    print_tree(resolution)
    print_plan(plan)
    assert again.is_empty
    for project in projects:
        import_there(environment.interpreter.path, project.replace("-", "_"))
    clock.lap("import the projects there")
    clock.print()


def print_tree(resolution: Resolution) -> None:
    """Print who requires what; a package that was printed before is not opened again."""
    print("\nResolved:")
    seen: set[str] = set()

    def walk(name: str, depth: int) -> None:
        package = resolution.packages[name]
        again = name in seen and bool(package.requires)
        print(f"  {'  ' * depth}{package.name} {package.version}{' (see above)' if again else ''}")
        if not again:
            seen.add(name)
            for child in dict.fromkeys(edge.name for edge in package.requires):
                if child in resolution.packages:
                    walk(child, depth + 1)

    for name in sorted(resolution.root_names):
        walk(name, 0)


def print_plan(plan: Plan) -> None:
    """Print the first changes of a plan."""
    print(f"\nPlan: {len(plan.changes)} changes, {plan.download_bytes / 1e6:.1f} MB to download")
    for change in plan.changes[:10]:
        where = "from the cache" if change.cached else "to be downloaded"
        print(f"  {change.action} {change.name} {change.new or ''} ({where})")
    if len(plan.changes) > 10:
        print(f"  ... and {len(plan.changes) - 10} more")


def import_there(python: Path, module: str) -> None:
    """Import a module in the new environment."""
    code = f"import {module}; print('  imported', {module}.__name__, 'from', {module}.__file__)"
    subprocess.run([str(python), "-I", "-W", "ignore", "-c", code], check=True)


class Clock:
    """Notes how long each step took."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._laps: list[tuple[str, float]] = []

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps.append((name, now - self._last))
        self._last = now

    def print(self) -> None:
        print("\nTimings:")
        for name, seconds in self._laps:
            print(f"  {seconds * 1000:9.1f} ms  {name}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:] or list(PROJECTS)))
