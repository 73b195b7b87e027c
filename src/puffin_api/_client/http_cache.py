"""What HTTP says of how long a stored answer may be used, as a small value (RFC 9111, RFC 8246)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNSAID = 600.0
"""Seconds that an answer is fresh where the server says nothing of freshness at all."""
_FOREVER = 1e18
_SAID = "said"


class Policy:
    """When an answer was stored, for how long it is fresh, and how to ask whether it still holds.

    ``is_said`` is False where the server left freshness open: then the answer is good for
    `UNSAID` seconds to other processes, and to ourselves for as long as we keep it.
    """

    __slots__ = ("etag", "is_said", "last_modified", "lifetime", "storable", "stored_at")

    def __init__(
        self,
        *,
        stored_at: float,
        lifetime: float = UNSAID,
        is_said: bool = False,
        storable: bool = True,
        etag: str = "",
        last_modified: str = "",
    ) -> None:
        self.stored_at = stored_at
        """Seconds since the epoch; the age that the answer had then is taken off."""
        self.lifetime = lifetime
        self.is_said = is_said
        self.storable = storable
        self.etag = etag
        self.last_modified = last_modified

    @classmethod
    def of(cls, headers: Mapping[str, str], now: float) -> Policy:
        """Read the policy out of the fields of an answer (names in lower case)."""
        directives = _directives(headers.get("cache-control", ""))
        lifetime = _lifetime(headers, directives, now)
        return cls(
            stored_at=now - _seconds(headers.get("age", ""), 0.0),
            lifetime=UNSAID if lifetime is None else lifetime,
            is_said=lifetime is not None,
            storable="no-store" not in directives,
            etag=headers.get("etag", ""),
            last_modified=headers.get("last-modified", ""),
        )

    def is_fresh(self, now: float) -> bool:
        """Tell whether the answer may be used without asking."""
        # A clock that was set back makes an entry from the future: better to ask.
        return self.stored_at - 60.0 <= now < self.stored_at + self.lifetime

    def fresh_until(self) -> float:
        """Return until when whoever keeps the answer in memory may use it."""
        return self.stored_at + self.lifetime if self.is_said else _FOREVER

    def revalidation_headers(self) -> dict[str, str]:
        """Return the request fields with which the server can answer 304."""
        fields = {"Cache-Control": "max-age=0"}
        if self.etag:
            fields["If-None-Match"] = self.etag
        if self.last_modified:
            fields["If-Modified-Since"] = self.last_modified
        return fields

    def renewed(self, headers: Mapping[str, str], now: float) -> Policy:
        """Return the policy after a 304, which repeats only some of the fields."""
        policy = Policy.of(headers, now)
        policy.etag = policy.etag or self.etag
        policy.last_modified = policy.last_modified or self.last_modified
        if not policy.is_said and self.is_said:
            policy.lifetime, policy.is_said = self.lifetime, True
        return policy

    def to_row(self) -> list[str]:
        """Return it as texts, but for the time, which changes by itself."""
        return [repr(self.lifetime), _SAID if self.is_said else "", self.etag, self.last_modified]

    @classmethod
    def from_row(cls, row: Sequence[str], stored_at: float) -> Policy:
        """Make it of what `to_row` gave.

        Raises:
            ValueError: It is something else.
        """
        lifetime, is_said, etag, last_modified = row
        return cls(
            stored_at=stored_at,
            lifetime=float(lifetime),
            is_said=is_said == _SAID,
            etag=etag,
            last_modified=last_modified,
        )


def _directives(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split(","))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _lifetime(headers: Mapping[str, str], directives: Mapping[str, str], now: float) -> float | None:
    """Seconds from the moment the server made the answer, None where it does not say."""
    # We always send the same fields, so that the only `Vary` to heed is the one that nothing satisfies.
    if "no-cache" in directives or headers.get("vary", "").strip() == "*":
        return 0.0
    if "max-age" in directives:
        return _seconds(directives["max-age"], 0.0)
    if "expires" in headers:
        expires, date = _date(headers["expires"]), _date(headers.get("date", ""))
        return 0.0 if expires is None else max(0.0, expires - (now if date is None else date))
    if "immutable" in directives:
        return _FOREVER
    if headers.get("pragma", "").strip().lower() == "no-cache" or "must-revalidate" in directives:
        return 0.0
    return None


def _seconds(text: str, otherwise: float) -> float:
    return float(text) if text.isascii() and text.isdigit() else otherwise


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
