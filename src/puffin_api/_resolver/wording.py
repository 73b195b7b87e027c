"""Incompatibilities in words: what a fact says, what follows from two of them, and ranges of versions."""

from __future__ import annotations

from puffin_api._model.derivation import Conclusion, Fact, Statement
from puffin_api._resolver.incompatibility import Belongs, Constrained, Dependency, Required, Unusable
from puffin_api._resolver.version_set import ABSENT, bits, runs
from puffin_api._urls import redact, redact_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from puffin_api._model.derivation import FactKind
    from puffin_api._model.rejection import Rejection
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.incompatibility import Incompatibility
    from puffin_api._resolver.package import Package

_MOST_RUNS = 3
"""A set of versions that falls into more pieces is told by its ends."""


# --- conclusions ------------------------------------------------------------------------------


def conclusion(incompatibility: Incompatibility, left: int, right: int) -> Conclusion:
    """Return the node for what follows from two others, which are given by their places."""
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


def fact_of(incompatibility: Incompatibility) -> Fact:
    """Return the node for what is so in itself."""
    terms = tuple(statement(package, mask) for package, mask, _ in incompatibility.terms)
    match incompatibility.cause:
        case Required(row=row, package=package):
            return _required(row, package, terms)
        case Constrained(row=row):
            return Fact("constraint", f"your constraints say {_asked(row)}", terms, (_text(row),))
        case None if isinstance(incompatibility, Dependency):
            return _dependency(incompatibility, terms)
        case Unusable() as cause:
            found = reasons_of(cause)
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


def reasons_of(cause: Unusable) -> dict[str, Rejection]:
    """Return the reason for each version that cannot be used."""
    return {cause.package.snapshot.version(bit): reason for bit, reason in cause.reasons.items()}


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
    folder = "" if "#" in file.url else file.source[2]  # that of a repository is in its URL
    return f"@ {redact(file.url)}{f'#subdirectory={folder}' if folder else ''}"


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
