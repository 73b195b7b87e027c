"""Overrides and excludes hold for the caller's own requirements as for those of packages."""

from __future__ import annotations

import attrs
from hypothesis import event, given, settings
from hypothesis import strategies as st

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from tests.property.brute_force import World, active, parse
from tests.property.universes import Case, mixtures, requirements, source_of


@st.composite
def amended(draw: st.DrawFn) -> Case:
    """A question whose amendments may be about anything."""
    case = draw(mixtures())
    names = "".join(case.universe)
    own = st.sampled_from([parse(text).name for text in case.requirements])
    return attrs.evolve(
        case,
        overrides=tuple(draw(st.lists(requirements(names), min_size=1, max_size=2))),
        excludes=tuple(draw(st.lists(own, max_size=1))),
    )


def as_amended(case: Case) -> tuple[str, ...]:
    """Return what the caller's requirements come to."""
    kept = [t for t in case.requirements if active(t, "") and parse(t).name not in case.excludes]
    replaced = {parse(t).name for t in case.overrides}
    own = [t for t in kept if parse(t).name not in replaced]
    return (*own, *(t for t in case.overrides if parse(t).name in {parse(u).name for u in kept}))


@settings(max_examples=200)
@given(amended())
def test_amended_requirements_stand_in_place_of_the_callers_own(case: Case) -> None:
    world = World(attrs.evolve(case, requirements=as_amended(case)))
    event("changed" if world.case.requirements != case.requirements else "unchanged")
    try:
        found = Resolver(source_of(case)).resolve(case.requirements, **case.options())  # type: ignore[arg-type]  # options are passed on
    except (errors.ResolutionFailed, errors.PackageNotFound):
        assert next(world.answers(), None) is None
        return

    assert world.faults({name: package.version for name, package in found.packages.items()}) == []
    assert not found.packages.keys() & set(case.excludes)
