"""Works out the renames that bring staged files into place, and the conflicts that forbid it."""

from __future__ import annotations

import os

from puffin_api._installer.journal import PREFIX, is_folder, is_there
from puffin_api._model.events import Notice
from puffin_api.errors import FileConflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from puffin_api._wheel.lay_out import LaidOutFile, Layout, Places

    Owners = Callable[[Collection[str]], Mapping[str, tuple[str, str]]]
    """Takes absolute paths; returns name and digest for those that belong to an installed distribution."""


class Moves:
    """What has to be renamed: existing files out of the way, new entries in."""

    __slots__ = ("aside", "into", "notices")

    def __init__(self) -> None:
        self.aside: list[tuple[str, str]] = []
        """Place and path of files that make room."""
        self.into: list[tuple[str, str]] = []
        """Place and path of staged entries; folders go as a whole where they can."""
        self.notices: list[Notice] = []


class _Claim:
    """One file of the change set: who brings it."""

    __slots__ = ("digest", "extra", "layout")

    def __init__(self, layout: Layout, digest: str, extra: LaidOutFile | None) -> None:
        self.layout = layout
        self.digest = digest
        self.extra = extra


class Placer:
    """Decides for each top-level entry of the change set how it gets into its place.

    Most entries are not there yet and claimed by one wheel: one rename each, and no file of them is
    looked at. Only for the others, single files are compared.
    """

    def __init__(
        self,
        layouts: Sequence[Layout],
        places: Places,
        *,
        gone: Collection[str],
        names: Mapping[str, Collection[str]],
        owners: Owners,
        ignores_case: bool = False,
        allow_conflicts: bool = False,
    ) -> None:
        """Take the change set and what is known of the environment.

        Args:
            layouts: The wheels to be installed; files that need not be staged are taken out of them.
            places: Where they go.
            gone: Absolute paths of the entries that are removed before.
            names: The entries of those folders that have been listed already.
            owners: Tells to whom existing files belong.
            ignores_case: Whether the volume takes ``A`` and ``a`` for the same name.
            allow_conflicts: Let the later one of two different files win, instead of failing.
        """
        self._layouts = layouts
        self._places = places
        self._gone = gone
        self._names = {} if ignores_case else names
        self._owners = owners
        self._fold: Callable[[str], str] = str.casefold if ignores_case else str
        self._ignores_case = ignores_case
        self._allow_conflicts = allow_conflicts
        self._moves = Moves()
        self._met: list[tuple[str, str, _Claim]] = []
        """Files that are there already: place, path, and who wants to put one there."""

    def moves(self) -> Moves:
        """Work it out. Reads folders, changes nothing.

        Raises:
            FileConflict: Two owners claim one file with different content.
        """
        if self._ignores_case:
            self._check_spelling()
        last: list[tuple[str, str]] = []
        for (place, top), layouts in self._claims().items():
            free = not self._exists(place, top)
            if not free or len(layouts) > 1 or self._has_extra_and_tree(layouts[0], place, top):
                files = self._files(layouts, place, top)
                if not free:
                    self._merge(place, top, files, layouts)
                    continue
            # RECORD is what makes a distribution complete: its folder comes last.
            ends = top.endswith(".dist-info")
            (last if ends else self._moves.into).append((place, top))
        self._settle_met()
        self._moves.into += last
        return self._moves

    def _claims(self) -> dict[tuple[str, str], list[Layout]]:
        claims: dict[tuple[str, str], list[Layout]] = {}
        for layout in self._layouts:
            own = {*layout.manifest.top_level, layout.manifest.dist_info} - layout.elsewhere
            tops = {(layout.place, top) for top in own}
            tops.update((extra.place, extra.path.partition("/")[0]) for extra in layout.extra)
            for key in sorted(tops):
                if key[1].startswith(PREFIX):  # would be taken for what a transaction left
                    raise _conflict(self._path(*key), layout.name, "the installer")
                claims.setdefault(key, []).append(layout)
        return claims

    def _exists(self, place: str, path: str) -> bool:
        folder = self._places.folders[place]
        names = self._names.get(folder)
        target = f"{folder}{os.sep}{path}"
        there = path in names if names is not None else is_there(target)
        return there and not self._is_gone(target)

    def _is_gone(self, target: str) -> bool:
        if self._ignores_case:
            return self._fold(target) in {self._fold(path) for path in self._gone}
        return target in self._gone

    @staticmethod
    def _has_extra_and_tree(layout: Layout, place: str, top: str) -> bool:
        return layout.place == place and any(
            extra.place == place and extra.path.partition("/")[0] == top for extra in layout.extra
        )

    def _files(self, layouts: Sequence[Layout], place: str, top: str) -> dict[str, _Claim]:
        """Return the files below a top-level entry by path, each with the one who brings it."""
        found: dict[str, _Claim] = {}
        for layout in layouts:
            for path, claim in self._files_of(layout, place, top):
                first = found.setdefault(path, claim)
                if first is not claim:
                    found[path] = self._choose(place, path, first, claim)
        for path, claim in found.items():
            folder = path
            while folder := folder.rpartition("/")[0]:
                if folder in found:
                    names = found[folder].layout.name, claim.layout.name
                    raise _conflict(self._path(place, folder), *names)
        return found

    def _files_of(self, layout: Layout, place: str, top: str) -> list[tuple[str, _Claim]]:
        files: list[tuple[str, _Claim]] = []
        prefix = f"{top}/"
        if layout.place == place:
            digests = layout.digests()
            digests.update((path, "") for path, _ in layout.dist_info)
            files += [
                (path, _Claim(layout, digest, None))
                for path, digest in digests.items()
                if path == top or path.startswith(prefix)
            ]
        files += [
            (extra.path, _Claim(layout, extra.digest, extra))
            for extra in layout.extra
            if extra.place == place and (extra.path == top or extra.path.startswith(prefix))
        ]
        return files

    def _choose(self, place: str, path: str, first: _Claim, second: _Claim) -> _Claim:
        """Let one of two wheels that bring the same file put it there; their RECORDs both name it."""
        if first.digest == second.digest and first.digest:
            self._drop(second, path)
            return first
        names = first.layout.name, second.layout.name
        if not self._allow_conflicts:
            raise _conflict(self._path(place, path), *names)
        self._drop(first, path)
        self._note("file-conflict", place, path, names)
        return second

    @staticmethod
    def _drop(claim: _Claim, path: str) -> None:
        if claim.extra is None:
            claim.layout.skip.add(path)
        else:
            claim.layout.extra.remove(claim.extra)

    def _merge(self, place: str, top: str, files: Mapping[str, _Claim], layouts: Sequence[Layout]) -> None:
        """Bring an entry into place where something of that name stands already."""
        children = _children(place, top, files, layouts)
        pending = [top]
        while pending:
            path = pending.pop()
            target = self._path(place, path)
            stands_folder = is_folder(target)
            if path not in children:
                if stands_folder and not os.path.islink(target):
                    raise _conflict(target, files[path].layout.name, "a folder that is there")
                self._met.append((place, path, files[path]))
            elif not stands_folder:
                some = next(claim for name, claim in files.items() if name.startswith(f"{path}/"))
                self._met.append((place, path, _Claim(some.layout, "", None)))
            else:
                there = {self._fold(name) for name in os.listdir(target)}
                for name in children[path]:
                    child = f"{path}/{name}"
                    if self._fold(name) in there and not self._is_gone(self._path(place, child)):
                        pending.append(child)
                    else:
                        self._moves.into.append((place, child))

    def _settle_met(self) -> None:
        """Decide on the files that are there already, after asking once whose they are."""
        if not self._met:
            return
        owners = self._owners({self._path(place, path) for place, path, _ in self._met})
        for place, path, claim in self._met:
            target = self._path(place, path)
            owner, digest = owners.get(target, ("", ""))
            if owner and digest and digest == claim.digest:
                continue  # the same file in both, as in some namespace packages: it stays
            names = owner, claim.layout.name
            if owner and not self._allow_conflicts:
                raise _conflict(target, *names)
            self._note("file-conflict" if owner else "file-replaced", place, path, names)
            self._moves.aside.append((place, path))
            self._moves.into.append((place, path))

    def _check_spelling(self) -> None:
        """Find names that differ in case only, where the volume cannot hold both."""
        spelt: dict[tuple[str, str], tuple[str, str]] = {}
        for layout in self._layouts:
            paths = [(layout.place, path) for path in (*layout.manifest.files, *layout.manifest.directories)]
            for place, path in [*paths, *((extra.place, extra.path) for extra in layout.extra)]:
                first, owner = spelt.setdefault((place, self._fold(path)), (path, layout.name))
                if first != path:
                    raise _conflict(self._path(place, path), owner, layout.name)

    def _path(self, place: str, path: str) -> str:
        return f"{self._places.folders[place]}{os.sep}{path}"

    def _note(self, code: str, place: str, path: str, names: tuple[str, str]) -> None:
        target = self._path(place, path)
        owner, new = names
        text = f"{new} replaces a file of {owner}" if owner else f"{new} replaces a file that nothing owns"
        self._moves.notices.append(
            Notice(code=code, message=f"{text}: {target}", data={"path": target, "name": new, "owner": owner})
        )


def ignores_case(base: str, names: Mapping[str, Collection[str]]) -> bool:
    """Tell whether the volume takes ``A`` and ``a`` for one name, by an entry that is there.

    Args:
        base: Site-packages.
        names: What is in it, and in other folders.
    """
    there = names.get(base, ())
    for name in (*there, os.path.basename(base)):
        other = name.swapcase()
        if other != name and other not in there:
            folder = base if name in there else os.path.dirname(base)
            return os.path.lexists(f"{folder}{os.sep}{other}")
    return False


def _children(
    place: str, top: str, files: Mapping[str, _Claim], layouts: Sequence[Layout]
) -> dict[str, dict[str, None]]:
    """Return the names in each folder below a top-level entry; a file is not a key."""
    children: dict[str, dict[str, None]] = {}
    folders = {
        path
        for layout in layouts
        if layout.place == place
        for path in layout.manifest.directories
        if path == top or path.startswith(f"{top}/")
    }
    for folder in sorted(folders):
        children.setdefault(folder, {})
    for path in (*sorted(folders), *files):
        child = path
        while child != top:
            parent, _, name = child.rpartition("/")
            known = children.setdefault(parent, {})
            if name in known:
                break
            known[name] = None
            child = parent
    return children


def _conflict(path: str, first: str, second: str) -> FileConflict:
    owners = [name for name in (first, second) if name]
    return FileConflict(
        f"{path} belongs to {' and to '.join(owners)}, with different content",
        hint="Only one of them can be installed here.",
        path=path,
        owners=owners,
    )
