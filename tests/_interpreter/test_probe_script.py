from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import sysconfig

import pytest

from puffin_api._interpreter import probe_script


def _elf(*, bits=64, machine=62, flags=0, loader=b"/lib/ld-musl-x86_64.so.1\0"):
    """The front of an ELF file with one program header and the path of its loader."""
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    if bits == 64:
        header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, flags, 64, 56, 1, 0, 0, 0)
        entry = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(loader), len(loader), 1)
    else:
        header = struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, 0, 52, 0, flags, 52, 32, 1, 0, 0, 0)
        entry = struct.pack("<IIIIIIII", 3, 84, 0, 0, len(loader), len(loader), 4, 1)
    return ident + header + entry + loader


@pytest.mark.parametrize("bits", [32, 64])
def test_the_loader_of_an_elf_file_is_found(bits):
    assert probe_script._parse_elf(_elf(bits=bits, machine=183))[1] == "/lib/ld-musl-x86_64.so.1"


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"bits": 32, "machine": 3}, "i386"),
        ({"bits": 32, "machine": 40, "flags": 0x05000400}, "armhf"),
        ({"bits": 32, "machine": 40, "flags": 0x05000200}, ""),
        ({"bits": 64, "machine": 62}, ""),
    ],
)
def test_kinds_that_manylinux_cares_for_are_told_apart(header, kind):
    assert probe_script._parse_elf(_elf(**header))[0] == kind


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh", b"\x7fELF\x09\x01", _elf()[:70]])
def test_what_is_no_whole_elf_file_says_nothing(tmp_path, data):
    file = tmp_path / "file"
    file.write_bytes(data)

    assert probe_script._read_elf(str(file)) == ("", "")


def test_the_version_of_musl_is_read_from_its_loader(tmp_path):
    loader = tmp_path / "ld-musl-x86_64.so.1"
    loader.write_bytes(b"\x7fELF\0/proc/self/fd/\x001.2.5\0search\x00127.0.0.1\0")

    assert probe_script._musl_version(str(loader), allow_subprocess=False) == [1, 2]


def test_a_loader_that_hides_its_version_is_started_only_by_a_probe(tmp_path):
    loader = tmp_path / "ld-musl-x86_64.so.1"
    loader.write_text("#!/bin/sh\nprintf 'musl libc (x86_64)\\nVersion 1.1.24\\n' >&2\nexit 1\n")
    loader.chmod(0o755)

    assert probe_script._musl_version(str(loader), allow_subprocess=False) is None
    assert probe_script._musl_version(str(loader), allow_subprocess=True) == [1, 1]


@pytest.mark.parametrize(
    ("text", "pair"),
    [("2.36", [2, 36]), ("2.20-2014.11", [2, 20]), ("14.1.2", [14, 1]), ("", None), ("glibc", None)],
)
def test_versions_with_trailing_text_are_read(text, pair):
    assert probe_script._pair(text) == pair


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")
def test_both_ways_to_ask_for_glibc_agree():
    assert probe_script._glibc_version_by_symbol() == probe_script._glibc_version()


def test_older_attributes_of_a_manylinux_module_veto_one_policy_each():
    class Module:
        manylinux1_compatible = False
        manylinux2014_compatible = True

    assert probe_script._is_vetoed(Module, 2, 5, "x86_64")
    assert not probe_script._is_vetoed(Module, 2, 17, "x86_64")
    assert not probe_script._is_vetoed(Module, 2, 12, "x86_64")


def test_the_scheme_of_a_base_is_that_of_sysconfig(any_python, info_of, ask):
    program = "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"
    paths = json.loads(ask(any_python, program))

    scheme = info_of(any_python).scheme

    assert {key: paths[key] for key in ("purelib", "platlib", "scripts", "data")} == {
        key: place for key, place in scheme.to_dict().items() if key != "include"
    }
    assert scheme.include.startswith(paths["data"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[externally-managed]\nError=Use apt,\n  not pip 100%.\n", "Use apt,\nnot pip 100%."),
        ("[externally-managed]\n", ""),
        ("no ini file", ""),
        ("", ""),
    ],
)
def test_an_externally_managed_python_is_told_with_its_message(tmp_path, text, message):
    """PEP 668: the marker stands in the standard library; its text is in the key ``Error``."""
    script = tmp_path / "ask.py"
    shutil.copy(probe_script.__file__, tmp_path / "copied_script.py")
    (tmp_path / "EXTERNALLY-MANAGED").write_text(text)
    script.write_text(
        "import json, sys, sysconfig\n"
        f"sys.prefix = sys.base_prefix\nsysconfig.get_path = lambda name: {str(tmp_path)!r}\n"
        "import copied_script\n"
        "print(json.dumps(copied_script._externally_managed()))\n"
    )

    output = subprocess.run([sys.executable, script], capture_output=True, check=True).stdout

    assert json.loads(output) == {"path": str(tmp_path / "EXTERNALLY-MANAGED"), "message": message}


def test_a_virtual_environment_is_never_externally_managed():
    if sys.prefix == sys.base_prefix:
        pytest.skip("the tests do not run in a virtual environment")

    assert sysconfig.get_path("stdlib")
    assert probe_script._externally_managed() is None
