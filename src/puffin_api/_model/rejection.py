"""Rejection: why a file or a version was left out, as a value a program can act on."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    RejectionCode = Literal[
        # What is wrong with files.
        "incompatible-tags",
        "requires-python",
        "yanked",
        "too-new",
        "no-upload-time",
        "no-binary",
        "only-binary",
        "needs-build",
        "hash-mismatch",
        "hash-missing",
        "no-files",
        "file-missing",
        "metadata-invalid",
        "offline",
        # What is wrong with versions.
        "prerelease",
        "direct-url",
        # What the search found.
        "required-otherwise",
        "requirement-unmet",
        "conflict",
        "trade-off",
    ]


@attrs.frozen
class Rejection:
    """One reason against one file or version."""

    code: RejectionCode
    text: str
    """A predicate in English, such as ``requires Python >=3.13``; may change in any release."""
    value: str = ""
    """What the code is about: the Requires-Python, the reason of the yank, the time of the upload
    (ISO 8601), the requirement that is in the way; empty where there is nothing to add."""
    files: Mapping[str, Rejection] = attrs.field(factory=dict, hash=False)
    """For a version: what speaks against each of its files, by file name."""

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, object]:
        """Return the reason as JSON-able data."""
        files = {name: {"code": r.code, "text": r.text, "value": r.value} for name, r in self.files.items()}
        return {"schema": 1, "code": self.code, "text": self.text, "value": self.value, "files": files}
