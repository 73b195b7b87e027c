"""Every answer to a question about a small universe, from what the words mean.

The meanings: a pre-release may be used unless its mode hides it (``DISALLOW``, and ``EXPLICIT`` where no
requirement of the caller spells one out); whatever was installed or locked is never hidden. A yanked
release may be used only where the caller pins it or had it locked. A constraint narrows what is needed
anyway; an override stands in place of every dependency on its project; an excluded project is no dependency.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from puffin_api._model.options import PrereleaseMode, ResolutionMode
from tests.property.universes import MISSING, TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.property.universes import Case, Release

    Answer = dict[str, str]

parse = functools.cache(Requirement)


@functools.cache
def active(text: str, extra: str) -> bool:
    """Tell whether a requirement holds for the target and an extra."""
    marker = parse(text).marker
    return marker is None or marker.evaluate({**TARGET.markers, "extra": extra})


def admits(text: str, version: str) -> bool:
    """Tell whether a requirement admits a version."""
    return parse(text).specifier.contains(version, prereleases=True)


class World:
    """A case, and what is true in it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.releases = {(n, r.version): r for n, found in case.universe.items() for r in found}
        self.usable = {
            name: [r.version for r in found if self.is_usable(name, r)]
            for name, found in case.universe.items()
        }

    # --- versions -------------------------------------------------------------------------

    def is_usable(self, name: str, release: Release) -> bool:
        """Tell whether a version may be chosen at all, whoever asks for it."""
        return (
            release.kind == "wheel"
            and SpecifierSet(release.requires_python).contains("3.12")
            and (not release.is_yanked or self.admits_yanked(name, release.version))
            and self.shows(name, release.version)
        )

    def admits_yanked(self, name: str, version: str) -> bool:
        """Tell whether the caller pins a version, or had it locked."""
        own = (*self.case.requirements, *self.case.constraints)
        pins = [t for t in own if _is_pin(parse(t)) and parse(t).name == name]
        return _is_kept(name, version, self.case.locked) or any(admits(t, version) for t in pins)

    def shows(self, name: str, version: str) -> bool:
        """Tell whether the mode lets a version be seen."""
        if not Version(version).is_prerelease or self.is_kept(name, version):
            return True
        mode = self.case.prereleases
        explicit = any(
            bool(parse(t).specifier.prereleases) for t in self.case.requirements if parse(t).name == name
        )
        return mode is not PrereleaseMode.DISALLOW and (mode is not PrereleaseMode.EXPLICIT or explicit)

    def is_kept(self, name: str, version: str) -> bool:
        """Tell whether a version is preferred, for being installed or locked."""
        return _is_kept(name, version, (*self.case.locked, *self.case.installed))

    def rank(self, name: str, version: str) -> tuple[object, ...]:
        """Return how welcome a version is: more is better."""
        case, parsed = self.case, Version(version)
        explicit = any(parse(t).specifier.prereleases for t in case.requirements if parse(t).name == name)
        beside = case.prereleases is PrereleaseMode.ALLOW or (
            explicit
            and case.prereleases in (PrereleaseMode.EXPLICIT, PrereleaseMode.IF_NECESSARY_OR_EXPLICIT)
        )
        direct = name in {parse(t).name for t in case.requirements}
        lowest = case.mode is ResolutionMode.LOWEST or (case.mode is ResolutionMode.LOWEST_DIRECT and direct)
        place = sorted(Version(r.version) for r in case.universe[name]).index(parsed)
        return (
            self.is_kept(name, version),
            not self.releases[name, version].is_yanked,
            beside or not parsed.is_prerelease,
            -place if lowest else place,
        )

    # --- requirements ---------------------------------------------------------------------

    def requires(self, name: str, version: str, extra: str) -> list[str]:
        """Return the dependencies that count, overrides and excludes applied."""
        case = self.case
        texts = [t for t in self.releases[name, version].requires if active(t, extra)]
        texts = [t for t in texts if parse(t).name not in case.excludes]
        replaced = {parse(t).name for t in case.overrides}
        kept = [t for t in texts if parse(t).name not in replaced]
        return kept + [t for t in case.overrides if parse(t).name in {parse(u).name for u in texts}]

    def answers(self) -> Iterator[Answer]:
        """Give every answer that has nothing superfluous."""
        yield from self._extend({}, frozenset(), tuple(self.case.requirements))

    def _extend(
        self, chosen: Answer, done: frozenset[tuple[str, str]], waiting: tuple[str, ...]
    ) -> Iterator[Answer]:
        while waiting:
            text, *rest = waiting
            requirement = parse(text)
            name = requirement.name
            if name not in chosen:
                for version in self.usable.get(name, ()):
                    if self._is_allowed(name, version):
                        yield from self._extend({**chosen, name: version}, done, waiting)
                return
            if not admits(text, chosen[name]):
                return
            new = {(name, extra) for extra in ("", *requirement.extras)} - done
            done = done | new
            more = (t for _, extra in sorted(new) for t in self.requires(name, chosen[name], extra))
            waiting = (*rest, *more)
        yield chosen

    def _is_allowed(self, name: str, version: str) -> bool:
        return all(admits(t, version) for t in self.case.constraints if parse(t).name == name)

    def faults(self, answer: Answer) -> list[str]:
        """Say what is wrong with an answer: judged from the end, without any search."""
        found = [f"{n} {v} cannot be used" for n, v in answer.items() if v not in self.usable.get(n, ())]
        found += [
            f"{t} is violated" for t in self.case.constraints if not self._is_met(t, answer, needed=False)
        ]
        needed: set[tuple[str, str]] = set()
        texts = list(self.case.requirements)
        while True:
            found += [f"{t} is not met" for t in texts if not self._is_met(t, answer, needed=True)]
            reached = {(parse(t).name, e) for t in texts for e in ("", *parse(t).extras)} - needed
            if found or not reached:
                break
            needed |= reached
            texts = [t for name, extra in reached for t in self.requires(name, answer[name], extra)]
        superfluous = set(answer) - {name for name, _ in needed}
        return found or [f"{name} is not needed" for name in superfluous]

    def _is_met(self, text: str, answer: Answer, *, needed: bool) -> bool:
        version = answer.get(parse(text).name)
        return not needed if version is None else admits(text, version)


def knows_all(case: Case) -> bool:
    """Tell whether every project that the caller requires exists."""
    return all(parse(t).name != MISSING for t in case.requirements)


def _is_pin(requirement: Requirement) -> bool:
    text = str(requirement.specifier)
    return text.startswith("==") and "," not in text and "*" not in text


def _is_kept(name: str, version: str, pins: Iterable[object]) -> bool:
    return any(
        getattr(p, "name", "") == name and Version(getattr(p, "version", "0")) == Version(version)
        for p in pins
    )
