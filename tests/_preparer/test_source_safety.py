from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import os
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffin_api._preparer.source_archive import second_opinion, unpack_source
from puffin_api._preparer.source_rules import SOURCE_RULES, broken_part
from puffin_api._preparer.tar_stream import PIECE
from puffin_api._preparer.tree_rules import SourceEntry, TreeRules
from puffin_api._testing.wheels import make_sdist
from puffin_api._zip import ZIP_RULES
from puffin_api.errors import PuffinError, UnsafeArchive
from tests._preparer.raw_tar import header, link, member, pax, tar, tar_gz
from tests._preparer.test_source_archive import tree
from tests._wheel.raw_zip import Member, craft

MARK = member("demo/setup.py", b"pass")
LINK, FOLDER, DEVICE = 0o120777, 0o040755, 0o020666


def hard_link(name: str, target: str) -> bytes:
    return header(name, kind=b"1", target=target)


def folder(name: str, **options) -> bytes:
    return header(name, kind=b"5", **options)


TAR = {
    "absolute": ("absolute-path", [member("/elsewhere/x")]),
    "absolute folder": ("absolute-path", [folder("//server/share")]),
    "absolute in an extension": ("absolute-path", [pax(path="/elsewhere/x"), member("x")]),
    "above": ("parent-path", [member("../x")]),
    "above in the middle": ("parent-path", [member("demo/../../x")]),
    "above that stays inside": ("parent-path", [member("demo/a/../x")]),
    "above in an extension": ("parent-path", [member("long", b"../x\0", kind=b"L"), member("x")]),
    "above in a prefix": ("parent-path", [member("x", prefix=b"..")]),
    "folder above": ("parent-path", [folder("..")]),
    "backslash": ("backslash", [member("demo\\x")]),
    "drive": ("drive-letter", [member("C:/x")]),
    "drive in the middle": ("drive-letter", [member("demo/c:x")]),
    "zero": ("control-character", [pax(path="demo/a\0b"), member("x")]),
    "long part": ("name-too-long", [pax(path="demo/" + "x" * 256), member("x")]),
    "long part in bytes": ("name-too-long", [pax(path="demo/" + "ü" * 128), member("x")]),
    "deep": ("name-too-long", [pax(path="x/" * 600), member("x")]),
    "file without a name": ("entry-type", [member("")]),
    "file that is the root": ("entry-type", [member("./.")]),
    "character device": ("special-file", [header("demo/x", kind=b"3")]),
    "block device": ("special-file", [header("demo/x", kind=b"4")]),
    "pipe": ("special-file", [header("demo/x", kind=b"6")]),
    "volume": ("special-file", [header("demo", kind=b"V")]),
    "unknown": ("special-file", [header("demo/x", kind=b"Z")]),
    "sparse": ("sparse-file", [header("demo/x", kind=b"S")]),
    "sparse in an extension": ("sparse-file", [pax(GNU__sparse__size="99"), member("demo/x")]),
    "folder with content": ("directory-with-data", [member("demo", b"x", kind=b"5")]),
    "file as a folder with content": ("directory-with-data", [member("demo/", b"x")]),
    "link with content": ("link-with-data", [member("demo/x", b"x", kind=b"2", target="y")]),
    "hard link with content": (
        "link-with-data",
        [MARK, member("a", b"x", kind=b"1", target="demo/setup.py")],
    ),
    "absolute link": ("link-outside", [link("demo/x", "/etc/passwd")]),
    "link to nothing at all": ("link-outside", [link("demo/x", "")]),
    "link above": ("link-outside", [link("demo/x", "../../y")]),
    "link at the top above": ("link-outside", [link("x", "..")]),
    "link above and back": ("link-outside", [link("demo/x", "../../target/demo/y")]),
    "link to a drive": ("link-outside", [link("demo/x", "C:/y")]),
    "link to a share": ("link-outside", [link("demo/x", "\\\\server\\share")]),
    "link with a zero": ("link-outside", [pax(linkpath="a\0b"), link("demo/x", "a")]),
    "link above through a link": (
        "link-outside",
        [folder("demo/a/b"), link("demo/a/b/up", "../.."), link("demo/x", "a/b/up/../../y")],
    ),
    "link above through later links": (
        "link-outside",
        [link("demo/x", "y/../.."), link("demo/y", "z"), link("demo/z", "../demo")],
    ),
    "long link": ("name-too-long", [pax(linkpath="x" * 1025), link("demo/x", "a")]),
    "link to itself": ("link-loop", [link("demo/x", "x")]),
    "links in a circle": ("link-loop", [link("demo/x", "y/a"), link("demo/y", "x/b")]),
    "hard link to nothing": ("link-target", [hard_link("demo/x", "demo/y")]),
    "hard link to what comes later": ("link-target", [hard_link("demo/x", "demo/setup.py"), MARK]),
    "hard link to itself": ("link-target", [hard_link("demo/x", "demo/x")]),
    "hard link to a folder": ("link-target", [folder("demo"), hard_link("demo/x", "demo")]),
    "hard link to a link": ("link-target", [MARK, link("demo/a", "setup.py"), hard_link("demo/x", "demo/a")]),
    "hard link with a zero": (
        "control-character",
        [pax(linkpath="a\0b"), hard_link("demo/x", "a")],
    ),
    "hard link above": ("parent-path", [hard_link("demo/x", "../../etc/passwd")]),
    "absolute hard link": ("absolute-path", [hard_link("demo/x", "/etc/passwd")]),
    "through a link": ("through-link", [link("demo/x", "."), member("demo/x/y")]),
    "deep through a link": ("through-link", [link("demo/x", "."), member("demo/x/y/z")]),
    "folder through a link": ("through-link", [link("demo/x", "."), folder("demo/x/y")]),
    "folder that is a link": ("through-link", [link("demo/x", "."), folder("demo/x")]),
    "link through a link": ("through-link", [link("demo/x", "."), link("demo/x/y", "..")]),
    "twice": ("duplicate-entry", [MARK, member("demo/setup.py", b"other")]),
    "twice by another spelling": ("duplicate-entry", [MARK, member("./demo//setup.py", b"other")]),
    "file, then link": ("duplicate-entry", [MARK, link("demo/setup.py", "x")]),
    "link, then file": ("duplicate-entry", [link("demo/setup.py", "x"), MARK]),
    "link, then another": ("duplicate-entry", [link("demo/x", "a"), link("demo/x", "b")]),
    "link, then hard link": (
        "duplicate-entry",
        [MARK, link("demo/x", "a"), hard_link("demo/x", "demo/setup.py")],
    ),
    "file, then folder": ("file-and-directory", [MARK, member("demo/setup.py/x")]),
    "file, then folder alone": ("file-and-directory", [MARK, folder("demo/setup.py")]),
    "folder, then file": ("file-and-directory", [MARK, member("demo")]),
    "folder, then link": ("file-and-directory", [MARK, link("demo", "x")]),
    "size that is no number": ("damaged-header", [header("demo/x", fields={124: b"12x"})]),
    "size below zero": ("damaged-header", [header("demo/x", fields={124: b"\xff" * 12})]),
    "size beyond all": ("truncated", [header("demo/x", fields={124: b"\x80" + b"\xff" * 11})]),
    "mode that is no number": ("damaged-header", [header("demo/x", fields={100: b"rw-r--r"})]),
    "size in an extension": ("damaged-header", [pax(size="-1"), member("demo/x")]),
    "time in an extension": ("damaged-header", [pax(mtime="nan"), member("demo/x")]),
    "extension that is none": ("damaged-header", [member("pax", b"abc", kind=b"x"), MARK]),
    "extension of no length": ("damaged-header", [member("pax", b"0 a=b\n", kind=b"x"), MARK]),
    "extension that is too long": ("damaged-header", [member("pax", b"99 a=b\n", kind=b"x"), MARK]),
    "extension without a value": ("damaged-header", [member("pax", b"4 a\n", kind=b"x"), MARK]),
    "extension below zero": ("damaged-header", [header("long", kind=b"L", fields={124: b"\xff" * 12})]),
    "extension for nothing": ("damaged-header", [MARK, pax(path="x")]),
    "name for all": ("damaged-header", [pax(b"g", path="x"), MARK]),
    "header that is none": ("damaged-header", [MARK, b"x" * 512]),
    "archive after an archive": ("data-after-end", [MARK, bytes(1024), MARK]),
    "entry after a zero block": ("data-after-end", [MARK, bytes(512), MARK]),
}


@pytest.mark.parametrize("has_filter", [True, False], ids=["filter", "no filter"])
@pytest.mark.parametrize("case", TAR)
def test_archives_that_break_a_rule_are_refused(tmp_path, monkeypatch, case, has_filter):
    """With and without the filter of the standard library: our rules have to be complete by themselves."""
    if not has_filter:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    rule, members = TAR[case]

    error, rest = refusal(tmp_path, tar_gz(*members), "demo-1.0.tar.gz")

    assert error.rule == rule
    assert (error.name, error.archive) == ("demo", "demo-1.0.tar.gz")
    assert str(error).startswith(f"demo-1.0.tar.gz is refused: {SOURCE_RULES[rule]}")
    assert rest == {"deep": None, "deep/download": tar_gz(*members)}


def refusal(tmp_path, content, filename):
    """The error, and all that is outside the target after it."""
    place = tmp_path / "deep"
    place.mkdir()
    (place / "download").write_bytes(content)
    with pytest.raises(UnsafeArchive) as caught:
        unpack_source(place / "download", place / "target", filename=filename)
    return caught.value, {k: v for k, v in tree(tmp_path).items() if not k.startswith("deep/target")}


ZIP = {
    "absolute": ("absolute-path", [Member("/x")]),
    "above": ("parent-path", [Member("demo/../../x")]),
    "backslash": ("backslash", [Member("demo\\x")]),
    "device": ("special-file", [Member("demo/x", mode=DEVICE)]),
    "folder by its attributes": ("entry-type", [Member("demo/x", mode=FOLDER)]),
    "folder on Windows": ("entry-type", [Member("demo/x", central={"attributes": 0x10})]),
    "folder with content": ("directory-with-data", [Member("demo/", b"x", mode=FOLDER)]),
    "absolute link": ("link-outside", [Member("demo/x", b"/etc/passwd", mode=LINK)]),
    "link above": ("link-outside", [Member("demo/x", b"../../y", mode=LINK)]),
    "long link": ("name-too-long", [Member("demo/x", b"x" * 5000, mode=LINK)]),
    "through a link": ("through-link", [Member("demo/x", b".", mode=LINK), Member("demo/x/y", b"")]),
    "twice": ("duplicate-entry", [Member("demo/x", b"1"), Member("demo/x", b"2")]),
    "file and folder": ("file-and-directory", [Member("demo/x", b"1"), Member("demo/x/y", b"2")]),
    "damaged": ("crc-mismatch", [Member("demo/x", b"1", local={"crc": 1}, central={"crc": 1})]),
    "stray bytes": ("stray-data", [Member("demo/x", b"1"), Member("demo/y", b"2", before=b"stray")]),
}


@pytest.mark.parametrize("case", ZIP)
def test_zip_archives_that_break_a_rule_are_refused(tmp_path, case):
    rule, members = ZIP[case]

    error, rest = refusal(tmp_path, craft(members), "demo-1.0.zip")

    assert error.rule == rule
    assert rest.keys() == {"deep", "deep/download"}


def test_every_rule_has_a_case_that_breaks_it():
    elsewhere = {"not-an-archive", "other-kind", "too-many-entries", "too-large", "ratio", "case-conflict"}
    on_windows = {"windows-character", "reserved-name", "trailing-dot-or-space"}
    broken = {rule for rule, _ in [*TAR.values(), *ZIP.values()]}

    assert broken - ZIP_RULES.keys() == SOURCE_RULES.keys() - ZIP_RULES.keys() - elsewhere - on_windows


def test_the_broken_entry_is_named(tmp_path):
    error, _ = refusal(tmp_path, tar_gz(MARK, member("demo/../x")), "demo-1.0.tar.gz")

    assert error.entry == "demo/../x"


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        ("aux.c", "reserved-name"),
        ("x.", "trailing-dot-or-space"),
        ("x ", "trailing-dot-or-space"),
        ("Icon\r", "control-character"),
        ("what?", "windows-character"),
    ],
)
def test_names_that_only_windows_cannot_have_are_refused_there(part, rule):
    assert broken_part(part, windows=True) == rule
    assert broken_part(part, windows=False) == ""


# -- file systems that do not tell some names apart


def place_all(rules, *entries):
    return [rules.place(entry) for entry in entries]


def file(name):
    return SourceEntry(name, "file")


@pytest.mark.parametrize(
    "entries",
    [
        [file("demo/x"), file("demo/X")],
        [file("demo/x"), file("Demo/y")],
        [file("demo/ä"), file("demo/a\u0308")],
        [SourceEntry("demo/A", "folder"), SourceEntry("demo/a", "folder")],
        [SourceEntry("demo/A", "link", target="x"), SourceEntry("demo/a", "link", target="x")],
    ],
)
def test_names_that_differ_in_case_only_are_refused_where_that_is_one_name(entries):
    place_all(TreeRules("demo.tar", max_entries=99), *entries)

    with pytest.raises(UnsafeArchive) as caught:
        place_all(TreeRules("demo.tar", max_entries=99, case_sensitive=False), *entries)

    assert caught.value.rule == "case-conflict"


def test_links_are_followed_by_names_of_any_case_where_that_is_one_name():
    rules = TreeRules("demo.tar", max_entries=99, case_sensitive=False)
    place_all(rules, SourceEntry("d/UP", "link", target=".."), SourceEntry("x", "link", target="D/up/.."))

    with pytest.raises(UnsafeArchive, match="leads out"):
        list(rules.checked_links())


def test_what_is_again_there_needs_no_folders():
    rules = TreeRules("demo.tar", max_entries=99)

    assert rules.place(file("a/b/c")) == ("a/b/c", ["a", "a/b"])
    assert rules.place(file("a/b/c")) == ("a/b/c", [])
    assert rules.is_known(file("./a//b/c"))
    assert not rules.is_known(file("a/b/d"))


# -- the filter of the standard library


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python has no filter")
@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        (file("../x"), "parent-path"),
        (SourceEntry("x", "link", target="../y"), "link-outside"),
        (SourceEntry("x", "hard-link", target="/y"), "link-outside"),
    ],
)
def test_the_standard_library_is_asked_too(tmp_path, entry, rule):
    with pytest.raises(UnsafeArchive) as caught:
        second_opinion(entry, str(tmp_path), "demo.tar")

    assert (caught.value.rule, caught.value.entry) == (rule, entry.name)
    second_opinion(file("demo/x"), str(tmp_path), "demo.tar")
    second_opinion(SourceEntry("demo/y", "link", target="x"), str(tmp_path), "demo.tar")
    second_opinion(SourceEntry("demo", "folder"), str(tmp_path), "demo.tar")


@pytest.mark.parametrize("entry", [link("demo/x", "setup.py"), member("demo/.x"), folder("demo/ä")])
def test_what_the_standard_library_refuses_is_refused(tmp_path, monkeypatch, entry):
    def refuse(asked, path):
        raise tarfile.OutsideDestinationError(asked, path)

    monkeypatch.setattr(tarfile, "data_filter", refuse, raising=False)

    error, _ = refusal(tmp_path, tar_gz(MARK, entry), "demo-1.0.tar.gz")

    assert error.rule in {"link-outside", "parent-path"}


def test_a_link_in_a_zip_archive_is_not_read_into_memory_at_any_size(tmp_path):
    content = craft([Member("demo/x", bytes(16 << 20), mode=LINK)])
    tracemalloc.start()
    try:
        error, _ = refusal(tmp_path, content, "demo-1.0.zip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert error.rule == "name-too-long"
    assert peak < 8 << 20


# -- damage


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gz", "bz2", "xz"]
)
def test_data_after_the_end_is_refused(tmp_path, compress):
    filename = {bytes: "demo-1.0.tar", gzip.compress: "x.tgz", bz2.compress: "x.tbz"}.get(compress, "x.txz")

    for i, rest in enumerate([b"x", b"garbage" * 100, b"\0x" * 512, compress(b"rest" * 200)]):
        place = tmp_path / str(i)
        place.mkdir()
        error, _ = refusal(place, compress(tar(MARK)) + rest, filename)
        # The beginning of what might be another stream is one that is cut off.
        assert error.rule in {"data-after-end", "truncated"}


def test_damage_in_a_second_stream_is_damage(tmp_path):
    second = bytearray(gzip.compress(tar(member("demo/x", os.urandom(3 * PIECE)))))
    second[-6] ^= 1  # of the checksum: most output has been read by then

    error, _ = refusal(tmp_path, gzip.compress(MARK) + second, "demo-1.0.tar.gz")

    assert error.rule == "damaged-data"


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path, kind):
    good = make_sdist("demo", "1.0", files={"x": os.urandom(50)}, kind=kind)
    # After the first block of zeros, there is nothing more to miss.
    enough = len(good.rstrip(b"\0")) // 512 * 512 + 1024 if kind == "tar" else len(good)

    for length in range(0, enough, 7 if kind == "tar" else 1):
        (tmp_path / "download").write_bytes(good[:length])
        with pytest.raises(UnsafeArchive) as caught:
            unpack_source(tmp_path / "download", tmp_path / str(length), filename=f"demo-1.0.{kind}")
        assert caught.value.rule in SOURCE_RULES


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_damaged_byte_anywhere_is_an_error_or_changes_nothing(tmp_path, kind):
    good = make_sdist("demo", "1.0", files={"x": "content"}, kind=kind)
    (tmp_path / "download").write_bytes(good)
    expected = tree(unpack_source(tmp_path / "download", tmp_path / "good", filename=f"demo-1.0.{kind}"))
    unchanged = 0

    for at in range(len(good)):
        (tmp_path / "download").write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        try:
            top = unpack_source(tmp_path / "download", tmp_path / str(at), filename=f"demo-1.0.{kind}")
        except UnsafeArchive:
            continue
        assert tree(top) == expected
        unchanged += 1
    # The time and the system of a gzip header, padding of the others.
    assert unchanged <= 8


def test_a_header_is_never_taken_for_the_end(tmp_path):
    """What follows a damaged header would silently be missing."""
    good = tar(MARK, member("demo/x", b"1"))
    for at, mask in itertools.product(range(1024, 1536), (0x01, 0x80)):
        damaged = good[:at] + bytes([good[at] ^ mask]) + good[at + 1 :]
        place = tmp_path / f"{at}-{mask}"
        (tmp_path / "download").write_bytes(damaged)
        try:
            unpack_source(tmp_path / "download", place, filename="demo-1.0.tar")
        except UnsafeArchive:
            continue
        # In the field of the checksum, several spellings are the same number.
        assert 148 <= at - 1024 < 156
        assert (place / "demo" / "x").read_bytes() == b"1"


# -- laws

PARTS = ["a", "b", "B", ".", "..", "/", "\\", "\0", "ü", "a/b", "../", "/tmp", "C:", "demo"]
TEXTS = st.lists(st.sampled_from(PARTS) | st.characters(codec="utf-8"), max_size=5).map("".join)
SIMPLE = st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=4).map("/".join)
NAMES = SIMPLE | TEXTS


def tar_member(kind, name, target):
    if kind == b"0":
        return pax(path=name) + member("x", b"content") if name else member("x", b"content")
    return pax(path=name or "x", linkpath=target or "x") + header("x", kind=kind)


TAR_MEMBERS = st.builds(tar_member, st.sampled_from([b"0", b"1", b"2", b"2", b"5"]), NAMES, NAMES)
ZIP_MEMBERS = st.builds(
    lambda name, mode, target: Member(name, target.encode() if mode != FOLDER else b"", mode=mode),
    NAMES,
    st.sampled_from([0o100644, 0o100755, LINK, FOLDER, 0]),
    NAMES,
)


def never_outside(top, content, filename):
    place = top / "one" / "two"
    place.mkdir(parents=True)
    (place / "download").write_bytes(content)
    before = tree(top)
    target = place / "target"
    try:
        unpack_source(place / "download", target, filename=filename)
    except PuffinError:
        succeeded = False
    else:
        succeeded = True

    assert {p: c for p, c in tree(top).items() if not p.startswith("one/two/target")} == before
    inside = os.path.realpath(target) + os.sep
    for folder_, folders, files in os.walk(target):
        for name in (*folders, *files):
            assert (os.path.realpath(os.path.join(folder_, name)) + os.sep).startswith(inside)
    return succeeded


@given(st.lists(TAR_MEMBERS, max_size=6))
@settings(max_examples=400)
def test_unpacking_a_tar_archive_never_writes_or_leads_outside(tmp_path_factory, members):
    never_outside(tmp_path_factory.mktemp("outside"), tar(MARK, *members), "demo-1.0.tar")


@given(st.lists(ZIP_MEMBERS, max_size=6))
@settings(max_examples=200)
def test_unpacking_a_zip_archive_never_writes_or_leads_outside(tmp_path_factory, members):
    never_outside(
        tmp_path_factory.mktemp("outside"), craft([Member("demo/setup.py"), *members]), "demo-1.0.zip"
    )


PLAIN = st.lists(st.text("abü_.-", min_size=1, max_size=60), min_size=1, max_size=4).map("/".join)
ENTRIES = st.dictionaries(
    PLAIN.filter(lambda name: not {".", ".."} & set(name.split("/"))),
    st.tuples(st.sampled_from(["file", "folder"]), st.binary(max_size=1500), st.integers(0, 2**40)),
    max_size=6,
)


@given(ENTRIES, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_what_the_standard_library_packs_is_unpacked_the_same(tmp_path_factory, entries, format_):
    place = tmp_path_factory.mktemp("same")
    names = [name for name in entries if not any(name.startswith(f"{other}/") for other in entries)]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format_) as archive:
        for name in names:
            kind, content, mtime = entries[name]
            info = tarfile.TarInfo(f"demo/{name}")
            info.mtime = mtime
            info.type = tarfile.DIRTYPE if kind == "folder" else tarfile.REGTYPE
            info.size = 0 if kind == "folder" else len(content)
            archive.addfile(info, io.BytesIO(content))
    (place / "download").write_bytes(tar_of(packed.getvalue()))

    top = unpack_source(place / "download", place / "ours", filename="demo-1.0.tar")

    with tarfile.open(place / "download") as archive:
        archive.extractall(place / "theirs", filter="data")
    assert tree(top.parent) == tree(place / "theirs")


def tar_of(packed: bytes) -> bytes:
    """The archive, behind a file that makes it one of sources."""
    return MARK + packed
