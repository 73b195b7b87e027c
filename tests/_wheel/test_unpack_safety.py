from __future__ import annotations

import os
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffin_api._testing.wheels import make_wheel, record_digest
from puffin_api._wheel.rules import RULES, Limits, broken_rule, check_path
from puffin_api._wheel.unpack import unpack_wheel
from puffin_api._zip import ZIP_RULES
from puffin_api.errors import HashMismatch, MetadataInvalid, PuffinError, UnsafeArchive
from tests._wheel.raw_zip import Member, craft, wheel_members
from tests._wheel.test_manifest import as_data

FILENAME = "demo-1.0-py3-none-any.whl"
FILE = 0o100644


def unpack(folder, content, **options):
    wheel = folder / "download"
    wheel.write_bytes(content)
    return unpack_wheel(wheel, folder / "target", filename=FILENAME, **options)


def everything_in(folder):
    """Every path below, links not followed, with content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in folder.rglob("*")
    }


def wheel_with(*names, **fields) -> bytes:
    return craft(wheel_members(*(Member(name, b"x", **fields) for name in names)))


def same_digest(record: dict) -> dict:
    return {path: f"{record_digest('x')},{size}" for path, size in record.items()}


BAD = {
    "absolute": ("absolute-path", wheel_with("/elsewhere/x")),
    "absolute directory": ("absolute-path", wheel_with("//server/share/x")),
    "above": ("parent-path", wheel_with("../x")),
    "above in the middle": ("parent-path", wheel_with("demo/../../x")),
    "above at the end": ("parent-path", wheel_with("demo/..")),
    "above through a known folder": ("parent-path", wheel_with("demo/a", "demo/..")),
    "directory above": ("parent-path", craft(wheel_members(Member("../x/", mode=0o40755)))),
    "here": ("dot-path", wheel_with("./x")),
    "here in the middle": ("dot-path", wheel_with("demo/./x")),
    "no name": ("empty-name", wheel_with("")),
    "only a slash": ("empty-name", craft(wheel_members(Member("/", mode=0o40755)))),
    "empty part": ("empty-name", wheel_with("demo//x")),
    "backslash": ("backslash", wheel_with("..\\x")),
    "backslash inside": ("backslash", wheel_with("demo\\x")),
    "drive": ("drive-letter", wheel_with("C:/x")),
    "drive without slash": ("drive-letter", wheel_with("c:x")),
    "drive in the middle": ("drive-letter", wheel_with("demo/D:x")),
    "zero": ("control-character", wheel_with("demo/a\0.py")),
    "newline": ("control-character", wheel_with("demo/a\n.py")),
    "delete": ("control-character", wheel_with("demo/a\x7f.py")),
    "device": ("reserved-name", wheel_with("demo/NUL")),
    "device with extension": ("reserved-name", wheel_with("demo/aux.py")),
    "device with two extensions": ("reserved-name", wheel_with("demo/Com1.tar.gz")),
    "device with space": ("reserved-name", wheel_with("demo/con .txt")),
    "device as folder": ("reserved-name", wheel_with("lpt\u00b2/x")),
    "dot at the end": ("trailing-dot-or-space", wheel_with("demo/x.")),
    "space at the end": ("trailing-dot-or-space", wheel_with("demo/x ")),
    "three dots": ("trailing-dot-or-space", wheel_with("demo/.../x")),
    "long part": ("name-too-long", wheel_with("demo/" + "x" * 256)),
    "long part in bytes": ("name-too-long", wheel_with("demo/" + "ü" * 128)),
    "deep": ("name-too-long", wheel_with("x/" * 600 + "y")),
    "link": ("special-file", wheel_with("demo/link", mode=0o120777)),
    "link made elsewhere": ("special-file", wheel_with("demo/link", mode=0o120777, central={"system": 0})),
    "device file": ("special-file", wheel_with("demo/device", mode=0o020666)),
    "pipe": ("special-file", wheel_with("demo/pipe", mode=0o010666)),
    "socket": ("special-file", wheel_with("demo/socket", mode=0o140666)),
    "directory that is none by name": ("entry-type", wheel_with("demo/x", mode=0o040755)),
    "directory on Windows that is none by name": (
        "entry-type",
        wheel_with("demo/x", central={"attributes": 0x10}),
    ),
    "directory with content": ("directory-with-data", wheel_with("demo/x/", mode=0o040755)),
    "twice": ("duplicate-entry", wheel_with("demo/x", "demo/x")),
    "metadata twice": (
        "duplicate-entry",
        craft([*wheel_members(), Member("demo-1.0.dist-info/METADATA", b"Name: evil\n")]),
    ),
    "directory twice": (
        "duplicate-entry",
        craft(wheel_members(*[Member("x/", mode=0o40755)] * 2)),
    ),
    "case": ("case-conflict", wheel_with("demo/x", "demo/X")),
    "case of a folder": ("case-conflict", wheel_with("demo/x", "Demo/x")),
    "case beyond ASCII": ("case-conflict", wheel_with("demo/ä", "demo/Ä")),
    "normal forms": ("case-conflict", wheel_with("demo/\u00e4", "demo/a\u0308")),
    "file, then folder": ("file-and-directory", wheel_with("demo/x", "demo/x/y")),
    "folder, then file": ("file-and-directory", wheel_with("demo/x/y", "demo/x")),
    "folder and file by case": ("file-and-directory", wheel_with("demo/x/y", "demo/X")),
    "announced folder and file": (
        "file-and-directory",
        craft(wheel_members(Member("demo/x/", mode=0o40755), Member("demo/x", b"x"))),
    ),
    "not listed": ("not-in-record", craft(wheel_members(Member("a.py", b"x"), record={"a.py": None}))),
    "listed, not there": ("missing-entry", craft(wheel_members(record=same_digest({"b.py": 1})))),
    "listed outside": ("missing-entry", craft(wheel_members(record=same_digest({"../../b.py": 1})))),
    "other size": (
        "record-size-mismatch",
        craft(wheel_members(Member("a.py", b"x"), record=same_digest({"a.py": 2}))),
    ),
    "no size": (
        "record-size-mismatch",
        craft(wheel_members(Member("a.py", b"x"), record=same_digest({"a.py": "one"}))),
    ),
    "listed twice": (
        "record-conflict",
        craft(wheel_members(Member("a.py", b"x"), record=same_digest({".\\a.py": 2}))),
    ),
    "script": (
        "script-name",
        craft(
            wheel_members(
                Member("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\n../../x = demo:main\n")
            )
        ),
    ),
    "script file": ("script-name", wheel_with("demo-1.0.data/scripts/python3")),
}


@pytest.mark.parametrize("case", BAD)
def test_archives_that_break_a_rule_are_refused_before_anything_is_written(tmp_path, case):
    rule, content = BAD[case]
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)

    with pytest.raises(UnsafeArchive) as caught:
        unpack(folder, content)

    error = caught.value
    assert error.rule == rule
    assert (error.name, error.archive) == ("demo", FILENAME)
    assert str(error).startswith(f"{FILENAME} is refused: {RULES[rule]}")
    assert everything_in(tmp_path).keys() == {"a", "a/b", "a/b/download"}


def test_every_rule_has_a_case_that_breaks_it():
    elsewhere = {"too-many-entries", "too-large", "ratio", "windows-character"}

    assert {rule for rule, _ in BAD.values()} == RULES.keys() - ZIP_RULES.keys() - elsewhere


def test_the_broken_entry_is_named(tmp_path):
    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, wheel_with("demo/fine.py", "demo/../x.py"))

    assert caught.value.entry == "demo/../x.py"


@pytest.mark.parametrize("name", ["a:stream", "a<b", "a?", "a*b", 'a"b', "a|b"])
def test_names_that_windows_gives_a_meaning_are_refused_there(name):
    # Two letters before the colon: one would be a drive.
    assert broken_rule("x" + name, windows=True) == "windows-character"
    assert broken_rule("x" + name, windows=False) == ""


@pytest.mark.parametrize(
    "name",
    [
        "demo/auxiliary.py",
        "demo/console.py",
        "demo/.hidden",
        "demo/a..b",
        "demo/ a",
        "ü/x",
        "a+b-c_d@e=f,g",
        "com10",
    ],
)
def test_names_that_only_look_odd_are_fine(name):
    check_path(name, FILENAME)


# -- bounds


def bomb(size: int) -> bytes:
    """Zeros that inflate a thousandfold, packed without holding them."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    crc = 0
    parts = []
    for _ in range(size >> 20):
        parts.append(squeeze.compress(block))
        crc = zlib.crc32(block, crc)
    fields = {"size": size, "crc": crc}
    packed = b"".join(parts) + squeeze.flush()
    member = Member("zeros.bin", packed=packed, central=fields, local=fields)
    return craft(wheel_members(member, record={"zeros.bin": f",{size}"}))


def test_what_inflates_beyond_the_ratio_is_refused_at_once(tmp_path):
    content = bomb(200 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeArchive) as caught:
            unpack(tmp_path, content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (caught.value.rule, caught.value.entry) == ("ratio", "zeros.bin")
    assert peak < 4 << 20
    assert not (tmp_path / "target").exists()


def test_small_archives_may_inflate_by_any_ratio(tmp_path):
    assert unpack(tmp_path, bomb(4 << 20)).installed_size > 4 << 20


@pytest.mark.parametrize("size", [0, 10])
def test_a_bomb_that_lies_about_its_size_is_stopped_at_that_size(tmp_path, size):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(64)) + squeeze.flush()
    lie = {"size": size, "crc": 0}
    member = Member("zeros.bin", packed=packed, central=lie, local=lie)
    content = craft(wheel_members(member, record={"zeros.bin": f",{size}"}))
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeArchive) as caught:
            unpack(tmp_path, content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert caught.value.rule == "size-mismatch"
    assert peak < 4 << 20


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    kernel = Member("a", b"x" * 1000)
    sharing = [kernel, *(Member(name, kernel.content, central={"offset": 0}) for name in "bcdef")]
    data = kernel.local_part()
    directory = b"".join(m.central_part(0) for m in sharing)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 6, 6, len(directory), len(data), 0)

    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, data + directory + end)

    assert caught.value.rule in ("overlapping-entries", "header-mismatch")


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Limits(max_bytes=1000), "too-large"),
        (Limits(max_entries=3), "too-many-entries"),
        (Limits(max_entries=8), "too-many-entries"),
        (Limits(max_ratio=2, ratio_floor=100), "ratio"),
        (Limits(max_metadata_bytes=20), "too-large"),
    ],
)
def test_archives_beyond_the_limits_are_refused(tmp_path, limits, rule):
    content = craft(wheel_members(Member("a/b/c/d/e/f", b"x" * 2000)))

    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, content, limits=limits)

    assert caught.value.rule == rule
    assert not (tmp_path / "target").exists()


# -- laws

PIECES = [
    "a",
    "B",
    ".",
    "..",
    "/",
    "\\",
    ":",
    " ",
    "\0",
    "\n",
    "ü",
    "~",
    "con",
    "demo",
    "C:",
    "demo-1.0.data",
]
NAMES = st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=6).map("".join)


@given(st.lists(NAMES | st.binary(max_size=8), max_size=4), st.sampled_from([FILE, 0o40755, 0o120777, 0]))
@settings(max_examples=300)
def test_unpack_never_writes_outside(tmp_path_factory, names, mode):
    top = tmp_path_factory.mktemp("outside")
    folder = top / "one" / "two"
    folder.mkdir(parents=True)
    members = [Member(name, b"x", mode=mode) for name in names]
    (folder / "download").write_bytes(craft(wheel_members(*members)))
    before = everything_in(top)

    try:
        manifest = unpack_wheel(folder / "download", folder / "target", filename=FILENAME)
    except UnsafeArchive:
        assert everything_in(top) == before
    except (MetadataInvalid, HashMismatch):
        pass
    else:
        files = folder / "target" / "files"
        wanted = {os.path.normpath(path) for path in manifest.files}
        found = {p.relative_to(files).as_posix() for p in files.rglob("*") if p.is_file()}
        assert found >= wanted
        assert all(m.raw_name().decode() in found for m in members)
    after = everything_in(top)
    assert {p: c for p, c in after.items() if not p.startswith("one/two/target")} == before


def test_a_damaged_byte_anywhere_is_an_error_or_changes_nothing(tmp_path):
    good = make_wheel("demo", "1.0", files={"demo/__init__.py": "x = 1\n" * 9})
    wheel = tmp_path / "download"
    wheel.write_bytes(good)
    target = tmp_path / "target"
    expected = as_data(unpack_wheel(wheel, target, filename=FILENAME))
    files = everything_in(target / "files")
    # Modes are in no checksum of a zip; only the digest of the whole file guards them.
    modes = {at + 38 + i for at in _records(good) for i in range(4)}
    unchanged = 0
    for at in range(len(good)):
        for mask in (0x01, 0x80, 0xFF):
            wheel.write_bytes(good[:at] + bytes([good[at] ^ mask]) + good[at + 1 :])
            again = tmp_path / f"again-{at}-{mask}"
            try:
                manifest = unpack_wheel(wheel, again, filename=FILENAME)
            except PuffinError:
                assert not (again / "manifest.json").exists()
                continue
            assert everything_in(again / "files") == files
            if at not in modes:
                assert as_data(manifest) == expected
            unchanged += 1
    # Times, versions and attributes: a few bytes for each entry, twice.
    assert unchanged < 3 * 4 * (8 + 20)


def _records(data):
    at = data.find(b"PK\1\2")
    while at >= 0:
        yield at
        at = data.find(b"PK\1\2", at + 1)


def test_a_file_cut_off_anywhere_is_an_error(tmp_path):
    good = make_wheel("demo", "1.0")
    for length in range(len(good)):
        with pytest.raises(PuffinError):
            unpack(tmp_path, good[:length])
        assert not (tmp_path / "target").exists()
