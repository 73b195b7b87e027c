"""Index pins: which index each pinned project comes from, checked before anything is asked."""

from __future__ import annotations

import attrs

from puffin_api._model.names import normalize
from puffin_api._model.options import Index
from puffin_api._urls import canonical, redact, split_credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puffin_api.protocols import PackageSource

    Place = Index | PackageSource


def pin_indexes(
    indexes: Sequence[Place], pins: Mapping[str, str | Index]
) -> tuple[tuple[Place, ...], dict[str, int]]:
    """Find the index of each pin.

    Args:
        indexes: Those of a client, in order.
        pins: Project name to the name or URL of an index, or the index itself.

    Returns:
        The indexes, followed by those that only pins know (explicit, so that they are asked for
        nothing else), and the position of the index for each project, by normalised name.

    Raises:
        ValueError: A pin leads to no index or to several, or one project has two pins.
        RequirementInvalid: The name of a project is none.
    """
    known = list(indexes)
    positions: dict[str, int] = {}
    for written, target in pins.items():
        name = normalize(written)
        found = _positions(known, target)
        if not found and isinstance(target, Index):
            found = [len(known)]
            known.append(attrs.evolve(target, explicit=True))
        if len(found) != 1:
            raise ValueError(_complaint(written, target, known, is_known=bool(found)))
        if positions.setdefault(name, found[0]) != found[0]:
            raise ValueError(f"{name} is pinned to two indexes")
    return tuple(known), positions


def label(index: Place) -> str:
    """Return what an index is called in messages: its name, else its URL without credentials."""
    if isinstance(index, Index):
        return index.name or redact(index.url)
    return type(index).__name__


def _positions(indexes: Sequence[Place], target: str | Index) -> list[int]:
    """Return where the target stands: by address, else by name."""
    address = _address(target.url if isinstance(target, Index) else target)
    at = [n for n, i in enumerate(indexes) if isinstance(i, Index) and _address(i.url) == address]
    if at or isinstance(target, Index):
        return at[:1]  # the same address twice is one index
    return [n for n, i in enumerate(indexes) if _name(i) == target]


def _name(index: Place) -> str | None:
    return index.name if isinstance(index, Index) else type(index).__name__


def _address(url: str) -> str:
    bare = split_credentials(url)[0].partition("#")[0].rstrip("/")
    return canonical(bare) if "://" in bare else ""


def _complaint(project: str, target: str | Index, indexes: Sequence[Place], *, is_known: bool) -> str:
    said = label(target) if isinstance(target, Index) else redact(target)
    labels = ", ".join(label(index) for index in indexes) or "none at all"
    what = "the name of several indexes" if is_known else "none of the indexes"
    return f"{project} is pinned to {said!r}, which is {what}; there are: {labels}"
