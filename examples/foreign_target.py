"""Lock one set of requirements for several platforms, as a bot or scanner does, without installing.

Run it with ``python examples/foreign_target.py REQUIREMENT...``.
"""

from __future__ import annotations

import os
import sys

from puffin_api import Cache, Client, Resolution, Resolver, Target, errors

PLATFORMS = (
    ("3.11", "manylinux_2_28_x86_64"),
    ("3.13", "manylinux_2_28_aarch64"),
    ("3.13", "macosx_14_0_arm64"),
    ("3.13", "win_amd64"),
)


def main(requirements: list[str]) -> int:
    """Print a lock for the first platform, and how each other one differs from it."""
    first: Resolution | None = None
    failed = False
    with Client.from_environ(os.environ, cache=Cache.user()) as client:
        resolver = Resolver(client)  # what it learns of projects is shared by all platforms
        for python, platform in PLATFORMS:
            target = Target.for_platform(python, platform)
            try:
                resolution = resolver.resolve(requirements, target=target, locked=first or ())
            except errors.ResolutionFailed as error:
                failed = True
                print(f"\n# {target}: there is no solution\n{error.explain('short')}")
                continue
            print(f"\n# {target}: {len(resolution.packages)} packages")
            if first is None:
                first = resolution
                print(resolution.to_requirements_txt(hashes=True), end="")
            else:
                print_difference(first, resolution)
    return int(failed)


def print_difference(first: Resolution, other: Resolution) -> None:
    """Print what another platform has more, less or in another version, and which files differ."""
    diff = first.diff(other)
    for name, version in sorted(diff.added.items()):
        print(f"+ {name}=={version}")
    for name, version in sorted(diff.removed.items()):
        print(f"- {name}=={version}")
    for name, (old, new) in sorted(diff.changed.items()):
        print(f"! {name}: {old} -> {new}")
    for name, package in other.packages.items():
        known = first.packages.get(name)
        if known is not None and known.file.filename != package.file.filename:
            print(f"  {package.file.filename}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1:]))
