"""From the last incompatibility to a derivation: masks become ranges, causes become facts."""

from __future__ import annotations

from puffin_api._model.derivation import Conclusion, Derivation, Fact, Statement
from puffin_api._resolver.incompatibility import Belongs, Conflict, Dependency, Required, Unusable
from puffin_api._resolver.version_set import ABSENT, bits, runs
from puffin_api.errors import ResolutionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Package


def failure(last: Incompatibility) -> ResolutionFailed:
    """Make the error that says why there is no solution."""
    nodes, reasons = _nodes(last)
    conflicts = _own_requirements(nodes)
    hints = _hints(nodes)
    excluded = {
        name: [{"version": version, "reason": reason} for version, reason in found.items()]
        for name, found in reasons.items()
    }
    return ResolutionFailed(
        Derivation(tuple(nodes)).explain("short"),
        hint="; ".join(hints),
        derivation=Derivation(tuple(nodes), hints=hints),
        conflicts=conflicts,
        excluded=excluded,
    )


def _nodes(
    last: Incompatibility,
) -> tuple[list[Fact | Conclusion], dict[str, dict[str, str]]]:
    """Lay the graph of causes out, each after its own causes. No recursion: proofs are deep."""
    nodes: list[Fact | Conclusion] = []
    reasons: dict[str, dict[str, str]] = {}
    places: dict[Incompatibility, int] = {}
    stack = [last]
    while stack:
        current = stack[-1]
        cause = current.cause
        if current in places:
            stack.pop()
        elif isinstance(cause, Conflict):
            waiting = [c for c in (cause.right, cause.left) if c not in places]
            if waiting:
                stack += waiting
                continue
            places[current] = len(nodes)
            nodes.append(_conclusion(current, places[cause.left], places[cause.right]))
        else:
            places[current] = len(nodes)
            nodes.append(_fact(current))
            if isinstance(cause, Unusable):
                reasons.setdefault(cause.package.name, {}).update(_reasons(cause))
    return nodes, reasons


def _own_requirements(nodes: list[Fact | Conclusion]) -> tuple[str, ...]:
    texts = [n.requirements for n in nodes if isinstance(n, Fact) and n.kind == "required"]
    return tuple(dict.fromkeys(text for group in texts for text in group))


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
    return f"{' with '.join(wanted)} needs {' or '.join(missing)}"


def _fact(incompatibility: Incompatibility) -> Fact:
    terms = tuple(statement(package, mask) for package, mask, _ in incompatibility.terms)
    match incompatibility.cause:
        case Required(row=row):
            return Fact("required", _require_text(incompatibility, row.text), terms, (row.text,))
        case None if isinstance(incompatibility, Dependency):
            return _dependency(incompatibility, terms)
        case Unusable() as cause:
            found = _reasons(cause)
            return Fact("unusable", _unusable_text(cause.package, found), terms, (), found)
        case Belongs(package=package):
            return Fact("extra", f"{package} is an extra of {package.name}", terms)
        case cause:
            raise AssertionError(cause)


def _require_text(incompatibility: Incompatibility, requirement: str) -> str:
    if incompatibility.terms:
        return f"you require {requirement}"
    return f"you require {requirement} and there is no such version"


def _dependency(fact: Dependency, terms: tuple[Statement, ...]) -> Fact:
    base, mask, _ = fact.terms[0]
    dependent = statement(base, mask)
    who = f"{dependent} with the extra {fact.extra!r}" if fact.extra else str(dependent)
    rows = fact.rows if isinstance(fact.rows, tuple) else (fact.rows,)
    texts = tuple(dict.fromkeys(row.text for row in rows))
    # Several requirements that differ in words are said by what they come to.
    together = statement(fact.dependency, fact.states & ~ABSENT)
    asked = texts[0].partition(";")[0].strip() if len(texts) == 1 else str(together)
    text = _agree(who, f"depends on {asked}")
    if fact.dependency.unknown:
        return Fact("not-found", f"{text} and {fact.dependency.unknown}", terms, texts)
    if not fact.states:
        text += " and there is no such version"
    return Fact("dependency", text, terms, texts)


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
    if mask == known:
        return "all versions"
    version = package.snapshot.version
    top = known.bit_length() - 1
    parts = []
    for first, last in runs(mask, known):
        if first == last:
            parts.append(f"=={version(first)}")
        elif first == 1:
            parts.append(f"<={version(last)}")
        elif last == top:
            parts.append(f">={version(first)}")
        else:
            parts.append(f">={version(first)},<={version(last)}")
    return " or ".join(parts)


def _reasons(cause: Unusable) -> dict[str, str]:
    return {cause.package.snapshot.version(bit): text for bit, text in cause.reasons.items()}


_PLURALS = {"is": "are", "was": "were", "has": "have", "requires": "require", "depends": "depend"}


def _agree(subject: str, predicate: str) -> str:
    """Join subject and predicate: all versions *are*, one *is*."""
    verb, _, rest = predicate.partition(" ")
    if subject.startswith("all versions") and verb in _PLURALS:
        predicate = f"{_PLURALS[verb]} {rest}"
    return f"{subject} {predicate}"


def _unusable_text(package: Package, reasons: Mapping[str, str]) -> str:
    groups: dict[str, int] = {}
    position = {v: bit for bit in bits(package.full & ~ABSENT) for v in [package.snapshot.version(bit)]}
    for version, reason in reasons.items():
        groups[reason] = groups.get(reason, 0) | 1 << position[version]
    said = [_agree(str(statement(package, mask)), reason) for reason, mask in groups.items()]
    if len(said) > 4:
        said = [*said[:3], f"{len(said) - 3} more kinds of reasons speak against other versions"]
    return " and ".join(said) or f"there are no versions of {package.name}"


def _hints(nodes: list[Fact | Conclusion]) -> tuple[str, ...]:
    """Suggest what would help, where the facts show it."""
    reasons = [r for node in nodes if isinstance(node, Fact) for r in node.reasons.values()]
    hints = []
    if any(r.startswith("is a pre-release") for r in reasons):
        hints.append("there are pre-releases; allow them with PrereleaseMode.IF_NECESSARY")
    if any(r.startswith("requires Python") for r in reasons):
        hints.append("another version of Python may be able to use the versions left out")
    if any("would have to be built" in r for r in reasons):
        hints.append("there are source distributions; they could be built for this target")
    return tuple(hints)
