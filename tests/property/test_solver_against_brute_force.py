"""The solver on small random universes, compared with trying every combination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import event, given, settings

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from tests.property.brute_force import World
from tests.property.universes import Case, cases, source_of

if TYPE_CHECKING:
    from puffin_api._model.resolution import Resolution
    from puffin_api.protocols import ReleaseSource
    from tests.property.brute_force import Answer


def resolve(case: Case, source: ReleaseSource | None = None) -> Resolution | None:
    resolver = Resolver(source or source_of(case))
    try:
        return resolver.resolve(case.requirements, **case.options())  # type: ignore[arg-type]  # options are passed on
    except (errors.ResolutionFailed, errors.PackageNotFound):
        return None


def pins(resolution: Resolution | None) -> Answer | None:
    if resolution is None:
        return None
    return {name: package.version for name, package in resolution.packages.items()}


@settings(max_examples=500)
@given(cases())
def test_there_is_an_answer_just_where_brute_force_finds_one(case: Case) -> None:
    world = World(case)
    found = pins(resolve(case))

    event("solvable" if found is not None else "unsolvable")
    assert (found is not None) == (next(world.answers(), None) is not None)
    if found is not None:
        assert world.faults(found) == []
        assert found in list(world.answers())


@settings(max_examples=400)
@given(cases())
def test_every_other_answer_is_less_welcome_somewhere(case: Case) -> None:
    """Whoever was decided first and differs got the best version that leaves any answer."""
    world = World(case)
    found = pins(resolve(case))
    if found is None:
        return

    for other in world.answers():
        common = found.keys() & other.keys()
        assert other == found or any(world.rank(n, found[n]) > world.rank(n, other[n]) for n in common), other
