"""Where the sources of a file are, and their tree, made ready for reading and building."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path

import attrs

from puffin_api._cache.keys import digest as _key
from puffin_api._cache.layout import Bucket, git_kind, path_kind
from puffin_api._cache.mending import clear_for_file, in_folder, make_folder, write_file
from puffin_api._fs import rename
from puffin_api._model.direct_url import DirInfo, VcsInfo
from puffin_api._model.git_url import parse_git_url
from puffin_api._preparer.build_outputs import noting, read_outputs
from puffin_api._preparer.freshness_keys import freshness_keys
from puffin_api._preparer.git import project_folder
from puffin_api._preparer.source_archive import unpack_source
from puffin_api._preparer.source_tree import tree_stamp
from puffin_api._preparer.url_archives import ARCHIVE, UrlArchives, sha256
from puffin_api._preparer.wheel_index import wheel_kind
from puffin_api._urls import url_to_path
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.store import EntryStore
    from puffin_api._concurrency import Pump
    from puffin_api._model.file import DistFile
    from puffin_api._preparer.git import GitStore
    from puffin_api._preparer.prepare import Fetch
    from puffin_api._preparer.telling import Telling
    from puffin_api._preparer.url_archives import FetchNewer
    from puffin_api._preparer.workbench import Workbench

_UNNAMED = "unnamed"


@attrs.frozen
class Place:
    """The folder of the cache for what was learned and built of one state of some sources."""

    folder: Path
    digests: Mapping[str, str]
    """Of the archive, by algorithm, in lower-case hex; of trees there are none."""
    title: str
    """The sources, for people and to tell them from others; without credentials."""
    project: str = ""
    """Whose sources they are, in normal form; empty where nobody knows yet."""


class SourcePlaces:
    """Finds sources, brings them here, and opens their trees.

    Args:
        layout: Where the cache keeps what.
        scratch: Gives an empty folder of the cache that is removed at the end.
        fetch: Downloads an archive and checks its digests.
        fetch_newer: The same, unless the one that is known still holds.
        entries: Where notes are kept.
        must_ask: Tells for a project whether a server is to be asked, however good its last answer is.
        repositories: Gives the store of git repositories.
        env: What ``env`` keys of freshness are looked up in.
        layers: Caches that are only read.
    """

    def __init__(
        self,
        *,
        layout: CacheLayout,
        scratch: Callable[[], AbstractContextManager[Path]],
        fetch: Fetch,
        fetch_newer: FetchNewer,
        entries: EntryStore,
        must_ask: Callable[[str], bool],
        repositories: Callable[[], GitStore],
        env: Mapping[str, str],
        layers: Sequence[CacheLayout] = (),
    ) -> None:
        self._layout = layout
        self._scratch = scratch
        self._fetch = fetch
        self._repositories = repositories
        self._env = env
        self._layers = layers
        self._urls = UrlArchives(
            layout=layout,
            entries=entries,
            scratch=scratch,
            fetch=fetch_newer,
            folder=lambda file, digests: self._archive_place(file, digests).folder,
            last_kept=self._last_kept,
            move=self._move,
            must_ask=must_ask,
        )

    def find(self, file: DistFile, pump: Pump) -> Place:
        """Return the place for the present state of some sources.

        An archive without digests is downloaded for that, once.

        Raises:
            NetworkError: It cannot be had.
            RequirementInvalid: A local file or folder is not there.
        """
        origin = file.origin
        if origin is not None and isinstance(origin.info, VcsInfo):
            return self._place(file, git_kind(file.url, origin.info.commit_id), "tree", {}, file.url)
        if origin is not None and isinstance(origin.info, DirInfo):
            tree, editable = local_path(file.url), origin.info.editable
            revision = self.stamp(tree, pump, editable=editable) + ("-editable" if editable else "")
            return self._place(file, path_kind(tree), revision, {}, file.url)
        digests = file.hashes if "sha256" in file.hashes else self._find_digests(file, pump)
        return self._archive_place(file, digests)

    def _archive_place(self, file: DistFile, digests: Mapping[str, str]) -> Place:
        subdirectory = file.origin.subdirectory if file.origin is not None else ""
        revision, title = digests["sha256"][:32], f"{file.name} {file.version}" if file.index else file.url
        if subdirectory:
            revision = f"{revision}-{_key('subdirectory', subdirectory)}"
            title = f"{title}#subdirectory={subdirectory}"
        return self._place(file, wheel_kind(file), revision, digests, title)

    def _place(
        self, file: DistFile, kind: str, revision: str, digests: Mapping[str, str], title: str
    ) -> Place:
        if file.name:
            return Place(self._layout.built(kind, file.name, revision), digests, title, file.name)
        folder = self._layout.built(kind, _UNNAMED, revision)
        name = self._known_name(_name_note(folder))
        if name:
            folder = self._layout.built(kind, name, revision)
        return Place(folder, digests, title, name)

    def _known_name(self, note: Path) -> str:
        places = [layer.root / note.relative_to(self._layout.root) for layer in self._layers]
        return next(filter(None, map(_read_name, (note, *places))), "")

    def name(self, place: Place, name: str) -> Path:
        """Put a place where the sources of a project have theirs, now that it is known whose it is.

        Returns its folder there. What is there already stays. The next to ask for these sources without
        a name gets this one.
        """
        root = self._layout.root
        folder = place.folder
        kind = os.fspath(folder.parent.parent.relative_to(self._layout.bucket(Bucket.BUILT_WHEELS)))
        named = self._layout.built(kind, name, folder.name)
        with suppress(OSError):  # somebody is quicker: then theirs is as good
            if folder.is_dir():
                make_folder(root, named)
            for entry in folder.iterdir():
                if not os.path.lexists(named / entry.name):
                    rename(entry, named / entry.name)
        with suppress(OSError):  # without it, the next one finds out for itself
            write_file(root, _name_note(folder), f"{name} {_key('name', name)}".encode())
        return named

    def stamp(self, tree: Path, pump: Pump, *, editable: bool = False) -> str:
        """Return a text that changes when something changes in a local tree that may matter."""
        keys = freshness_keys(tree, editable=editable)
        outputs = read_outputs(self._outputs_note(tree))
        return tree_stamp(tree, keys, env=self._env, outputs=outputs, pump=pump)

    def noting(self, file: DistFile, pump: Pump) -> AbstractContextManager[None]:
        """Note what a build writes into a local tree, so that it is no change; copies need no note."""
        if file.origin is None or not isinstance(file.origin.info, DirInfo):
            return nullcontext()
        tree = local_path(file.url)
        return noting(tree, self._outputs_note(tree), root=self._layout.root, pump=pump)

    def _outputs_note(self, tree: Path) -> Path:
        return self._layout.bucket(Bucket.BUILT_WHEELS) / path_kind(tree) / "outputs.metadata"

    def open(self, file: DistFile, place: Place, bench: Workbench, pump: Pump, telling: Telling) -> Path:
        """Return the tree, in which a build may write: the user's own one, or a copy on the bench.

        Raises:
            PackageError: The archive is damaged, unsafe or without a project.
            NetworkError: It cannot be had.
        """
        origin = file.origin
        if origin is not None and isinstance(origin.info, DirInfo):
            return local_path(file.url)
        if origin is not None and isinstance(origin.info, VcsInfo):
            return self._lay_out(file, origin.info.commit_id, bench.folder, pump, telling)
        archive = self._archive(file, place, bench.folder, pump)
        top = unpack_source(archive, bench.folder / "tree", filename=file.filename, pump=pump)
        return _inside(top, origin.subdirectory if origin is not None else "", file.url)

    def _lay_out(self, file: DistFile, commit: str, scratch: Path, pump: Pump, telling: Telling) -> Path:
        url, _ = parse_git_url(file.url)
        checkout = self._repositories().checkout(url, commit, pump, telling=telling)
        tree = scratch / "tree"
        shutil.copytree(checkout, tree, symlinks=True)
        return project_folder(tree, url)

    def _archive(self, file: DistFile, place: Place, scratch: Path, pump: Pump) -> Path:
        """Return the archive, from the cache if its digest is right there."""
        if file.url.startswith("file:"):
            return local_path(file.url)
        kept = place.folder / ARCHIVE
        if sha256(kept) != place.digests["sha256"]:
            self._keep(file, kept, scratch, pump)
        return kept

    def _find_digests(self, file: DistFile, pump: Pump) -> Mapping[str, str]:
        if file.url.startswith("file:"):
            return {"sha256": sha256(local_path(file.url)) or _missing(file.url)}
        return self._urls.digests(file, pump)

    def _last_kept(self, file: DistFile) -> Path | None:
        """Return the last archive that was kept of a URL, whole."""
        folders = [self._layout.built(wheel_kind(file), name) for name in {file.name, _UNNAMED} - {""}]
        kept = [path for folder in folders for path in folder.glob(f"*/{ARCHIVE}")]
        whole = [path for path in kept if path.parent.name.startswith(sha256(path)[:32] or "?")]
        return max(whole, key=lambda path: path.stat().st_mtime, default=None)

    def _keep(self, file: DistFile, kept: Path, scratch: Path, pump: Pump) -> None:
        self._fetch(file, scratch / ARCHIVE, pump=pump)
        self._move(scratch / ARCHIVE, kept)

    def _move(self, archive: Path, kept: Path) -> None:
        clear_for_file(kept)
        in_folder(self._layout.root, kept.parent, lambda: rename(archive, kept))


def local_path(url: str) -> Path:
    """Return the path that a ``file:`` URL names."""
    return Path(url_to_path(url.partition("#")[0]))


def _inside(top: Path, subdirectory: str, url: str) -> Path:
    place = Path(os.path.realpath(top / subdirectory))
    if subdirectory and not (place.is_dir() and place.is_relative_to(os.path.realpath(top))):
        raise RequirementInvalid(
            f"{url} has no folder {subdirectory}",
            hint="Name one that is in the archive, relative to its top folder.",
            text=url,
        )
    return place


def _name_note(folder: Path) -> Path:
    """Return where it stands whose sources they are that were first asked for without a name.

    The suffix is one that the upkeep of the cache lets lie between links.
    """
    return folder.with_name(f"{folder.name}.metadata")


def _read_name(note: Path) -> str:
    try:
        name, _, check = note.read_text(encoding="utf-8").partition(" ")
    except (OSError, ValueError):
        return ""
    return name if check == _key("name", name) else ""


def _missing(url: str) -> str:
    raise RequirementInvalid(f"{url} cannot be read", hint="Check the path.", text=url)
