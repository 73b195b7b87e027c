"""Say what an install would do to an environment, as JSON, and do nothing.

Run it with ``python examples/plan_only.py PREFIX REQUIREMENT...``; a prefix that does not exist stands
for a new, empty environment.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from puffin_api import Cache, Client, Environment, Installer, Interpreter, PuffinError, Resolver


def main(prefix: Path, requirements: list[str]) -> int:
    """Print the plan, or the error, as one JSON object."""
    try:
        environment = open_environment(prefix)
        with Client.from_environ(os.environ, cache=Cache.user()) as client:
            resolution = Resolver(client).resolve(
                requirements, target=environment, installed=environment.installed()
            )
            plan = Installer(environment, client).plan(resolution)
    except PuffinError as error:
        print(json.dumps(error.to_dict(), indent=1))
        return 1
    print(json.dumps(plan.to_dict(), indent=1))
    return 0


def open_environment(prefix: Path) -> Environment:
    """Open what is there, or a place that only exists in thought: a plan creates nothing."""
    if prefix.exists():
        return Environment.at(prefix)
    return Environment.directory(prefix, target=Interpreter.current())


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
