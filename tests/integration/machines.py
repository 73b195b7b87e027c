"""Machines that are not here, each as a user tells it and as `packaging` has it."""

from __future__ import annotations

from packaging import tags

from tests.network.soundness import Place


def place_of(python, platforms, *system, interpreter=None, abi=None, name="cpython", title="CPython"):
    """What such a machine says of itself; `system` in the order of the markers below."""
    version = tuple(map(int, python.split(".")[:2]))
    own = interpreter or f"cp{version[0]}{version[1]}"
    if name == "cpython":
        found = [*tags.cpython_tags(version, [abi or own], platforms)]
        found += tags.compatible_tags(version, own, platforms)
    else:
        found = [*tags.generic_tags(own, [abi], platforms)]
        found += tags.compatible_tags(version, "pp3" if name == "pypy" else None, platforms)
    names = ("os_name", "sys_platform", "platform_system", "platform_machine", "platform_release")
    markers = {
        **dict(zip(names, system, strict=True)),
        "implementation_name": name,
        "implementation_version": "7.3.0" if name == "pypy" else python,
        "platform_python_implementation": title,
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
    }
    return Place(markers=markers, tags=tuple(map(str, found)))


def linux(arch, kind, newest, oldest, **legacy):
    """Platforms of a Linux, as PEP 600 and PEP 656 put them."""
    found = [f"linux_{arch}"]
    for minor in range(newest, oldest - 1, -1):
        found.append(f"{kind}_{minor}_{arch}")
        found += [f"{name}_{arch}" for name, at in legacy.items() if at == minor]
    return found


GLIBC = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
LINUX = ("posix", "linux", "Linux")
MACHINES = {
    "windows": (
        ["3.12", "win_amd64"],
        place_of("3.12.0", ["win_amd64"], "nt", "win32", "Windows", "AMD64", ""),
        "cp312-cp312-win_amd64",
    ),
    "windows-arm": (
        ["3.11.4", "win_arm64"],
        place_of("3.11.4", ["win_arm64"], "nt", "win32", "Windows", "ARM64", ""),
        "cp311-cp311-win_arm64",
    ),
    "windows-32": (
        ["3.9", "win32"],
        place_of("3.9.0", ["win32"], "nt", "win32", "Windows", "x86", ""),
        "cp39-cp39-win32",
    ),
    "mac-arm": (
        ["3.12", "macosx_14_0_arm64"],
        place_of(
            "3.12.0",
            list(tags.mac_platforms((14, 0), "arm64")),
            *("posix", "darwin", "Darwin", "arm64", "23.0.0"),
        ),
        "cp312-cp312-macosx_14_0_arm64",
    ),
    "mac-arm-old": (
        ["3.12", "macosx_13_0_arm64"],
        place_of(
            "3.12.0",
            list(tags.mac_platforms((13, 0), "arm64")),
            *("posix", "darwin", "Darwin", "arm64", "22.0.0"),
        ),
        "cp312-cp312-macosx_11_0_arm64",
    ),
    "mac-intel": (
        ["3.8.10", "macosx_10_15_x86_64"],
        place_of(
            "3.8.10",
            list(tags.mac_platforms((10, 15), "x86_64")),
            *("posix", "darwin", "Darwin", "x86_64", "19.0.0"),
        ),
        "cp38-cp38-macosx_10_9_x86_64",
    ),
    "alpine": (
        ["3.12", "musllinux_1_2_x86_64"],
        place_of("3.12.0", linux("x86_64", "musllinux_1", 2, 0), *LINUX, "x86_64", ""),
        "cp312-cp312-musllinux_1_2_x86_64",
    ),
    "alpine-old": (
        ["3.12", "musllinux_1_1_x86_64"],
        place_of("3.12.0", linux("x86_64", "musllinux_1", 1, 0), *LINUX, "x86_64", ""),
        "cp312-cp312-musllinux_1_1_x86_64",
    ),
    "arm": (
        ["3.10", "manylinux_2_35_aarch64"],
        place_of("3.10.0", linux("aarch64", "manylinux_2", 35, 17, manylinux2014=17), *LINUX, "aarch64", ""),
        "cp310-cp310-manylinux_2_28_aarch64",
    ),
    "arm-32": (
        ["3.11", "manylinux_2_31_armv7l"],
        place_of("3.11.0", linux("armv7l", "manylinux_2", 31, 17, manylinux2014=17), *LINUX, "armv7l", ""),
        "cp311-cp311-manylinux_2_31_armv7l",
    ),
    "old-linux": (
        ["3.9", "manylinux2014_x86_64"],
        place_of("3.9.0", linux("x86_64", "manylinux_2", 17, 5, **GLIBC), *LINUX, "x86_64", ""),
        "cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64",
    ),
    "free-threaded": (
        ["3.13t", "manylinux_2_28_x86_64"],
        place_of(
            "3.13.0", linux("x86_64", "manylinux_2", 28, 5, **GLIBC), *LINUX, "x86_64", "", abi="cp313t"
        ),
        "py2.py3-none-any",
    ),
    "pre-release": (
        ["3.14.0b1", "manylinux_2_28_x86_64"],
        place_of("3.14.0b1", linux("x86_64", "manylinux_2", 28, 5, **GLIBC), *LINUX, "x86_64", ""),
        "cp314-cp314-manylinux_2_28_x86_64",
    ),
    "pypy": (
        ["3.10", "manylinux_2_28_x86_64", "pp"],
        place_of(
            "3.10.0",
            linux("x86_64", "manylinux_2", 28, 5, **GLIBC),
            *(*LINUX, "x86_64", ""),
            interpreter="pp310",
            abi="pypy310_pp73",
            name="pypy",
            title="PyPy",
        ),
        "py2.py3-none-any",
    ),
    "graalpy": (
        ["3.11", "manylinux_2_28_aarch64", "graalpy", "graalpy242_311_native"],
        place_of(
            "3.11.0",
            linux("aarch64", "manylinux_2", 28, 17, manylinux2014=17),
            *(*LINUX, "aarch64", ""),
            interpreter="graalpy311",
            abi="graalpy242_311_native",
            name="graalpy",
            title="GraalVM",
        ),
        "py2.py3-none-any",
    ),
    "android": (
        ["3.13", "android_24_arm64_v8a"],
        place_of(
            "3.13.0",
            list(tags.android_platforms(24, "arm64_v8a")),
            *("posix", "android", "Android", "aarch64", ""),
        ),
        "py2.py3-none-any",
    ),
    "ios": (
        ["3.13", "ios_16_2_arm64_iphoneos"],
        place_of(
            "3.13.0",
            list(tags.ios_platforms((16, 2), "arm64_iphoneos")),
            *("posix", "ios", "iOS", "arm64", "16.2"),
        ),
        "py2.py3-none-any",
    ),
}
"""By name: arguments of `Target.for_platform`, the place, and the best tag of `compiled` there."""
