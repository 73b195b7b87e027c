"""From decided packages to a Resolution."""

from __future__ import annotations

from puffin_api._model.events import Notice
from puffin_api._model.rejection import Rejection
from puffin_api._model.resolution import Resolution, ResolvedPackage, VersionChoice
from puffin_api._resolver.candidates import is_file, summary
from puffin_api._resolver.version_set import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from puffin_api._model.file import FileRow
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.package import Package
    from puffin_api._resolver.problem import Problem
    from puffin_api._resolver.snapshot import Answer


def resolution_of(decided: Sequence[Package], problem: Problem, inputs: Mapping[str, object]) -> Resolution:
    """Make the answer of the solver's decisions."""
    bases = {package.name: package for package in decided if not package.extra}
    notices: list[Notice] = []
    packages = []
    for package in bases.values():
        answer, said = _answer(package, problem)
        packages.append(answer)
        notices += said
    return Resolution(
        packages,
        roots=problem.roots,
        target=problem.policy.target,
        inputs=inputs,
        notices=notices,
        choices=_choices(bases, problem),
    )


def _answer(package: Package, problem: Problem) -> Answer:
    """Return what a decision comes to; where nobody's dependencies are changed, it is the same each time."""
    extras: tuple[str, ...] = ()
    if package.extras:
        extras = tuple(sorted(e.extra for e in package.extras.values() if e.decision))
    if not (problem.dependencies and problem.amendments.empty):
        return _made_answer(package, problem, extras)
    known, key = package.candidates.findings.answers, (package.decision, extras)
    answer = known.get(key)
    if answer is None:
        answer = known[key] = _made_answer(package, problem, extras)
    return answer


def _made_answer(package: Package, problem: Problem, extras: tuple[str, ...]) -> Answer:
    releases, bit = package.snapshot.releases, package.decision
    notices: list[Notice] = []
    file = package.candidates.choose(bit)
    assert is_file(file), "a decided version has a file"
    groups: list[tuple[str, Sequence[RequirementRow]]] = []
    metadata = package.metadata.get(bit)
    if metadata is not None:
        view = package.candidates.view
        groups.append(("", problem.rows(view, metadata)))
        for extra in extras:
            groups.append((extra, problem.rows(view, metadata, extra)))
            if extra not in metadata.extras:
                notices.append(_unknown_extra(package, extra, bit))
    if file.yanked is not None:
        notices.append(_yanked(package, bit, file.yanked))
    resolved = ResolvedPackage(
        package.name,
        releases.versions[bit - 1],
        extras,
        file,
        releases.files(bit - 1),
        groups,
        source=_source(file) if releases.direct else "index",
        metadata_from="wheel" if file.is_wheel else "sdist",
    )
    return resolved, tuple(notices)


def _source(file: FileRow) -> str:
    return "path" if file.url.startswith("file:") else "url"


def _unknown_extra(package: Package, extra: str, bit: int) -> Notice:
    version = package.snapshot.version(bit)
    return Notice(
        code="unknown-extra",
        message=f"{package.name} {version} has no extra named {extra!r}",
        data={"name": package.name, "version": version, "extra": extra},
    )


def _yanked(package: Package, bit: int, reason: str) -> Notice:
    version = package.snapshot.version(bit)
    return Notice(
        code="yanked",
        message=f"{package.name} {version} was yanked" + (f": {reason}" if reason else ""),
        data={"name": package.name, "version": version, "reason": reason},
    )


def _choices(bases: Mapping[str, Package], problem: Problem) -> Callable[[str], VersionChoice]:
    """Return the answer to "why this version", worked out when it is asked."""

    def choice(name: str) -> VersionChoice:
        package = bases[name]
        chosen = package.decision
        rejected: dict[str, Rejection] = {}
        mask = package.full & ~ABSENT
        while (bit := package.candidates.best(mask)) and bit != chosen:
            mask &= ~(1 << bit)
            rejected[package.snapshot.version(bit)] = _objection(package, bit, bases, problem)
        return VersionChoice(package.snapshot.version(chosen), rejected)

    return choice


def _objection(package: Package, bit: int, bases: Mapping[str, Package], problem: Problem) -> Rejection:
    """Say what speaks against a version in the final resolution."""
    if bit in package.reasons:
        return package.reasons[bit]
    for who, row in _demands(package, bases, problem):
        if not package.snapshot.mask(row) >> bit & 1:
            return Rejection("required-otherwise", f"does not fit: {who} {row.text}", row.text)
    choice = package.candidates.choose(bit)
    if not is_file(choice):
        return summary(choice)
    metadata = package.metadata.get(bit)
    for row in problem.rows(package.candidates.view, metadata) if metadata is not None else ():
        other = bases.get(row.name)
        if other is not None and not other.snapshot.mask(row) >> other.decision & 1:
            chosen = other.snapshot.version(other.decision)
            text = f"requires {row.text}, and {chosen} was chosen"
            return Rejection("requirement-unmet", text, row.text)
    return Rejection("conflict", "has dependencies that do not go together with the rest")


def _demands(
    package: Package, bases: Mapping[str, Package], problem: Problem
) -> list[tuple[str, RequirementRow]]:
    """Return what is asked of the package, and by whom, as the beginning of a sentence."""
    name = package.name
    found = [("you require", row) for row in problem.roots if row.name == name]
    found += [("your constraints say", row) for row in problem.amendments.constraints(name)]
    for other in bases.values():
        metadata = other.metadata.get(other.decision)
        if metadata is not None:
            rows = [*problem.rows(other.candidates.view, metadata)]
            for extra in other.extras.values():
                if extra.decision:
                    rows += problem.rows(other.candidates.view, metadata, extra.extra)
            found += [(f"{other.name} requires", row) for row in rows if row.name == name]
    return found
