"""Collects what an interpreter says of itself; runs inside the interpreter that is asked.

Python 3.8 and newer of any implementation, the standard library only, no import from this project:
``collect`` is called in-process for the running interpreter, and the file is executed by ``probe`` in
others (behind ``GATE`` there, which older Pythons can parse). The answer goes to a file, so that whatever
``sitecustomize`` and ``.pth`` files print does no harm.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

SCHEMA = 1

# Started as a file of its own, with the path of this script and of the answer. Python 2 must parse it.
# Its folder leaves sys.path before anything is imported: the stdlib must not be shadowed.
GATE = """\
import sys
if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]
script, answer = sys.argv[1:3]
if sys.version_info < (3, 8):
    stream = open(answer, "w")
    stream.write('{"error": "too-old", "version": "%d.%d.%d"}' % tuple(sys.version_info[:3]))
    stream.close()
else:
    stream = open(script, "rb")
    source = stream.read()
    stream.close()
    exec(compile(source, script, "exec"), {"__name__": "__main__", "__file__": script})
"""


def collect(allow_subprocess: bool) -> Dict[str, object]:  # noqa: FBT001 (called by keyword and by position)
    """Return all facts as JSON-able data.

    Without ``allow_subprocess`` nothing is started; the facts are the same (see ``_musl_version``).
    """
    import sysconfig

    return {
        "schema": SCHEMA,
        "markers": _markers(),
        "version_info": list(sys.version_info),
        "executable": sys.executable or "",
        "base_executable": _base_executable(),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "exec_prefix": sys.exec_prefix,
        "base_exec_prefix": sys.base_exec_prefix,
        "stdlib": sysconfig.get_path("stdlib"),
        "sys_path": [entry for entry in sys.path if isinstance(entry, str)],
        "abiflags": getattr(sys, "abiflags", ""),
        "soabi": str(sysconfig.get_config_var("SOABI") or ""),
        "scheme": _scheme(),
        "venv_scheme": _venv_scheme(),
        "externally_managed": _externally_managed(),
        "tags": _tag_facts(allow_subprocess),
    }


def _markers() -> Dict[str, str]:
    """The variables of PEP 508, as the specification computes them."""
    import platform

    own = sys.implementation.version
    own_version = "%d.%d.%d" % (own.major, own.minor, own.micro)
    if own.releaselevel != "final":
        own_version += own.releaselevel[0] + str(own.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": own_version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _base_executable() -> str:
    """The interpreter that a virtual environment was made from; its own executable elsewhere."""
    known = getattr(sys, "_base_executable", None) or ""
    if sys.prefix == sys.base_prefix:
        return known or sys.executable or ""
    # Before 3.11, POSIX builds name the environment's own link here.
    if known and not _is_inside(known, sys.prefix) and os.path.exists(known):
        return str(known)
    configured = _pyvenv_cfg()
    names = ["python%d.%d" % sys.version_info[:2], "python3", "python"]
    names.insert(0, os.path.basename(sys.executable or "python"))
    candidates = [configured.get("base-executable", "")]
    candidates += [os.path.join(configured.get("home", ""), name) for name in names]
    for candidate in candidates:
        if os.path.isabs(candidate) and os.path.isfile(candidate) and not _is_inside(candidate, sys.prefix):
            return candidate
    return os.path.realpath(sys.executable or "")


def _is_inside(path: str, folder: str) -> bool:
    """Whether a path lies in a folder, as written: links are followed for neither."""
    path, folder = os.path.normcase(os.path.abspath(path)), os.path.normcase(os.path.abspath(folder))
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _pyvenv_cfg() -> Dict[str, str]:
    values = {}
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _, value = line.partition("=")
                values[key.strip().lower()] = value.strip()
    except OSError:
        pass  # an environment without the file, such as one of conda
    return values


def _scheme() -> Dict[str, str]:
    """Where files of a wheel go in this interpreter; ``include`` is the parent of their header folders."""
    import sysconfig

    paths = _distutils_scheme() or sysconfig.get_paths()
    scheme = {key: paths[key] for key in ("purelib", "platlib", "scripts", "data", "include")}
    if sys.prefix != sys.base_prefix:
        # sysconfig names the folder of Python's own headers, which belongs to the base.
        scheme["include"] = os.path.join(sys.prefix, *_site_include())
    return scheme


def _site_include() -> Tuple[str, str, str]:
    return ("include", "site", "python%d.%d" % sys.version_info[:2])


def _distutils_scheme() -> Optional[Dict[str, str]]:
    """The scheme before 3.10, when distributors patched distutils and left sysconfig alone."""
    if sys.version_info >= (3, 10) or sys.prefix != sys.base_prefix:
        return None
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from distutils.dist import Distribution

            command = Distribution({"name": "x"}).get_command_obj("install")
            command.ensure_finalized()
    except (ImportError, AttributeError):  # distributors package distutils on its own
        return None
    keys = {"purelib": "purelib", "platlib": "platlib", "scripts": "scripts", "data": "data"}
    scheme = {key: str(getattr(command, "install_" + name)) for key, name in keys.items()}
    scheme["include"] = os.path.dirname(str(command.install_headers))
    return scheme


def _venv_scheme() -> Dict[str, str]:
    """The same places in a virtual environment made from this interpreter, relative to its prefix."""
    import sysconfig

    names = sysconfig.get_scheme_names()
    name = "venv" if "venv" in names else "nt" if os.name == "nt" else "posix_prefix"
    root = os.path.join(os.path.abspath(os.sep), "prefix")
    places = {"base": root, "platbase": root, "installed_base": root, "installed_platbase": root}
    paths = sysconfig.get_paths(name, vars=places)
    scheme = {key: _relative(paths[key], root) for key in ("purelib", "platlib", "scripts", "data")}
    scheme["include"] = "/".join(_site_include())
    return scheme


def _relative(path: str, root: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _externally_managed() -> Optional[Dict[str, str]]:
    """The marker file of PEP 668 and what it says; a virtual environment is never so managed."""
    import sysconfig

    path = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix != sys.base_prefix or not os.path.isfile(path):
        return None
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
        message = parser.get("externally-managed", "Error", fallback="")
    except (OSError, UnicodeDecodeError, configparser.Error):
        message = ""  # the file counts by being there
    return {"path": path, "message": message}


def _tag_facts(allow_subprocess: bool) -> Dict[str, object]:  # noqa: FBT001 (see collect)
    """What decides the compatible wheel tags."""
    import platform
    import struct
    import sysconfig

    variable = sysconfig.get_config_var
    system = platform.system()
    pointer_size = struct.calcsize("P")
    facts: Dict[str, object] = {
        "implementation": sys.implementation.name,
        "version_nodot": str(variable("py_version_nodot") or "%d%d" % sys.version_info[:2]),
        "ext_suffix": str(variable("EXT_SUFFIX") or ""),
        "debug": _is_debug(),
        "free_threaded": bool(variable("Py_GIL_DISABLED")) and sys.version_info >= (3, 13),
        "pointer_size": pointer_size,
        "system": system,
        "platform": sysconfig.get_platform(),
        "glibc": None,
        "musl": None,
        "elf": "",
        "manylinux_vetoes": [],
        "macos": None,
        "mac_arch": "",
        "ios": None,
        "multiarch": str(getattr(sys.implementation, "_multiarch", "")),
        "android_api": None,
        "pyemscripten": str(variable("PYEMSCRIPTEN_PLATFORM_VERSION") or ""),
    }
    if system == "Linux":
        facts.update(_linux_facts(allow_subprocess, pointer_size))
    elif system == "Darwin":
        facts["macos"], facts["mac_arch"] = _macos()
    elif system == "iOS":
        facts["ios"] = _pair(platform.ios_ver().release)  # type: ignore[attr-defined,unused-ignore] # 3.13+
    elif system == "Android":
        facts["android_api"] = platform.android_ver().api_level  # type: ignore[attr-defined,unused-ignore] # 3.13+
    return facts


def _is_debug() -> bool:
    """Whether extension modules are those of a debug build. Windows does not set ``Py_DEBUG``."""
    import sysconfig
    from importlib.machinery import EXTENSION_SUFFIXES

    with_debug = sysconfig.get_config_var("Py_DEBUG")
    if with_debug is None:
        return hasattr(sys, "gettotalrefcount") or "_d.pyd" in EXTENSION_SUFFIXES
    return bool(with_debug)


def _pair(text: str) -> Optional[List[int]]:
    """The first two numbers of a version; vendors append text such as ``2.20-2014.11``."""
    import re

    match = re.match(r"(\d+)\.(\d+)", text)
    return [int(match.group(1)), int(match.group(2))] if match else None


def _linux_facts(allow_subprocess: bool, pointer_size: int) -> Dict[str, object]:  # noqa: FBT001 (see collect)
    kind, loader = _read_elf(sys.executable or "")
    glibc = _glibc_version()
    return {
        "glibc": glibc,
        "musl": _musl_version(loader, allow_subprocess) if "musl" in loader else None,
        "elf": kind,
        "manylinux_vetoes": _manylinux_vetoes(glibc, pointer_size) if glibc else [],
    }


def _glibc_version() -> Optional[List[int]]:
    confstr = getattr(os, "confstr", None)  # absent on Windows
    try:
        text = str(confstr("CS_GNU_LIBC_VERSION") or "") if confstr else ""  # "glibc 2.36"
    except (OSError, ValueError):
        text = ""
    return _pair(text.split(" ")[-1]) or _glibc_version_by_symbol()


def _glibc_version_by_symbol() -> Optional[List[int]]:
    """Ask the C library that is loaded here; None where there is none or it is not glibc."""
    try:
        import ctypes

        function = ctypes.CDLL(None).gnu_get_libc_version
    except (ImportError, OSError, AttributeError, TypeError):
        return None
    function.restype = ctypes.c_char_p
    return _pair((function() or b"").decode("ascii", "replace"))


def _read_elf(path: str) -> Tuple[str, str]:
    """The kind of an ELF executable where tags depend on it, and its dynamic loader."""
    import struct

    try:
        with open(path, "rb") as stream:
            return _parse_elf(stream.read(65536))  # program headers and loader stand at the front
    except (OSError, ValueError, struct.error):
        return "", ""


def _parse_elf(data: bytes) -> Tuple[str, str]:
    import struct

    if data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] not in (1, 2):
        return "", ""
    is_32bit, order = data[4] == 1, "<" if data[5] == 1 else ">"
    # From e_type on: machine, version, entry, phoff, shoff, flags, ehsize, phentsize, phnum.
    header = struct.unpack_from(order + ("HHIIIIIHHH" if is_32bit else "HHIQQQIHHH"), data, 16)
    machine, phoff, flags, phentsize, phnum = header[1], header[4], header[6], header[8], header[9]
    kind = ""
    if is_32bit and order == "<":
        if machine == 3:
            kind = "i386"
        elif machine == 40 and flags & 0xFF000400 == 0x05000400:  # EABI 5, hard float
            kind = "armhf"
    for index in range(phnum):
        # 32-bit: type, offset, vaddr, paddr, filesz; 64-bit: type, flags, offset, vaddr, paddr, filesz.
        entry = struct.unpack_from(
            order + ("IIIII" if is_32bit else "IIQQQQ"), data, phoff + index * phentsize
        )
        if entry[0] == 3:  # PT_INTERP
            start, size = (entry[1], entry[4]) if is_32bit else (entry[2], entry[5])
            return kind, os.fsdecode(data[start : start + size].rstrip(b"\0"))
    return kind, ""


def _musl_version(loader: str, allow_subprocess: bool) -> Optional[List[int]]:  # noqa: FBT001 (see collect)
    """The version of musl, whose loader is the C library itself.

    Its version is a string constant in that file and needs no process to read. Should a build hide it,
    the loader prints it when started, which only a probe may do.
    """
    import re

    try:
        with open(loader, "rb") as stream:
            constants = set(re.findall(rb"\0(\d+\.\d+)\.\d+(?:-git[-\w]*)?\0", stream.read()))
    except OSError:
        constants = set()
    if len(constants) == 1:
        return _pair(constants.pop().decode("ascii"))
    return _musl_version_by_loader(loader) if allow_subprocess else None


def _musl_version_by_loader(loader: str) -> Optional[List[int]]:
    import re
    import subprocess

    try:
        result = subprocess.run([loader], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=False)
    except OSError:
        return None
    match = re.search(r"Version (\d+\.\d+)", result.stderr.decode("ascii", "replace"))
    return _pair(match.group(1)) if match else None


def _manylinux_vetoes(glibc: List[int], pointer_size: int) -> List[List[object]]:
    """What a ``_manylinux`` module of the distributor forbids (PEP 600), asked for every policy."""
    try:
        import _manylinux  # type: ignore[import-not-found,unused-ignore] # few systems have it
    except ImportError:
        return []
    import sysconfig

    arch = sysconfig.get_platform().replace("-", "_").replace(".", "_").partition("_")[2]
    if pointer_size == 4:
        arch = {"x86_64": "i686", "aarch64": "armv8l"}.get(arch, arch)
    archs = ["armv8l", "armv7l"] if arch == "armv8l" else [arch]
    versions = [
        (major, minor)
        for major in range(2, glibc[0] + 1)
        for minor in range((glibc[1] if major == glibc[0] else 50) + 1)
    ]
    return [
        [major, minor, arch]
        for arch in archs
        for major, minor in versions
        if _is_vetoed(_manylinux, major, minor, arch)
    ]


def _is_vetoed(module: object, major: int, minor: int, arch: str) -> bool:
    judge = getattr(module, "manylinux_compatible", None)
    if judge is not None:
        verdict = judge(major, minor, arch)
        return verdict is not None and not verdict
    names = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}
    name = names.get((major, minor))
    return name is not None and not getattr(module, name + "_compatible", True)


def _macos() -> Tuple[Optional[List[int]], str]:
    """The version of macOS and the architecture."""
    import platform

    text, _, arch = platform.mac_ver()
    if text.startswith("10.16"):
        # Binaries built against an older SDK are told 10.16; this file is not masked for them.
        text = _unmasked_macos_version() or text
    return _pair(text), arch


def _unmasked_macos_version() -> str:
    import plistlib

    try:
        with open("/System/Library/CoreServices/.SystemVersionPlatform.plist", "rb") as stream:
            return str(plistlib.load(stream).get("ProductVersion", ""))
    except (OSError, ValueError, plistlib.InvalidFileException):
        return ""


def _main() -> None:
    import json

    # Written beside and renamed: an answer that is there is complete.
    answer = sys.argv[2]
    with open(answer + ".part", "w", encoding="ascii") as stream:
        json.dump(collect(True), stream)
    os.replace(answer + ".part", answer)


if __name__ == "__main__":
    _main()
