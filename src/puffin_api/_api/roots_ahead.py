"""Sources that a caller requires by path or URL, found out about several at a time.

A resolution needs the name, version and digest of each before its search begins, and that may take a build
each. All of them are certain to be needed, so none waits for another.
"""

from __future__ import annotations

import os

from puffin_api._api.parallel_work import in_parallel
from puffin_api._api.request import as_row
from puffin_api._client.direct_files import DirectFiles
from puffin_api._model.options import Editable
from puffin_api._model.requirement import requirement_row, row_of
from puffin_api._resolver.dependencies import holds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from puffin_api._api.build_options import SourcesOnDemand
    from puffin_api._api.request import Req
    from puffin_api._client.direct_files import GitKey
    from puffin_api._concurrency import Pump
    from puffin_api._model.options import HashPolicy
    from puffin_api._model.target import Target


def certain_sources(items: Iterable[Req], target: Target, *, amended: bool) -> list[Req]:
    """Return the requirements that name something that is no wheel, and that will be looked at in any case.

    Args:
        items: What the caller requires.
        target: What it is resolved for.
        amended: Whether there are overrides or excludes: what is named by URL may not be needed then.
    """
    return [item for item in items if _names_sources(item, target, amended=amended)]


def find_out(
    items: Sequence[Req],
    *,
    sources: SourcesOnDemand,
    hashes: HashPolicy,
    commits: Mapping[GitKey, str],
    add_login: Callable[[str, tuple[str, str]], None] | None,
    workers: int,
    pump: Pump,
) -> None:
    """Let ``sources`` know the files of requirements that name some, before it is asked for one by one.

    Args:
        items: What `certain_sources` gave.
        sources: Remembers what is found out.
        hashes: What the digests in URLs mean.
        commits: Kept for branches and tags.
        add_login: Told of the logins in URLs.
        workers: How many at a time.
        pump: That of the call.

    Raises:
        PuffinError: The first failure, which ends the others.
    """

    def find(item: Req, relay: Pump) -> None:
        files = DirectFiles(add_login, hashes=hashes, sources=sources.beside(relay), commits=commits)
        files.file(as_row(item, files))

    in_parallel(find, items, workers=workers, pump=pump)


def _names_sources(item: Req, target: Target, *, amended: bool) -> bool:
    if isinstance(item, Editable):
        return True
    if isinstance(item, os.PathLike):
        return not os.fspath(item).endswith(".whl")
    if amended:
        return False
    row = requirement_row(item) if isinstance(item, str) else row_of(item)
    is_wheel = row.url.partition("#")[0].endswith(".whl")
    return bool(row.url) and not is_wheel and not row.gate and holds(row.marker, target)
