"""Resolve on this machine for another one."""

# [start:target]
from puffin_api import Client, Resolver, Target

target = Target.for_platform("3.13", "manylinux_2_28_aarch64")
print(target)
# [end:target]

# [start:completed]
known = {"platform_release": "5.15.0", "platform_version": "#1 SMP"}
completed = Target(markers={**target.markers, **known}, tag_strings=target.tag_strings)
# [end:completed]

# [start:stored]
stored = target.to_dict()  # JSON-able: keep it beside a lock file
assert Target.from_dict(stored) == target
# [end:stored]


# [start:lock]
def lock(client: Client, requirements: list[str], target: Target) -> str:
    """Resolve for the target, and write pinned requirements with hashes."""
    resolution = Resolver(client).resolve(requirements, target=target)
    return resolution.to_requirements_txt(hashes=True, annotate=True)


# [end:lock]


# [start:inventory]
def inventory(client: Client, requirements: list[str], target: Target) -> list[tuple[str, str, str]]:
    """List name, version and file of everything that would be installed there; nothing is downloaded."""
    resolution = Resolver(client).resolve(requirements, target=target)
    return [(p.name, p.version, p.file.filename) for p in resolution.packages.values()]


# [end:inventory]
