"""The commits that an earlier resolution has found for branches and tags: they are kept, as versions are."""

from __future__ import annotations

from urllib.parse import quote

from puffin_api._model.direct_url import VcsInfo
from puffin_api._model.git_url import parse_git_url
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from puffin_api._client.direct_files import GitKey
    from puffin_api._model.options import Pin, Upgrade
    from puffin_api._model.resolution import Resolution


def locked_commits(locked: Resolution | Iterable[Pin], upgrade: Upgrade | None) -> Mapping[GitKey, str]:
    """Return the commits of an earlier resolution, but for those of projects that shall be upgraded."""
    from puffin_api._model.resolution import Resolution

    if not isinstance(locked, Resolution):
        return {}
    found = dict(_commits(locked))
    return {key: commit for key, commit in found.items() if upgrade is None or not upgrade.covers(key[0])}


def _commits(resolution: Resolution) -> Iterator[tuple[GitKey, str]]:
    for name, package in resolution.packages.items():
        origin = package.file_row.origin
        if origin is None or not isinstance(origin.info, VcsInfo):
            continue
        revision = origin.info.requested_revision
        asked = f"@{quote(revision, safe='/')}" if revision else ""
        place, mark, query = origin.url.partition("?")
        try:
            url, _ = parse_git_url(f"git+{place}{asked}{mark}{query}")
        except RequirementInvalid:  # stored data may say anything
            continue
        yield (name, url.repository, url.revision), origin.info.commit_id
