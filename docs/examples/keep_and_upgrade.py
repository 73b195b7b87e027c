"""Keep what is installed, upgrade one package, protect others."""

# [start:keep]
from collections.abc import Iterable

from puffin_api import Client, Environment, Resolution, Resolver, Upgrade, errors


def add(client: Client, environment: Environment, requirements: list[str]) -> Resolution:
    """Add packages; what is installed keeps its version wherever that still fits."""
    return Resolver(client).resolve(requirements, target=environment, installed=environment.installed())


# [end:keep]


# [start:upgrade]
def upgrade_one(client: Client, environment: Environment, requirements: list[str], name: str) -> Resolution:
    """Let one package go to its newest version, others only where that needs it."""
    return Resolver(client).resolve(
        requirements,
        target=environment,
        installed=environment.installed(),
        upgrade=Upgrade.only([name]),
    )


# [end:upgrade]


# [start:locked]
def relock(client: Client, requirements: list[str], before: Resolution) -> Resolution:
    """Resolve again with the least change against an earlier answer."""
    after = Resolver(client).resolve(requirements, target=before.target, locked=before)
    for name, (old, new) in before.diff(after).changed.items():
        print(f"{name}: {old} -> {new}")
    return after


# [end:locked]


# [start:protect]
def add_plugin(
    client: Client, environment: Environment, plugin: str, protected: Iterable[str]
) -> Resolution | str:
    """Add a plug-in to an application without touching the packages that the application needs."""
    try:
        return Resolver(client).resolve(
            [plugin], target=environment, installed=environment.installed(), protect=protected
        )
    except errors.ProtectedPackage as refused:
        return f"{plugin} would change {refused.name}: {'; '.join(refused.requested_by)}"


# [end:protect]
