"""From decided packages to a Resolution."""

from __future__ import annotations

from puffin_api._model.events import Notice
from puffin_api._model.resolution import Resolution, ResolvedPackage
from puffin_api._resolver.candidates import is_file
from puffin_api._resolver.choices import Choices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from puffin_api._model.build_terms import BuildTerms
    from puffin_api._model.file import FileRow
    from puffin_api._model.requirement import RequirementRow
    from puffin_api._resolver.package import Package
    from puffin_api._resolver.problem import Problem
    from puffin_api._resolver.snapshot import Answer
    from puffin_api.protocols import ReleaseSource


def resolution_of(
    decided: Sequence[Package],
    problem: Problem,
    source: ReleaseSource,
    inputs: Mapping[str, object],
    *,
    builds: BuildTerms | None = None,
) -> Resolution:
    """Make the answer of the solver's decisions."""
    bases = {package.name: package for package in decided if not package.extra}
    # Where nobody changes dependencies, a decision comes to the same each time.
    is_shared = problem.dependencies and problem.amendments.empty
    notices: list[Notice] = []
    packages = []
    for package in bases.values():
        extras = _decided_extras(package) if package.extras else ()
        known = package.candidates.findings.answers if is_shared else {}
        found = known.get((package.decision, extras))
        if found is None:
            found = known[package.decision, extras] = _answer(package, problem, extras)
        answer, said = found
        packages.append(answer)
        if said:
            notices += said
    notices += (*_idle_extras(bases, problem), *_passed_over(bases))
    return Resolution(
        packages,
        roots=problem.roots,
        target=problem.policy.target,
        inputs=inputs,
        notices=notices,
        choices=Choices(bases, problem, source),
        builds=builds,
    )


def _decided_extras(package: Package) -> tuple[str, ...]:
    return tuple(sorted(extra.extra for extra in package.extras.values() if extra.decision))


def _answer(package: Package, problem: Problem, extras: tuple[str, ...]) -> Answer:
    """Return what a decision comes to."""
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
        metadata_from=metadata.origin if metadata is not None else "wheel" if file.is_wheel else "sdist",
    )
    return resolved, tuple(notices)


def _source(file: FileRow) -> str:
    if file.url.startswith("git+"):
        return "git"
    return "path" if file.url.startswith("file:") else "url"


def _idle_extras(bases: Mapping[str, Package], problem: Problem) -> list[Notice]:
    """Say that extras of a constraint bring nothing in: they would be meant as requirements."""
    return [
        Notice(
            code="constraint-extras",
            message=f"the constraint {row.text} only narrows versions; to have its extras, require them",
            data={"name": row.name, "constraint": row.text, "extras": list(row.extras)},
        )
        for row in problem.amendments.all_constraints()
        if row.extras and row.name in bases
    ]


def _passed_over(bases: Mapping[str, Package]) -> Iterator[Notice]:
    """Say what would have been looked at with a connection."""
    for name, package in bases.items():
        if not package.reasons:
            continue
        offline = [bit for bit, reason in package.reasons.items() if reason.code == "offline"]
        if offline:
            versions = [package.snapshot.version(bit) for bit in sorted(offline, reverse=True)]
            yield Notice(
                code="offline",
                message=f"offline, and not in the cache: {', '.join(f'{name} {v}' for v in versions[:3])}",
                data={"name": name, "versions": versions},
            )


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
