"""Proofs that there is no solution: every fact is true of the universe, every step follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, settings

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.derivation import Conclusion, Derivation, Fact
from puffin_api._model.options import PrereleaseMode
from puffin_api._resolver.incompatibility import Conflict, Dependency, Incompatibility, Unusable
from puffin_api._resolver.version_set import ABSENT
from tests._resolver.proofs import follows, lie, nodes_of, proof_of
from tests.property.brute_force import World
from tests.property.universes import Case, Release, cases, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence


# --- laws -------------------------------------------------------------------------------------


@settings(max_examples=400)
@given(cases())
def test_every_fact_of_a_proof_is_true_and_every_step_follows(case: Case) -> None:
    last = proof_of(case)
    if last is None:
        return
    world = World(case)

    assert last.terms == ()
    for node in nodes_of(last):
        if isinstance(node.cause, Conflict):
            assert follows(node, node.cause)
        else:
            assert not lie(node, world)


def failure_of(case: Case) -> errors.ResolutionFailed | None:
    try:
        Resolver(source_of(case)).resolve(case.requirements, **case.options())  # type: ignore[arg-type]  # options are passed on
    except errors.ResolutionFailed as error:
        return error
    except errors.PackageNotFound:
        return None
    return None


@settings(max_examples=250)
@given(cases())
def test_a_derivation_goes_from_facts_of_the_universe_to_the_end(case: Case) -> None:
    error = failure_of(case)
    if error is None:
        return

    derivation = error.derivation
    assert isinstance(derivation, Derivation)
    for place, node in enumerate(derivation.nodes):
        if isinstance(node, Conclusion):
            assert all(cause < place for cause in node.causes)
        else:
            assert set(node.requirements) <= _texts(case, node)
    used = {c for node in derivation.nodes if isinstance(node, Conclusion) for c in node.causes}
    assert used == set(range(len(derivation.nodes) - 1))  # all but the last lead somewhere
    assert derivation.nodes[-1].terms == ()


def _texts(case: Case, fact: Fact) -> set[str]:
    match fact.kind:
        case "required":
            return set(case.requirements)
        case "constraint":
            return set(case.constraints)
        case "unusable" | "extra":
            return set()
        case _:
            published = (text for found in case.universe.values() for r in found for text in r.requires)
            return {*published, *case.overrides}


@settings(max_examples=250)
@given(cases())
def test_versions_are_told_to_be_excluded_only_where_they_are(case: Case) -> None:
    error = failure_of(case)
    if error is None:
        return
    world = World(case)

    for name, entries in error.excluded.items():
        told = {str(entry["version"]) for entry in entries}
        assert not told & set(world.usable[name])


@settings(max_examples=250)
@given(cases())
def test_the_conflict_is_one_and_has_nothing_to_spare(case: Case) -> None:
    # A requirement may reveal a pre-release or a yanked release: then fewer can be harder to meet.
    universe = {
        name: tuple(attrs.evolve(release, is_yanked=False) for release in found)
        for name, found in case.universe.items()
    }
    case = attrs.evolve(case, universe=universe, prereleases=PrereleaseMode.IF_NECESSARY)
    error = failure_of(case)
    if error is None:
        return
    conflicts = error.conflicts

    assert set(conflicts) <= set(case.requirements)
    assert not _is_solvable(case, conflicts)
    for left_out in conflicts:
        assert _is_solvable(case, [text for text in conflicts if text != left_out])


def _is_solvable(case: Case, requirements: Sequence[str]) -> bool:
    smaller = attrs.evolve(case, requirements=tuple(requirements))
    return next(World(smaller).answers(), None) is not None


# --- the judges themselves --------------------------------------------------------------------


@pytest.fixture
def proof() -> tuple[Incompatibility, World]:
    case = Case(
        universe={
            "a": (Release(version="1.0", requires=("b>=2",)), Release(version="2.0", requires=("b>=2",))),
            "b": (Release(version="1.0"), Release(version="2.0", requires=("c<1",))),
            "c": (Release(version="1.0"), Release(version="0.5", kind="foreign")),
        },
        requirements=("a", "c"),
    )
    last = proof_of(case)
    assert last is not None
    return last, World(case)


def test_a_step_that_says_too_much_is_noticed(proof: tuple[Incompatibility, World]) -> None:
    noticed = 0
    for node in nodes_of(proof[0]):
        if isinstance(node.cause, Conflict):
            for place in range(len(node.terms)):
                fewer = Incompatibility(node.terms[:place] + node.terms[place + 1 :], node.cause)
                noticed += not follows(fewer, node.cause)

    assert noticed


def test_a_fact_that_says_too_much_is_noticed(proof: tuple[Incompatibility, World]) -> None:
    last, world = proof
    for fact in nodes_of(last):
        if isinstance(fact, Dependency):
            assert not lie(fact, world)
            all_versions = fact.package.full & ~ABSENT
            wrong = Dependency(fact.package, all_versions, fact.via, fact.dependency, 0, fact.rows)
            assert lie(wrong, world)
        elif isinstance(fact.cause, Unusable):
            package = fact.cause.package
            assert lie(Incompatibility(((package, package.full & ~ABSENT, 0),), fact.cause), world)
