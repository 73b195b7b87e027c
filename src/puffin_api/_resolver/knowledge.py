"""Knowledge: what one resolution has asked its source, and what it will ask next."""

from __future__ import annotations

from types import MappingProxyType

from puffin_api._model.events import CandidateRejected
from puffin_api._model.rejection import Rejection
from puffin_api._resolver.candidates import admits_python, is_file, python_rejection, summary
from puffin_api._resolver.incompatibility import Constrained, Incompatibility, term
from puffin_api._resolver.package import EXTRA_BITS, Package
from puffin_api._resolver.scout import RequirementScout
from puffin_api._resolver.snapshot import Snapshot, unknown
from puffin_api._resolver.version_set import ABSENT
from puffin_api._urls import redact_in
from puffin_api.errors import BuildForbidden, MetadataInvalid, OfflineMiss, PackageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._concurrency import Pump
    from puffin_api._model.file import FileRow
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.rejection import RejectionCode
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.problem import Problem
    from puffin_api.protocols import ReleaseSource


IN_METADATA = frozenset(("metadata-invalid", "file-missing", "direct-url", "requires-python"))
"""What is found out about a version only once its metadata was asked for."""


class Knowledge:
    """The packages of a resolution, and the metadata of their versions.

    Only here the source is asked: first told what will be needed, then waited for.
    """

    def __init__(self, problem: Problem, source: ReleaseSource, pump: Pump) -> None:
        self._problem = problem
        self._source = source
        self._pump = pump
        self._scout = RequirementScout(problem)
        self._reusable = problem.amendments.empty and problem.dependencies
        self._is_constrained = bool(problem.amendments.all_constraints())
        self._is_watched = not pump.silent or pump.cancel is not None
        self.packages: dict[str, Package] = {}
        """Every project that was looked at, by name."""
        self.unfollowed: set[tuple[str, str]] = set()
        """Projects from a URL that were barred for URLs in their own metadata, each with the extra."""
        self.widths: dict[Package, int] = {}
        """How many candidates of a package to ask for at once at its next conflict."""
        self.visited = 0
        """How many candidates were looked at."""

    def expect(self, fresh: list[str], rows: Sequence[RequirementRow]) -> None:
        """Have what is new read ahead, all at once, before the first wait.

        Args:
            fresh: The projects among those of the requirements that nobody has looked at.
            rows: All of the requirements.
        """
        if direct := self._problem.direct:
            fresh = [name for name in fresh if name not in direct]
        if fresh:
            self._scout.expect(rows)
            self._source.hint(fresh, self._scout)

    def package(self, name: str, *, required: bool = False) -> Package:
        """Return the package of a project; a new one is held to the caller's constraints at once.

        Waits for its versions the first time.

        Args:
            required: The caller asks for it: that it does not exist is an error of its own.

        Raises:
            PackageNotFound: No index knows the project, and it is required.
            NetworkError: An index could not be asked.
        """
        package = self.packages.get(name)
        if package is not None:
            return package
        if self._is_watched:
            self._pump.check()  # there may be thousands, all of them in memory
        reason: Rejection | None = None
        problem = self._problem
        try:
            if (direct := problem.direct) and name in direct:
                releases = direct[name]
            else:
                releases = self._source.releases(name)
        except (PackageNotFound, OfflineMiss) as error:
            if required:
                raise
            releases, reason = unknown(name), _unavailable(error)
        snapshot = Snapshot.of(releases)
        package = Package(name, "", snapshot.full, len(self.packages) << EXTRA_BITS)
        package.snapshot = snapshot
        package.candidates = problem.candidates(snapshot)
        if reason is not None:
            package.unknown = reason
        self.packages[name] = package
        for row in problem.amendments.constraints(name) if self._is_constrained else ():
            excluded = package.full & ~snapshot.mask(row) & ~ABSENT
            if excluded:
                cause = Incompatibility((term(package, excluded),), Constrained(row))
                package.restrict(package.full & ~excluded, cause)
        return package

    def metadata(self, package: Package, bit: int, moved: dict[Package, None]) -> DistMetadata | None:
        """Return the metadata of a version; None once it is known that the version is unusable.

        Args:
            moved: Packages whose best candidates may be new; emptied when they are looked at.
        """
        if bit not in package.metadata and bit not in package.reasons:
            self.load(package, [bit], moved)
        return package.metadata.get(bit)

    def recall(self, package: Package, bit: int) -> bool:
        """Take in the metadata of a version that other resolutions have accepted, if there is any."""
        accepted = package.candidates.findings.accepted.get(bit) if self._reusable else None
        if accepted is None:
            return False
        package.recall(bit, accepted)
        self.visited += 1
        return True

    def load(self, package: Package, wanted: Sequence[int], moved: dict[Package, None]) -> None:
        """Get the metadata of several versions, or the reasons why they cannot be used."""
        self._pump.check()  # a run over many versions asks often before the solver's loop comes round
        memory = package.snapshot.metadata
        accepted = package.candidates.findings.accepted if self._reusable else {}
        files, missing = [], []
        for bit in wanted:
            if bit in package.metadata or bit in package.reasons:
                continue
            if bit in accepted and self.recall(package, bit):
                continue
            choice = package.candidates.choose(bit)
            if not is_file(choice):
                self.reject(package, bit, summary(choice))
            elif (known := memory.get(self._memory_key(choice))) is not None:
                self._keep(package, bit, known)
            else:
                files.append(choice)
                missing.append(bit)
        if not files:
            return
        self._look_ahead(moved)
        for bit, file, result in zip(missing, files, self._source.metadata(files), strict=True):
            if isinstance(result, Exception):
                self.reject(package, bit, _bad_file(file, result))
            else:
                memory[self._memory_key(file)] = result
                self._keep(package, bit, result)

    def _memory_key(self, file: FileRow) -> str:
        """Return what metadata is remembered by: that of sources depends on who builds them, and how."""
        return file.filename if file.is_wheel else f"{self._problem.policy.sources} {file.filename}"

    def read_ahead(self, package: Package, mask: int, count: int) -> None:
        """Have the metadata of the next candidates read while others are looked at."""
        chosen = [package.candidates.choose(bit) for bit in package.candidates.ordered(mask, count)]
        known = package.snapshot.metadata
        files = [choice for choice in chosen if is_file(choice) and choice.filename not in known]
        if files:
            self._source.touch(files)

    def reject(self, package: Package, bit: int, reason: Rejection) -> None:
        """Note why a version cannot be used."""
        package.reject(bit, reason)
        if not self._pump.silent:
            self._pump.send(
                CandidateRejected(
                    name=package.name,
                    version=package.snapshot.version(bit),
                    reason=reason.text,
                    code=reason.code,
                )
            )

    def bar(self, package: Package, extra: str, row: RequirementRow) -> Rejection:
        """Return the reason against a version, or an extra of it, that depends on a direct URL.

        Only the URLs of what is known to be needed were followed: of the others a note is made.
        """
        reason = self._problem.refusal(row)
        if not reason and package.snapshot.releases.direct:
            self.unfollowed.add((package.name, extra))
        return url_rejection(row, reason)

    def _keep(self, package: Package, bit: int, metadata: DistMetadata) -> None:
        """Take metadata in, unless it bars the version."""
        self.visited += 1
        required = metadata.requires_python
        if required and not admits_python(required, self._problem.policy.target):
            self.reject(package, bit, python_rejection(required))
            return
        rows = self._problem.rows(package.candidates.view, metadata)
        foreign = self._problem.foreign_url(rows)
        if foreign is not None:
            self.reject(package, bit, self.bar(package, "", foreign))
            return
        package.take(bit, metadata)
        if self._reusable and not any(row.url for row in rows):
            package.candidates.findings.accepted[bit] = MappingProxyType({bit: metadata})

    def _look_ahead(self, moved: dict[Package, None]) -> None:
        """Before waiting: ask for the likely candidates of everything that has moved."""
        files = [file for package in moved if (file := _likely(package)) is not None]
        moved.clear()
        if files:
            self._source.touch(files)


def url_rejection(row: RequirementRow, reason: str = "") -> Rejection:
    """Return the reason against a version that depends on a direct URL: it is not followed, or of no use."""
    text = redact_in(row.text, row.url)
    said = f"depends on {text}, which cannot be used ({reason})" if reason else ""
    return Rejection("direct-url", said or f"depends on a direct URL ({text})", text)


def _unavailable(error: PackageNotFound | OfflineMiss) -> Rejection:
    if isinstance(error, OfflineMiss):
        return Rejection("offline", "is not in the cache, and we are offline", ", ".join(error.missing or ()))
    return Rejection("no-files", "is not known to any index", ", ".join(error.indexes or ()))


def _bad_file(file: FileRow, error: Exception) -> Rejection:
    """Say for a version that the file which would be used is of no use."""
    if isinstance(error, OfflineMiss):
        return Rejection(
            "offline", "has metadata that is not in the cache, and we are offline", file.filename
        )
    code: RejectionCode = "metadata-invalid" if isinstance(error, MetadataInvalid) else "file-missing"
    if isinstance(error, BuildForbidden):
        code = "needs-build"
    reason = error.reason if isinstance(error, MetadataInvalid) and error.reason else str(error)
    files = {file.filename: Rejection(code, f"cannot be used ({reason})", reason)}
    return Rejection(code, f"cannot be used ({file.filename}: {reason})", reason, files)


def _likely(package: Package) -> FileRow | None:
    """Return the file of a package's best candidate, None where its metadata is here already."""
    if package.extra or package.decision or package.current & ABSENT:
        return None
    bit = package.candidates.best(package.current & ~package.unusable)
    if not bit or bit in package.metadata:
        return None
    choice = package.candidates.choose(bit)
    if is_file(choice) and choice.filename not in package.snapshot.metadata:
        return choice
    return None
