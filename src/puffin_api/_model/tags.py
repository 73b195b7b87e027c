"""Ranked wheel tags of an interpreter or platform, as strings, from plain data.

The order is that of ``packaging.tags.sys_tags()`` (26.3 and newer: native ``linux_*`` platforms first),
but nothing here asks the running process: what decides the tags comes in as ``TagFacts``. Tags stay
strings because the resolver ranks file names by the hundred thousand and needs no objects for it.
"""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

SHORT_NAMES = {"python": "py", "cpython": "cp", "pypy": "pp", "ironpython": "ip", "jython": "jy"}
"""The prefix of interpreter tags by ``sys.implementation.name``; others stand for themselves."""

MANYLINUX_ARCHS = frozenset({"x86_64", "aarch64", "ppc64", "ppc64le", "s390x", "loongarch64", "riscv64"})
"""PEP 600: each architecture that has manylinux wheels without a further look at the ELF header."""
# PEP 513, 571, 599.
_LEGACY_MANYLINUX = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
LEGACY_GLIBC = {name: glibc for glibc, name in _LEGACY_MANYLINUX.items()}
"""The glibc that an old manylinux name stands for."""
# Should glibc 3 appear: how many minor versions of glibc 2 to assume before it.
_LAST_GLIBC2_MINOR = 50


@attrs.frozen(kw_only=True)
class TagFacts:
    """All that decides which wheels an interpreter takes; read by the probe, never from this process."""

    implementation: str
    """``sys.implementation.name``."""
    version: tuple[int, int]
    version_nodot: str
    """``py_version_nodot`` of sysconfig, such as ``312``."""
    ext_suffix: str
    """Suffix of extension modules; tells the ABI of interpreters other than CPython."""
    debug: bool = False
    free_threaded: bool = False
    pointer_size: int = 8
    system: str
    """``platform.system()``."""
    platform: str
    """``sysconfig.get_platform()``."""
    glibc: tuple[int, int] | None = None
    musl: tuple[int, int] | None = None
    elf: str = ""
    """``i386`` or ``armhf`` when the executable is an ELF file of that kind."""
    manylinux_vetoes: frozenset[tuple[int, int, str]] = frozenset()
    """What a ``_manylinux`` module forbids: glibc major, minor, architecture."""
    macos: tuple[int, int] | None = None
    mac_arch: str = ""
    ios: tuple[int, int] | None = None
    multiarch: str = ""
    android_api: int | None = None
    pyemscripten: str = ""


def compatible_tags(facts: TagFacts) -> tuple[str, ...]:
    """All tags an interpreter takes, best first: what ``packaging.tags.sys_tags()`` gives when it runs."""
    short = SHORT_NAMES.get(facts.implementation, facts.implementation)
    if short == "cp":
        abis = cpython_abis(facts.version, debug=facts.debug, free_threaded=facts.free_threaded)
    else:
        abis = generic_abis(facts)
    return ranked_tags(
        implementation=short,
        version=facts.version,
        version_nodot=facts.version_nodot,
        abis=abis,
        platforms=tuple(platforms_of(facts)),
    )


def ranked_tags(
    *,
    implementation: str,
    version: tuple[int, int],
    abis: Sequence[str],
    platforms: Sequence[str],
    version_nodot: str = "",
) -> tuple[str, ...]:
    """Rank the tags of an interpreter for the given ABIs and platforms, best first.

    Args:
        implementation: Short name, such as ``cp`` or ``pp``.
        version: Major and minor version of Python.
        abis: The interpreter's own ABIs, without ``abi3``, ``abi3t`` and ``none``.
        platforms: Platform tags, best first.
        version_nodot: The version inside the interpreter tag where it is not just both numbers.
    """
    suffixes = tuple(f"-{platform.lower()}" for platform in platforms)
    nodot = version_nodot or f"{version[0]}{version[1]}"
    tags: list[str] = []
    if implementation == "cp":
        _add_cpython(tags, version, abis, suffixes)
        anywhere = f"cp{nodot}"
    else:
        _add_generic(tags, f"{implementation}{nodot}".lower(), abis, suffixes)
        anywhere = "pp3" if implementation == "pp" else ""
    pythons = _python_range(version)
    tags += [f"{python}-none{suffix}" for python in pythons for suffix in suffixes]
    if anywhere:
        tags.append(f"{anywhere}-none-any")
    tags += [f"{python}-none-any" for python in pythons]
    return tuple(tags)


def _add_cpython(
    tags: list[str], version: tuple[int, int], abis: Sequence[str], suffixes: Sequence[str]
) -> None:
    """Own ABIs, the stable ABI, no ABI; then the stable ABI of each older Python 3."""
    major, minor = version
    own = f"cp{major}{minor}"
    # PEP 803: free-threaded builds take no abi3 but abi3t.
    stable = "abi3t" if abis and is_free_threaded(abis[0]) else "abi3"
    for abi in (*abis, stable, "none"):
        tags += [f"{own}-{abi.lower()}{suffix}" for suffix in suffixes]
    for older in range(minor - 1, 1, -1):
        tags += [f"cp{major}{older}-{stable}{suffix}" for suffix in suffixes]


def _add_generic(tags: list[str], own: str, abis: Sequence[str], suffixes: Sequence[str]) -> None:
    for abi in (*abis, "none"):
        tags += [f"{own}-{abi.lower()}{suffix}" for suffix in suffixes]


def _python_range(version: tuple[int, int]) -> tuple[str, ...]:
    """``py312``, ``py3``, then ``py311`` down to ``py30``."""
    major, minor = version
    older = (f"py{major}{number}" for number in range(minor - 1, -1, -1))
    return (f"py{major}{minor}", f"py{major}", *older)


def is_free_threaded(abi: str) -> bool:
    """True for ABI tags such as ``cp313t`` and ``cp313td``."""
    return abi.startswith("cp") and "t" in abi[2:]


def cpython_abis(
    version: tuple[int, int], *, debug: bool = False, free_threaded: bool = False
) -> tuple[str, ...]:
    """ABI tags of a CPython 3.8 or newer; a debug build also loads what was built for the release."""
    release = f"cp{version[0]}{version[1]}{'t' if free_threaded and version >= (3, 13) else ''}"
    return (f"{release}d", release) if debug else (release,)


def generic_abis(facts: TagFacts) -> tuple[str, ...]:
    """ABI tags told by the suffix of extension modules: ``.pypy310-pp73-x86_64-linux-gnu.so``."""
    parts = facts.ext_suffix.split(".")
    if len(parts) < 3:
        return cpython_abis(facts.version, debug=facts.debug, free_threaded=facts.free_threaded)
    soabi = parts[1]
    fields = soabi.split("-")
    if soabi.startswith("cpython"):
        abi = f"cp{fields[1]}" if len(fields) > 1 else ""
    elif soabi.startswith("cp"):
        abi = fields[0]
    elif soabi.startswith("pypy"):
        abi = "-".join(fields[:2])
    elif soabi.startswith("graalpy"):
        abi = "-".join(fields[:3])
    else:
        abi = soabi
    return (normalize(abi),) if abi else ()


def normalize(text: str) -> str:
    """Write a platform or ABI name the way tags do."""
    return text.replace(".", "_").replace("-", "_").replace(" ", "_")


def platforms_of(facts: TagFacts) -> Iterable[str]:
    """Platform tags of an interpreter, best first."""
    if facts.system == "Darwin" and facts.macos is not None:
        return mac_platforms(facts.macos, facts.mac_arch, is_32bit=facts.pointer_size == 4)
    if facts.system == "iOS" and facts.ios is not None:
        return ios_platforms(facts.ios, facts.multiarch)
    if facts.system == "Android" and facts.android_api is not None:
        return android_platforms(facts.android_api, facts.platform.split("-")[-1])
    platform = normalize(facts.platform)
    if facts.system == "Linux" and platform.startswith("linux_"):
        return _linux_of(facts, platform.removeprefix("linux_"))
    if facts.system == "Emscripten" and facts.pyemscripten:
        return (f"pyemscripten_{facts.pyemscripten}_wasm32", platform)
    return (platform,)


def _linux_of(facts: TagFacts, arch: str) -> Iterator[str]:
    if facts.pointer_size == 4:  # a 32-bit interpreter on a 64-bit kernel
        arch = {"x86_64": "i686", "aarch64": "armv8l"}.get(arch, arch)
    archs = linux_archs(arch)
    return linux_platforms(
        archs,
        glibc=facts.glibc if _has_manylinux_abi(archs, facts.elf) else None,
        musl=facts.musl,
        is_vetoed=facts.manylinux_vetoes.__contains__,
    )


def linux_archs(arch: str) -> tuple[str, ...]:
    """The architectures whose binaries run on this one, the closest first."""
    return ("armv8l", "armv7l") if arch == "armv8l" else (arch,)


def _has_manylinux_abi(archs: Collection[str], elf: str) -> bool:
    """PEP 600 policies cover hard-float ARM and true i386 executables only."""
    if "armv7l" in archs:
        return elf == "armhf"
    if "i686" in archs:
        return elf == "i386"
    return not MANYLINUX_ARCHS.isdisjoint(archs)


def _nothing_vetoed(_: tuple[int, int, str]) -> bool:
    return False


def linux_platforms(
    archs: Sequence[str],
    *,
    glibc: tuple[int, int] | None = None,
    musl: tuple[int, int] | None = None,
    is_vetoed: Callable[[tuple[int, int, str]], bool] = _nothing_vetoed,
) -> Iterator[str]:
    """Platform tags of a Linux with this C library, newest first."""
    yield from (f"linux_{arch}" for arch in archs)
    versions = list(glibc_versions(glibc, archs)) if glibc else []
    for arch in archs:
        for major, minor in versions:
            if is_vetoed((major, minor, arch)):
                continue
            yield f"manylinux_{major}_{minor}_{arch}"
            if legacy := _LEGACY_MANYLINUX.get((major, minor)):
                yield f"{legacy}_{arch}"
    if musl:
        major, newest = musl
        yield from (f"musllinux_{major}_{minor}_{arch}" for arch in archs for minor in range(newest, -1, -1))


def glibc_versions(newest: tuple[int, int], archs: Collection[str]) -> Iterator[tuple[int, int]]:
    """The versions of glibc whose wheels run on ``newest``, newest first."""
    # The oldest policies: manylinux1 (2.5) on x86, manylinux2014 (2.17) elsewhere.
    oldest = 5 if not {"x86_64", "i686"}.isdisjoint(archs) else 17
    lasts = [newest, *((major, _LAST_GLIBC2_MINOR) for major in range(newest[0] - 1, 1, -1))]
    for major, last in lasts:
        for minor in range(last, (oldest if major == 2 else 0) - 1, -1):
            yield major, minor


def mac_platforms(version: tuple[int, int], arch: str, *, is_32bit: bool = False) -> Iterator[str]:
    """Platform tags of a macOS, newest first."""
    # Asks the running process only for what it is not given.
    from packaging import tags

    if is_32bit:
        arch = "ppc" if arch.startswith("ppc") else "i386"
    return tags.mac_platforms(version, arch)


def ios_platforms(version: tuple[int, int], multiarch: str) -> Iterator[str]:
    """Platform tags of an iOS, newest first; ``multiarch`` such as ``arm64_iphoneos``."""
    from packaging import tags

    return tags.ios_platforms(version, multiarch)


def android_platforms(api_level: int, abi: str) -> Iterator[str]:
    """Platform tags of an Android, newest first; ``abi`` such as ``arm64_v8a``."""
    from packaging import tags

    return tags.android_platforms(api_level, abi)
