"""What would be installed and why not something newer: for scanners and update bots."""

# [start:scan]
from collections.abc import Iterable, Mapping

from puffin_api import BuildPolicy, Client, Resolver, Target, Upgrade, errors
from puffin_api.model import Resolution


def scan(client: Client, target: Target, requirements: list[str]) -> list[dict[str, object]]:
    """List every package that an installation would bring: its file, digests, and who asks for it."""
    resolution = Resolver(client).resolve(requirements, target=target, build_policy=BuildPolicy.NEVER)
    return [
        {
            "name": package.name,
            "version": package.version,
            "url": package.file.url,
            "hashes": dict(package.file.hashes),
            "built": package.needs_build,
            "uploaded": package.file.upload_time and package.file.upload_time.isoformat(),
            "paths": [str(path) for path in resolution.why(package.name)],
        }
        for package in resolution.packages.values()
    ]


# [end:scan]


# [start:update]
def propose(
    client: Client, locked: Resolution, requirements: list[str], name: str
) -> Mapping[str, tuple[str, str]]:
    """Bring one package up to date and change as little else as that needs: old and new versions."""
    updated = Resolver(client).resolve(
        requirements, target=locked.target, locked=locked, upgrade=Upgrade.only([name])
    )
    return locked.diff(updated).changed


# [end:update]


# [start:safe]
def propose_safe(
    client: Client, locked: Resolution, requirements: list[str], affected: Mapping[str, str]
) -> Mapping[str, tuple[str, str]] | str:
    """Leave versions with a known fault, such as {'urllib3': '>=2.6'}; or say why that cannot be."""
    try:
        updated = Resolver(client).resolve(
            requirements,
            target=locked.target,
            locked=locked,
            constraints=[f"{name}{fixed}" for name, fixed in affected.items()],
        )
    except errors.ResolutionFailed as error:
        return error.explain()
    return locked.diff(updated).changed


# [end:safe]


# [start:held]
def held_back(resolution: Resolution, names: Iterable[str]) -> dict[str, str]:
    """For packages that are not at their newest version, what holds them back."""
    held = {}
    for name in names:
        rejected = resolution.why_version(name).rejected
        if rejected:
            newest, reason = next(iter(rejected.items()))
            held[name] = f"{newest} {reason.text}"
    return held


# [end:held]
