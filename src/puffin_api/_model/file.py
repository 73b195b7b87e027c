"""Files of a release: the row that the resolver reads, and the public value made of it."""

from __future__ import annotations

import attrs

from puffin_api._model.direct_url import DirectUrl
from puffin_api._model.filename import WheelName, parse_wheel_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


STRONG_DIGESTS: Mapping[str, int] = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Algorithms that prove something, with the number of hex digits: of two files with one md5 or sha1 digest
both can be made."""


class FileRow:
    """One file that an index offers. Plain and slotted: there are tens of thousands of them."""

    __slots__ = (
        "_uploaded",
        "_wheel",
        "allowed",
        "filename",
        "hashes",
        "index",
        "metadata",
        "origin",
        "project",
        "requires_python",
        "size",
        "url",
        "version",
        "yanked",
    )

    def __init__(  # one parameter for each column
        self,
        *,
        project: str,
        version: str,
        filename: str,
        url: str,
        hashes: tuple[str, ...] = (),
        size: int | None = None,
        upload_time: float | str | None = None,
        requires_python: str = "",
        yanked: str | None = None,
        metadata: str | bool | None = None,
        index: str = "",
        allowed: tuple[str, ...] = (),
        origin: DirectUrl | None = None,
    ) -> None:
        self.project: str = project
        """Normalised name."""
        self.version: str = version
        """Version as ``packaging`` writes it."""
        self.filename: str = filename
        self.url: str = url
        """Absolute, without fragment and without credentials."""
        self.hashes: tuple[str, ...] = hashes
        """Each as ``sha256:<hex>``."""
        self.size: int | None = size
        self._uploaded = upload_time
        self.requires_python: str = requires_python
        self.yanked: str | None = yanked
        """None, or why it was yanked (may be empty)."""
        self.metadata: str | bool | None = metadata
        """PEP 658: True or ``sha256:<hex>`` where announced, False where denied, None where not said."""
        self.index: str = index
        """URL of the index, without credentials; empty for direct files."""
        self.allowed: tuple[str, ...] = allowed
        """Digests of which it must have one, where the index does not say, or its URL does."""
        self.origin: DirectUrl | None = origin
        """Where it comes from when that is not an index."""
        self._wheel: WheelName | None = None

    @property
    def upload_time(self) -> float | None:
        """Seconds since the epoch. Given as text (ISO 8601), it is read when it is asked for."""
        if isinstance(self._uploaded, str):
            self._uploaded = _seconds(self._uploaded)
        return self._uploaded

    @property
    def is_wheel(self) -> bool:
        """True for wheels, False for source distributions."""
        return self.filename.endswith(".whl")

    @property
    def source(self) -> tuple[str, str, str]:
        """What tells sources apart: an archive at one URL may hold several projects, or one several times."""
        return self.project, self.url, "" if self.origin is None else self.origin.subdirectory

    @property
    def wheel(self) -> WheelName:
        """The parts of a wheel's file name."""
        if self._wheel is None:
            self._wheel = parse_wheel_name(self.filename)
        return self._wheel

    def __repr__(self) -> str:
        return f"FileRow({self.filename!r})"


@attrs.frozen(kw_only=True)
class DistFile:
    """One wheel or source distribution, as an index or a direct URL offers it."""

    name: str
    """Normalised project name."""
    version: str
    filename: str
    url: str
    hashes: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """Digests by algorithm, in lower-case hex."""
    size: int | None = None
    """Bytes; None where the index does not say."""
    upload_time: datetime | None = None
    requires_python: str = ""
    yanked: str | None = None
    """None, or why the file was yanked (the empty string where no reason is given)."""
    metadata: str | bool | None = None
    """What the index says of separate metadata (PEP 658): True, its digest, False, or None."""
    index: str = ""
    """URL of the index that offered it, without credentials; empty for direct files."""
    allowed: tuple[str, ...] = ()
    """Digests from the caller of which it must have one, each as ``sha256:<hex>``: where its index gave none
    to be compared with them, or where they stand in its URL."""
    origin: DirectUrl | None = None
    """Where it comes from when that is not an index."""

    @property
    def is_wheel(self) -> bool:
        """True for wheels, False for source distributions."""
        return self.filename.endswith(".whl")

    @classmethod
    def of(cls, row: FileRow) -> DistFile:
        """Make the public value of a row."""
        return cls(
            name=row.project,
            version=row.version,
            filename=row.filename,
            url=row.url,
            hashes=dict(h.split(":", 1) for h in row.hashes),
            size=row.size,
            upload_time=_time(row.upload_time),
            requires_python=row.requires_python,
            yanked=row.yanked,
            metadata=row.metadata,
            index=row.index,
            allowed=row.allowed,
            origin=row.origin,
        )

    def row(self) -> FileRow:
        """Return the row of the value."""
        return FileRow(
            project=self.name,
            version=self.version,
            filename=self.filename,
            url=self.url,
            hashes=tuple(f"{name}:{digest}" for name, digest in self.hashes.items()),
            size=self.size,
            upload_time=None if self.upload_time is None else self.upload_time.timestamp(),
            requires_python=self.requires_python,
            yanked=self.yanked,
            metadata=self.metadata,
            index=self.index,
            allowed=self.allowed,
            origin=self.origin,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the file as JSON-able data."""
        return {
            "schema": 1,
            "name": self.name,
            "version": self.version,
            "filename": self.filename,
            "url": self.url,
            "hashes": dict(self.hashes),
            "size": self.size,
            "upload_time": None if self.upload_time is None else self.upload_time.isoformat(),
            "requires_python": self.requires_python,
            "yanked": self.yanked,
            "metadata": self.metadata,
            "index": self.index,
            "allowed": list(self.allowed),
            "origin": None if self.origin is None else self.origin.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> DistFile:
        """Make the value of what ``to_dict`` gave."""
        from datetime import datetime

        fields = {key: value for key, value in data.items() if key != "schema"}
        when = fields.get("upload_time")
        if isinstance(when, str):
            fields["upload_time"] = datetime.fromisoformat(when)
        fields["allowed"] = tuple(fields.get("allowed", ()))  # type: ignore[arg-type]  # a list of text
        if fields.get("origin") is not None:
            fields["origin"] = DirectUrl.from_dict(fields["origin"])
        return cls(**fields)  # type: ignore[arg-type]  # the keys are those of to_dict


def _seconds(text: str) -> float | None:
    from datetime import UTC, datetime

    try:
        when = datetime.fromisoformat(text)
        # Without a zone it is UTC, not the zone of this machine.
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _time(seconds: float | None) -> datetime | None:
    from datetime import UTC, datetime

    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
