"""The same question has the same answer, whatever is fetched when, and in whatever order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.options import Pin
from tests.property.brute_force import World
from tests.property.universes import Case, Release, cases, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from puffin_api._model.file import FileRow
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.releases import Releases
    from puffin_api._testing.fake_releases import FakeReleaseSource
    from puffin_api.errors import PuffinError
    from puffin_api.protocols import ReleaseSource, Scout

ROOT = Path(__file__).resolve().parents[2]


class Shuffled:
    """Asks for metadata in pieces and in another order, and for pages long before they are needed."""

    def __init__(self, source: FakeReleaseSource, size: int, names: Sequence[str]) -> None:
        self._source = source
        self._size = size
        self._names = names

    def releases(self, name: str) -> Releases:
        return self._source.releases(name)

    def metadata(self, files: Sequence[FileRow]) -> Sequence[DistMetadata | PuffinError]:
        found: dict[str, DistMetadata | PuffinError] = {}
        waiting = list(reversed(files))
        while waiting:
            piece, waiting = waiting[: self._size], waiting[self._size :]
            answers = self._source.metadata(piece)
            found.update({f.filename: a for f, a in zip(piece, answers, strict=True)})
        return [found[file.filename] for file in files]

    def hint(self, names: Iterable[str], scout: Scout) -> None:
        waiting = [*self._names, *names]
        for name in waiting:
            try:
                releases = self._source.releases(name)
            except errors.PackageNotFound:
                continue
            file = scout.pick(releases)
            found = None if file is None else self._source.metadata([file])[0]
            if file is not None and found is not None and not isinstance(found, errors.PuffinError):
                waiting += [n for n in scout.follow(file, found) if n not in waiting]

    def touch(self, files: Sequence[FileRow]) -> None:
        self._source.metadata(files)


def told(case: Case, source: ReleaseSource) -> object:
    """Everything that a caller is told, failures too."""
    try:
        resolution = Resolver(source).resolve(case.requirements, **case.options())  # type: ignore[arg-type]  # options are passed on
    except (errors.ResolutionFailed, errors.PackageNotFound) as error:
        return error.to_dict()
    return resolution.to_dict()


@settings(max_examples=150)
@given(cases(), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_answer_depends_on_nothing_but_the_question(case: Case, size: int, random: Random) -> None:
    names = list(case.universe)
    random.shuffle(names)
    mixed = {name: tuple(reversed(found)) for name, found in case.universe.items()}
    expected = told(case, source_of(case))

    assert told(case, source_of(attrs.evolve(case, universe=mixed), names)) == expected
    assert told(case, Shuffled(source_of(case), size, names)) == expected


@settings(max_examples=150)
@given(cases(), cases())
def test_the_answer_does_not_depend_on_what_is_in_memory(case: Case, earlier: Case) -> None:
    source = source_of(case)
    other = attrs.evolve(earlier, universe=case.universe)
    expected = told(case, source_of(case))

    told(other, source)  # another question about the same index warms everything that is shared

    assert told(case, source) == expected
    assert told(case, source) == expected


@settings(max_examples=150)
@given(cases(), st.integers(0, 10**6))
def test_an_answer_that_was_locked_comes_back(case: Case, number: int) -> None:
    known = list(World(attrs.evolve(case, locked=(), installed=())).answers())
    if not known:
        return
    answer = known[number % len(known)]
    pins = tuple(Pin(name, version) for name, version in answer.items())

    again = Resolver(source_of(case)).resolve(
        case.requirements,
        **attrs.evolve(case, locked=pins, installed=()).options(),  # type: ignore[arg-type]  # options are passed on
    )

    assert {name: package.version for name, package in again.packages.items()} == answer


def tangle() -> Case:
    """A question for which the search has to go back a good deal, with extras."""
    universe = {
        f"p{n}": tuple(
            Release(
                version=f"{v}.0",
                requires=(f"p{n + 1}[x]<={v}", f'p{n + 2}!={v}.0; extra == "x"', f"p{n + 3}<={v + 1}"),
            )
            for v in range(1, 6)
        )
        for n in range(8)
    }
    universe |= {f"p{n}": tuple(Release(version=f"{v}.0") for v in range(1, 4)) for n in range(8, 11)}
    return Case(universe=universe, requirements=("p0", "p3[x]"))


def test_the_answer_does_not_depend_on_the_seed_of_hashes() -> None:
    program = (
        "import json; from tests.property.test_same_answer import *; import attrs;"
        "case = tangle(); hard = attrs.evolve(case, requirements=(*case.requirements, 'p10>2', 'p7[x]>5'));"
        "print(json.dumps([told(c, source_of(c)) for c in (case, hard)]))"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    answers = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        ).stdout
        for seed in ("0", "1", "2")
    ]

    solved, failed = json.loads(answers[0])
    assert "packages" in solved
    assert failed["code"] == "resolution-failed"
    assert len(set(answers)) == 1
