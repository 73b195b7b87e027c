"""FakeReleaseSource: an index in memory, for resolving without any I/O."""

from __future__ import annotations

from puffin_api._model.file import FileRow
from puffin_api._model.metadata import DistMetadata
from puffin_api._model.names import normalize
from puffin_api._model.releases import releases_of
from puffin_api._model.requirement import lenient_row
from puffin_api.errors import PackageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from puffin_api._model.releases import Releases
    from puffin_api.errors import PuffinError
    from puffin_api.protocols import Scout


class FakeReleaseSource:
    """A ``ReleaseSource`` that says what a test has told it, and notes what it was asked.

    >>> source = FakeReleaseSource()
    >>> source.serve("flask", "3.0", requires=["werkzeug>=3"])
    >>> source.serve("werkzeug", "3.1")
    """

    def __init__(self) -> None:
        self._files: dict[str, list[FileRow]] = {}
        self._metadata: dict[str, DistMetadata | PuffinError] = {}
        self._releases: dict[str, Releases] = {}
        self.asked: list[str] = []
        """Projects and file names, in the order in which they were asked for."""

    def serve(  # one parameter for each thing a release can have
        self,
        name: str,
        version: str,
        *,
        requires: Iterable[str] = (),
        extras: Iterable[str] = (),
        requires_python: str = "",
        tags: Sequence[str] = ("py3-none-any",),
        sdist: bool = False,
        yanked: str | None = None,
        upload_time: float | None = None,
        invalid: PuffinError | None = None,
        listed: bool = True,
        hashes: Sequence[str] = (),
    ) -> None:
        """Add a release.

        Args:
            tags: One wheel for each.
            invalid: Given in place of the metadata.
            hashes: What the index says of each of its files, as ``sha256:<hex>``.
            listed: False for what is there for those who know its address, and on no page.
        """
        project = normalize(name)
        stem = f"{project.replace('-', '_')}-{version}"
        names = [f"{stem}-{tag}.whl" for tag in tags] + ([f"{stem}.tar.gz"] if sdist else [])
        rows = tuple(lenient_row(text) for text in requires)
        metadata = DistMetadata(project, version, rows, requires_python, tuple(extras))
        for filename in names:
            row = FileRow(
                project=project,
                version=version,
                filename=filename,
                url=f"https://index.invalid/{filename}",
                requires_python=requires_python,
                yanked=yanked,
                upload_time=upload_time,
                hashes=tuple(hashes),
                index="https://index.invalid/",
            )
            if listed:
                self._files.setdefault(project, []).append(row)
            self._metadata[filename] = metadata if invalid is None else invalid
        self._releases.pop(project, None)

    def releases(self, name: str) -> Releases:
        """Return the releases that were served."""
        self.asked.append(name)
        if name not in self._files:
            raise PackageNotFound(f"There is no project named {name}", name=name, indexes=["fake"])
        if name not in self._releases:
            self._releases[name] = releases_of(name, self._files[name], index="fake")
        return self._releases[name]

    def metadata(self, files: Sequence[FileRow]) -> Sequence[DistMetadata | PuffinError]:
        """Return the metadata that was served."""
        self.asked += [file.filename for file in files]
        return [self._metadata[file.filename] for file in files]

    def hint(self, names: Iterable[str], scout: Scout) -> None:
        """Do nothing: everything is here."""

    def touch(self, files: Sequence[FileRow]) -> None:
        """Do nothing: everything is here."""
