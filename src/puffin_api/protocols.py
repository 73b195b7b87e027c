"""The seams: what a caller may put in place of a part of the library, and what must hold.

Each has at most four methods and at least two implementations, one of them in
``puffin_api.testing``.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.events import Event
    from puffin_api._model.file import DistFile, FileRow
    from puffin_api._model.metadata import CoreMetadata, DistMetadata
    from puffin_api._model.plan import Plan
    from puffin_api._model.project import Project
    from puffin_api._model.releases import Releases
    from puffin_api._model.resolution import Resolution
    from puffin_api.errors import PuffinError

__all__ = [
    "BuildContext",
    "Completed",
    "CredentialProvider",
    "DirectoryLink",
    "PackageSource",
    "PlanReview",
    "ReleaseSource",
    "Reporter",
    "Response",
    "Runner",
    "Scout",
    "SourceBuilder",
    "Transport",
]


class Response(Protocol):
    """The answer to one HTTP request, its body not read yet."""

    @property
    def status(self) -> int:
        """HTTP status, redirects followed."""
        ...

    @property
    def url(self) -> str:
        """The URL that answered, after redirects, without credentials."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields; names are lower-case."""
        ...

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        """Give the body as sent but for the transfer encoding, in pieces of at most ``size`` bytes."""
        ...


class Transport(Protocol):
    """One HTTP exchange. Called from many threads at once.

    It follows redirects, retries what is worth a retry, and raises the network errors of
    ``puffin_api.errors``; a status that means something to the caller (200, 206, 304, 404, 410,
    416) is returned. Credentials never follow a redirect to another origin.
    """

    def open(
        self, url: str, *, headers: Mapping[str, str], cancel: CancelToken | None = None
    ) -> AbstractContextManager[Response]:
        """Send a GET; leaving the context gives the connection back, or closes it if unread."""
        ...

    def close(self) -> None:
        """Close idle connections and wake every thread that is blocked in one."""
        ...


class CredentialProvider(Protocol):
    """Where user names and passwords come from. Asked at most once for each origin."""

    def credentials(self, origin: str) -> tuple[str, str] | None:
        """Return user and password for ``scheme://host:port``, or None; never prompts."""
        ...


class PackageSource(Protocol):
    """A custom index: a database, a monorepo, a mirror. Called from many threads at once."""

    def project(self, name: str) -> Project | None:
        """Return what is known of a project (name normalised), None where it is not known."""
        ...

    def metadata(self, file: DistFile) -> CoreMetadata:
        """Return the metadata of a file that ``project`` gave."""
        ...

    def fetch(self, file: DistFile, target: Path) -> None:
        """Write the bytes of the file to ``target``."""
        ...


class Scout(Protocol):
    """The resolver's advice to whoever reads ahead for it. Called from many threads at once."""

    def pick(self, releases: Releases) -> FileRow | None:
        """Return the file whose metadata will most likely be asked for next."""
        ...

    def follow(self, file: FileRow, metadata: DistMetadata) -> Iterable[str]:
        """Return the projects that will most likely be asked for next, in that order."""
        ...


class ReleaseSource(Protocol):
    """What an index says: the resolver's whole world. The solver does no I/O of its own.

    The same question has the same answer for as long as one resolution runs.
    """

    def releases(self, name: str) -> Releases:
        """Return all versions of a project; waits for them.

        Raises:
            PackageNotFound: No index knows the project.
            NetworkError: It cannot be found out.
        """
        ...

    def metadata(self, files: Sequence[FileRow]) -> Sequence[DistMetadata | PuffinError]:
        """Return the metadata of several files of one project, in order; waits for them.

        What is wrong with one file is that file's result. Network errors are raised.
        """
        ...

    def hint(self, names: Iterable[str], scout: Scout) -> None:
        """These projects will be needed: read ahead from here. Returns at once."""
        ...

    def touch(self, files: Sequence[FileRow]) -> None:
        """The metadata of these files will probably be needed. Returns at once."""
        ...


class SourceBuilder(Protocol):
    """Turns source distributions into metadata and wheels."""

    def metadata(self, file: DistFile, *, cancel: CancelToken | None = None) -> CoreMetadata:
        """Return the metadata of a source distribution, building only where there is no other way."""
        ...

    def build(self, file: DistFile, target: Path, *, cancel: CancelToken | None = None) -> Path:
        """Build a wheel into the folder ``target``; returns its path."""
        ...


class BuildContext(Protocol):
    """What building a source needs of the rest: a resolver and an installer for its own needs."""

    def resolve(self, requirements: Iterable[str]) -> Resolution:
        """Resolve build requirements for the interpreter that builds."""
        ...

    def install(self, resolution: Resolution, prefix: Path) -> None:
        """Install them into the build environment."""
        ...


class Completed(Protocol):
    """A child process that has ended."""

    @property
    def returncode(self) -> int:
        """Exit status; negative for a signal."""
        ...

    @property
    def stdout(self) -> bytes:
        """What it wrote to standard output."""
        ...

    @property
    def stderr(self) -> bytes:
        """What it wrote to standard error."""
        ...


class Runner(Protocol):
    """Starts child processes: where cancelling, capturing and sandboxing go."""

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Completed:
        """Run a program to its end; on a timeout or cancel, its whole process group is killed.

        Args:
            env: The complete environment of the child; None for a small fixed one.

        Raises:
            OSError: It cannot be started.
            TimeoutError: It took longer than ``timeout`` seconds.
            Cancelled: The token was thrown.
        """
        ...


class Reporter(Protocol):
    """Hears what an operation does."""

    def on_event(self, event: Event) -> None:
        """Take one frozen event, on the thread that called the operation, in order.

        What it raises ends the operation as a cancel would, and reaches the caller.
        """
        ...


class PlanReview(Protocol):
    """A policy between plan and download."""

    def review(self, plan: Plan) -> Sequence[str]:
        """Return what speaks against the plan, one sentence each; nothing lets it pass."""
        ...


@runtime_checkable
class DirectoryLink(Protocol):
    """Publishes a directory under another path. Readers and writers may run at the same time."""

    def publish(self, link: Path, target: Path) -> None:
        """Make ``link`` lead to the directory ``target``, in place of whatever it led to."""
        ...

    def read(self, link: Path) -> Path | None:
        """Return the canonical path of the directory, None where the link is missing or leads nowhere."""
        ...

    def remove(self, link: Path) -> None:
        """Remove the link, not the directory; a missing link is no error."""
        ...
