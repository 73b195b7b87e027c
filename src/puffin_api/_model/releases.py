"""Releases: all versions of one project as an index knows them, in columns."""

from __future__ import annotations

from types import MappingProxyType

from puffin_api._model.version_key import sort_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from puffin_api._model.file import FileRow


_NOT_DIRECT: Mapping[str, int] = MappingProxyType({})


class Releases:
    """The versions of one project, oldest first, and their files, read when asked for.

    Immutable, but for ``derived``, where the resolver keeps what it has worked out for good (masks
    of specifiers, chosen files), and ``unasked``, which the registry sets before it hands them out.
    Bits count from 1: bit ``i + 1`` stands for ``versions[i]``, and bit 0 for "absent".
    """

    __slots__ = (
        "__weakref__",
        "_files",
        "_rows",
        "derived",
        "direct",
        "index",
        "keys",
        "name",
        "prereleases",
        "skipped",
        "tiers",
        "unasked",
        "versions",
    )

    def __init__(  # one parameter for each column
        self,
        *,
        name: str,
        versions: Sequence[str],
        keys: Sequence[str],
        prereleases: int,
        files: Callable[[int], Sequence[FileRow]],
        skipped: Mapping[str, str] | None = None,
        index: str = "",
        tiers: Sequence[int] = (),
        direct: Mapping[str, int] = _NOT_DIRECT,
    ) -> None:
        self.name: str = name
        """Normalised."""
        self.versions: Sequence[str] = versions
        """As ``packaging`` writes them, each once, ascending."""
        self.keys: Sequence[str] = keys
        """``version_key`` of each version."""
        self.prereleases: int = prereleases
        """Mask of the versions that are pre-releases or development releases."""
        # Not `or`: a lazy mapping is read when its length is asked for.
        self.skipped: Mapping[str, str] = {} if skipped is None else skipped
        """Files that are no part of any version, with the reason."""
        self.index: str = index
        """URL of the index, without credentials."""
        self.tiers: Sequence[int] = tiers
        """Masks of versions, best first, where some are preferred however new others are: those of an
        earlier index to those of a later one. Empty where only the version counts."""
        self.direct: Mapping[str, int] = direct
        """The mask of what a requirement with a URL asks for, by what the URL stands for."""
        self.unasked: Sequence[str] = ()
        """Names of the indexes that were not asked, as an earlier one knows the project."""
        self.derived: dict[object, object] = {}
        self._files = files
        self._rows: dict[int, Sequence[FileRow]] = {}

    def files(self, position: int) -> Sequence[FileRow]:
        """Return the files of ``versions[position]``."""
        rows = self._rows.get(position)
        if rows is None:
            rows = self._rows[position] = self._files(position)
        return rows

    def __len__(self) -> int:
        return len(self.versions)

    def __repr__(self) -> str:
        return f"<Releases of {self.name}: {len(self.versions)}>"


def releases_of(
    name: str, files: Iterable[FileRow], *, index: str = "", skipped: Mapping[str, str] | None = None
) -> Releases:
    """Group files by version and sort the versions.

    Files whose version does not follow PEP 440 are skipped, with that reason.
    """
    left_out = dict(skipped or {})
    groups: dict[str, list[FileRow]] = {}
    parsed: dict[str, tuple[str, str, bool]] = {}
    for file in files:
        known = parsed.get(file.version)
        if known is None:
            known = sort_version(file.version)
            if known is None:
                left_out[file.filename] = f"{file.version!r} is not a valid version"
                continue
            parsed[file.version] = known
        file.version = known[1]
        groups.setdefault(known[0], []).append(file)
    by_key = {key: (text, pre) for key, text, pre in parsed.values()}
    keys = sorted(groups)
    mask = 0
    for position, key in enumerate(keys):
        if by_key[key][1]:
            mask |= 2 << position
    # Equal versions that are written differently (1.0, 1.0.0) share one text: that of the first file.
    texts = [groups[key][0].version for key in keys]
    return Releases(
        name=name,
        versions=texts,
        keys=keys,
        prereleases=mask,
        files=lambda position: groups[keys[position]],
        skipped=left_out,
        index=index,
    )
