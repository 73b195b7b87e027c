"""Judges of proofs: what a step and a fact have to be, said without the solver's own operations."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from puffin_api._model.requirement import requirement_row
from puffin_api._resolver.candidates import Policy
from puffin_api._resolver.dependencies import Amendments
from puffin_api._resolver.incompatibility import (
    Belongs,
    Conflict,
    Constrained,
    Dependency,
    Incompatibility,
    Required,
    Unusable,
)
from puffin_api._resolver.problem import Problem
from puffin_api._resolver.propagation import Unsolvable
from puffin_api._resolver.solve import Solver
from puffin_api._resolver.version_set import ABSENT, PRESENT, bits
from tests.property.brute_force import World, admits, knows_all, parse
from tests.property.universes import TARGET, Case, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.package import Package


def problem_of(case: Case) -> Problem:
    """Put a case into the solver's terms, without its facade."""
    constraints, overrides = map(_rows, (case.constraints, case.overrides))
    kept: dict[str, list[str]] = {}
    locked = {pin.name: [pin.version] for pin in case.locked}
    for pin in (*case.installed, *case.locked):
        kept.setdefault(pin.name, []).append(pin.version)
    return Problem(
        _rows(case.requirements),
        Policy(TARGET),
        Amendments(TARGET, constraints, overrides, case.excludes),
        mode=case.mode,
        prereleases=case.prereleases,
        preferences=kept,
        permitted=locked,
    )


def _rows(texts: tuple[str, ...]) -> list[RequirementRow]:
    return [requirement_row(text) for text in texts]


def proof_of(case: Case) -> Incompatibility | None:
    """Return the end of the proof, None where there is an answer or an unknown project is required."""
    if not knows_all(case):
        return None
    try:
        Solver(problem_of(case), source_of(case)).solve()
    except Unsolvable as unsolvable:
        return unsolvable.incompatibility
    return None


def nodes_of(last: Incompatibility) -> Iterator[Incompatibility]:
    """Give every node of the graph of causes once."""
    seen: set[int] = set()
    stack = [last]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node.cause, Conflict):
            stack += (node.cause.left, node.cause.right)


# --- steps ------------------------------------------------------------------------------------


def follows(conclusion: Incompatibility, cause: Conflict) -> bool:
    """Try every combination of states: what the conclusion forbids, one of its causes must forbid.

    Of states that none of the three tells apart, one stands for all.
    """
    three = (conclusion, cause.left, cause.right)
    packages = list(dict.fromkeys(p for i in three for p, _, _ in i.terms))
    for states in itertools.product(*(_kinds_of_states(package, three) for package in packages)):
        chosen = dict(zip(packages, states, strict=True))
        if _forbids(conclusion, chosen) and not any(_forbids(each, chosen) for each in three[1:]):
            return False
    return True


def _kinds_of_states(package: Package, three: tuple[Incompatibility, ...]) -> list[int]:
    masks = [mask for each in three for p, mask, _ in each.terms if p is package]
    return list({tuple(mask >> bit & 1 for mask in masks): bit for bit in bits(package.full)}.values())


def _forbids(incompatibility: Incompatibility, chosen: dict[Package, int]) -> bool:
    return all(mask >> chosen[package] & 1 for package, mask, _ in incompatibility.terms)


# --- facts ------------------------------------------------------------------------------------


def lie(fact: Incompatibility, world: World) -> str:
    """Say what is not so about a fact; empty where it is true."""
    case, cause = world.case, fact.cause
    match cause:
        case Required():
            is_true = cause.row.text in case.requirements and _says(fact, cause.row.text, cause.package)
        case Constrained():
            is_true = cause.row.text in case.constraints and _says(fact, cause.row.text, None)
        case Unusable(package=package):
            ((named, mask, _),) = fact.terms
            usable = world.usable[package.name]
            is_true = named is package and not any(_version(package, bit) in usable for bit in bits(mask))
        case Belongs(package=package):
            is_true = [(p, m) for p, m, _ in fact.terms] == [(package, PRESENT), (package.base, ABSENT)]
        case None if isinstance(fact, Dependency):
            return _dependency_lie(fact, world)
        case _:
            is_true = False
    return "" if is_true else f"{type(cause).__name__} {fact.terms}"


def _says(fact: Incompatibility, text: str, required: Package | None) -> bool:
    """Tell whether the term is just what the requirement does not admit: absence too, if required."""
    absent = ABSENT if required else 0
    if not fact.terms:
        return required is not None and not _admitted(required, text)
    ((package, mask, _),) = fact.terms
    if package.extra:
        return mask == ABSENT and package.extra in parse(text).extras
    return mask == (_admitted(package, text) ^ package.full) & (~ABSENT | absent)


def _dependency_lie(fact: Dependency, world: World) -> str:
    """Each version that is named must really be of no use unless the dependency is as told."""
    (base, mask, _), *others = fact.terms
    expected = [(p, m) for p, m, _ in others if p.base is base and p.extra]
    if fact.extra and expected[:1] != [(base.extras[fact.extra], PRESENT)]:
        return f"{base} with another extra"
    target = fact.dependency
    for bit in bits(mask):
        states = target.full
        for text in world.requires(base.name, _version(base, bit), fact.extra):
            if parse(text).name == target.name:
                states &= _demanded(target, text)
        told = next((m for p, m, _ in reversed(others) if p is target), target.full)
        if target is base:
            told = 1 << bit  # it asks for another version of itself
        if states & told:
            return f"{base} {_version(base, bit)} does not require that {target} is as told"
    return ""


def _demanded(target: Package, text: str) -> int:
    if not target.extra:
        return _admitted(target, text)
    return PRESENT if target.extra in parse(text).extras else target.full


def _admitted(package: Package, text: str) -> int:
    known = bits(package.full & ~ABSENT)
    return sum(1 << bit for bit in known if admits(text, _version(package, bit)))


def _version(package: Package, bit: int) -> str:
    return package.snapshot.version(bit)
