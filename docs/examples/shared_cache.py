"""One cache for many processes, and layers of caches."""

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
    """Remove archives that nothing leads to any more, and say what is left."""
    freed = cache.prune().bytes
    left = cache.size()
    return f"freed {freed} bytes, {left.bytes} bytes in {left.files} files are left"


# [end:tidy]
