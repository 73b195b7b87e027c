"""From the last incompatibility to a derivation: masks become ranges, causes become facts."""

from __future__ import annotations

from puffin_api._model.derivation import Conclusion, Derivation, Fact, Statement
from puffin_api._resolver.incompatibility import (
    Belongs,
    Conflict,
    Constrained,
    Dependency,
    Required,
    Unusable,
)
from puffin_api._resolver.version_set import ABSENT, bits, runs
from puffin_api._urls import redact, redact_in
from puffin_api.errors import ResolutionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from puffin_api._model.derivation import FactKind
    from puffin_api._model.rejection import Rejection
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Package

    Check = Callable[[], None]
    """Raises when the caller has cancelled. Proofs may have a hundred thousand nodes."""

_MOST_RUNS = 3
"""A set of versions that falls into more pieces is told by its ends."""


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
    return list(dict.fromkeys(_fact(same.get(fact, fact)).text for fact in told))


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
                nodes.append(_conclusion(current, left, right))
        else:
            places[current] = places[merged] = len(nodes)
            nodes.append(_fact(merged))
            if isinstance(cause, Unusable):
                reasons.setdefault(cause.package.name, {}).update(_reasons(cause))
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


# --- conclusions ------------------------------------------------------------------------------


def _conclusion(incompatibility: Incompatibility, left: int, right: int) -> Conclusion:
    terms = tuple(statement(package, mask) for package, mask, _ in incompatibility.terms)
    return Conclusion(_conclude(terms), terms, (left, right))


def _conclude(terms: tuple[Statement, ...]) -> str:
    wanted = [str(t) for t in terms if t.selected]
    missing = [str(t) for t in terms if not t.selected]
    if not terms:
        return "your requirements cannot be met"
    if not wanted:
        return f"{' or '.join(missing)} is required"
    if not missing:
        if len(wanted) == 1:
            return f"{wanted[0]} cannot be used"
        return f"{' and '.join(wanted)} cannot be used together"
    return _agree(" with ".join(wanted), f"needs {' or '.join(missing)}")


# --- facts ------------------------------------------------------------------------------------


def _fact(incompatibility: Incompatibility) -> Fact:
    terms = tuple(statement(package, mask) for package, mask, _ in incompatibility.terms)
    match incompatibility.cause:
        case Required(row=row, package=package):
            return _required(row, package, terms)
        case Constrained(row=row):
            return Fact("constraint", f"your constraints say {_asked(row)}", terms, (_text(row),))
        case None if isinstance(incompatibility, Dependency):
            return _dependency(incompatibility, terms)
        case Unusable() as cause:
            found = _reasons(cause)
            return Fact("unusable", _unusable_text(cause.package, found), terms, (), found)
        case Belongs(package=package):
            return Fact("extra", f"{package} is an extra of {package.name}", terms)
        case cause:
            raise AssertionError(cause)


def _required(row: RequirementRow, package: Package, terms: tuple[Statement, ...]) -> Fact:
    text = f"you require {_asked(row)}"
    if terms:
        return Fact("required", text, terms, (_text(row),))
    return Fact("required", f"{text}, but {_what_there_is(package)}", terms, (_text(row),))


def _dependency(fact: Dependency, terms: tuple[Statement, ...]) -> Fact:
    dependent = statement(fact.package, fact.versions)
    who = f"{dependent} with the extra {fact.extra!r}" if fact.extra else str(dependent)
    rows = fact.rows if isinstance(fact.rows, tuple) else (fact.rows,)
    texts = tuple(dict.fromkeys(_text(row) for row in rows))
    text = _agree(who, f"depends on {_demand(fact, rows)}")
    unknown = fact.dependency.base.unknown
    if unknown is not None:
        kind: FactKind = "offline" if unknown.code == "offline" else "not-found"
        return Fact(kind, f"{text}, which {unknown.text}", terms, texts)
    if not fact.states:
        return Fact("no-versions", f"{text}, but {_what_there_is(fact.dependency)}", terms, texts)
    return Fact("dependency", text, terms, texts)


def _demand(fact: Dependency, rows: tuple[RequirementRow, ...]) -> str:
    """Say what is asked for; several requirements that differ in words, by what they come to."""
    asked = dict.fromkeys(_asked(row) for row in rows)
    if len(asked) == 1:
        return next(iter(asked))
    if fact.states & ~ABSENT:
        return str(statement(fact.dependency, fact.states & ~ABSENT))
    return " or ".join(list(asked)[:_MOST_RUNS])


def _asked(row: RequirementRow) -> str:
    """Return a requirement as it was written, without its marker: that it holds is understood."""
    return _text(row) if row.url else row.text.partition(";")[0].strip()


def _text(row: RequirementRow) -> str:
    """Return a requirement as it was written, but for what is secret in a URL."""
    return redact_in(row.text, row.url)


def _what_there_is(package: Package) -> str:
    """Say which versions exist, where none of them is admitted."""
    known = package.full & ~ABSENT
    if not known:
        return f"{package.name} has no versions"
    count = known.bit_count()
    version = package.snapshot.version
    if package.snapshot.releases.direct:
        each = " and ".join(f"{version(bit)} ({_from_url(package, bit)})" for bit in bits(known))
        return f"{package.name} is {each}"
    if count == 1:
        return f"the only version is {version(1)}"
    return f"the versions go from {version(1)} to {version(count)} and none of them fits"


def _reasons(cause: Unusable) -> dict[str, Rejection]:
    return {cause.package.snapshot.version(bit): reason for bit, reason in cause.reasons.items()}


def _excluded(found: Mapping[str, Rejection], check: Check) -> Iterator[dict[str, object]]:
    for version, reason in found.items():
        check()
        yield {"version": version, "code": reason.code, "reason": reason.text, "files": _files(reason)}


def _files(reason: Rejection) -> dict[str, str]:
    return {name: about.text for name, about in reason.files.items()}


_PLURALS = {
    "depends": "depend",
    "has": "have",
    "is": "are",
    "needs": "need",
    "requires": "require",
    "was": "were",
}


def _agree(subject: str, predicate: str) -> str:
    """Join subject and predicate: all versions *are*, one *is*."""
    if not subject.startswith("all versions") and not subject[:1].isdigit():
        return f"{subject} {predicate}"
    if predicate.startswith("is a "):  # "are a source distribution" would be odd
        noun, joint, rest = predicate.removeprefix("is a ").partition(",")
        return f"{subject} are {noun}s{joint}{rest}"
    verb, _, rest = predicate.partition(" ")
    return f"{subject} {_PLURALS.get(verb, verb)} {rest}"


def _unusable_text(package: Package, reasons: Mapping[str, Rejection]) -> str:
    groups: dict[str, int] = {}
    position = {v: bit for bit in bits(package.full & ~ABSENT) for v in [package.snapshot.version(bit)]}
    for version, reason in reasons.items():
        groups[reason.text] = groups.get(reason.text, 0) | 1 << position[version]
    told = list(groups.items())[:_MOST_RUNS]
    said = [_agree(str(statement(package, mask)), text) for text, mask in told]
    if len(groups) > _MOST_RUNS:
        said.append(f"much the same holds for {len(groups) - _MOST_RUNS} more groups of versions")
    return " and ".join(said) or f"there are no versions of {package.name}"


# --- ranges -----------------------------------------------------------------------------------


def statement(package: Package, mask: int) -> Statement:
    """Say a term: a mask with "absent" is said by what it leaves out."""
    selected = not mask & ABSENT
    versions = mask if selected else package.full & ~mask
    name = str(package)
    if package.extra:
        return Statement(name, "", selected=selected)
    return Statement(name, _range(package, versions & ~ABSENT), selected=selected)


def _range(package: Package, mask: int) -> str:
    known = package.full & ~ABSENT
    if not mask:
        return "no version"
    if package.snapshot.releases.direct:
        return " or ".join(_from_url(package, bit) for bit in bits(mask))
    if mask == known:
        return "all versions"
    pieces = list(runs(mask, _told(package, mask)))
    version = package.snapshot.version
    if len(pieces) > _MOST_RUNS:
        first, last = pieces[0][0], pieces[-1][1]
        return f"{mask.bit_count()} versions from {version(first)} to {version(last)}"
    return " or ".join(_piece(package, first, last) for first, last in pieces)


def _from_url(package: Package, bit: int) -> str:
    (file,) = package.snapshot.releases.files(bit - 1)
    return f"@ {redact(file.url)}"


def _told(package: Package, mask: int) -> int:
    """Return the versions that interrupt a run. Pre-releases do not, where none of them is meant."""
    prereleases = package.snapshot.releases.prereleases
    known = package.full & ~ABSENT
    return known & ~prereleases if not mask & prereleases else known


def _piece(package: Package, first: int, last: int) -> str:
    version = package.snapshot.version
    top = (package.full & ~ABSENT).bit_length() - 1
    if first == last:
        return f"=={version(first)}"
    if first == 1:
        return f"<={version(last)}"
    return f">={version(first)}" if last == top else f">={version(first)},<={version(last)}"
