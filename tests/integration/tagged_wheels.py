"""An index whose answer depends on the machine: wheels for many tags, and requirements behind markers."""

from __future__ import annotations

from tests.integration.job_kit import wheel

PYTHONS = ("38", "39", "310", "311", "312", "313", "314")
PLATFORMS = (
    "manylinux1_x86_64",
    "manylinux2010_x86_64",
    "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "manylinux_2_28_x86_64",
    "manylinux_2_34_x86_64",
    "manylinux_2_17_aarch64.manylinux2014_aarch64",
    "manylinux_2_28_aarch64",
    "manylinux_2_17_i686.manylinux2014_i686",
    "manylinux_2_31_armv7l",
    "musllinux_1_1_x86_64",
    "musllinux_1_2_x86_64",
    "musllinux_1_2_aarch64",
    "macosx_10_9_x86_64",
    "macosx_10_9_universal2",
    "macosx_11_0_arm64",
    "macosx_14_0_arm64",
    "win_amd64",
    "win_arm64",
    "win32",
)

REQUIREMENTS = {
    "files": ["compiled", "stable", "unbound", "old", "pure", "built"],
    "versions": ["rare", "threaded", "other-pythons", "mobile"],
    "markers": ["asks"],
    "extras": ["asks-extras[speed,typing]"],
    "bounds": ["bound", "bound-by-metadata"],
}
"""Sets of requirements; those whose answer depends on the patch release are apart."""

PATCHES = ["patch-bound", "asks-patch"]

MARKERS = {
    "linux": "sys_platform == 'linux'",
    "darwin": "sys_platform == 'darwin'",
    "windows": "sys_platform == 'win32'",
    "mobile": "sys_platform in 'android ios'",
    "system": "platform_system == 'Windows'",
    "os": "os_name == 'nt'",
    "machine": "platform_machine == 'x86_64' or platform_machine == 'AMD64'",
    "arm": "platform_machine in 'aarch64 arm64 ARM64'",
    "old": "python_version < '3.10'",
    "new": "python_full_version >= '3.11.0a7'",
    "cpython": "implementation_name == 'cpython'",
    "title": "platform_python_implementation == 'PyPy'",
    "own": "implementation_version >= '3.10'",
    "both": "(sys_platform != 'win32' and python_version >= '3.9') or os_name == 'java'",
    "senseless": "platform_version > 'zzz'",
}
"""By name of what is required where the marker holds."""


def tagged_files():
    """The wheels of the whole index, by file name."""
    files = {}
    for name, tags in _tags().items():
        for version, each in tags.items():
            for tag in each:
                files |= wheel(name, version, tags=tag)
    for build in ("1", "2", "2a"):
        files |= wheel("built", "1.0", tags="py3-none-any", build=build)
    return files | _asking() | _bounds() | _patches()


def _tags():
    """The tags of each version of each project that requires nothing."""
    cpython = [f"cp{python}-cp{python}-{platform}" for python in PYTHONS for platform in PLATFORMS]
    newest = [f"cp{python}-cp{python}-manylinux_2_99_x86_64" for python in PYTHONS]
    pypy = [f"pp{python}-pypy{python}_pp73-{platform}" for python in PYTHONS for platform in PLATFORMS]
    graal = [f"graalpy311-graalpy242_311_native-{platform}" for platform in PLATFORMS]
    threaded = [f"cp{python}-cp{python}t-{platform}" for python in PYTHONS[5:] for platform in PLATFORMS]
    mobile = ["android_21_arm64_v8a", "android_24_arm64_v8a", "android_24_x86_64", "android_35_arm64_v8a"]
    mobile += ["ios_13_0_arm64_iphoneos", "ios_13_0_arm64_iphonesimulator", "ios_17_4_arm64_iphoneos"]
    anywhere = ["py2.py3-none-any"]
    return {
        "compiled": {"2.0": newest, "1.0": [*cpython, *anywhere]},
        "stable": {
            "3.0": [f"cp312-abi3-{platform}" for platform in PLATFORMS],
            "2.0": [
                f"cp{python}-abi3-{platform}" for python in ("37", "39", "310") for platform in PLATFORMS
            ],
            "1.0": ["cp35-abi3-manylinux1_x86_64", *anywhere],
        },
        "unbound": {"1.0": [f"py3-none-{platform}" for platform in PLATFORMS] + anywhere},
        "old": {"2.0": ["cp27-cp27mu-manylinux1_x86_64"], "1.0": [f"{t}-none-any" for t in ("py2", "py3")]},
        "pure": {"1.0": [*anywhere, "py3-none-any", "py38-none-any", "py39-none-any", "cp312-none-any"]},
        "rare": {"4.0": cpython[:1], "3.0": cpython[10:60:7], "2.0": cpython[60::5], "1.0": anywhere},
        "threaded": {"2.0": threaded, "1.0": [*cpython, "py3-none-any"]},
        "other-pythons": {"3.0": pypy, "2.0": graal, "1.0": [*cpython, "pp3-none-any", *anywhere]},
        "mobile": {"2.0": [f"cp313-cp313-{platform}" for platform in mobile], "1.0": anywhere},
    }


def _asking():
    """Projects whose requirements stand behind markers."""
    files = {}
    for name in MARKERS:
        for version in ("1.0", "2.0"):
            files |= wheel(f"if-{name}", version)
    plain = [f"if-{name}; {marker}" for name, marker in MARKERS.items()]
    limits = [f"if-{name}<2; python_version >= '3.12'" for name in ("linux", "windows", "cpython")]
    files |= wheel("asks-release", "1.0", requires=["if-release; platform_release >= '19.0'"])
    files |= wheel("if-release", "1.0")
    extras = {"speed": ["compiled; implementation_name == 'cpython'", "rare"], "typing": [*plain[:6]]}
    files |= wheel("asks", "1.0", requires=plain + limits)
    return files | wheel("asks-extras", "1.0", extras=extras)


def _bounds():
    """Projects that bound the Python on the page, and in the metadata as well."""
    bounds = {"4.0": ">=3.99", "3.0": ">=3.12", "2.0": ">=3.9,<3.12", "1.5": "!=3.8.*", "1.0": ""}
    files = {}
    for version, bound in bounds.items():
        files |= wheel("bound", version, requires_python=bound)
    files |= wheel("bound-by-metadata", "2.0", requires=["bound>=3; python_version >= '3.12'", "bound"])
    return files


def _patches():
    """What asks for a patch release, which a short version leaves open."""
    files = wheel("patch-bound", "1.0")
    requires = [f"if-patch; python_full_version > '3.{minor}.0'" for minor in range(8, 15)]
    for minor in range(8, 15):
        requires_python = f">=3.{minor}.1,<3.{minor + 1}"
        files |= wheel("patch-bound", f"2.{minor}", requires_python=requires_python)
        requires[minor - 8] += f" and python_version == '3.{minor}'"
    files |= wheel("if-patch", "1.0")
    return files | wheel("asks-patch", "1.0", requires=requires)
