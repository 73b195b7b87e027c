"""Wheels named by URL or path, and digests that files must have."""

# [start:wheels]
from pathlib import Path

from puffin_api import Client, HashPolicy, Manifest, Resolver, Target
from puffin_api.model import Resolution


def with_own_build(client: Client, target: Target, wheel: Path, url: str) -> Resolution:
    """Resolve app from a local wheel and library from a URL; what these need comes from the indexes."""
    return Resolver(client).resolve([wheel, f"library @ {url}"], target=target)


# [end:wheels]


# [start:patched]
def with_patched(client: Client, target: Target, url: str) -> Resolution:
    """Take library from a URL, should app need it."""
    return Resolver(client).resolve(["app"], constraints=[f"library @ {url}"], target=target)


# [end:patched]


# [start:digests]
def verified(client: Client, target: Target, pins: dict[str, list[str]]) -> Resolution:
    """Use nothing but files with known digests: {'app==1.0': ['sha256:...'], ...}."""
    manifest = Manifest(requirements=tuple(pins), hashes=pins)
    return Resolver(client).resolve(manifest, target=target, hashes=HashPolicy.REQUIRE)


# [end:digests]
