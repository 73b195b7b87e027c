"""SourceIndex: a custom source in the place of an index."""

from __future__ import annotations

from puffin_api._client.page_files import FileNames
from puffin_api._model.releases import releases_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api._model.file import FileRow
    from puffin_api._model.releases import Releases
    from puffin_api.protocols import PackageSource

SOURCE_PREFIX = "package-source:"
"""What the URLs that stand for sources begin with."""


class SourceIndex:
    """A custom source in the place of an index."""

    def __init__(self, source: PackageSource, number: int, clock: Callable[[], float]) -> None:
        self.source = source
        self.url = f"{SOURCE_PREFIX}{number}"
        """Stands in ``FileRow.index``, so that its files find their way back."""
        self.name = type(source).__name__
        self.explicit = False

    def ask(self, name: str) -> Given:
        """Ask the source; blocks for as long as it likes."""
        project = self.source.project(name)
        if project is None:
            return Given(None, "active")
        rows: list[FileRow] = []
        skipped = dict(project.skipped)
        names = FileNames(name)
        for file in project.files:
            try:
                names.version(file.filename)  # what stands on no page may have any name
            except ValueError as error:
                skipped[file.filename] = str(error)
                continue
            row = file.row()
            row.project, row.index = name, self.url
            rows.append(row)
        releases = releases_of(name, rows, index=self.url, skipped=skipped)
        return Given(releases, project.status)


class Given:
    """What a custom source said of a project."""

    __slots__ = ("releases", "status")

    def __init__(self, releases: Releases | None, status: str) -> None:
        self.releases = releases
        self.status = status
