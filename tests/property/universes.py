"""Small random universes: a few projects with everything that a real index has in store."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import attrs
from hypothesis import strategies as st

from puffin_api._model.options import Pin, PrereleaseMode, ResolutionMode
from puffin_api._model.target import Target
from puffin_api._testing.fake_releases import FakeReleaseSource
from puffin_api.errors import MetadataInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

TARGET = Target.for_platform("3.12")
MISSING = "zz"
"""A project that no index knows."""
_NAMES = "abcd"
_VERSIONS = ("1.0", "1.0.post1", "1.1", "2.0a1", "2.0", "2.0+local", "2.1.dev3", "3.0", "1!0.5")
_EXTRAS = ("x", "y", "all")
_WHEEL = ("py3-none-any",)
_MARKERS = (
    *("", "", "", ""),
    '; extra == "x"',
    '; extra == "y"',
    '; python_version >= "3.8" and extra == "x"',
    '; extra == "x" or extra == "y"',
    '; python_version >= "3.12"',
    '; sys_platform == "nowhere"',
    '; python_version < "3.12" and extra == "y"',
)


@attrs.frozen(kw_only=True)
class Release:
    """One version of a project."""

    version: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    kind: str = "wheel"
    """``wheel``; ``foreign`` for another platform; ``source``; ``broken`` metadata."""
    is_yanked: bool = False


@attrs.frozen(kw_only=True)
class Case:
    """An index, and what is asked of it."""

    universe: dict[str, tuple[Release, ...]]
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    locked: tuple[Pin, ...] = ()
    installed: tuple[Pin, ...] = ()
    mode: ResolutionMode = ResolutionMode.HIGHEST
    prereleases: PrereleaseMode = PrereleaseMode.IF_NECESSARY

    def options(self) -> dict[str, object]:
        """The keyword arguments of ``Resolver.resolve``."""
        names = ("constraints", "overrides", "excludes", "locked", "installed", "mode", "prereleases")
        return {"target": TARGET, **{name: getattr(self, name) for name in names}}


def source_of(case: Case, names: Iterable[str] | None = None) -> FakeReleaseSource:
    """Serve a universe, the projects in this order."""
    source = FakeReleaseSource()
    for name in case.universe if names is None else names:
        for release in case.universe[name]:
            broken = MetadataInvalid("cannot be read", reason="it is cut off")
            source.serve(
                name,
                release.version,
                requires=release.requires,
                extras=_EXTRAS,
                requires_python=release.requires_python,
                tags={"source": (), "foreign": ("cp39-cp39-win_amd64",)}.get(release.kind, _WHEEL),
                sdist=release.kind == "source",
                yanked="a mistake" if release.is_yanked else None,
                invalid=broken if release.kind == "broken" else None,
            )
    return source


def _specifiers() -> tuple[str, ...]:
    public = [v for v in _VERSIONS if "+" not in v]
    plain = [f"{operator}{v}" for v in public for operator in (">=", "<", "==", "!=", "<=", ">")]
    ranges = [f">={low},<{high}" for low, high in itertools.pairwise(public)]
    odd = ["==1.*", "!=2.*", "==2.0.*", "~=1.0", "~=2.0", "~=2.0a1", "===2.0", "==2.0+local"]
    return (*([""] * 40), *plain, *ranges, *odd)


_SPECIFIERS = _specifiers()


@functools.cache
def requirements(names: str, *, extras: bool = True) -> st.SearchStrategy[str]:
    """Requirements without a marker. One draw for each: drawing is what takes the time."""
    wanted = ("", "", "", "[x]", "[y]", "[all]", "[x,y]") if extras else ("",)
    texts = itertools.product((*names, *names, MISSING), wanted, _SPECIFIERS)
    return st.sampled_from(["".join(parts) for parts in texts])


@functools.cache
def dependencies(name: str, names: str) -> st.SearchStrategy[str]:
    """Requirements of a release: perhaps of another extra of itself, perhaps with a marker."""
    own = [f'{name}[x,y]; extra == "all"', f'{name}[y]; extra == "x"', name]
    plain = itertools.product((*names, *names, MISSING), ("", "", "", "[x]", "[all]"), _SPECIFIERS, _MARKERS)
    texts = ["".join(parts) for parts in plain]
    return st.sampled_from([*texts, *own * (len(texts) // 20)])


@st.composite
def releases(draw: st.DrawFn, name: str, names: str) -> tuple[Release, ...]:
    """Some versions of a project; most of them can be used."""
    found = draw(st.lists(st.sampled_from(_VERSIONS), min_size=1, max_size=4, unique=True))
    return tuple(
        Release(
            version=version,
            requires=tuple(draw(st.lists(dependencies(name, names), max_size=2))),
            requires_python=draw(st.sampled_from(["", "", "", "", ">=3.8", ">=3.13"])),
            kind=draw(st.sampled_from([*["wheel"] * 9, "foreign", "source", "broken"])),
            is_yanked=draw(st.integers(0, 7)) == 0,
        )
        for version in found
    )


_PLAIN = ("1.0", "2.0", "2.0+local", "3.0")
_NARROW = ("", "==1.0", "==2.0", "==3.0", ">=2", "<3", "!=2.0", "<2", ">2.0", "<=1.0", "[x]", "[x]>=2")


@functools.cache
def _links(names: str) -> st.SearchStrategy[str]:
    markers = ("", "", "", '; extra == "x"')
    return st.sampled_from(["".join(parts) for parts in itertools.product(names, _NARROW, markers)])


@st.composite
def tangles(draw: st.DrawFn) -> Case:
    """A universe in which everything can be used and little goes together: the search has to learn."""
    names = "abcde"[: draw(st.integers(3, 5))]
    links = st.lists(_links(names), min_size=1, max_size=3)
    yanked = draw(st.sampled_from(["", "", *_PLAIN]))
    universe = {
        name: tuple(
            Release(version=version, requires=tuple(draw(links)), is_yanked=version == yanked)
            for version in _PLAIN
        )
        for name in names
    }
    wanted = [f"{name}{draw(st.sampled_from(['', '', '', '>=2', '[x]', '==2.0']))}" for name in names[:2]]
    return Case(
        universe=universe,
        requirements=tuple(wanted),
        constraints=draw(st.sampled_from([(), (), ("a==2.0",), ("c==2.0",), ("c<3",)])),
        mode=draw(st.sampled_from(ResolutionMode)),
    )


@st.composite
def mixtures(draw: st.DrawFn) -> Case:
    """A universe and a question, with some of everything that can be asked."""
    names = _NAMES[: draw(st.integers(2, 4))]
    universe = {name: draw(releases(name, names)) for name in names}
    wanted = tuple(draw(st.lists(requirements(names), min_size=1, max_size=3)))
    # Whether amendments hold for the caller's own requirements as well is not the question here.
    others = "".join(name for name in names if not any(text.startswith(name) for text in wanted))
    pins = st.lists(st.builds(Pin, st.sampled_from(names), st.sampled_from(_VERSIONS)), max_size=3)
    unique = {pin.name: pin for pin in draw(pins)}.values()
    split = draw(st.integers(0, 3))
    return Case(
        universe=universe,
        requirements=wanted,
        constraints=tuple(draw(st.lists(requirements(names, extras=False), max_size=1))),
        overrides=tuple(draw(st.lists(requirements(others), max_size=1))) if others else (),
        excludes=tuple(draw(st.sampled_from(["", "", "", *others]))),
        locked=tuple(unique)[:split],
        installed=tuple(unique)[split:],
        mode=draw(st.sampled_from(ResolutionMode)),
        prereleases=draw(st.sampled_from(PrereleaseMode)),
    )


def cases() -> st.SearchStrategy[Case]:
    """Universes with some of everything, and universes in which little goes together."""
    return mixtures() | tangles()
