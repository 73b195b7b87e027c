"""A lock file for a machine that is not there."""

# [start:lock]
from puffin_api import BuildPolicy, Client, Resolver, Target


def lock(client: Client, requirements: list[str], target: Target) -> str:
    """Resolve for the target without running any code, and write pinned requirements with hashes."""
    resolution = Resolver(client).resolve(requirements, target=target, build_policy=BuildPolicy.NEVER)
    return resolution.to_requirements_txt(hashes=True)


# [end:lock]
