"""Targets told by version and platform resolve to what the interpreter itself resolves to, file by file."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from puffin_api import Interpreter, Resolver, Target
from puffin_api.errors import InterpreterNotFound
from tests.integration.machines import MACHINES
from tests.integration.tagged_wheels import PATCHES, REQUIREMENTS, tagged_files
from tests.network.soundness import Chosen, faults

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


@functools.cache
def find_native(version):
    """Find the target of an interpreter of this machine, None where there is none."""
    given = os.environ.get("PUFFIN_TEST_PYTHONS", "").split(os.pathsep)
    folders = [os.path.join(path, "bin") if os.path.isdir(path) else os.path.dirname(path) for path in given]
    folders += map(str, sorted(Path.home().glob(".pyenv/versions/*/bin")))
    places = os.pathsep.join(filter(None, [os.environ.get("PATH", ""), *folders]))
    try:
        return Interpreter.find(version, environ={"PATH": places}).target
    except InterpreterNotFound:
        return None


@pytest.fixture(params=PYTHONS)
def native(request):
    found = find_native(request.param)
    if found is None:
        pytest.skip(f"no Python {request.param} here; name one in PUFFIN_TEST_PYTHONS")
    return found


@pytest.fixture(scope="module")
def wheels():
    return tagged_files()


@pytest.fixture
def client(serve, make_client, wheels):
    return make_client(serve(wheels))


def tell(native, version):
    """Make the target again, of what a user knows of that machine."""
    platforms = [tag.split("-")[2] for tag in native.tag_strings]
    platform = next((name for name in platforms if not name.startswith("linux")), platforms[0])
    name = native.markers["implementation_name"]
    abi = native.tag_strings[0].split("-")[1]
    return Target.for_platform(version, platform, implementation=name, abi=abi)


def answer(client, requirements, target):
    """The packages of a resolution with their files and digests, and its list with hashes."""
    resolution = Resolver(client).resolve(requirements, target=target)
    for package in resolution.packages.values():
        assert package.file.hashes["sha256"]
    edges = {name: package.requires for name, package in resolution.packages.items()}
    return dict(resolution.packages), edges, resolution.to_requirements_txt(hashes=True, annotate=True)


def test_the_full_version_gives_what_the_interpreter_gives(client, native):
    foreign = tell(native, native.markers["python_full_version"])

    for requirements in (*REQUIREMENTS.values(), PATCHES):
        assert answer(client, requirements, foreign) == answer(client, requirements, native)


def test_the_short_version_gives_the_same_where_no_patch_release_is_asked_for(client, native):
    foreign = tell(native, native.markers["python_version"])

    for requirements in REQUIREMENTS.values():
        assert answer(client, requirements, foreign) == answer(client, requirements, native)


def test_the_short_version_stands_for_the_first_patch_release(client, native):
    foreign = tell(native, native.markers["python_version"])

    packages, _, _ = answer(client, PATCHES, foreign)

    assert packages["patch-bound"].version == "1.0"
    assert "if-patch" not in packages


def test_only_what_a_running_system_knows_is_left_open(native):
    foreign = tell(native, native.markers["python_full_version"])
    running = {name: native.markers[name] for name in ("platform_release", "platform_version")}

    completed = Target(markers={**foreign.markers, **running}, tag_strings=foreign.tag_strings)

    assert foreign.tag_strings == native.tag_strings
    assert completed == native


# -- machines that are not here: a judge of its own looks on


@pytest.mark.parametrize("name", MACHINES)
def test_other_machines_get_what_is_sound_there(client, name):
    told, place, compiled = MACHINES[name]
    target = make(*told)
    requirements = [text for each in REQUIREMENTS.values() for text in each] + PATCHES

    resolution = Resolver(client).resolve(requirements, target=target)

    assert target.markers == place.markers
    assert target.tag_strings == place.tags
    assert resolution.packages["compiled"].file.filename.split("-", 2)[2] == f"{compiled}.whl"
    assert faults(requirements, list(judged(client, resolution)), place, offered(client)) == []


def make(python, platform, implementation="cp", abi=None):
    return Target.for_platform(python, platform, implementation=implementation, abi=abi)


def offered(client):
    return lambda name: client.project(name).files


def judged(client, resolution):
    """What the judge needs to know of each package."""
    for package in resolution.packages.values():
        core = client.metadata(package.file)
        yield Chosen(
            name=package.name,
            version=package.version,
            file=package.file,
            others=package.alternatives,
            extras=frozenset(package.extras),
            requires_dist=core.requires_dist,
            requires_python=core.requires_python,
            provides_extra=frozenset(core.provides_extra),
        )


@pytest.mark.parametrize(
    ("name", "project", "version"),
    [
        ("free-threaded", "threaded", "2.0"),
        ("pypy", "other-pythons", "3.0"),
        ("graalpy", "other-pythons", "2.0"),
        ("android", "mobile", "2.0"),
        ("ios", "mobile", "2.0"),
        ("windows", "mobile", "1.0"),
        ("windows", "stable", "3.0"),
        ("mac-arm-old", "stable", "3.0"),
        ("windows-32", "stable", "2.0"),
        ("pypy", "stable", "1.0"),
        ("free-threaded", "stable", "1.0"),
    ],
)
def test_versions_that_only_some_machines_can_have(client, name, project, version):
    resolution = Resolver(client).resolve([project], target=make(*MACHINES[name][0]))

    assert resolution.packages[project].version == version


@pytest.mark.parametrize(
    ("platform", "holds"),
    [
        ("macosx_10_14_x86_64", False),
        ("macosx_10_15_x86_64", True),
        ("macosx_11_0_arm64", True),
        ("manylinux_2_28_x86_64", False),
    ],
)
def test_what_asks_for_the_release_of_macos(client, platform, holds):
    resolution = Resolver(client).resolve(["asks-release"], target=Target.for_platform("3.12", platform))

    assert ("if-release" in resolution.packages) is holds


def test_what_asks_for_the_release_of_a_linux_needs_it_told(client):
    foreign = Target.for_platform("3.12", "manylinux_2_28_x86_64")
    told = Target(markers={**foreign.markers, "platform_release": "24.1.0"}, tag_strings=foreign.tag_strings)

    assert "if-release" in Resolver(client).resolve(["asks-release"], target=told).packages
