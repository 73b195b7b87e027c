"""One cache for many processes, and layers of caches."""

from datetime import timedelta

# [start:layers]
from pathlib import Path

from puffin_api import Cache, Client


def with_site_cache(mine: Path, site: Path) -> Cache:
    """Look into my cache, then into one that an administrator fills and that is only read."""
    return Cache(mine, layers=[site])


# [end:layers]


# [start:readonly]
def offline_client(site: Path) -> Client:
    """Work from a cache that cannot be written, without the network."""
    return Client(cache=Cache(site, read_only=True), offline=True)


# [end:readonly]


# [start:tidy]
def tidy(cache: Cache) -> str:
    """Forget what was not used for a month, then the oldest until ten gigabytes are left."""
    freed = cache.prune(unused_for=timedelta(days=30), max_bytes=10_000_000_000).bytes
    left = cache.size()
    return f"freed {freed} bytes, {left.bytes} bytes in {left.files} files are left"


# [end:tidy]


# [start:inspect]
def inspect(cache: Cache) -> list[str]:
    """Remove what is damaged, and say what was wrong."""
    report = cache.verify()
    return [f"{path}: {damage}" for path, damage in report.damaged.items()]


# [end:inspect]
