from __future__ import annotations

import hashlib
import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._testing.wheels import zip_bytes
from puffin_api._wheel.zip_directory import ZipFile
from puffin_api._zip import (
    ZIP_RULES,
    directory_location,
    member,
    parse_directory,
    parse_end,
)
from puffin_api.errors import UnsafeArchive
from tests._wheel.raw_zip import Member, changed, craft

TEXT = b"print('hello')\n" * 20
PAIR = [Member("a.py", TEXT), Member("b.py", b"1\n")]
STORED = [Member("a.py", b"first", method=0), Member("b.py", b"second", method=0)]


def described(*, descriptor: str = "<4s3L", content: bytes = TEXT, **fields) -> list[Member]:
    one = Member("a.py", content, **fields)
    one.descriptor = one.descriptor_of(descriptor)
    return [one, Member("b.py", b"1\n")]


def zip64_field(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def read_all(data: bytes) -> dict[str, bytes]:
    archive = ZipFile(memoryview(data), "demo-1.0-py3-none-any.whl")
    return {entry.name: archive.read(entry) for entry in archive.entries}


# What is fine, though not every writer does it.
GOOD = {
    "deflated": craft(PAIR),
    "stored": craft(STORED),
    "empty": craft([]),
    "comment": craft(PAIR, comment=b"made by hand"),
    "descriptor": craft(described()),
    "descriptor-without-signature": craft(described(descriptor="<3L")),
    "descriptor-zip64": craft(described(descriptor="<4sL2Q")),
    "descriptor-and-values-before": craft(
        changed(described(), 0, local={"size": len(TEXT), "crc": Member("", TEXT).fields()["crc"]})
    ),
    "zip64-end": craft(PAIR, zip64={}),
    "zip64-end-only": craft(
        PAIR, zip64={}, end={"here": 0xFFFF, "count": 0xFFFF, "length": 0xFFFFFFFF, "offset": 0xFFFFFFFF}
    ),
    "zip64-entry": craft(
        changed(
            PAIR,
            0,
            central={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF, "offset": 0xFFFFFFFF},
            extra=zip64_field(len(TEXT), len(PAIR[0].body()), 0),
            local={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
            local_extra=zip64_field(len(TEXT), len(PAIR[0].body())),
        )
    ),
    "other-extra": craft(changed(PAIR, 0, extra=struct.pack("<2HL", 0x5455, 4, 0), local_extra=b"\0\0")),
    "same-name-in-the-extra-field": craft(
        changed(PAIR, 0, extra=struct.pack("<2HBL4s", 0x7075, 9, 1, 0, b"a.py"))
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_but_unambiguous_archives_are_read(name):
    expected = {"empty": [], "stored": STORED}.get(name, PAIR)

    assert read_all(GOOD[name]) == {m.name: m.content for m in expected}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_archives_of_zipfile_are_read(method):
    contents = {"a.py": TEXT, "pkg/": b"", "pkg/ü.txt": "ü".encode(), "empty": b""}

    assert read_all(zip_bytes(contents, compression=method)) == contents


def test_archives_written_to_a_stream_are_read():
    class Stream(io.RawIOBase):
        written = b""

        def writable(self):
            return True

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", TEXT)
        with archive.open("b.py", "w", force_zip64=True) as file:
            file.write(TEXT)

    assert read_all(stream.written) == {"a.py": TEXT, "b.py": TEXT}


BAD = {
    "no end": ("not-a-zip", b"hello"),
    "nothing": ("not-a-zip", b""),
    "cut": ("not-a-zip", craft(PAIR)[:-30]),
    "cut in the end record": ("data-after-end", craft(PAIR)[:-1]),
    "tail": ("data-after-end", craft(PAIR, suffix=b"x")),
    "another archive behind": ("damaged-directory", craft(PAIR) + craft(STORED)),
    "archive in the comment": ("second-archive", craft(PAIR, comment=craft(STORED))),
    "end in the comment": ("second-archive", craft(PAIR, comment=b"PK\5\6 and so on")),
    "prefix, offsets mended": ("stray-data", craft(PAIR, prefix=b"#!/bin/sh\n")),
    "prefix, offsets not mended": ("damaged-directory", b"#!/bin/sh\n" + craft(PAIR)),
    "number of this disk": ("multi-disk", craft(PAIR, end={"disk": 1})),
    "number of the first disk": ("multi-disk", craft(PAIR, end={"first": 1})),
    "entries on other disks": ("multi-disk", craft(PAIR, end={"here": 1})),
    "entry on another disk": ("multi-disk", craft(changed(PAIR, 0, central={"disk": 1}))),
    "zip64 of several disks": ("multi-disk", craft(PAIR, zip64={"disks": 2})),
    "zip64 number of disk": ("multi-disk", craft(PAIR, zip64={"disk": 1})),
    "fewer entries": ("damaged-directory", craft(PAIR, end={"here": 1, "count": 1})),
    "more entries": ("damaged-directory", craft(PAIR, end={"here": 3, "count": 3})),
    "length of directory": ("damaged-directory", craft(PAIR, end={"length": 12})),
    "offset of directory": ("damaged-directory", craft(PAIR, end={"offset": 0})),
    "gap before the end": ("damaged-directory", craft(PAIR)[:-22] + b"xx" + craft(PAIR)[-22:]),
    "signature of a record": ("damaged-directory", craft(changed(PAIR, 1, central={"signature": b"XX"}))),
    "extra field too long": ("damaged-directory", craft(changed(PAIR, 0, extra=b"\x55\x54\xff\0"))),
    "zip64 with other values": ("zip64-mismatch", craft(PAIR, zip64={"count": 3, "here": 3})),
    "zip64 elsewhere": ("zip64-mismatch", craft(PAIR, zip64={"at": 3})),
    "zip64 far outside": ("zip64-mismatch", craft(PAIR, zip64={"at": 1 << 60})),
    "zip64 without signature": ("zip64-mismatch", craft(PAIR, zip64={"signature": b"PK\6\5"})),
    "zip64 of another length": ("zip64-mismatch", craft(PAIR, zip64={"more": 45})),
    "zip64 missing": ("zip64-mismatch", craft(PAIR, end={"offset": 0xFFFFFFFF})),
    "zip64 count missing": ("zip64-mismatch", craft(PAIR, end={"here": 0xFFFF, "count": 0xFFFF})),
    "zip64 of an entry missing": ("zip64-mismatch", craft(changed(PAIR, 0, central={"size": 0xFFFFFFFF}))),
    "zip64 of an entry too short": (
        "zip64-mismatch",
        craft(changed(PAIR, 0, central={"size": 0xFFFFFFFF}, extra=b"\1\0\4\0\0\0\0\0")),
    ),
    "zip64 of an entry twice": (
        "zip64-mismatch",
        craft(changed(PAIR, 0, central={"size": 0xFFFFFFFF}, extra=zip64_field(300) * 2)),
    ),
    "zip64 before the data differs": (
        "header-mismatch",
        craft(changed(PAIR, 0, local={"size": 0xFFFFFFFF}, local_extra=zip64_field(7))),
    ),
    "encrypted": ("encrypted", craft(changed(PAIR, 0, flags=1))),
    "strongly encrypted": ("encrypted", craft(changed(PAIR, 0, flags=0x41))),
    "masked headers": ("encrypted", craft(changed(PAIR, 0, flags=0x2000))),
    "method": ("unsupported-method", craft([Member("a.py", TEXT, method=12)])),
    "patch": ("unsupported-method", craft(changed(PAIR, 0, flags=0x20))),
    "name": ("name-not-utf8", craft([Member(b"\xff.py", TEXT)])),
    "other name in the extra field": (
        "name-mismatch",
        craft(changed(PAIR, 0, extra=struct.pack("<2HBL4s", 0x7075, 9, 1, 0, b"c.py"))),
    ),
    "local signature": ("header-mismatch", craft(changed(PAIR, 0, local={"signature": b"XX"}))),
    "local name": ("header-mismatch", craft(changed(PAIR, 0, local={"name": b"c.py"}))),
    "local method": ("header-mismatch", craft(changed(PAIR, 0, local={"method": 0}))),
    "local checksum": ("header-mismatch", craft(changed(PAIR, 0, local={"crc": 1}))),
    "local size": ("header-mismatch", craft(changed(PAIR, 0, local={"size": 1}))),
    "local compressed size": ("header-mismatch", craft(changed(PAIR, 0, local={"packed": 1}))),
    "local silence without descriptor": ("header-mismatch", craft(changed(PAIR, 0, local={"size": 0}))),
    "local encryption": ("header-mismatch", craft(changed(PAIR, 0, local={"flags": 1}))),
    "local descriptor": ("header-mismatch", craft(changed(PAIR, 0, local={"flags": 8}))),
    "local size before a descriptor": ("header-mismatch", craft(changed(described(), 0, local={"size": 1}))),
    "no descriptor": ("header-mismatch", craft(changed(described(), 0, descriptor=b""))),
    "wrong descriptor": (
        "header-mismatch",
        craft(changed(described(), 0, descriptor=b"PK\7\x08" + b"x" * 12)),
    ),
    "long descriptor": (
        "stray-data",
        craft(changed(described(), 0, descriptor=described()[0].descriptor + b"x" * 30)),
    ),
    "descriptor that is not announced": (
        "stray-data",
        craft(changed(PAIR, 1, before=PAIR[0].descriptor_of())),
    ),
    "hidden entry": ("stray-data", craft(changed(PAIR, 1, before=STORED[0].local_part()))),
    "hidden entry at the end": ("stray-data", craft(PAIR, gap=STORED[0].local_part())),
    "entries at one place": ("overlapping-entries", craft(changed(PAIR, 1, central={"offset": 0}))),
    "entry inside another": (
        "overlapping-entries",
        craft(
            [
                Member("a.py", STORED[1].local_part(), method=0),
                Member("b.py", b"second", method=0, central={"offset": 34}),
            ]
        ),
    ),
    "entry beyond the end": ("stray-data", craft(changed(STORED, 1, central={"offset": 1 << 30}))),
    "data over the directory": (
        "overlapping-entries",
        craft(changed(STORED, 1, central={"packed": 99, "size": 99}, local={"packed": 99, "size": 99})),
    ),
    "stored sizes": ("size-mismatch", craft(changed(STORED, 0, central={"size": 9}, local={"size": 9}))),
    "larger than declared": (
        "size-mismatch",
        craft(changed(PAIR, 0, central={"size": 9}, local={"size": 9})),
    ),
    "smaller than declared": (
        "size-mismatch",
        craft(changed(PAIR, 0, central={"size": 999}, local={"size": 999})),
    ),
    "declared empty": ("size-mismatch", craft(changed(PAIR, 0, central={"size": 0}, local={"size": 0}))),
    "garbage behind the stream": ("size-mismatch", craft(changed(PAIR, 0, packed=PAIR[0].body() + b"x"))),
    "stream without end": ("size-mismatch", craft(changed(PAIR, 0, packed=PAIR[0].body()[:-4]))),
    "checksum": ("crc-mismatch", craft(changed(PAIR, 0, central={"crc": 1}, local={"crc": 1}))),
    "checksum of stored": ("crc-mismatch", craft(changed(STORED, 0, packed=b"fIrst"))),
    "no stream": ("damaged-data", craft(changed(PAIR, 0, packed=b"\xff" * 40))),
}


@pytest.mark.parametrize("case", BAD)
def test_archives_that_break_a_rule_of_the_format_are_refused(case):
    rule, data = BAD[case]

    with pytest.raises(UnsafeArchive) as caught:
        read_all(data)

    assert caught.value.rule == rule
    assert caught.value.archive == "demo-1.0-py3-none-any.whl"
    assert caught.value.name == "demo"


def test_every_rule_of_the_format_has_a_case_that_breaks_it():
    # Truncated entries cannot be in a whole file; pieces of files are tested below.
    assert {rule for rule, _ in BAD.values()} == ZIP_RULES.keys() - {"truncated"}


def test_the_directory_is_found_in_a_tail_of_the_archive():
    data = craft(PAIR, prefix=b"", comment=b"c" * 100)
    offset, length = directory_location(data[-200:], len(data))

    assert [e.name for e in parse_directory(data[offset : offset + length], archive="")] == ["a.py", "b.py"]


def test_a_zip64_record_outside_the_tail_is_refused():
    data = craft(PAIR, zip64={})

    with pytest.raises(UnsafeArchive) as caught:
        parse_end(data[-50:], len(data))

    assert caught.value.rule == "zip64-mismatch"


@pytest.mark.parametrize("data", [GOOD["deflated"], GOOD["stored"], GOOD["descriptor"]])
def test_one_member_is_read_from_a_piece_of_the_archive(data):
    end = parse_end(data, len(data))
    for entry in parse_directory(data[end.offset : end.offset + end.length], archive=""):
        piece = data[entry.offset : entry.offset + entry.reach()]

        assert member(piece, entry) == read_all(data)[entry.name]


def test_a_piece_that_is_too_short_is_refused_at_any_length():
    data = GOOD["deflated"]
    end = parse_end(data, len(data))
    entry = parse_directory(data[end.offset : end.offset + end.length], archive="")[0]
    needed = 30 + len("a.py") + entry.compressed_size

    for length in range(needed):
        with pytest.raises(UnsafeArchive) as caught:
            member(data[:length], entry)
        assert caught.value.rule == "truncated"
    assert member(data[:needed], entry) == TEXT


@pytest.mark.parametrize("method", [0, 8])
def test_large_members_are_read_and_checked_in_pieces(method):
    content = hashlib.shake_128(b"seed").digest(1 << 20) * 17
    lie = {"size": len(content) - 1} | ({"packed": len(content) - 1} if method == 0 else {})
    good = craft([Member("a", content, method=method)])
    short = craft([Member("a", content, method=method, central=lie, local=lie)])
    archive = ZipFile(memoryview(good), "")

    assert sum(1 for _ in archive.pieces(archive.entries[0])) > 1
    assert read_all(good) == {"a": content}
    with pytest.raises(UnsafeArchive):
        read_all(short)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), st.binary(max_size=99)))
def test_what_zipfile_writes_we_read_the_same(contents):
    contents = {name.replace("\0", "0"): content for name, content in contents.items()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)

    assert read_all(packed.getvalue()) == contents


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_typed_error(data):
    with pytest.raises(UnsafeArchive):
        read_all(data + b".")
