"""What the search promises on its way: each decision is the best that is left, what it learns is so."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.events import PackageDecided
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.solve import Solver
from tests._resolver.proofs import problem_of
from tests.property.brute_force import World, knows_all, parse
from tests.property.universes import Case, Release, cases, source_of, tangles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from puffin_api._model.events import Event
    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Package
    from tests.property.brute_force import Answer


class Decisions:
    """Keeps the packages in the order of the decisions that were not taken back."""

    def __init__(self) -> None:
        self.order: dict[str, str] = {}

    def on_event(self, event: Event) -> None:
        if isinstance(event, PackageDecided):
            self.order.pop(event.name, None)
            self.order[event.name] = event.version


def pins(case: Case, **options: object) -> Answer | None:
    arguments = {**case.options(), **options}
    try:
        resolution = Resolver(source_of(case)).resolve(case.requirements, **arguments)  # type: ignore[arg-type]  # options are passed on
    except (errors.ResolutionFailed, errors.PackageNotFound):
        return None
    return {name: package.version for name, package in resolution.packages.items()}


@settings(max_examples=400)
@given(cases())
def test_each_decision_is_the_best_that_the_earlier_ones_leave(case: Case) -> None:
    """No answer that agrees with the decisions before has a better version, or does without."""
    heard = Decisions()
    found = pins(case, reporter=heard)
    if found is None:
        return
    world = World(case)
    decided = {name: version for name, version in heard.order.items() if name in found}
    assert decided == found

    rivals = list(world.answers())
    for name, version in decided.items():
        assert all(name in other for other in rivals)
        assert max(world.rank(name, other[name]) for other in rivals) == world.rank(name, version)
        rivals = [other for other in rivals if other[name] == version]


# --- what is learnt ---------------------------------------------------------------------------


class Learning(Solver):
    """Keeps all that is learnt of conflicts."""

    learnt: tuple[Incompatibility, ...] = ()

    def _on_conflict(self, package: Package, learnt: Incompatibility) -> None:
        self.learnt += (learnt,)
        super()._on_conflict(package, learnt)


@settings(max_examples=200)
@given(tangles())
def test_what_is_learnt_holds_in_every_answer(case: Case) -> None:
    if not knows_all(case):
        return
    search = Learning(problem_of(case), source_of(case))
    try:
        search.solve()
    except Unsolvable:
        return  # there is no answer that it could contradict
    world = World(case)

    for answer in world.answers():
        extras = set(_extras(world, answer))
        for incompatibility in search.learnt:
            states = [(mask, _state(p, answer, extras)) for p, mask, _ in incompatibility.terms]
            assert not all(mask >> state & 1 for mask, state in states), (answer, incompatibility.terms)


def _state(package: Package, answer: Answer, extras: set[tuple[str, str]]) -> int:
    if package.extra:
        return int((package.name, package.extra) in extras)
    version = answer.get(package.name)
    return 0 if version is None else package.snapshot.releases.versions.index(version) + 1


def _extras(world: World, answer: Answer) -> Iterator[tuple[str, str]]:
    """Give project and extra for each extra that an answer needs."""
    waiting = list(world.case.requirements)
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = parse(waiting.pop())
        name = requirement.name
        for extra in {"", *requirement.extras} - {e for n, e in seen if n == name}:
            seen.add((name, extra))
            waiting += world.requires(name, answer[name], extra)
            if extra:
                yield name, extra


# --- without dependencies ---------------------------------------------------------------------


@settings(max_examples=150)
@given(cases())
def test_without_dependencies_each_project_is_decided_by_itself(case: Case) -> None:
    world = World(attrs.evolve(case, universe=_changed(case, lambda r: attrs.evolve(r, requires=()))))
    alternatives: dict[str, set[str]] = {}
    for answer in world.answers():
        for name, version in answer.items():
            alternatives.setdefault(name, set()).add(version)
    best = {
        name: max(versions, key=functools.partial(world.rank, name))
        for name, versions in alternatives.items()
    }

    # Metadata is not looked at: it may as well be broken.
    unread = attrs.evolve(case, universe=_changed(case, lambda r: attrs.evolve(r, kind="broken")))
    assert (pins(unread, dependencies=False) or {}) == best


def _changed(case: Case, change: Callable[[Release], Release]) -> dict[str, tuple[Release, ...]]:
    """Return the universe with a change to all that can be used on this platform."""
    return {
        name: tuple(change(r) if r.kind == "wheel" else r for r in found if r.kind != "broken")
        for name, found in case.universe.items()
    }


# --- spelling ---------------------------------------------------------------------------------

_NAME = re.compile(r"""^[a-z]+|(?<=\[)[a-z,]+(?=\])|(?<=extra == ")[a-z]+(?=")""")
"""Names of projects and extras in a requirement."""


@settings(max_examples=150)
@given(cases(), st.randoms(use_true_random=False))
def test_names_and_extras_may_be_spelt_in_any_way(case: Case, random: Random) -> None:
    def respelt(match: re.Match[str]) -> str:
        return ",".join(f"{n}{random.choice(['-', '_', '.', '--', '_-'])}1" for n in match[0].split(","))

    def other(text: str) -> str:
        return _NAME.sub(respelt, text)

    universe = {
        f"{name}-1": tuple(attrs.evolve(r, requires=tuple(map(other, r.requires))) for r in found)
        for name, found in case.universe.items()
    }
    mixed = attrs.evolve(
        case,
        universe=universe,
        requirements=tuple(map(other, case.requirements)),
        constraints=tuple(map(other, case.constraints)),
        overrides=tuple(map(other, case.overrides)),
        excludes=tuple(map(other, filter(None, case.excludes))),
        locked=tuple(attrs.evolve(pin, name=other(pin.name)) for pin in case.locked),
        installed=tuple(attrs.evolve(pin, name=other(pin.name)) for pin in case.installed),
    )

    found = pins(case)
    assert pins(mixed) == (None if found is None else {f"{n}-1": v for n, v in found.items()})
