"""PageDraft: a page that has just come, in memory, before it becomes a table on disk.

Whoever waits for the page needs its versions at once, the files of one or two versions soon, and all
the others perhaps never in this process. So only the versions are worked out while somebody waits;
packing, encoding and writing are done later, by ``settle``.
"""

from __future__ import annotations

import functools

from puffin_api._cache.page_rows import PackedRows
from puffin_api._cache.project_table import GroupedFiles, encode_grouped
from puffin_api._client import simple_html, simple_json
from puffin_api._client.page_files import UNFIT, why
from puffin_api._concurrency import Lock
from puffin_api._model.releases import Releases
from puffin_api._urls import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from puffin_api._cache.page_rows import PackedRow
    from puffin_api._cache.project_table import PageTable
    from puffin_api._client.http_cache import Policy
    from puffin_api._model.file import FileRow


class PageDraft:
    """Stands in for a `PageTable` until, and after, the table is on disk.

    Args:
        project: Normalised name.
        url: Where the page came from at last.
        index: URL of the index.
        grouped: The files by version.
        pack: Checks and packs one file; may raise one of `UNFIT`.
        label: Gives the name of a file.
        skipped: Files left out so far, with the reason.
        status: The project's status.
    """

    def __init__(  # what a page consists of
        self,
        project: str,
        *,
        url: str,
        index: str,
        grouped: GroupedFiles[Any],
        pack: Callable[[Any], PackedRow],
        label: Callable[[Any], str],
        skipped: dict[str, str],
        status: str,
    ) -> None:
        self.url = redact(url)
        self.status = status
        self.mend: Callable[[str, str], Sequence[FileRow]] | None = None
        self._grouped: GroupedFiles[Any] | None = grouped
        self._pack = pack
        self._label = label
        self._skipped = skipped
        self._table: PageTable | None = None
        self._lock = Lock()
        self.releases = Releases(
            name=project,
            versions=grouped.versions,
            keys=grouped.keys,
            prereleases=grouped.prereleases,
            files=self.files,
            skipped=skipped,
            index=index,
        )

    @classmethod
    def of_json(cls, body: bytes, url: str, project: str, index: str) -> PageDraft:
        """Read a page in JSON as far as its versions.

        Raises:
            MetadataInvalid: It is no such page.
        """
        page = simple_json.read(body, url, project)
        return cls(
            project,
            url=url,
            index=index,
            grouped=GroupedFiles(page.files(), page.skipped, page.name),
            pack=functools.partial(page.pack, page_url=url),
            label=page.name,
            skipped=page.skipped,
            status=page.status,
        )

    @classmethod
    def of_html(cls, body: bytes, url: str, project: str, index: str) -> PageDraft:
        """Read a page in HTML.

        Raises:
            MetadataInvalid: It is no such page.
        """
        packed, skipped, status = simple_html.pack(body, url, project)
        return cls.of_packed(packed, url, project, index, skipped=skipped, status=status)

    @classmethod
    def of_packed(
        cls,
        packed: Sequence[tuple[str, PackedRow]],
        url: str,
        project: str,
        index: str,
        *,
        skipped: dict[str, str],
        status: str,
    ) -> PageDraft:
        """Make the draft of files that are packed already."""
        return cls(
            project,
            url=url,
            index=index,
            grouped=GroupedFiles(packed, skipped, _first),
            pack=_itself,
            label=_first,
            skipped=skipped,
            status=status,
        )

    def files(self, position: int) -> Sequence[FileRow]:
        """Return the rows of one version."""
        grouped = self._grouped
        if grouped is None:
            assert self._table is not None, "there is a table when the draft is gone"
            return self._table.files(position)
        version = grouped.versions[position]
        name, index = self.releases.name, self.releases.index
        packed = self._packed(grouped.files[position])
        return PackedRows([row[0] for row in packed], packed, name, version, index)

    def settle(
        self,
        policy: Policy,
        write: Callable[[bytes], PageTable | None],
        recent: Sequence[str] = (),
    ) -> None:
        """Encode the table and have it written; from then on files are read from there.

        Args:
            policy: What HTTP says of keeping the page.
            write: Stores the table and reads it back; None where that was not possible.
            recent: The metadata that is written with it.
        """
        with self._lock:
            grouped = self._grouped
            if grouped is None:
                return
            packed = [self._packed(files) for files in grouped.files]
            data = encode_grouped(
                self.releases.name,
                grouped,
                packed,
                stored_at=policy.stored_at,
                policy=policy.to_row(),
                index=self.releases.index,
                url=self.url,
                status=self.status,
                skipped=self._skipped,
                recent=recent,
            )
            self._table = write(data)
            if self._table is not None:
                self._table.mend = self.mend
                self._grouped = None

    def _packed(self, files: Sequence[Any]) -> list[PackedRow]:
        """Pack the files of a version; those that are unfit are left out, with the reason."""
        rows = []
        for file in files:
            try:
                rows.append(self._pack(file))
            except UNFIT as error:
                self._skipped[self._label(file)] = why(error)
        return rows


def _first(row: PackedRow) -> str:
    return row[0]


def _itself(row: PackedRow) -> PackedRow:
    return row
