from __future__ import annotations

import sysconfig

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging import _manylinux, _musllinux, tags

from puffin_api._model.tags import (
    TagFacts,
    compatible_tags,
    cpython_abis,
    generic_abis,
    platforms_of,
    ranked_tags,
)

MINORS = st.integers(8, 20)
PLATFORMS = st.lists(
    st.sampled_from(["linux_x86_64", "manylinux_2_28_x86_64", "win_amd64", "macosx_14_0_arm64"]),
    min_size=1,
    max_size=4,
    unique=True,
)


def _facts(**changes):
    facts = {
        "implementation": "cpython",
        "version": (3, 12),
        "version_nodot": "312",
        "ext_suffix": ".cpython-312-x86_64-linux-gnu.so",
        "system": "Linux",
        "platform": "linux-x86_64",
    }
    return TagFacts(**{**facts, **changes})


def _strings(found):
    return [str(tag) for tag in found]


@given(MINORS, st.sampled_from(["", "t", "d", "td"]), PLATFORMS)
def test_cpython_ranks_as_in_packaging(minor, flags, platforms):
    version = (3, minor)
    abis = cpython_abis(version, debug="d" in flags, free_threaded="t" in flags)

    ours = ranked_tags(implementation="cp", version=version, abis=abis, platforms=platforms)

    theirs = [*tags.cpython_tags(version, abis, platforms)]
    theirs += tags.compatible_tags(version, f"cp3{minor}", platforms)
    assert list(ours) == _strings(theirs)


@given(MINORS, PLATFORMS)
def test_pypy_ranks_as_in_packaging(minor, platforms):
    abi = f"pypy3{minor}_pp73"

    ours = ranked_tags(implementation="pp", version=(3, minor), abis=[abi], platforms=platforms)

    theirs = [*tags.generic_tags(f"pp3{minor}", [abi], platforms)]
    theirs += tags.compatible_tags((3, minor), "pp3", platforms)
    assert list(ours) == _strings(theirs)


@given(MINORS, PLATFORMS)
def test_other_interpreters_rank_as_in_packaging(minor, platforms):
    ours = ranked_tags(implementation="graalpy", version=(3, minor), abis=["x_y"], platforms=platforms)

    theirs = [*tags.generic_tags(f"graalpy3{minor}", ["x_y"], platforms)]
    theirs += tags.compatible_tags((3, minor), None, platforms)
    assert list(ours) == _strings(theirs)


@pytest.mark.parametrize(
    ("version", "debug", "free_threaded", "abis"),
    [
        ((3, 12), False, False, ("cp312",)),
        ((3, 12), True, False, ("cp312d", "cp312")),
        ((3, 13), False, True, ("cp313t",)),
        ((3, 13), True, True, ("cp313td", "cp313t")),
        ((3, 12), False, True, ("cp312",)),  # no such build before 3.13
    ],
)
def test_flags_of_cpython(version, debug, free_threaded, abis):
    assert cpython_abis(version, debug=debug, free_threaded=free_threaded) == abis


@pytest.mark.parametrize(
    "suffix",
    [
        ".pypy310-pp73-x86_64-linux-gnu.so",
        ".graalpy230-310-native-x86_64-linux.so",
        ".cpython-310-darwin.so",
        ".cp310-win_amd64.pyd",
        ".pyston-23-x86_64-linux-gnu.so",
    ],
)
def test_abis_of_other_implementations_are_those_of_packaging(monkeypatch, suffix):
    monkeypatch.setattr(sysconfig, "get_config_var", {"EXT_SUFFIX": suffix}.get)

    judged = [tag.abi for tag in tags.generic_tags(interpreter="xx1", platforms=["any"]) if tag.abi != "none"]
    assert list(generic_abis(_facts(ext_suffix=suffix))) == judged


def test_an_abi_that_is_not_told_is_that_of_cpython():
    assert generic_abis(_facts(ext_suffix=".pyd")) == ("cp312",)


LINUXES = [
    # sysconfig platform, pointer size, elf, glibc, musl
    ("linux-x86_64", 8, "", (2, 36), None),
    ("linux-x86_64", 8, "", (2, 4), None),
    ("linux-x86_64", 8, "", (3, 1), None),
    ("linux-x86_64", 8, "", None, (1, 2)),
    ("linux-x86_64", 4, "i386", (2, 28), None),
    ("linux-x86_64", 4, "", (2, 28), None),
    ("linux-i686", 4, "i386", (2, 17), None),
    ("linux-aarch64", 8, "", (2, 31), None),
    ("linux-aarch64", 4, "armhf", (2, 31), None),
    ("linux-aarch64", 4, "", (2, 31), None),
    ("linux-armv7l", 4, "armhf", (2, 31), None),
    ("linux-armv7l", 4, "", None, (1, 1)),
    ("linux-armv6l", 4, "armhf", (2, 31), None),
    ("linux-ppc64le", 8, "", (2, 31), None),
    ("linux-riscv64", 8, "", (2, 39), None),
    ("linux-mips64", 8, "", (2, 31), None),
    ("somethingelse", 8, "", (2, 31), None),
]


@pytest.mark.parametrize(("platform", "pointer_size", "elf", "glibc", "musl"), LINUXES)
def test_linux_platforms_are_those_of_packaging(monkeypatch, platform, pointer_size, elf, glibc, musl):
    monkeypatch.setattr(sysconfig, "get_platform", lambda: platform)
    monkeypatch.setattr(_manylinux, "_get_glibc_version", lambda: glibc or (-1, -1))
    monkeypatch.setattr(_manylinux, "_is_linux_armhf", lambda _: elf == "armhf")
    monkeypatch.setattr(_manylinux, "_is_linux_i686", lambda _: elf == "i386")
    found = _musllinux._MuslVersion(*musl) if musl else None
    monkeypatch.setattr(_musllinux, "_get_musl_version", lambda _: found)

    ours = platforms_of(_facts(platform=platform, pointer_size=pointer_size, elf=elf, glibc=glibc, musl=musl))

    assert list(ours) == list(tags._linux_platforms(is_32bit=pointer_size == 4))


def test_a_veto_takes_the_legacy_name_along():
    facts = _facts(glibc=(2, 18), manylinux_vetoes=frozenset({(2, 17, "x86_64")}))

    platforms = list(platforms_of(facts))

    assert platforms[:3] == ["linux_x86_64", "manylinux_2_18_x86_64", "manylinux_2_16_x86_64"]
    assert not [name for name in platforms if "2014" in name]


@pytest.mark.parametrize(
    ("version", "arch"), [((14, 5), "arm64"), ((11, 0), "x86_64"), ((10, 15), "x86_64"), ((10, 16), "x86_64")]
)
def test_macos_platforms_are_those_of_packaging(version, arch):
    facts = _facts(system="Darwin", platform="macosx-11.0-universal2", macos=version, mac_arch=arch)

    assert list(platforms_of(facts)) == list(tags.mac_platforms(version, arch))


def test_a_32_bit_python_on_macos_takes_32_bit_wheels():
    facts = _facts(system="Darwin", macos=(10, 14), mac_arch="x86_64", pointer_size=4)

    assert list(platforms_of(facts)) == list(tags.mac_platforms((10, 14), "i386"))


def test_platforms_of_phones_and_browsers():
    ios = _facts(system="iOS", ios=(13, 0), multiarch="arm64-iphoneos")
    android = _facts(system="Android", android_api=24, platform="android-24-arm64_v8a")
    browser = _facts(system="Emscripten", platform="emscripten-3.1.58-wasm32", pyemscripten="2026_0")

    assert list(platforms_of(ios)) == list(tags.ios_platforms((13, 0), "arm64_iphoneos"))
    assert list(platforms_of(android)) == list(tags.android_platforms(24, "arm64_v8a"))
    assert list(platforms_of(browser)) == ["pyemscripten_2026_0_wasm32", "emscripten_3_1_58_wasm32"]


def test_tags_are_lower_case():
    facts = _facts(system="FreeBSD", platform="freebsd-13.2-RELEASE-amd64")

    assert compatible_tags(facts)[0] == "cp312-cp312-freebsd_13_2_release_amd64"


def test_windows_has_one_platform():
    facts = _facts(system="Windows", platform="win-amd64", ext_suffix=".cp312-win_amd64.pyd")

    assert list(platforms_of(facts)) == ["win_amd64"]
