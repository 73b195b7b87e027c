"""What a version, a platform tag and an ABI say about a target that is not at hand."""

from __future__ import annotations

import re

import attrs

from puffin_api._model import tags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = re.compile(r"(3)\.(\d{1,3})(?:\.(\d+))?((?:a|b|rc)\d+)?(t?)", re.ASCII)
_IMPLEMENTATIONS = {
    "cp": ("cpython", "CPython"),
    "pp": ("pypy", "PyPy"),
    "graalpy": ("graalpy", "GraalVM"),
    "ip": ("ironpython", "IronPython"),
    "jy": ("jython", "Jython"),
}
_OLDEST_PYTHON = (3, 8)
_FREE_THREADED_SINCE = (3, 13)


@attrs.frozen(kw_only=True)
class PythonRequest:
    """An interpreter told by its version, implementation and ABI."""

    short: str
    version: tuple[int, int]
    full_version: str
    abis: tuple[str, ...]

    @classmethod
    def parse(cls, python: str, implementation: str, abi: str | None) -> PythonRequest:
        """Read the arguments of ``Target.for_platform``."""
        match = _VERSION.fullmatch(python)
        if match is None:
            raise ValueError(
                f"{python!r} is no version of Python 3; write it as '3.12', '3.12.4', '3.15.0rc1' or '3.13t'"
            )
        version = (int(match[1]), int(match[2]))
        if version < _OLDEST_PYTHON:
            raise ValueError(f"Python {python} is older than 3.8, the oldest target")
        implementation = implementation.lower()
        short = tags.SHORT_NAMES.get(implementation, implementation)
        if not re.fullmatch(r"[a-z_]+", short):
            raise ValueError(
                f"{implementation!r} is no implementation of Python; use 'cp', 'pp' or 'graalpy'"
            )
        return cls(
            short=short,
            version=version,
            full_version=f"{version[0]}.{version[1]}.{match[3] or 0}{match[4] or ''}",
            abis=_abis(short, version, abi, free_threaded=bool(match[5])),
        )

    def markers(self) -> dict[str, str]:
        """The markers that do not depend on the platform."""
        name, title = _IMPLEMENTATIONS.get(self.short, (self.short, self.short.capitalize()))
        own_version = self.full_version.replace("rc", "c")  # PEP 508 shortens the release level
        if name == "pypy":
            own_version = _pypy_version(self.abis)
        return {
            "implementation_name": name,
            "implementation_version": own_version,
            "platform_python_implementation": title,
            "python_full_version": self.full_version,
            "python_version": f"{self.version[0]}.{self.version[1]}",
        }

    def tags(self, platforms: Iterable[str]) -> tuple[str, ...]:
        """The wheel tags for the given platforms, best first."""
        return tags.ranked_tags(
            implementation=self.short, version=self.version, abis=self.abis, platforms=tuple(platforms)
        )


def _abis(short: str, version: tuple[int, int], abi: str | None, *, free_threaded: bool) -> tuple[str, ...]:
    if free_threaded and (short != "cp" or version < _FREE_THREADED_SINCE):
        raise ValueError("only CPython 3.13 and newer come free-threaded ('3.13t')")
    if abi is None:
        return _usual_abis(short, version, free_threaded=free_threaded)
    if not re.fullmatch(r"\w+", abi, re.ASCII):
        raise ValueError(f"{abi!r} is no ABI tag; write it as 'cp313t' or 'pypy310_pp73'")
    if short == "cp":
        return _cpython_abis(version, abi, free_threaded=free_threaded)
    if abi == "none":  # the ranking has it anyway
        return ()
    own = f"pypy{version[0]}{version[1]}_pp"
    if short == "pp" and not abi.startswith(own):
        raise ValueError(f"ABI {abi!r} does not go with PyPy {version[0]}.{version[1]}; try '{own}73'")
    return (abi,)


def _usual_abis(short: str, version: tuple[int, int], *, free_threaded: bool) -> tuple[str, ...]:
    if short == "cp":
        return tags.cpython_abis(version, free_threaded=free_threaded)
    if short == "graalpy":
        raise ValueError(
            "the ABI of GraalPy follows from its own release; give it as abi='graalpy242_311_native',"
            " or 'none' for wheels without compiled parts"
        )
    # Each PyPy since 7.3 (2019) has the ABI pp73.
    return (f"pypy{version[0]}{version[1]}_pp73",) if short == "pp" else ()


def _cpython_abis(version: tuple[int, int], abi: str, *, free_threaded: bool) -> tuple[str, ...]:
    own = f"cp{version[0]}{version[1]}"
    if not free_threaded and abi in {"none", "abi3"}:  # the ranking has them anyway
        return ()
    flags = abi.removeprefix(own)
    with_t = "t" in flags
    if flags not in {"", "t", "d", "td"} or (free_threaded and not with_t):
        wanted = f"{own}t" if free_threaded else own
        raise ValueError(f"ABI {abi!r} does not go with Python {version[0]}.{version[1]}; try {wanted!r}")
    if with_t and version < _FREE_THREADED_SINCE:
        raise ValueError("only CPython 3.13 and newer come free-threaded ('cp313t')")
    return tags.cpython_abis(version, debug="d" in flags, free_threaded=with_t)


def _pypy_version(abis: tuple[str, ...]) -> str:
    """PyPy's own version as far as its ABI tells: ``pp73`` is 7.3."""
    match = re.search(r"_pp(\d)(\d+)", abis[0]) if abis else None
    return f"{match[1]}.{match[2]}.0" if match else "7.3.0"


@attrs.frozen(kw_only=True)
class PlatformTag:
    """A platform tag, taken apart: family, numbers and architecture."""

    tag: str
    family: str
    version: tuple[int, int] = (0, 0)
    arch: str

    @classmethod
    def parse(cls, tag: str) -> PlatformTag:
        """Read a platform tag such as ``manylinux_2_28_x86_64``, ``macosx_14_0_arm64`` or ``win_amd64``."""
        place = cls._read(tags.normalize(tag).lower())
        place.check_machine()
        return place

    @classmethod
    def _read(cls, tag: str) -> PlatformTag:
        if tag in _WINDOWS:
            return cls(tag=tag, family="win", arch=_WINDOWS[tag])
        if (match := _LEGACY.fullmatch(tag)) is not None:
            return cls(tag=tag, family="manylinux", version=tags.LEGACY_GLIBC[match[1]], arch=match[2])
        if (match := _VERSIONED.fullmatch(tag)) is not None:
            return cls._versioned(tag, match)
        if (match := _LINUX.fullmatch(tag)) is not None:
            return cls(tag=tag, family="linux", arch=match[1])
        if (match := _ANDROID.fullmatch(tag)) is not None:
            return cls(tag=tag, family="android", version=(int(match[1]), 0), arch=match[2])
        return cls._other(tag)

    @classmethod
    def _versioned(cls, tag: str, match: re.Match[str]) -> PlatformTag:
        if match[1] == "macosx" and match[4] in _FAT_ARCHS:
            raise ValueError(f"{tag!r} names a kind of file, not a machine; end it in 'arm64' or 'x86_64'")
        return cls(tag=tag, family=match[1], version=(int(match[2]), int(match[3])), arch=match[4])

    def check_machine(self) -> None:
        """Refuse machines and versions that do not exist: their targets would take no wheel."""
        if self.family.endswith("linux") and self.arch in _FOREIGN_ARCHS:
            raise ValueError(f"{self.tag!r}: for {self.arch!r}, Linux says {_FOREIGN_ARCHS[self.arch]!r}")
        known = _ARCHS.get(self.family)
        if known is not None and self.arch not in known:
            raise ValueError(f"{self.tag!r}: {self.family} wheels are for {', '.join(sorted(known))}")
        oldest = (11, 0) if (self.family, self.arch) == ("macosx", "arm64") else _OLDEST.get(self.family)
        if oldest is not None and self.version < oldest:
            first = oldest[0] if self.family == "android" else f"{oldest[0]}_{oldest[1]}"
            raise ValueError(f"{self.tag!r} is too old; the first is '{self.family}_{first}_{self.arch}'")

    def check_python(self, version: tuple[int, int]) -> None:
        """Refuse a Python that has other markers and tags there, or none."""
        if self.family in _MOBILE and version < _MOBILE_SINCE:
            raise ValueError(f"{self.tag!r} needs Python 3.13, the first with such tags (PEP 730, PEP 738)")

    @classmethod
    def _other(cls, tag: str) -> PlatformTag:
        family, _, rest = tag.partition("_")
        known = next((name for name in _OTHERS if family == name), None)
        if known is None or known == "android" or not re.fullmatch(r"\w+", rest, re.ASCII):
            raise ValueError(
                f"{tag!r} is no known platform tag; write it as 'manylinux_2_28_x86_64', "
                "'musllinux_1_2_aarch64', 'macosx_14_0_arm64' or 'win_amd64'"
            )
        number = re.match(r"\d+", rest)
        arch = "x86_64" if rest.endswith("x86_64") else rest.rsplit("_", 1)[-1]
        return cls(tag=tag, family=known, version=(int(number[0]) if number else 0, 0), arch=arch)

    def platforms(self) -> Iterable[str]:
        """The platform tags whose wheels run there, best first."""
        match self.family:
            case "manylinux":
                return tags.linux_platforms(tags.linux_archs(self.arch), glibc=self.version)
            case "musllinux":
                return tags.linux_platforms(tags.linux_archs(self.arch), musl=self.version)
            case "linux":
                return tags.linux_platforms(tags.linux_archs(self.arch))
            case "macosx":
                return tags.mac_platforms(self.version, self.arch)
            case "ios":
                return tags.ios_platforms(self.version, self.arch)
            case "android":
                return tags.android_platforms(self.version[0], self.arch)
            case _:
                return (self.tag,)

    def markers(self) -> dict[str, str]:
        """The markers that depend on the platform; what only a running system knows is empty."""
        family = "linux" if self.family.endswith("linux") else self.family
        os_name, sys_platform, system = _MARKERS.get(family) or _OTHERS[family]
        if sys_platform.endswith("#"):  # named with the release of the system
            sys_platform = f"{sys_platform[:-1]}{self.version[0] or ''}"
        return {
            "os_name": os_name,
            "sys_platform": sys_platform,
            "platform_system": system,
            "platform_machine": _MACHINES.get((family, self.arch), self.arch),
            "platform_release": self._release(),
            "platform_version": "",
        }

    def _release(self) -> str:
        """``platform.release()`` where the version of the system decides it: on macOS that of Darwin."""
        major, minor = self.version
        if self.family == "ios":
            return f"{major}.{minor}"
        if self.family != "macosx":
            return ""
        if major == 10:
            return f"{minor + 4}.0.0"
        # macOS 15 was followed by 26, which tells old programs that it is 16; its Darwin is 25.
        return f"{major + 9 if major <= 16 else major - 1}.0.0"


_WINDOWS = {"win32": "x86", "win_amd64": "AMD64", "win_arm64": "ARM64", "win_arm32": "ARM"}
_LEGACY = re.compile(r"(manylinux1|manylinux2010|manylinux2014)_(\w+)", re.ASCII)
_VERSIONED = re.compile(r"(manylinux|musllinux|macosx|ios)_(\d{1,3})_(\d{1,3})_(\w+)", re.ASCII)
_LINUX = re.compile(r"linux_(\w+)", re.ASCII)
_ANDROID = re.compile(r"android_(\d{1,3})_(\w+)", re.ASCII)
_FAT_ARCHS = frozenset({"universal", "universal2", "intel", "fat", "fat3", "fat32", "fat64"})
_FOREIGN_ARCHS = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l", "i386": "i686", "x86": "i686"}
_ARCHS = {
    "manylinux": tags.MANYLINUX_ARCHS | {"i686", "armv7l", "armv8l"},
    "macosx": frozenset({"arm64", "x86_64", "i386", "ppc", "ppc64"}),
    "ios": frozenset({"arm64_iphoneos", "arm64_iphonesimulator", "x86_64_iphonesimulator"}),
    "android": frozenset({"arm64_v8a", "armeabi_v7a", "x86", "x86_64"}),
}
_OLDEST = {"macosx": (10, 0), "ios": (12, 0), "android": (16, 0)}
_MOBILE = frozenset({"android", "ios"})
_MOBILE_SINCE = (3, 13)

# os.name, sys.platform, platform.system()
_MARKERS = {
    "linux": ("posix", "linux", "Linux"),
    "macosx": ("posix", "darwin", "Darwin"),
    "win": ("nt", "win32", "Windows"),
    "ios": ("posix", "ios", "iOS"),
}
_OTHERS = {
    "android": ("posix", "android", "Android"),
    "freebsd": ("posix", "freebsd#", "FreeBSD"),
    "netbsd": ("posix", "netbsd#", "NetBSD"),
    "openbsd": ("posix", "openbsd#", "OpenBSD"),
    "dragonfly": ("posix", "dragonfly#", "DragonFly"),
    "solaris": ("posix", "sunos5", "SunOS"),
    "illumos": ("posix", "sunos5", "SunOS"),
    "sunos": ("posix", "sunos5", "SunOS"),
    "aix": ("posix", "aix", "AIX"),
    "haiku": ("posix", "haiku1", "Haiku"),
    "cygwin": ("posix", "cygwin", "CYGWIN_NT"),
    "emscripten": ("posix", "emscripten", "Emscripten"),
    "pyemscripten": ("posix", "emscripten", "Emscripten"),
    "pyodide": ("posix", "emscripten", "Emscripten"),
    "wasi": ("posix", "wasi", "wasi"),
}
_MACHINES = {
    ("android", "arm64_v8a"): "aarch64",
    ("android", "armeabi_v7a"): "armv7l",
    ("android", "x86"): "i686",
    ("ios", "arm64_iphoneos"): "arm64",
    ("ios", "arm64_iphonesimulator"): "arm64",
    ("ios", "x86_64_iphonesimulator"): "x86_64",
}
