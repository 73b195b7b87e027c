"""From the last incompatibility to a derivation: masks become ranges, causes become facts."""

from __future__ import annotations

from puffin_api._model.derivation import Conclusion, Derivation, Fact
from puffin_api._resolver.incompatibility import (
    Conflict,
    Dependency,
    Required,
    Unusable,
)
from puffin_api._resolver.wording import conclusion, fact_of, reasons_of
from puffin_api.errors import ResolutionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from puffin_api._model.rejection import Rejection
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.incompatibility import Incompatibility

    Check = Callable[[], None]
    """Raises when the caller has cancelled. Proofs may have a hundred thousand nodes."""


def _never() -> None:
    """Nobody can cancel."""


def failure(last: Incompatibility, hints: tuple[str, ...] = (), *, check: Check = _never) -> ResolutionFailed:
    """Make the error that says why there is no solution."""
    nodes, reasons = _nodes(last, check)
    derivation = Derivation(tuple(nodes), hints=hints)
    excluded = {name: list(_excluded(found, check)) for name, found in reasons.items()}
    return ResolutionFailed(
        Derivation(tuple(nodes)).explain("short"),
        hint="; ".join(hints),
        derivation=derivation,
        conflicts=_own_requirements(nodes),
        excluded=excluded,
    )


def facts_of(last: Incompatibility, *, check: Check = _never) -> list[Incompatibility]:
    """Return the incompatibilities that a proof rests on, in the order in which it needs them."""
    seen: set[Incompatibility] = set()
    facts: list[Incompatibility] = []
    stack = [last]
    while stack:
        check()
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if isinstance(current.cause, Conflict):
            stack += (current.cause.right, current.cause.left)
        else:
            facts.append(current)
    return facts


def facts_in_words(last: Incompatibility, *, besides: RequirementRow) -> list[str]:
    """Return the facts that a proof rests on, without one requirement that was only made up for it."""
    facts = facts_of(last)
    same = _merged(facts, _never)
    told = [f for f in facts if not (isinstance(f.cause, Required) and f.cause.row is besides)]
    return list(dict.fromkeys(fact_of(same.get(fact, fact)).text for fact in told))


def _nodes(
    last: Incompatibility, check: Check
) -> tuple[list[Fact | Conclusion], dict[str, dict[str, Rejection]]]:
    """Lay the graph of causes out, each after its own causes. No recursion: proofs are deep."""
    nodes: list[Fact | Conclusion] = []
    reasons: dict[str, dict[str, Rejection]] = {}
    places: dict[Incompatibility, int] = {}
    same = _merged(facts_of(last, check=check), check)
    stack = [last]
    while stack:
        check()
        current = stack[-1]
        cause = current.cause
        if current in places:
            stack.pop()
        elif (merged := same.get(current, current)) in places:
            places[current] = places[merged]
        elif isinstance(cause, Conflict):
            waiting = [c for c in (cause.right, cause.left) if c not in places]
            if waiting:
                stack += waiting
                continue
            left, right = places[cause.left], places[cause.right]
            # Two pieces of one dependency come to the dependency as a whole.
            places[current] = left if left == right else len(nodes)
            if left != right:
                nodes.append(conclusion(current, left, right))
        else:
            places[current] = places[merged] = len(nodes)
            nodes.append(fact_of(merged))
            if isinstance(cause, Unusable):
                reasons.setdefault(cause.package.name, {}).update(reasons_of(cause))
    return nodes, reasons


def _merged(facts: list[Incompatibility], check: Check) -> dict[Incompatibility, Dependency]:
    """Return for each dependency one that tells it for all versions for which the proof needs it.

    The solver learns of the same dependency in pieces, as it comes to look at versions.
    """
    groups: dict[tuple[object, ...], list[Dependency]] = {}
    for fact in facts:
        check()
        if isinstance(fact, Dependency):
            rows = fact.rows if isinstance(fact.rows, tuple) else (fact.rows,)
            texts = frozenset(row.text for row in rows)
            key = fact.package, fact.dependency, fact.extra, fact.states, texts
            groups.setdefault(key, []).append(fact)
    same: dict[Incompatibility, Dependency] = {}
    for group in groups.values():
        check()
        first = group[0]
        whole = Dependency(
            first.package, first.versions, first.via, first.dependency, first.states, first.rows
        )
        for fact in group[1:]:
            whole.widen(fact.versions)
        same.update(dict.fromkeys(group, whole))
    return same


def _own_requirements(nodes: list[Fact | Conclusion]) -> tuple[str, ...]:
    texts = [n.requirements for n in nodes if isinstance(n, Fact) and n.kind == "required"]
    return tuple(dict.fromkeys(text for group in texts for text in group))


def _excluded(found: Mapping[str, Rejection], check: Check) -> Iterator[dict[str, object]]:
    for version, reason in found.items():
        check()
        yield {"version": version, "code": reason.code, "reason": reason.text, "files": _files(reason)}


def _files(reason: Rejection) -> dict[str, str]:
    return {name: about.text for name, about in reason.files.items()}
