"""Every exception of the library, in one tree of plain classes; imports nothing.

::

    PuffinError
      RequirementInvalid
      InterpreterNotFound, ProbeFailed
      EnvironmentProblem
        ExternallyManaged, NotWritable, LockTimeout, PlanOutdated, ProtectedPackage
      NetworkError
        ConnectFailed, TlsVerificationFailed, ProxyFailed, TimedOut, AuthenticationRequired,
        Forbidden, RateLimited, ServerError, OfflineMiss
      PackageError
        PackageNotFound, NoCompatibleFile, MetadataInvalid, HashMismatch, UnsafeArchive
      ResolutionFailed
      BuildFailed, BuildForbidden
      PolicyDenied
      InstallFailed
        FileInUse, FileConflict, PathTooLong, DiskFull, RollbackFailed
      CacheUnavailable
      Cancelled
        DeadlineExceeded

Programs act on ``code``, the typed fields, ``retryable``, ``state`` and ``to_dict()``; those are
covered by semantic versioning. The text of ``str(error)`` and of ``hint`` may change at any time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, ClassVar, Literal, Protocol

    class Explainable(Protocol):
        """What ``ResolutionFailed`` needs of a derivation; `puffin_api.model.Derivation` has more."""

        @property
        def facts(self) -> Sequence[Any]: ...  # each a `puffin_api.model.Fact`, of a layer above this one
        def explain(self, style: Literal["short", "full"]) -> str: ...
        def to_dict(self) -> dict[str, object]: ...

    State = Literal["untouched", "rolled-back", "committed", "needs-recovery"]

__all__ = [
    "AuthenticationRequired",
    "BuildFailed",
    "BuildForbidden",
    "CacheUnavailable",
    "Cancelled",
    "ConnectFailed",
    "DeadlineExceeded",
    "DiskFull",
    "EnvironmentProblem",
    "ExternallyManaged",
    "FileConflict",
    "FileInUse",
    "Forbidden",
    "HashMismatch",
    "InstallFailed",
    "InterpreterNotFound",
    "LockTimeout",
    "MetadataInvalid",
    "NetworkError",
    "NoCompatibleFile",
    "NotWritable",
    "OfflineMiss",
    "PackageError",
    "PackageNotFound",
    "PathTooLong",
    "PlanOutdated",
    "PolicyDenied",
    "ProbeFailed",
    "ProtectedPackage",
    "ProxyFailed",
    "PuffinError",
    "RateLimited",
    "RequirementInvalid",
    "ResolutionFailed",
    "RollbackFailed",
    "ServerError",
    "TimedOut",
    "TlsVerificationFailed",
    "UnsafeArchive",
]


def _plain(value: object) -> object:
    """Turn a field into JSON-able data: values by their ``to_dict``, containers by their items."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=str)
    to_dict = getattr(value, "to_dict", None)
    return to_dict() if callable(to_dict) else str(value)


class PuffinError(Exception):
    """The root of every error that the library raises on purpose.

    Args:
        message: One sentence with the real values: what went wrong and why.
        hint: How to mend it, empty unless it is likely to work.
        fields: The typed fields of the class; each becomes an attribute.
    """

    code: ClassVar[str] = "puffin-error"
    """Stable kebab-case name of the kind of error."""
    retryable: ClassVar[bool] = False
    """True where the same call may well succeed later."""
    user_fixable: ClassVar[bool] = True
    """True where the user (not the developer) can do something about it."""
    _fields: ClassVar[tuple[str, ...]] = ()

    hint: str
    state: State
    """What became of the environment; ``untouched`` unless a change had begun."""

    def __init__(self, message: str = "", *, hint: str = "", **fields: object) -> None:
        super().__init__(message)
        unknown = fields.keys() - set(self._fields)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        self.hint = hint
        self.state = "untouched"
        for name in self._fields:
            setattr(self, name, fields.get(name))

    @property
    def data(self) -> Mapping[str, object]:
        """The typed fields by name, as JSON-able data."""
        return {name: _plain(getattr(self, name)) for name in self._fields}

    def to_dict(self) -> dict[str, object]:
        """Return the error as JSON-able data, with a ``schema`` number."""
        return {
            "schema": 1,
            "code": self.code,
            "message": str(self),
            "hint": self.hint,
            "retryable": self.retryable,
            "user_fixable": self.user_fixable,
            "state": self.state,
            "data": dict(self.data),
        }

    def __reduce__(self) -> tuple[object, ...]:
        fields = {name: getattr(self, name) for name in self._fields}
        notes = {"__notes__": [*self.__notes__]} if hasattr(self, "__notes__") else {}
        return _restore, (type(self), str(self), self.hint, self.state, fields), notes


def _restore(
    kind: type[PuffinError], message: str, hint: str, state: State, fields: dict[str, object]
) -> PuffinError:
    """Make a pickled error again (keyword-only fields do not survive the default way)."""
    error = kind(message, hint=hint, **fields)
    error.state = state
    return error


class RequirementInvalid(PuffinError):
    """A requirement, constraint or requirements file does not parse (PEP 508)."""

    code = "requirement-invalid"
    _fields = ("text", "file", "line", "column")
    text: str
    file: str | None
    line: int | None
    column: int | None
    """Zero-based offset of the bad part in ``text``."""


class InterpreterNotFound(PuffinError):
    """No Python interpreter fits the request."""

    code = "interpreter-not-found"
    _fields = ("request", "tried")
    request: str
    tried: Sequence[str]


class ProbeFailed(PuffinError):
    """A Python interpreter could not be started or asked for its data."""

    code = "probe-failed"
    _fields = ("path", "reason", "output")
    path: str
    reason: str
    output: str


class EnvironmentProblem(PuffinError):
    """The environment cannot be changed as asked."""

    code = "environment-problem"
    _fields: ClassVar[tuple[str, ...]] = ("path",)
    path: str


class ExternallyManaged(EnvironmentProblem):
    """The environment is marked EXTERNALLY-MANAGED (PEP 668)."""

    code = "externally-managed"


class NotWritable(EnvironmentProblem):
    """A place that has to change cannot be written."""

    code = "not-writable"


class LockTimeout(EnvironmentProblem):
    """Another process kept the lock for longer than the caller would wait."""

    code = "lock-timeout"
    retryable = True
    _fields = ("path", "owner", "seconds")
    owner: str
    seconds: float


class PlanOutdated(EnvironmentProblem):
    """The environment changed between the plan and the commit."""

    code = "plan-outdated"
    retryable = True
    _fields = ("path", "diff")
    diff: Sequence[str]


class ProtectedPackage(EnvironmentProblem):
    """A package that the caller protects would have to change."""

    code = "protected-package"
    _fields = ("path", "name", "requested_by")
    name: str
    requested_by: Sequence[str]


class NetworkError(PuffinError):
    """An exchange with a server failed. ``url`` never holds credentials."""

    code = "network-error"
    retryable = True
    _fields: ClassVar[tuple[str, ...]] = ("url",)
    url: str


class ConnectFailed(NetworkError):
    """No connection, or it broke before the answer was complete."""

    code = "connect-failed"


class TlsVerificationFailed(NetworkError):
    """The server's certificate is not trusted."""

    code = "tls-verification-failed"
    retryable = False
    _fields = ("url", "host")
    host: str


class ProxyFailed(NetworkError):
    """The proxy could not be reached or refused."""

    code = "proxy-failed"


class TimedOut(NetworkError):
    """The server did not answer in time; ``phase`` is ``connect``, ``idle`` or ``total``."""

    code = "timed-out"
    _fields = ("url", "phase")
    phase: str


class AuthenticationRequired(NetworkError):
    """The server wants credentials and none, or wrong ones, were given (401)."""

    code = "authentication-required"
    retryable = False
    _fields = ("url", "origin")
    origin: str


class Forbidden(NetworkError):
    """The server refuses these credentials this resource (403)."""

    code = "forbidden"
    retryable = False


class RateLimited(NetworkError):
    """The server asks to wait (429); ``retry_after`` in seconds, None when it does not say."""

    code = "rate-limited"
    _fields = ("url", "retry_after")
    retry_after: float | None


class ServerError(NetworkError):
    """The server answered with a status that is of no use."""

    code = "server-error"
    _fields = ("url", "status")
    status: int


class OfflineMiss(NetworkError):
    """Offline, and the cache does not hold what is needed."""

    code = "offline-miss"
    retryable = False
    _fields = ("url", "missing")
    missing: Sequence[str]


class PackageError(PuffinError):
    """Something is wrong with one package or file."""

    code = "package-error"
    _fields: ClassVar[tuple[str, ...]] = ("name",)
    name: str


class PackageNotFound(PackageError):
    """None of the indexes knows the project."""

    code = "package-not-found"
    _fields = ("name", "indexes")
    indexes: Sequence[str]


class NoCompatibleFile(PackageError):
    """The release has no file for the target; ``reasons`` says why, per file name."""

    code = "no-compatible-file"
    _fields = ("name", "version", "reasons")
    version: str
    reasons: Mapping[str, str]


class MetadataInvalid(PackageError):
    """Metadata of a package, page or wheel does not follow its specification."""

    code = "metadata-invalid"
    user_fixable = False
    _fields = ("name", "source", "reason")
    source: str
    reason: str


class HashMismatch(PackageError):
    """Received bytes do not have the expected digest."""

    code = "hash-mismatch"
    _fields = ("name", "source", "expected", "actual")
    source: str
    expected: Sequence[str]
    """Allowed digests, each as ``sha256:...``."""
    actual: str


class UnsafeArchive(PackageError):
    """An archive breaks a safety rule; nothing of it was kept."""

    code = "unsafe-archive"
    user_fixable = False
    _fields = ("name", "archive", "entry", "rule")
    archive: str
    entry: str
    rule: str
    """Stable kebab-case name of the rule."""


class ResolutionFailed(PuffinError):
    """No set of versions meets all requirements; the proof is a value.

    ``derivation`` is the tree of facts, ``conflicts`` the requirements of the user that cannot be
    met together, ``excluded`` the candidates that were left out, with the reason of each.
    """

    code = "resolution-failed"
    _fields = ("derivation", "conflicts", "excluded")
    derivation: Explainable
    conflicts: Sequence[str]
    excluded: Mapping[str, Sequence[Mapping[str, object]]]

    def explain(self, style: Literal["short", "full"] = "short") -> str:
        """Say in English why there is no solution.

        Args:
            style: ``short`` for the conclusion, ``full`` for every step of the proof.
        """
        return self.derivation.explain(style)


class BuildFailed(PuffinError):
    """A build backend failed; ``phase`` is the hook or step."""

    code = "build-failed"
    _fields = ("package", "phase", "exit_code", "log_tail", "log_path")
    package: str
    phase: str
    exit_code: int | None
    log_tail: Sequence[str]
    log_path: str | None


class BuildForbidden(PuffinError):
    """The package has to be built and the build policy forbids it."""

    code = "build-forbidden"
    _fields = ("package",)
    package: str


class PolicyDenied(PuffinError):
    """The caller's review refused the plan; nothing was downloaded or changed."""

    code = "policy-denied"
    _fields = ("violations",)
    violations: Sequence[str]


class InstallFailed(PuffinError):
    """The change could not be made; ``state`` says what became of the environment."""

    code = "install-failed"
    _fields: ClassVar[tuple[str, ...]] = ("path",)
    path: str


class FileInUse(InstallFailed):
    """A file that has to be replaced is open in another process."""

    code = "file-in-use"
    retryable = True


class FileConflict(InstallFailed):
    """Two owners claim one file; ``owners`` are their names."""

    code = "file-conflict"
    _fields = ("path", "owners")
    owners: Sequence[str]


class PathTooLong(InstallFailed):
    """A path is longer than the file system allows."""

    code = "path-too-long"


class DiskFull(InstallFailed):
    """The volume has no room; sizes in bytes, None when unknown."""

    code = "disk-full"
    retryable = True
    _fields = ("path", "needed", "free")
    needed: int | None
    free: int | None


class RollbackFailed(InstallFailed):
    """A change failed and so did undoing it; ``journal`` says what is left to do."""

    code = "rollback-failed"
    _fields = ("path", "journal")
    journal: str


class CacheUnavailable(PuffinError):
    """The cache folder cannot be used at all."""

    code = "cache-unavailable"
    _fields = ("path",)
    path: str


class Cancelled(PuffinError):
    """The caller cancelled the operation."""

    code = "cancelled"
    retryable = True
    _fields = ("reason",)
    reason: str


class DeadlineExceeded(Cancelled):
    """The operation took longer than its token allowed."""

    code = "deadline-exceeded"
