"""Install local projects in development mode, and show what their build backends say.

``python examples/develop.py ENVIRONMENT PROJECT...`` creates the environment where there is none. Give all
projects that depend on each other at once; what else they need comes from the indexes that your pip is
configured for.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from puffin_api import Cache, Client, Editable, Installer, Interpreter, Resolver, errors
from puffin_api.model import BuildOutput, BuildStarted, Event


class BuildLines:
    """Prints what is built, and what it prints."""

    def on_event(self, event: Event) -> None:
        match event:
            case BuildStarted(name=name, phase=phase):
                print(f"{name}: {phase}")
            case BuildOutput(line=line):
                print(f"  | {line}")
            case _:
                pass


def main(prefix: str, *projects: str) -> int:
    """Return the exit status."""
    environment = Interpreter.current().create_venv(prefix, exists="reuse")
    wanted = [Editable(path=Path(project)) for project in projects]
    with Client.from_environ(os.environ, cache=Cache.user()) as client:
        try:
            resolution = Resolver(client).resolve(wanted, target=environment, reporter=BuildLines())
            report = Installer(environment, client).install(resolution, reporter=BuildLines())
        except errors.BuildFailed as error:
            print(f"{error}\n{error.hint}\nThe whole log: {error.log_path}")
            return 1
    for change in report.changes:
        print(f"{change.action} {change.name} {change.new}")
    if not report.changes:
        print("nothing has changed")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
