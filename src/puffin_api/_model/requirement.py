"""Requirements: parsed once, kept as written, and cut into the parts that the solver needs."""

from __future__ import annotations

import functools
import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from puffin_api._model.names import normalize
from puffin_api._model.version_key import EVERYTHING, specifier_bounds
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.version_key import Bounds, Interval

# ``<residual> and extra == "x"`` or ``extra == "x"`` alone: how build backends write extras.
_GATE = re.compile(
    r"""^(?:(?P<rest>.*)\s+and\s+)?\(?\s*extra\s*==\s*(?P<quote>['"])(?P<extra>[^'"]+)(?P=quote)\s*\)?$"""
)
_LOGIN = re.compile(r"://[^/\s]*@")
_NAMES_EXTRA = re.compile(r"""\bextra\b""")
_ANY_EXTRA = re.compile(r"""['"]([^'"]*)['"]""")

# Known mistakes in published metadata and what was meant, tried in this order, each on top of the
# ones before: (what is wrong, what to put there instead).
_FIXES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\d)([<>=~^!])"), r"\1,\2"),  # missing comma
    (re.compile(r"!=~\s*(\d+(?:\.\d+)*)"), r"!=\1.*"),  # "not roughly"
    (re.compile(r"(<=|>=|<|>)\s*(\d+(?:\.\d+)*)\.\*"), r"\1\2"),  # star where none may be
    (re.compile(r"!=\s*(\d+(?:\.\d+)*)\*"), r"!=\1.*"),  # star without its dot
    (re.compile(r",\s*(?=$|;|\))"), ""),  # trailing comma
    (re.compile(r">dev"), ">0.0.0dev"),
    (re.compile(r"(\d+\.\d+\.\d+a\d+)\.0"), r"\1"),
    (re.compile(r"""["'](?=[^;]*(?:;|$))(?<!;.)"""), ""),  # stray quotes, markers excepted
)


class RequirementRow:
    """One requirement, cut up. Rows with the same text are the same object.

    ``gate`` and ``marker`` together are the marker: with a gate, the requirement holds only for
    that extra, and ``marker`` is what else has to hold.
    """

    __slots__ = ("bounds", "extras", "gate", "marker", "name", "singleton", "specifier", "text", "url")

    def __init__(  # one parameter for each column
        self,
        text: str,
        name: str,
        extras: tuple[str, ...],
        specifier: str,
        bounds: Bounds,
        gate: str,
        marker: str,
        url: str,
    ) -> None:
        self.text = text
        """As written."""
        self.name = name
        """Normalised."""
        self.extras = extras
        """Normalised, sorted."""
        self.specifier = specifier
        """Version specifiers as written, empty for any version."""
        self.bounds = bounds
        """The keys that the specifier admits; None where it has to be asked of ``packaging``."""
        self.gate = gate
        self.marker = marker
        self.url = url
        self.singleton = bool(url) or (
            specifier.startswith("===") if bounds is None else _is_singleton(bounds)
        )
        """True where it leaves one version (and its local builds), or the one of a URL."""

    def __repr__(self) -> str:
        return f"RequirementRow({self.text!r})"


_rows: dict[str, RequirementRow] = {}
_MOST_ROWS = 65536


def known_row(text: str) -> RequirementRow | None:
    """Return the row of a text that was parsed before in this process."""
    return _rows.get(text)


def keep_row(row: RequirementRow) -> RequirementRow:
    """Remember a row; returns the one that all users of this text share."""
    if len(_rows) >= _MOST_ROWS:
        _rows.clear()  # rows stay valid; they are only no longer shared with new ones
    return _rows.setdefault(row.text, row)


def requirement_row(text: str) -> RequirementRow:
    """Parse a requirement (PEP 508) strictly.

    Raises:
        RequirementInvalid: It does not parse; the error tells where.
    """
    return _rows.get(text) or keep_row(row_of(parse_requirement(text), text))


def parse_requirement(text: str) -> Requirement:
    """Parse a requirement with ``packaging``, translating the error.

    Raises:
        RequirementInvalid: It does not parse; the error tells where.
    """
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        reason, column = _reason(str(error))
        hint = ""
        if re.match(r"[a-z+]+://|\.{0,2}/", text):
            hint = "Put the name of the package in front: 'name @ URL'."
        shown = _LOGIN.sub("://****@", text)
        raise RequirementInvalid(
            f"{shown!r} is not a valid requirement: {_LOGIN.sub('://****@', reason)}",
            hint=hint,
            text=shown,
            column=column if shown == text else None,
        ) from (error if shown == text else None)  # the cause quotes the text


def lenient_row(text: str) -> RequirementRow:
    """Parse a requirement out of published metadata, mending the known mistakes.

    Raises:
        RequirementInvalid: It does not parse even so.
    """
    known = _rows.get(text)
    if known is not None:
        return known
    try:
        return requirement_row(text)
    except RequirementInvalid:
        mended = text
        for pattern, replacement in _FIXES:
            mended = pattern.sub(replacement, mended)
            try:
                return keep_row(row_of(Requirement(mended), text))
            except InvalidRequirement:
                continue
        raise


def row_of(requirement: Requirement, text: str | None = None) -> RequirementRow:
    """Cut a parsed requirement up; ``text`` is how it was written."""
    try:
        specifier = str(requirement.specifier)
        bounds = specifier_bounds(specifier) if specifier else EVERYTHING
    except ValueError as error:  # Python reads no number of thousands of digits
        raise RequirementInvalid(
            f"A version in a requirement of {requirement.name} is not one that can be read: {error}",
            text=str(requirement)[:200] if text is None else text,
        ) from error
    gate, marker = _split_marker("" if requirement.marker is None else str(requirement.marker))
    return RequirementRow(
        str(requirement) if text is None else text,
        normalize(requirement.name),
        tuple(sorted(normalize(extra) for extra in requirement.extras)),
        specifier,
        bounds,
        gate,
        marker,
        requirement.url or "",
    )


@functools.lru_cache(maxsize=4096)
def lenient_specifier(text: str) -> SpecifierSet | None:
    """Parse a Requires-Python of published metadata; None where it cannot be understood."""
    mended = text
    for pattern, replacement in ((re.compile("^"), ""), *_FIXES):
        mended = pattern.sub(replacement, mended)
        try:
            return SpecifierSet(mended)
        except InvalidSpecifier:
            continue
    return None


def extras_in(marker: str) -> tuple[str, ...]:
    """Return every string in a marker that could be the name of an extra."""
    if not _NAMES_EXTRA.search(marker):
        return ()
    return tuple(dict.fromkeys(_ANY_EXTRA.findall(marker)))


def _is_singleton(bounds: Sequence[Interval]) -> bool:
    if len(bounds) != 1:
        return False
    ((low, high),) = bounds
    return low != "" and high.startswith(low) and len(high) == len(low) + 1


def _split_marker(marker: str) -> tuple[str, str]:
    """Split off a final ``extra == "x"``; ("", marker) where that is not the form."""
    match = _GATE.match(marker)
    if match is None:
        return "", marker
    rest = match["rest"] or ""
    # An "or" outside parentheses binds more loosely than the "and" in front of the gate.
    if _NAMES_EXTRA.search(rest) or _has_bare_or(rest):
        return "", marker
    return normalize(match["extra"]), rest


def _has_bare_or(text: str) -> bool:
    depth = 0
    for word in re.findall(r"""\(|\)|\bor\b|'[^']*'|"[^"]*\"""", text):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "or" and depth == 0:
            return True
    return False


def _reason(message: str) -> tuple[str, int | None]:
    """Take the reason and the column out of the three-line text of ``packaging``."""
    lines = message.splitlines()
    caret = next((i for i, line in enumerate(lines) if line.strip().startswith(("^", "~"))), None)
    if caret is None:
        return lines[0] if lines else "it is empty", None
    indent = len(lines[caret]) - len(lines[caret].lstrip())
    return lines[0], max(0, indent - 4)
