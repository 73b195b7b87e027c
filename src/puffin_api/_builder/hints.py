"""What the last words of a failed build usually mean, and what helps."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Advice = str | Callable[[str], str]

_PROGRAMS = {
    "cargo": "Install Rust with its package manager cargo.",
    "rustc": "Install Rust with its package manager cargo.",
    "cmake": "Install CMake.",
    "make": "Install make.",
    "ninja": "Install ninja.",
    "pkg-config": "Install pkg-config.",
    "pkgconf": "Install pkg-config.",
    "gfortran": "Install a Fortran compiler.",
    "swig": "Install SWIG.",
    "git": "Install git, or set the version of the project by the variable that its build backend names.",
}
_COMPILER = "Install a C and C++ compiler"
_DISTRIBUTIONS = {
    "Cython": "cython",
    "cv2": "opencv-python",
    "sklearn": "scikit-learn",
    "skbuild": "scikit-build",
    "yaml": "pyyaml",
    "mesonpy": "meson-python",
    "flit_core": "flit-core",
    "poetry": "poetry-core",
    "pdm": "pdm-backend",
    "hatch_vcs": "hatch-vcs",
}
_MODULES = {
    "pkg_resources": "The project needs a setuptools that still has pkg_resources: constrain its build "
    "requirements to 'setuptools<81', or choose a newer version of the project.",
    "distutils": "Python 3.12 and newer have no distutils: choose a newer version of the project or an older "
    "Python, or add 'setuptools' to its extra build requirements.",
    "imp": "Python 3.12 and newer have no imp: choose a newer version of the project or an older Python.",
    "setuptools": "Add 'setuptools' to the extra build requirements of the project; without isolation, "
    "install it into the environment first.",
}
_NEWER = (
    "This version does not know Python this new: choose a newer version of the project or an older Python."
)


def _module(name: str) -> str:
    top = name.partition(".")[0]
    if top in _MODULES:
        return _MODULES[top]
    distribution = _DISTRIBUTIONS.get(top, top.replace("_", "-"))
    return (
        f"The build needs {top!r} without saying so: add {distribution!r} to the extra build requirements of "
        "the project, or build it without isolation in an environment that has it."
    )


def _program(name: str) -> str:
    stem = re.split(r"[\\/]", name)[-1].removesuffix(".exe")
    return _PROGRAMS.get(stem, f"{_COMPILER}: {name!r} was not found.")


_TOOL = r"(?:[\w.+-]*[\\/])*(?:[\w.+]+-)*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|cl|cl\.exe)(?:-\d+)?"
_HELPER = "|".join(map(re.escape, _PROGRAMS))
_ANY_TOOL = rf"({_TOOL}|(?:[\w.+-]*[\\/])*(?:{_HELPER}))"
_HEADER = r"([\w./+-]+\.(?:h|hh|hpp|hxx)|[a-z_]+)"


def _header(name: str) -> str:
    if name == "longintrepr.h":
        return _NEWER
    return (
        f"Install the library that provides {name!r}, with its header files "
        "(often in a package that is named -dev or -devel)."
    )


def _library(name: str) -> str:
    return f"Install the library {name!r} (often in a package named lib{name}-dev or {name}-devel)."


def _host(name: str) -> str:
    return f"The build itself wants to fetch something from {name}, which it cannot reach."


def _config_program(name: str) -> str:
    return (
        f"Install the library whose program {name!r} tells where it is, with its header files "
        "(often in a package that is named -dev or -devel)."
    )


# The first that is found counts: what is more telling stands before what follows from it.
_RULES: tuple[tuple[str, Advice], ...] = (
    (r"No space left on device|ENOSPC", "The disk is full."),
    (
        r"(?:fatal error: '?Python\.h'?(?::| file)|include file: 'Python\.h')",
        "Install the header files of this Python (often in a package named python3-dev or python3-devel).",
    ),
    (rf"fatal error: '?{_HEADER}'?(?:: No such file or directory| file not found)", _header),
    (rf"fatal error C1083: [^']*'{_HEADER}'", _header),
    (r"(?:cannot find|library not found for|unable to find library) -l:?([\w.+-]+)", _library),
    (r"fatal error LNK1181: [^']*'([\w.+-]+)\.lib'", _library),
    (r"Dependency \"([\w.+-]+)\" not found|No package '([\w.+-]+)' found", _library),
    (r"Package '?([\w.+-]+)'?,? (?:was not found in the pkg-config|required by)", _library),
    (r"Could NOT find (\w+) \(missing|configuration file provided by \"([\w.+-]+)\"", _library),
    (r"(?:^|[\s:])lib([\w+-]+)\.so[\d.]*: cannot open shared object file", _library),
    (r"'pkg-config (?:--\w+ )*--exists ([\w.+-]+)' returned non-zero exit status 1\b", _library),
    (r"(?:^|[\s:])(?!pkg-config)([\w.+]+[-_]config): (?:command )?not found", _config_program),
    (
        r"\[Errno 2\] No such file or directory: '(?:[^']*/)?(?!pkg-config)([\w.+]+[-_]config)'",
        _config_program,
    ),
    (
        r"Microsoft Visual C\+\+ [\d.]+ or greater is required|Unable to find vcvarsall\.bat",
        "Install the Microsoft C++ Build Tools.",
    ),
    (rf"(?:command|unable to execute) '{_ANY_TOOL}'(?: failed)?: No such file or directory", _program),
    (rf"\[Errno 2\] No such file or directory: '{_ANY_TOOL}'", _program),
    (rf"(?:^|[\s:]){_ANY_TOOL}: (?:command )?not found", _program),
    (r"Unknown compiler\(s\)|CMAKE_C(?:XX)?_COMPILER not set|no acceptable C compiler", f"{_COMPILER}."),
    (r"(?:can't find|requires a) Rust compiler|Cargo, the Rust package manager", _PROGRAMS["cargo"]),
    (r"Could not find CMake|CMake must be installed|Problem with the CMake installation", _PROGRAMS["cmake"]),
    (r"[Pp]kg-config (?:for machine .*|was )?not found", _PROGRAMS["pkg-config"]),
    (r"newer than PyO3's maximum supported version|only versions? .* (?:are|is) supported", _NEWER),
    (r"Python 3\.\d+ is not (?:yet )?supported|requires a different Python", _NEWER),
    (r"'pkgutil' has no attribute 'ImpImporter'|no attribute 'SafeConfigParser'", _NEWER),
    (
        r"use_2to3 is invalid",
        "The project needs an older setuptools: constrain its build requirements to 'setuptools<58'.",
    ),
    (
        r"object has no attribute 'cython_sources'",
        "The project needs an older Cython: constrain its build requirements to 'cython<3'.",
    ),
    (
        r"setuptools[-_]scm was unable to detect version",
        "The tree does not tell its version: set the variable SETUPTOOLS_SCM_PRETEND_VERSION for the build.",
    ),
    (
        r"requires Python version [^,]*, running on",
        "This version needs a newer Python: choose an older version of the project or a newer Python.",
    ),
    (r"ModuleNotFoundError: No module named '([\w.]+)'", _module),
    (r"Could not resolve host(?:name)?: ([\w.-]+)", _host),
    (
        r"Temporary failure in name resolution|Network is unreachable",
        "The build itself wants to fetch something from the network, which it cannot reach.",
    ),
)
_COMPILED = tuple((re.compile(pattern, re.MULTILINE), advice) for pattern, advice in _RULES)


def hint_for(lines: Sequence[str]) -> str:
    """Return advice for what a build printed last, empty where nothing is recognised."""
    text = "\n".join(lines)
    for pattern, advice in _COMPILED:
        match = pattern.search(text)
        if match is not None:
            return advice if isinstance(advice, str) else advice(match[match.lastindex or 0])
    return ""
