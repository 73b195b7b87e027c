"""The solver on small random universes, compared with trying every combination."""

from __future__ import annotations

import itertools

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.options import ResolutionMode
from puffin_api._model.target import Target
from puffin_api._testing.fake_releases import FakeReleaseSource

TARGET = Target.for_platform("3.12")
Universe = dict[str, dict[int, list[str]]]


@attrs.frozen
class Case:
    universe: Universe
    requirements: list[str]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = "abcde"[: draw(st.integers(2, 4))]
    specifier = st.just("") | st.builds(
        "{}{}".format, st.sampled_from([">=", "<=", "==", "!=", "<", ">"]), st.integers(1, 3)
    )
    name = st.sampled_from([*names, *names, "z"])  # z does not exist
    requirement = st.builds("{}{}{}".format, name, st.sampled_from(["", "", "[x]"]), specifier)
    dependency = st.builds("{}{}".format, requirement, st.sampled_from(["", "", '; extra == "x"']))
    universe = {
        n: {v: draw(st.lists(dependency, max_size=2)) for v in range(1, draw(st.integers(2, 4)))}
        for n in names
    }
    return Case(universe, draw(st.lists(requirement, min_size=1, max_size=3)))


def needed(universe: Universe, chosen: dict[str, int | None], requirements: list[str]) -> set[str] | None:
    """Names that a choice needs, None where it leaves a requirement unmet."""
    waiting = [Requirement(text) for text in requirements]
    done: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        version = chosen.get(requirement.name)
        if version is None or not requirement.specifier.contains(str(version)):
            return None
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) in done:
                continue
            done.add((requirement.name, extra))
            for dependency in map(Requirement, universe[requirement.name][version]):
                marker = dependency.marker
                if (marker is None and not extra) or (marker and marker.evaluate({"extra": extra})):
                    waiting.append(dependency)
    return {name for name, _ in done}


def satisfiable(case: Case) -> bool:
    names = sorted(case.universe)
    for combination in itertools.product(*([None, *case.universe[name]] for name in names)):
        if needed(case.universe, dict(zip(names, combination, strict=True)), case.requirements) is not None:
            return True
    return False


def source_of(case: Case) -> FakeReleaseSource:
    source = FakeReleaseSource()
    for name, releases in case.universe.items():
        for version, requires in releases.items():
            source.serve(name, str(version), requires=requires, extras=["x"])
    return source


def answer(case: Case, mode: ResolutionMode = ResolutionMode.HIGHEST) -> dict[str, int] | None:
    try:
        resolution = Resolver(source_of(case)).resolve(case.requirements, target=TARGET, mode=mode)
    except (errors.ResolutionFailed, errors.PackageNotFound):
        return None
    return {name: int(package.version) for name, package in resolution.packages.items()}


@settings(max_examples=400)
@given(cases(), st.sampled_from([ResolutionMode.HIGHEST, ResolutionMode.LOWEST]))
def test_there_is_an_answer_just_where_brute_force_finds_one(case: Case, mode: ResolutionMode) -> None:
    found = answer(case, mode)

    assert (found is not None) == satisfiable(case)
    if found is not None:
        assert needed(case.universe, dict(found), case.requirements) == set(found)


@given(cases())
def test_the_same_question_has_the_same_answer(case: Case) -> None:
    source = source_of(case)
    first = answer(case)
    assert first == answer(case)
    if first is None:
        return

    once = Resolver(source).resolve(case.requirements, target=TARGET)
    again = Resolver(source).resolve(case.requirements, target=TARGET)
    elsewhere = Resolver(source_of(case)).resolve(case.requirements, target=TARGET)

    assert once == again == elsewhere


@given(cases())
def test_each_step_of_a_failure_follows_from_the_steps_before(case: Case) -> None:
    error = failure_of(case)
    if error is None:
        return

    data = error.derivation.to_dict()
    nodes = data["nodes"]
    assert isinstance(nodes, list)
    for place, node in enumerate(nodes):
        assert all(cause < place for cause in node.get("causes", ()))
    assert nodes[-1]["terms"] == []
    assert error.explain("full")


def failure_of(case: Case) -> errors.ResolutionFailed | None:
    try:
        Resolver(source_of(case)).resolve(case.requirements, target=TARGET)
    except errors.ResolutionFailed as error:
        return error
    except errors.PackageNotFound:
        return None
    return None
