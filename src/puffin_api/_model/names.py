"""Project and extra names, normalised once at the edge (PEP 503, PEP 685)."""

from __future__ import annotations

import re

from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.utils import NormalizedName

_NORMAL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*").fullmatch
_VALID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?").fullmatch
_SEPARATORS = re.compile(r"[-_.]+")


def normalize(name: str) -> NormalizedName:
    """Return the normal form of a project, extra or group name.

    Raises:
        RequirementInvalid: The text is no valid name.

    >>> normalize("Zope.Interface")
    'zope-interface'
    """
    if _NORMAL(name):
        return name  # type: ignore[return-value]  # NormalizedName is what the pattern accepts
    if not _VALID(name):
        raise RequirementInvalid(
            f"{name!r} is not a valid name",
            hint="Names hold letters, digits, '-', '_' and '.', and begin and end with a letter or digit.",
            text=name,
        )
    return _SEPARATORS.sub("-", name).lower()  # type: ignore[return-value]  # just normalised


def is_name(text: str) -> bool:
    """Tell whether the text is a valid project or extra name, normalised or not."""
    return _VALID(text) is not None
