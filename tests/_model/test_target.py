from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
from packaging.markers import Marker
from packaging.tags import Tag
from packaging.version import Version

from puffin_api._model.target import MARKER_NAMES, Target


def test_a_manylinux_target_takes_what_that_system_takes():
    target = Target.for_platform("3.12", "manylinux_2_28_x86_64")

    assert target.tag_strings[:2] == ("cp312-cp312-linux_x86_64", "cp312-cp312-manylinux_2_28_x86_64")
    assert target.tag_rank("cp312-cp312-manylinux2014_x86_64") is not None
    assert target.tag_rank("cp312-cp312-manylinux_2_29_x86_64") is None
    assert target.tag_rank("cp38-abi3-manylinux1_x86_64") is not None
    assert target.tag_rank("py3-none-any") is not None
    assert target.tag_rank("cp312-cp312-musllinux_1_1_x86_64") is None


def test_ranks_follow_the_order_of_the_tags():
    target = Target.for_platform()

    assert [target.tag_rank(tag) for tag in target.tag_strings] == list(range(len(target.tag_strings)))
    assert target.tag_rank("cp311-cp311-linux_x86_64") is None


def test_the_first_place_of_a_repeated_tag_counts():
    target = Target(markers=Target.for_platform().markers, tag_strings=("a-b-c", "d-e-f", "a-b-c"))

    assert target.tag_rank("a-b-c") == 0


@pytest.mark.parametrize(
    ("platform", "twin"),
    [
        ("manylinux1_x86_64", "manylinux_2_5_x86_64"),
        ("manylinux2010_i686", "manylinux_2_12_i686"),
        ("manylinux2014_aarch64", "manylinux_2_17_aarch64"),
        ("MANYLINUX_2_28_X86_64", "manylinux_2_28_x86_64"),
        ("macosx-14.0-arm64", "macosx_14_0_arm64"),
    ],
)
def test_other_spellings_of_a_platform_are_the_same_target(platform, twin):
    assert Target.for_platform("3.11", platform) == Target.for_platform("3.11", twin)


@pytest.mark.parametrize(
    ("platform", "markers", "best"),
    [
        ("manylinux_2_28_x86_64", ("posix", "linux", "Linux", "x86_64"), "linux_x86_64"),
        ("musllinux_1_2_aarch64", ("posix", "linux", "Linux", "aarch64"), "linux_aarch64"),
        ("linux_armv7l", ("posix", "linux", "Linux", "armv7l"), "linux_armv7l"),
        ("macosx_14_0_arm64", ("posix", "darwin", "Darwin", "arm64"), "macosx_14_0_arm64"),
        ("macosx_10_9_x86_64", ("posix", "darwin", "Darwin", "x86_64"), "macosx_10_9_x86_64"),
        ("win_amd64", ("nt", "win32", "Windows", "AMD64"), "win_amd64"),
        ("win32", ("nt", "win32", "Windows", "x86"), "win32"),
        ("win_arm64", ("nt", "win32", "Windows", "ARM64"), "win_arm64"),
        (
            "freebsd_13_2_release_amd64",
            ("posix", "freebsd13", "FreeBSD", "amd64"),
            "freebsd_13_2_release_amd64",
        ),
        ("openbsd_7_5_amd64", ("posix", "openbsd7", "OpenBSD", "amd64"), "openbsd_7_5_amd64"),
        ("solaris_2_11_x86_64", ("posix", "sunos5", "SunOS", "x86_64"), "solaris_2_11_x86_64"),
        ("android_24_arm64_v8a", ("posix", "android", "Android", "aarch64"), "android_24_arm64_v8a"),
        ("android_24_x86_64", ("posix", "android", "Android", "x86_64"), "android_24_x86_64"),
        ("ios_13_0_arm64_iphoneos", ("posix", "ios", "iOS", "arm64"), "ios_13_0_arm64_iphoneos"),
        (
            "pyemscripten_2026_0_wasm32",
            ("posix", "emscripten", "Emscripten", "wasm32"),
            "pyemscripten_2026_0_wasm32",
        ),
    ],
)
def test_markers_and_best_tag_of_a_platform(platform, markers, best):
    target = Target.for_platform("3.13", platform)

    names = ("os_name", "sys_platform", "platform_system", "platform_machine")
    assert tuple(target.markers[name] for name in names) == markers
    assert target.tag_strings[0] == f"cp313-cp313-{best}"
    assert set(target.markers) == set(MARKER_NAMES)


def test_musl_and_glibc_do_not_mix():
    target = Target.for_platform("3.12", "musllinux_1_2_x86_64")

    assert target.tag_rank("cp312-cp312-musllinux_1_1_x86_64") is not None
    assert not [tag for tag in target.tag_strings if "manylinux" in tag]


def test_a_plain_linux_takes_no_manylinux_wheels():
    assert {tag.split("-")[2] for tag in Target.for_platform("3.12", "linux_x86_64").tag_strings} == {
        "linux_x86_64",
        "any",
    }


@pytest.mark.parametrize(
    ("python", "full", "short"),
    [
        ("3.12", "3.12.0", "3.12"),
        ("3.12.4", "3.12.4", "3.12"),
        ("3.10.0", "3.10.0", "3.10"),
        ("3.15.0rc1", "3.15.0rc1", "3.15"),
        ("3.13t", "3.13.0", "3.13"),
        ("3.13.2t", "3.13.2", "3.13"),
        ("3.15rc1", "3.15.0rc1", "3.15"),
        ("3.15.0b2t", "3.15.0b2", "3.15"),
    ],
)
def test_versions_are_written_as_markers_need_them(python, full, short):
    """PEP 508: ``python_version`` has two numbers, ``python_full_version`` all of them."""
    target = Target.for_platform(python)

    assert target.markers["python_full_version"] == full
    assert target.markers["python_version"] == short
    assert target.python == Version(full)


@pytest.mark.parametrize("options", [{"python": "3.13t"}, {"python": "3.13", "abi": "cp313t"}])
def test_free_threaded_targets(options):
    target = Target.for_platform(**options)

    assert target.free_threaded
    assert target.tag_rank("cp313-cp313t-linux_x86_64") == 0
    assert target.tag_rank("cp313-abi3t-linux_x86_64") is not None
    assert target.tag_rank("cp313-abi3-linux_x86_64") is None
    assert target.tag_rank("cp313-cp313-linux_x86_64") is None


def test_a_debug_target_takes_release_wheels_after_its_own():
    target = Target.for_platform("3.12", "win_amd64", abi="cp312d")

    assert target.tag_strings[:2] == ("cp312-cp312d-win_amd64", "cp312-cp312-win_amd64")
    assert not target.free_threaded


def test_pypy_targets():
    target = Target.for_platform("3.10", implementation="pp")

    assert target.tag_strings[0] == "pp310-pypy310_pp73-linux_x86_64"
    assert target.tag_rank("pp3-none-any") is not None
    assert target.markers["implementation_name"] == "pypy"
    assert target.markers["platform_python_implementation"] == "PyPy"
    assert target.markers["implementation_version"] == "7.3.0"
    assert target == Target.for_platform("3.10", implementation="pypy", abi="pypy310_pp73")
    assert target == Target.for_platform("3.10", implementation="PyPy")


def test_graalpy_targets_take_the_wheels_of_their_release():
    target = Target.for_platform("3.11", implementation="graalpy", abi="graalpy242_311_native")
    pure = Target.for_platform("3.11", implementation="graalpy", abi="none")

    assert target.tag_strings[0] == "graalpy311-graalpy242_311_native-linux_x86_64"
    assert target.markers["platform_python_implementation"] == "GraalVM"
    assert pure.tag_strings[0] == "graalpy311-none-linux_x86_64"


@pytest.mark.parametrize("abi", ["abi3", "none"])
def test_a_target_may_have_the_stable_abi_alone(abi):
    target = Target.for_platform("3.12", abi=abi)

    assert target.tag_strings[0] == "cp312-abi3-linux_x86_64"
    assert target.tag_rank("cp312-cp312-linux_x86_64") is None


def test_the_own_version_of_a_release_candidate_is_shortened():
    """PEP 508: `implementation_version` ends in the first letter of the release level and its number."""
    assert Target.for_platform("3.15.0rc1").markers["implementation_version"] == "3.15.0c1"


@pytest.mark.parametrize(
    ("platform", "release"),
    [
        ("macosx_10_9_x86_64", "13.0.0"),
        ("macosx_10_15_x86_64", "19.0.0"),
        ("macosx_11_0_arm64", "20.0.0"),
        ("macosx_14_5_arm64", "23.0.0"),
        ("macosx_15_0_arm64", "24.0.0"),
        ("macosx_16_0_arm64", "25.0.0"),  # what macOS 26 tells to old programs
        ("macosx_26_0_arm64", "25.0.0"),
        ("ios_16_2_arm64_iphoneos", "16.2"),
        ("manylinux_2_28_x86_64", ""),
        ("win_amd64", ""),
    ],
)
def test_the_release_of_the_system_is_told_where_its_version_decides_it(platform, release):
    assert Target.for_platform("3.13", platform).markers["platform_release"] == release


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        (("3",), {}, "'3.12'"),
        (("2.7",), {}, "no version of Python 3"),
        (("3.12.x",), {}, "no version of Python 3"),
        (("3.7",), {}, "3.8, the oldest"),
        (("3.12t",), {}, "3.13"),
        (("3.13t",), {"implementation": "pp"}, "free-threaded"),
        (("3.12", "maylinux_2_28_x86_64"), {}, "no known platform tag"),
        (("3.12", "manylinux_2_28"), {}, "no known platform tag"),
        (("3.12", "macosx_14_arm64"), {}, "no known platform tag"),
        (("3.12", "android_arm64_v8a"), {}, "no known platform tag"),
        (("3.12", ""), {}, "no known platform tag"),
        (("3.12", "any"), {}, "no known platform tag"),
        (("3.12", "macosx_14_0_universal2"), {}, "'arm64' or 'x86_64'"),
        (("3.12",), {"abi": "cp311"}, "'cp312'"),
        (("3.12",), {"abi": "cp312-x"}, "no ABI tag"),
        (("3.12",), {"implementation": "c p"}, "no implementation"),
        (("3.12",), {"implementation": "cp27"}, "no implementation"),
        (("3.12",), {"abi": "cp27mu"}, "'cp312'"),
        (("cp312",), {}, "'3.12'"),
        (("3.9999",), {}, "no version of Python 3"),
        (("3.13t",), {"abi": "cp313"}, "'cp313t'"),
        (("3.13t",), {"abi": "abi3"}, "'cp313t'"),
        (("3.13",), {"abi": "abi3t"}, "'cp313'"),
        (("3.12",), {"abi": "cp312t"}, "3.13 and newer"),
        (("3.10",), {"implementation": "pp", "abi": "pypy39_pp73"}, "'pypy310_pp73'"),
        (("3.11",), {"implementation": "graalpy"}, "abi='graalpy242_311_native'"),
        (("3.12", "manylinux_2_28_arm64"), {}, "'aarch64'"),
        (("3.12", "manylinux2014_amd64"), {}, "'manylinux2014_amd64': for 'amd64', Linux says 'x86_64'"),
        (("3.12", "musllinux_1_2_armhf"), {}, "'armv7l'"),
        (("3.12", "linux_x86"), {}, "'i686'"),
        (("3.12", "manylinux_2_28_mips64"), {}, "aarch64, armv7l, .*, x86_64"),
        (("3.12", "manylinux_2_9999_x86_64"), {}, "no known platform tag"),
        (("3.12", "macosx_14_0_aarch64"), {}, "arm64, .*, x86_64"),
        (("3.12", "macosx_10_15_arm64"), {}, "the first is 'macosx_11_0_arm64'"),
        (("3.12", "macosx_9_2_ppc"), {}, "the first is 'macosx_10_0_ppc'"),
        (("3.13", "ios_11_0_arm64_iphoneos"), {}, "the first is 'ios_12_0_arm64_iphoneos'"),
        (("3.13", "ios_13_0_arm64"), {}, "arm64_iphoneos, arm64_iphonesimulator"),
        (("3.13", "android_15_x86_64"), {}, "the first is 'android_16_x86_64'"),
        (("3.13", "android_24_aarch64"), {}, "arm64_v8a, armeabi_v7a"),
        (("3.12", "android_24_x86_64"), {}, "needs Python 3.13"),
        (("3.12", "ios_13_0_arm64_iphoneos"), {}, "needs Python 3.13"),
    ],
)
def test_malformed_platforms_are_told_with_what_to_write(arguments, options, told):
    with pytest.raises(ValueError, match=told):
        Target.for_platform(*arguments, **options)


def test_markers_evaluate_with_a_target():
    target = Target.for_platform("3.12", "win_amd64")

    assert Marker("sys_platform == 'win32' and python_version >= '3.9'").evaluate(dict(target.markers))
    assert not Marker("platform_machine == 'x86_64'").evaluate(dict(target.markers))


def test_tags_are_objects_of_packaging_best_first():
    target = Target.for_platform("3.12", "win32")

    assert target.tags[0] == Tag("cp312", "cp312", "win32")
    assert [str(tag) for tag in target.tags] == list(target.tag_strings)
    assert target.tags is target.tags


def test_targets_are_equal_by_content():
    one, same, other = Target.for_platform("3.12"), Target.for_platform("3.12.0"), Target.for_platform("3.11")

    assert one == same
    assert hash(one) == hash(same)
    assert one.digest == same.digest
    assert one != other
    assert one.digest != other.digest
    assert one != "a target"
    assert len({one, same, other}) == 2


def test_the_memo_is_no_part_of_the_value():
    one, same = Target.for_platform(), Target.for_platform()
    one.memo["key"] = object()

    assert one == same
    assert hash(one) == hash(same)
    assert pickle.loads(pickle.dumps(one)).memo == {}
    assert same.memo == {}


def test_a_target_survives_pickle_and_dictionary():
    target = Target.for_platform("3.13t", "musllinux_1_2_aarch64")
    assert target.tags  # what was made on demand must not get in the way

    assert pickle.loads(pickle.dumps(target)) == target
    assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target
    assert target.to_dict()["schema"] == 1


def test_hashes_and_digests_are_the_same_in_every_process():
    program = """
from puffin_api._model.target import Target
target = Target.for_platform()
print(hash(target), target.digest)
"""
    command = [sys.executable, "-c", program]

    told = {subprocess.check_output(command, env={"PYTHONHASHSEED": seed}) for seed in "12"}

    target = Target.for_platform()
    assert told == {f"{hash(target)} {target.digest}\n".encode()}


def test_a_target_cannot_be_changed():
    target = Target.for_platform()

    with pytest.raises(AttributeError):
        target.tag_strings = ()
    with pytest.raises(TypeError):
        target.markers["os_name"] = "nt"


def test_the_plus_of_an_untagged_build_is_no_part_of_the_version():
    markers = {**Target.for_platform().markers, "python_full_version": "3.13.0+"}

    assert Target(markers=markers, tag_strings=["py3-none-any"]).python == Version("3.13.0")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema": 2}, "schema"),
        ({"markers": None}, r"target\.markers: expected an object"),
        ({"markers": {}}, r"target\.markers\.implementation_name"),
        ({"tags": []}, r"target\.tags"),
        ({"tags": "py3-none-any"}, r"target\.tags"),
        ({"tags": ["py3-none-any", "py3"]}, r"target\.tags\[1\]"),
        ({"tags": [1]}, r"target\.tags\[0\]"),
    ],
)
def test_a_wrong_dictionary_is_told_with_the_place(change, told):
    with pytest.raises(ValueError, match=told):
        Target.from_dict({**Target.for_platform().to_dict(), **change})


def test_a_target_describes_itself():
    assert str(Target.for_platform("3.12.4", "win_arm64")) == "CPython 3.12.4 on Windows ARM64"
    assert "CPython 3.12.0 on Linux x86_64" in repr(Target.for_platform())
