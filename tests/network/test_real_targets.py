"""Targets that are only told resolve as on the machine itself, and as uv and pip do for machines not here."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from puffin_api import Cache, Client, Index, Refresh, Resolver, Target
from puffin_api.errors import ResolutionFailed
from tests.network.conftest import PYTHONS, SETS, find_python, open_client
from tests.network.other_tools import pins, run, uv
from tests.network.test_real_projects import differences

pytestmark = pytest.mark.network


@pytest.fixture
def client(cache):
    with open_client(cache) as client:
        yield client


def solve(client: Client, requirements: list[str], target: Target):
    return Resolver(client).resolve(requirements, target=target, only_binary=[":all:"])


# -- the machine that is here

NATIVE_SETS = ("jupyterlab", "science", "fastapi")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", NATIVE_SETS)
@pytest.mark.parametrize("told", ["python_version", "python_full_version"])
def test_what_is_told_resolves_as_what_is_here(client, name, python, told):
    native = find_python(python).target
    platforms = (tag.split("-")[2] for tag in native.tag_strings)
    platform = next(platform for platform in platforms if not platform.startswith("linux"))
    foreign = Target.for_platform(native.markers[told], platform)

    ours, theirs = (solve(client, SETS[name], target) for target in (foreign, native))

    assert ours.packages == theirs.packages  # files and digests too
    assert ours.to_requirements_txt(hashes=True) == theirs.to_requirements_txt(hashes=True)


# -- machines that are not here: uv

TRIPLES = {
    "x86_64-pc-windows-msvc": "win_amd64",
    "aarch64-pc-windows-msvc": "win_arm64",
    "aarch64-apple-darwin": "macosx_13_0_arm64",
    "x86_64-apple-darwin": "macosx_13_0_x86_64",
    "x86_64-manylinux2014": "manylinux2014_x86_64",
    "x86_64-unknown-linux-gnu": "manylinux_2_28_x86_64",
    "aarch64-unknown-linux-gnu": "manylinux_2_28_aarch64",
    "x86_64-unknown-linux-musl": "musllinux_1_2_x86_64",
    "aarch64-unknown-linux-musl": "musllinux_1_2_aarch64",
}
"""What uv calls a platform, and the tag of the system that it means by that."""

RARE = {
    "i686-pc-windows-msvc": "win32",
    "riscv64-unknown-linux": "manylinux_2_39_riscv64",
    "aarch64-linux-android": "android_24_arm64_v8a",
    "arm64-apple-ios": "ios_13_0_arm64_iphoneos",
    "wasm32-pyodide2025": "pyodide_2025_0_wasm32",
}
"""Those that few projects have wheels for."""

FOREIGN_SETS = {
    **{name: SETS[name] for name in NATIVE_SETS},
    "numbers": ["numpy", "scipy", "numba", "pyarrow", "polars", "h5py", "shapely", "xarray"],
    "system": ["psutil", "cryptography", "pyzmq", "lxml", "pyyaml"],
    "windows": [
        "pywin32; sys_platform == 'win32'",
        "pywinpty; os_name == 'nt'",
        "colorama; platform_system == 'Windows'",
        "keyring",
        "watchdog",
        "ipython",
    ],
    "light": ["flask; platform_machine != 'wasm32'", "requests", "aiohttp", "pydantic"],
    "web": ["sqlalchemy", "greenlet", "black", "uvicorn[standard]", "grpcio", "pydantic", "aiohttp"],
}

PAIRS = [(triple, name) for triple in TRIPLES for name in FOREIGN_SETS]
PAIRS += [(triple, name) for triple in RARE for name in ("fastapi", "light")]


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """A folder for uv, with one cache for all its runs."""
    return tmp_path_factory.mktemp("uv")


@pytest.mark.parametrize(("triple", "name"), PAIRS)
def test_versions_for_other_platforms_are_those_of_uv(cache, bench, triple, name):
    """Where one finds no answer, for want of wheels, the other must find none either."""
    python = "3.13" if triple in RARE else "3.12"
    target = Target.for_platform(python, {**TRIPLES, **RARE}[triple])

    theirs = uv_versions(FOREIGN_SETS[name], triple, python, bench)
    ours = versions(cache, FOREIGN_SETS[name], target)
    if ours != theirs:  # something may have been released between the two: look again
        ours = versions(cache, FOREIGN_SETS[name], target, refresh=Refresh.all())

    assert (ours is None) is (theirs is None)
    assert differences(ours or {}, theirs or {}) == ""


@pytest.mark.parametrize("triple", ["aarch64-apple-darwin", "x86_64-apple-darwin"])
def test_uv_leaves_out_what_asks_for_the_release_of_macos(cache, bench, triple):
    """Most parts of pyobjc do: `platform_release >= "20.0"`, which is so on any macOS since 11."""
    target = Target.for_platform("3.12", TRIPLES[triple])
    without = Target(markers={**target.markers, "platform_release": ""}, tag_strings=target.tag_strings)

    theirs = uv_versions(["pyobjc"], triple, "3.12", bench)
    ours = versions(cache, ["pyobjc"], target)

    assert versions(cache, ["pyobjc"], without) == theirs
    assert target.markers["platform_release"] == "22.0.0"
    assert ours is not None
    assert "pyobjc-framework-classkit" in ours.keys() - theirs.keys()  # since macOS 11


def versions(cache: Cache, requirements: list[str], target: Target, **options) -> dict[str, str] | None:
    """Return what we resolve to, None where there is no answer."""
    with open_client(cache, **options) as client:
        try:
            resolution = solve(client, requirements, target)
        except ResolutionFailed:
            return None
    return {name: package.version for name, package in resolution.packages.items()}


def uv_versions(requirements: list[str], triple: str, python: str, folder: Path) -> dict[str, str] | None:
    """Return what uv resolves to, None where it says that there is no answer."""
    asked, answer = folder / "asked.in", folder / "answer.txt"
    asked.write_text("\n".join(requirements), encoding="utf-8")
    answer.unlink(missing_ok=True)  # it would prefer what stands there
    command = ["pip", "compile", asked, "-o", answer, "--no-build", "--default-index", Index.pypi().url]
    command += ["-p", sys.executable, "--python-version", python, "--python-platform", triple]
    try:
        uv(*command, "--no-annotate", "--no-header", "--no-strip-extras", cache=folder / "cache")
    except AssertionError as error:
        if "No solution found" not in str(error):
            raise
        return None
    return pins(answer.read_text(encoding="utf-8"))


# -- Pythons that are not here: pip


@dataclass(frozen=True)
class Told:
    """An interpreter as it is told to us and to pip, and projects that have wheels for it.

    pip evaluates markers for the Python that it runs on: nothing here has a marker that would differ.
    """

    python: str
    platform: str
    implementation: str
    abi: str
    requirements: tuple[str, ...]


TOLD = {
    "pypy": Told("3.11", "manylinux_2_28_x86_64", "pp", "pypy311_pp73", ("numpy", "lxml", "pillow")),
    "pypy-old": Told("3.10", "manylinux_2_28_x86_64", "pp", "pypy310_pp73", ("numpy", "lxml", "pillow")),
    "pypy-arm": Told("3.11", "manylinux_2_28_aarch64", "pp", "pypy311_pp73", ("numpy", "lxml", "pillow")),
    "pypy-mac": Told("3.11", "macosx_14_0_arm64", "pp", "pypy311_pp73", ("numpy", "pydantic-core")),
    "pypy-windows": Told("3.11", "win_amd64", "pp", "pypy311_pp73", ("pillow", "lxml", "pydantic-core")),
    "graalpy": Told(
        "3.11", "manylinux_2_28_x86_64", "graalpy", "graalpy242_311_native", ("pydantic-core", "requests")
    ),
    "threaded": Told("3.13", "manylinux_2_28_x86_64", "cp", "cp313t", ("pandas", "scikit-learn", "pydantic")),
    "threaded-mac": Told("3.13", "macosx_14_0_arm64", "cp", "cp313t", ("pandas", "pillow")),
    "threaded-musl": Told("3.13", "musllinux_1_2_x86_64", "cp", "cp313t", ("pandas", "pillow")),
    "threaded-new": Told(
        "3.14", "manylinux_2_28_x86_64", "cp", "cp314t", ("pandas", "pydantic", "cryptography")
    ),
    "new": Told("3.14", "manylinux_2_28_x86_64", "cp", "cp314", ("scikit-learn", "pydantic", "cryptography")),
    "old-linux": Told("3.9", "manylinux2014_x86_64", "cp", "cp39", ("numpy", "psutil", "cryptography")),
    "old-mac": Told("3.12", "macosx_10_15_x86_64", "cp", "cp312", ("numpy", "psutil", "cryptography")),
    "new-mac": Told("3.12", "macosx_26_0_arm64", "cp", "cp312", ("numpy", "psutil", "cryptography")),
    "arm-32": Told("3.12", "manylinux_2_31_armv7l", "cp", "cp312", ("markupsafe", "rpds-py", "pydantic")),
    "intel-32": Told("3.12", "manylinux_2_28_i686", "cp", "cp312", ("markupsafe", "rpds-py", "pydantic")),
    "ios": Told("3.13", "ios_16_2_arm64_iphoneos", "cp", "cp313", ("pillow", "markupsafe", "flask")),
}


@pytest.mark.parametrize("name", TOLD)
def test_files_for_other_pythons_are_those_of_pip(client, tmp_path, name):
    told = TOLD[name]
    target = Target.for_platform(told.python, told.platform, implementation=told.implementation, abi=told.abi)
    for text in told.requirements:
        assert Requirement(text).marker is None

    theirs = pip_files(told, target, tmp_path)
    resolution = solve(client, list(told.requirements), target)

    assert {package.file.filename for package in resolution.packages.values()} == theirs


def pip_files(told: Told, target: Target, folder: Path) -> set[str]:
    """Return the names of the files that pip would download; it wants each older platform named as well."""
    report = folder / "report.json"
    platforms = dict.fromkeys(tag.split("-")[2] for tag in target.tag_strings)
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", report]
    command += ["--target", folder / "nowhere", "--index-url", Index.pypi().url, "--only-binary", ":all:"]
    command += ["--python-version", told.python, "--implementation", told.implementation, "--abi", told.abi]
    command += [part for name in platforms if name != "any" for part in ("--platform", name)]
    run(*command, *told.requirements)
    installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {item["download_info"]["url"].rpartition("/")[2] for item in installs}
