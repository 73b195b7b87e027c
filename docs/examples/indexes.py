"""Several indexes, folders of wheels, and a source of your own."""

# [start:order]
from pathlib import Path

from puffin_api import Cache, Client, Index, IndexStrategy


def company_client(cache: Cache, internal: str, mirror: str) -> Client:
    """Ask the internal index first; the mirror only for projects that the internal one does not know."""
    return Client(indexes=[Index(internal, name="internal"), Index(mirror)], cache=cache)


# [end:order]


# [start:strategy]
def best_of_both(cache: Cache, first: str, second: str) -> Client:
    """Take the best version of any index. Only for indexes that you trust equally."""
    return Client(indexes=[first, second], cache=cache, index_strategy=IndexStrategy.BEST_MATCH)


# [end:strategy]


# [start:pin]
def pinned_client(cache: Cache, main: str, special: str) -> Client:
    """Take torch from a special index, and everything else from the main one."""
    return Client(
        indexes=[main, Index(special, name="special", explicit=True)],
        index_pins={"torch": "special"},
        cache=cache,
    )


# [end:pin]


# [start:folder]
def from_folder(cache: Cache, wheels: Path) -> Client:
    """Use nothing but the wheels in a folder: no index is asked, no network used."""
    return Client(indexes=[], find_links=[wheels], cache=cache)


# [end:folder]
