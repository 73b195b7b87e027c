"""Options: the small values and choices that callers pass in."""

from __future__ import annotations

import enum

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class ResolutionMode(enum.Enum):
    """Which of the admissible versions is preferred."""

    HIGHEST = "highest"
    LOWEST = "lowest"
    LOWEST_DIRECT = "lowest-direct"
    """The lowest of what the caller asks for, the highest of everything else."""


class PrereleaseMode(enum.Enum):
    """When a pre-release may be chosen."""

    IF_NECESSARY = "if-necessary"
    """Only where no stable version will do; found out during the search, at any depth."""
    DISALLOW = "disallow"
    ALLOW = "allow"
    EXPLICIT = "explicit"
    """Only for projects whose direct requirement names a pre-release."""
    IF_NECESSARY_OR_EXPLICIT = "if-necessary-or-explicit"


class HashPolicy(enum.Enum):
    """How the caller's own hashes are enforced; what an index gives is always checked."""

    WHEN_GIVEN = "when-given"
    REQUIRE = "require"
    IGNORE = "ignore"


class BuildPolicy(enum.Enum):
    """What may be built from source."""

    ALLOW = "allow"
    METADATA_ONLY = "metadata-only"
    NEVER = "never"


class IndexStrategy(enum.Enum):
    """Which index answers for a project that several know."""

    FIRST_INDEX = "first-index"
    """The first index that knows the project is the only one asked: no dependency confusion."""
    FIRST_MATCH = "first-match"
    """All are asked. A version is that of the first index that has it, and every stable version of an
    earlier index that fits is preferred to those of a later one, however new these are."""
    BEST_MATCH = "best-match"
    """All are asked, and their files count as if they were those of one index: the best version wins,
    of its files the best, and of equally good files that of the earlier index."""


class LinkMode(enum.Enum):
    """How files get from the cache into an environment."""

    AUTO = "auto"
    """Clone, else hard link, else copy; tried once for each pair of volumes."""
    CLONE = "clone"
    HARDLINK = "hardlink"
    COPY = "copy"
    SYMLINK = "symlink"


@attrs.frozen
class Upgrade:
    """Which packages may leave their locked or installed version without need."""

    names: frozenset[str] | None = frozenset()
    """None for every package."""

    @classmethod
    def none(cls) -> Upgrade:
        """Keep whatever still fits."""
        return cls()

    @classmethod
    def all(cls) -> Upgrade:
        """Take no notice of locked and installed versions."""
        return cls(None)

    @classmethod
    def only(cls, names: Iterable[str]) -> Upgrade:
        """Upgrade these packages, and others only where that needs it."""
        from puffin_api._model.names import normalize

        return cls(frozenset(normalize(name) for name in names))

    def covers(self, name: str) -> bool:
        """Tell whether the package (name normalised) is to be upgraded."""
        return self.names is None or name in self.names


@attrs.frozen
class Refresh:
    """Which cached answers of indexes have to be revalidated, however fresh they are."""

    names: frozenset[str] | None = frozenset()
    """None for every project."""

    @classmethod
    def none(cls) -> Refresh:
        """Trust the cache as far as its freshness goes."""
        return cls()

    @classmethod
    def all(cls) -> Refresh:
        """Revalidate everything once."""
        return cls(None)

    @classmethod
    def only(cls, names: Iterable[str]) -> Refresh:
        """Revalidate these projects once."""
        return cls(Upgrade.only(names).names)

    def covers(self, name: str) -> bool:
        """Tell whether the project (name normalised) has to be revalidated."""
        return self.names is None or name in self.names


@attrs.frozen(kw_only=True)
class Allow:
    """What a plan may do without further asking."""

    downgrade: bool = True
    remove: bool = True
    file_conflicts: bool = False
    """Whether a package may replace a file of another one, as pip and uv let it. Nothing else can install two
    packages that bring different files of one path; the one that comes first may be broken then."""


@attrs.frozen(kw_only=True)
class Timeouts:
    """Limits in seconds; None for no limit."""

    connect: float | None = 10.0
    idle: float | None = 30.0
    """Without a single byte."""
    total: float | None = None
    """For one exchange, redirects and retries included."""


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after how long, a failed exchange is tried again."""

    attempts: int = 4
    """Tries in all."""
    backoff: float = 0.3
    """Seconds before the second try; doubled each time, with jitter."""
    longest: float = 30.0
    """No single wait is longer, whatever ``Retry-After`` asks for; longer waits fail at once."""


@attrs.frozen(kw_only=True)
class Tls:
    """Whom to trust, and who we are."""

    ca_bundle: Path | None = None
    """File or folder of certificates instead of the system's."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    insecure_hosts: tuple[str, ...] = ()
    """Hosts (perhaps ``host:port``) whose certificates are not verified."""

    @classmethod
    def system(cls) -> Tls:
        """Trust what the system trusts."""
        return cls()


@attrs.frozen
class Index:
    """A package index (PEP 503, PEP 691)."""

    url: str
    """Of the simple API's root; credentials in it are used and never shown."""
    name: str | None = attrs.field(default=None, kw_only=True)
    explicit: bool = attrs.field(default=False, kw_only=True)
    """Asked only for projects that are pinned to it."""
    credentials: tuple[str, str] | None = attrs.field(default=None, kw_only=True, repr=False)

    @classmethod
    def pypi(cls) -> Index:
        """Return the Python Package Index."""
        # The one place that names a registry host.
        parts = ("https:", "", "pypi.org", "simple", "")
        return cls("/".join(parts), name="pypi")


@attrs.frozen
class Pin:
    """A version to be kept where possible, as from a lock file."""

    name: str
    version: str


@attrs.frozen
class Editable:
    """A local project to be installed in development mode (PEP 660)."""

    path: Path
    extras: tuple[str, ...] = ()
