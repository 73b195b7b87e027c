"""Core metadata of a distribution, read leniently (core metadata specification, PEP 566, 643, 685)."""

from __future__ import annotations

import re

import attrs

from puffin_api._model.names import is_name, normalize
from puffin_api._model.requirement import RequirementRow, lenient_row
from puffin_api.errors import MetadataInvalid, RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_FOLD = re.compile(r"\n[ \t]+")


@attrs.frozen(kw_only=True)
class CoreMetadata:
    """What the METADATA or PKG-INFO file of a distribution says, as far as installers care."""

    name: str
    """As written."""
    version: str
    metadata_version: str = ""
    summary: str = ""
    requires_dist: tuple[str, ...] = ()
    """Requirements as written, in order; those that no mending helps are in ``invalid``."""
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()
    """Normalised, in order."""
    dynamic: tuple[str, ...] = ()
    """Lower-case names of the fields that a build may change."""
    invalid: tuple[str, ...] = ()
    """What had to be left out, with the reason."""

    def to_dict(self) -> dict[str, object]:
        """Return the metadata as JSON-able data."""
        fields: dict[str, object] = attrs.asdict(self)
        return {"schema": 1} | {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


class DistMetadata:
    """What the resolver needs to know of one file: its dependencies, cut up."""

    __slots__ = ("extras", "name", "origin", "requires", "requires_python", "version")

    def __init__(
        self,
        name: str,
        version: str,
        requires: tuple[RequirementRow, ...],
        requires_python: str = "",
        extras: tuple[str, ...] = (),
        origin: str = "wheel",
    ) -> None:
        self.name: str = name
        """Normalised."""
        self.version: str = version
        self.origin: str = origin
        """``wheel``, ``sdist`` or ``build``: what it was read from."""
        self.requires: tuple[RequirementRow, ...] = requires
        self.requires_python: str = requires_python
        self.extras: tuple[str, ...] = extras
        """Normalised names of the extras that are declared."""


def parse_metadata(text: bytes | str, *, source: str) -> CoreMetadata:
    """Parse the header block of a METADATA or PKG-INFO file; the description is not looked at.

    Args:
        text: The file. Bytes that are not UTF-8 are read as Latin-1.
        source: Where it is from, for messages.

    Raises:
        MetadataInvalid: There is no name or no version.
    """
    fields = _headers(text)
    name, version = _single(fields, "name"), _single(fields, "version")
    if not name or not version or not is_name(name):
        missing = "name" if not name or not is_name(name) else "version"
        raise MetadataInvalid(
            f"The metadata of {source} has no valid {missing}",
            name=name,
            source=source,
            reason=f"no valid {missing}",
        )
    requires, invalid = _requirements(fields.get("requires-dist", ()))
    extras = [extra for extra in fields.get("provides-extra", ()) if is_name(extra)]
    return CoreMetadata(
        name=name,
        version=version,
        metadata_version=_single(fields, "metadata-version"),
        summary=_single(fields, "summary"),
        requires_dist=requires,
        requires_python=_single(fields, "requires-python"),
        provides_extra=tuple(dict.fromkeys(normalize(extra) for extra in extras)),
        dynamic=tuple(value.lower() for value in fields.get("dynamic", ())),
        invalid=invalid,
    )


def dist_metadata(core: CoreMetadata, *, origin: str = "wheel") -> DistMetadata:
    """Cut the requirements of parsed metadata up for the resolver.

    Args:
        core: The metadata.
        origin: ``wheel``, ``sdist`` or ``build``: what they were read from.

    Raises:
        MetadataInvalid: A requirement could not be understood; leaving it out would be wrong.
    """
    if core.invalid:
        raise MetadataInvalid(
            f"The metadata of {core.name} {core.version} is invalid: {core.invalid[0]}",
            name=normalize(core.name),
            source=f"{core.name} {core.version}",
            reason=core.invalid[0],
        )
    rows = tuple(lenient_row(text) for text in core.requires_dist)
    return DistMetadata(
        normalize(core.name), core.version, rows, core.requires_python, core.provides_extra, origin
    )


def _headers(text: bytes | str) -> dict[str, list[str]]:
    if isinstance(text, bytes):
        head, _, _ = text.replace(b"\r\n", b"\n").partition(b"\n\n")
        try:
            block = head.decode()
        except UnicodeDecodeError:
            block = head.decode("latin-1")
    else:
        block = text.replace("\r\n", "\n").partition("\n\n")[0]
    fields: dict[str, list[str]] = {}
    for field, value in _HEADER.findall(block.lstrip("\ufeff\n")):
        fields.setdefault(field.lower(), []).append(_FOLD.sub(" ", value).strip())
    return fields


def _single(fields: dict[str, list[str]], field: str) -> str:
    """First value of a field; ``UNKNOWN`` is how old tools wrote "nothing"."""
    value = fields.get(field, [""])[0]
    return "" if value == "UNKNOWN" else value


def _requirements(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    good, bad = [], []
    for text in texts:
        if text == "UNKNOWN":
            continue
        try:
            lenient_row(text)
        except RequirementInvalid as error:
            bad.append(str(error))
        else:
            good.append(text)
    return tuple(good), tuple(bad)
