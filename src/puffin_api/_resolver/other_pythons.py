"""Other Pythons: those that may have what this one lacks."""

from __future__ import annotations

from puffin_api._model.filename import expand_tags
from puffin_api._model.target import Target
from puffin_api._resolver.candidates import admits_python

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from puffin_api._model.rejection import Rejection

_PYTHONS = range(8, 16)
"""Minor versions of Python 3 that are proposed."""


def would_suit(target: Target, reason: Rejection, kinds: Container[str]) -> bool:
    """Tell whether a version that was left out for its Python or its tags may do for another target.

    Args:
        target: The other one.
        reason: Why the version was left out.
        kinds: The codes that count.
    """
    for name, about in ((reason.value, reason), *reason.files.items()):
        if about.code not in kinds:
            continue
        if about.code == "requires-python" and admits_python(about.value, target):
            return True
        if about.code == "incompatible-tags" and name.endswith(".whl"):
            tags = "-".join(name.removesuffix(".whl").split("-")[-3:]).lower()
            if any(tag in target.ranks for tag in expand_tags(tags)):
                return True
    return False


def other_pythons(target: Target) -> Iterator[Target]:
    """Give the same platform with other versions of Python: newer ones first, nearest first."""
    minor = target.python.minor
    platforms = (tag.split("-")[2] for tag in target.tag_strings)
    platform = next((p for p in platforms if not p.startswith(("linux", "any"))), None)
    implementation, abi = target.tag_strings[0][:2], target.tag_strings[0].split("-")[1]
    threading = "t" if abi.endswith("t") else ""
    if platform is None or target.python.major != 3:
        return
    newer = [m for m in _PYTHONS if m > minor]
    older = [m for m in reversed(_PYTHONS) if m < minor]
    for other in (*newer, *older):
        try:
            yield Target.for_platform(f"3.{other}{threading}", platform, implementation=implementation)
        except ValueError:
            return
