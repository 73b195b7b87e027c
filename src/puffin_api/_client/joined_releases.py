"""JoinedReleases: what several places say of one project, as one."""

from __future__ import annotations

from collections import ChainMap

from puffin_api._model.releases import Releases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._model.file import FileRow


class JoinedReleases(Releases):
    """The releases of several places.

    Args:
        name: Of the project, normalised.
        parts: What each index says, in order of preference.
        beside: What find-links offer: always used, before the files of an index.
        is_first_enough: The files of a version are those of the first index that has it, and the
            versions of an earlier index are used up before those of a later one.
    """

    __slots__ = ("beside", "parts")

    def __init__(
        self, name: str, parts: Sequence[Releases], *, beside: Releases | None, is_first_enough: bool
    ) -> None:
        self.parts = tuple(parts)
        self.beside = beside
        everything = self.parts if beside is None else (beside, *self.parts)
        where: dict[str, list[tuple[Releases, int]]] = {}
        for part in everything:
            for position, key in enumerate(part.keys):
                where.setdefault(key, []).append((part, position))
        keys = sorted(where)
        firsts = [where[key][0] for key in keys]

        def files(position: int) -> Sequence[FileRow]:
            places = where[keys[position]]
            if is_first_enough:
                places = places[: 2 if places[0][0] is beside else 1]
            return [row for part, at in places for row in part.files(at)]

        mask = 0
        for bit, (part, position) in enumerate(firsts, start=1):
            mask |= (part.prereleases >> (position + 1) & 1) << bit
        super().__init__(
            name=name,
            versions=[part.versions[position] for part, position in firsts],
            keys=keys,
            prereleases=mask,
            files=files,
            skipped=ChainMap(*[part.skipped for part in everything]),  # type: ignore[arg-type]  # never written to
            index=everything[-1].index,
            tiers=_tiers(keys, where, self.parts) if is_first_enough else (),
        )

    def is_of(self, parts: Sequence[Releases], beside: Releases | None) -> bool:
        """Tell whether this is what these places say; they are compared as objects."""
        return [id(part) for part in (self.beside, *self.parts)] == [id(part) for part in (beside, *parts)]


def _tiers(
    keys: Sequence[str],
    where: dict[str, list[tuple[Releases, int]]],
    parts: Sequence[Releases],
) -> tuple[int, ...]:
    """Return the versions of each index that no earlier one has; find-links count as the first."""
    masks = [0] * len(parts)
    number = {id(part): position for position, part in enumerate(parts)}
    for bit, key in enumerate(keys, start=1):
        masks[number.get(id(where[key][0][0]), 0)] |= 1 << bit
    return tuple(masks)
