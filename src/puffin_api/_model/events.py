"""What an operation tells while it runs: one frozen value per event."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Operation = Literal["resolve", "plan", "prepare", "install", "uninstall", "fetch", "recover", "undo"]


@attrs.frozen(kw_only=True)
class OperationStarted:
    """A call of the public API has begun."""

    operation: Operation


@attrs.frozen(kw_only=True)
class OperationFinished:
    """The call is over; ``error`` is the code of the error, empty on success."""

    operation: Operation
    seconds: float
    error: str = ""


@attrs.frozen(kw_only=True)
class PackageDecided:
    """The resolver chose a version; a later ``Backtracked`` may take it back."""

    name: str
    version: str


@attrs.frozen(kw_only=True)
class CandidateRejected:
    """A candidate cannot be used, for the reason given; ``code`` is that of a ``Rejection``."""

    name: str
    version: str
    reason: str
    code: str = ""


@attrs.frozen(kw_only=True)
class Backtracked:
    """The resolver met a conflict and went back; ``conflicts`` counts them so far."""

    conflicts: int


@attrs.frozen(kw_only=True)
class FetchStarted:
    """A transfer has begun; ``total`` bytes, None when unknown."""

    task: int
    kind: Literal["page", "metadata", "file"]
    name: str
    total: int | None = None


@attrs.frozen(kw_only=True)
class FetchProgress:
    """Bytes received so far; at most ten a second for each task."""

    task: int
    received: int
    total: int | None = None


@attrs.frozen(kw_only=True)
class FetchFinished:
    """The transfer is over; ``cached`` when nothing had to be transferred."""

    task: int
    received: int
    cached: bool = False
    error: str = ""


@attrs.frozen(kw_only=True)
class BuildStarted:
    """A build backend is about to run."""

    task: int
    name: str
    phase: str


@attrs.frozen(kw_only=True)
class BuildOutput:
    """One line that a build printed."""

    task: int
    line: str


@attrs.frozen(kw_only=True)
class BuildFinished:
    """The build backend has ended."""

    task: int
    error: str = ""


@attrs.frozen(kw_only=True)
class LockWaiting:
    """Another owner holds the lock that is needed next."""

    path: str
    owner: str


@attrs.frozen(kw_only=True)
class ChangeStarted:
    """Work on one change of the plan has begun."""

    name: str
    action: str


@attrs.frozen(kw_only=True)
class ChangeFinished:
    """One change of the plan is staged or removed."""

    name: str
    action: str


@attrs.frozen(kw_only=True)
class CommitStarted:
    """The environment is about to change; ``changes`` counts the packages."""

    transaction: str
    changes: int


@attrs.frozen(kw_only=True)
class CommitFinished:
    """The environment has changed for good."""

    transaction: str


@attrs.frozen(kw_only=True)
class RollbackStarted:
    """The commit failed or was cancelled and is being undone."""

    transaction: str


@attrs.frozen(kw_only=True)
class RollbackFinished:
    """The environment is as it was; ``error`` says what could not be undone."""

    transaction: str
    error: str = ""


@attrs.frozen(kw_only=True)
class Notice:
    """Something a user may want to know; ``code`` is stable, ``message`` is not."""

    code: str
    message: str
    data: Mapping[str, object] = attrs.field(factory=dict, hash=False)

    def to_dict(self) -> dict[str, object]:
        """Return the notice as JSON-able data."""
        return {"schema": 1, "code": self.code, "message": self.message, "data": dict(self.data)}


Event = (
    OperationStarted
    | OperationFinished
    | PackageDecided
    | CandidateRejected
    | Backtracked
    | FetchStarted
    | FetchProgress
    | FetchFinished
    | BuildStarted
    | BuildOutput
    | BuildFinished
    | LockWaiting
    | ChangeStarted
    | ChangeFinished
    | CommitStarted
    | CommitFinished
    | RollbackStarted
    | RollbackFinished
    | Notice
)
