from __future__ import annotations

import pytest

from puffin_api._builder.failure import ending
from puffin_api._builder.hints import hint_for

# What real builds print, shortened, and what the advice has to name.
OUTPUTS = [
    ("src/app.c:1:10: fatal error: Python.h: No such file or directory", "header files of this Python"),
    (
        "app.c(3): fatal error C1083: Cannot open include file: 'Python.h': No such file",
        "header files of this Python",
    ),
    (
        "pygraphviz/graphviz_wrap.c:3020:10: fatal error: graphviz/cgraph.h: No such file or directory",
        "'graphviz/cgraph.h'",
    ),
    ("foo.cpp:1:10: fatal error: 'ffi.h' file not found", "'ffi.h'"),
    (
        "x.c(1): fatal error C1083: Cannot open include file: 'mysql.h': No such file",
        "'mysql.h'",
    ),
    ("src/x.c:44: fatal error: longintrepr.h: No such file or directory", "older Python"),
    ("/usr/bin/ld: cannot find -lncurses: No such file or directory", "'ncurses'"),
    ("ld: library not found for -lssl", "'ssl'"),
    ("ld.lld: error: unable to find library -lpq", "'pq'"),
    ("LINK : fatal error LNK1181: cannot open input file 'libpq.lib'", "'libpq'"),
    ("error: libhdf5.so: cannot open shared object file: No such file or directory", "'hdf5'"),
    ("libhdf5.so.310: cannot open shared object file: No such file or directory", "'hdf5'"),
    ("Command 'pkg-config --exists mysqlclient' returned non-zero exit status 1.", "'mysqlclient'"),
    ("/bin/sh: 1: krb5-config: not found", "'krb5-config'"),
    ("[Errno 2] No such file or directory: '/usr/bin/pkg-config'", "Install pkg-config."),
    ("sh: mysql_config: command not found", "'mysql_config'"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/usr/bin/pg_config'", "'pg_config'"),
    ("error: command 'gcc' failed: No such file or directory", "'gcc'"),
    ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "C and C++ compiler"),
    ("error: command '/usr/bin/clang++-15' failed: No such file or directory", "C and C++ compiler"),
    ("unable to execute 'cc': No such file or directory", "C and C++ compiler"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", "CMake"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'ninja'", "ninja"),
    ("/bin/sh: 1: pkg-config: not found", "Install pkg-config."),
    ("/bin/sh: cargo: command not found", "Rust"),
    ("make: gfortran: not found", "Fortran"),
    ("error: Microsoft Visual C++ 14.0 or greater is required. Get it with", "Microsoft C++ Build Tools"),
    ("../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang']]", "compiler"),
    (
        "Did not find pkg-config by name 'pkg-config'\nPkg-config for machine host machine not found",
        "pkg-config",
    ),
    ("Cargo, the Rust package manager, is not installed or is not on PATH.", "Rust"),
    ("error: can't find Rust compiler", "Rust"),
    ("ModuleNotFoundError: No module named 'pkg_resources'", "setuptools<81"),
    ("ModuleNotFoundError: No module named 'distutils'", "distutils"),
    ("ModuleNotFoundError: No module named 'distutils.core'", "distutils"),
    ("ModuleNotFoundError: No module named 'setuptools'", "'setuptools'"),
    ("ModuleNotFoundError: No module named 'torch'", "add 'torch'"),
    ("ModuleNotFoundError: No module named 'numpy.distutils'", "add 'numpy'"),
    ("ModuleNotFoundError: No module named 'Cython'", "add 'cython'"),
    ("ModuleNotFoundError: No module named 'sklearn'", "add 'scikit-learn'"),
    (
        "the Python interpreter version (3.14) is newer than PyO3's maximum supported version",
        "older Python",
    ),
    (
        "RuntimeError: Cannot install on Python version 3.13.0; only versions >=3.9,<3.13 are supported.",
        "older Python",
    ),
    (
        "AttributeError: module 'pkgutil' has no attribute 'ImpImporter'. Did you mean: 'zipimporter'?",
        "older Python",
    ),
    ("error in demo setup command: use_2to3 is invalid.", "setuptools<58"),
    ("AttributeError: 'build_ext' object has no attribute 'cython_sources'", "cython<3"),
    ("LookupError: setuptools-scm was unable to detect version for /x.", "SETUPTOOLS_SCM_PRETEND_VERSION"),
    (
        '../cairo/meson.build:31:12: ERROR: Dependency "cairo" not found (tried pkg-config and cmake)',
        "'cairo'",
    ),
    ("No package 'libffi' found", "'libffi'"),
    ("Package libpq was not found in the pkg-config search path.", "'libpq'"),
    ("Package 'gmp', required by 'virtual:world', not found", "'gmp'"),
    ("CMake Error: Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)", "'ZLIB'"),
    ('Could not find a package configuration file provided by "pybind11" with any', "'pybind11'"),
    ("meson-python: error: The package requires Python version >=3.12, running on 3.11.7", "newer Python"),
    ("error: [6] Could not resolve hostname (Could not resolve host: crates.invalid)", "crates.invalid"),
    ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "network"),
    ("OSError: [Errno 28] No space left on device", "disk is full"),
]


@pytest.mark.parametrize(("output", "named"), OUTPUTS, ids=[output[-40:] for output, _ in OUTPUTS])
def test_the_output_leads_to_advice(output, named):
    assert named in hint_for(["running build_ext", *output.split("\n"), "error: build failed"])


@pytest.mark.parametrize(
    "output",
    ["", "RuntimeError: no", "fatal error: too many errors emitted", "note: see gcc manual", "not found"],
)
def test_where_nothing_is_recognised_nothing_is_advised(output):
    assert hint_for([output]) == ""


def test_the_cause_comes_before_what_follows_from_it():
    lines = [
        "x.c:1: fatal error: foo.h: No such file or directory",
        "ModuleNotFoundError: No module named 'x'",
    ]

    assert "'foo.h'" in hint_for(lines)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "ended with exit code 1"),
        (-9, "was killed by signal 9 (SIGKILL), perhaps because memory ran out"),
        (-11, "was killed by signal 11 (SIGSEGV)"),
        (-63, "was killed by signal 63"),
    ],
)
def test_the_end_of_a_child_is_put_into_words(code, words):
    assert ending(code) == words
