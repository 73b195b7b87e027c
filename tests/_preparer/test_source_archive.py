from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib

import pytest

from puffin_api._concurrency import Pump
from puffin_api._model.filename import SOURCE_ENDINGS
from puffin_api._preparer.archive_kind import archive_kind
from puffin_api._preparer.source_archive import make_link, unpack_source
from puffin_api._preparer.tar_stream import PIECE
from puffin_api._testing.wheels import make_sdist
from puffin_api._wheel.rules import Limits
from puffin_api.errors import (
    CacheUnavailable,
    Cancelled,
    DiskFull,
    MetadataInvalid,
    PathTooLong,
    UnsafeArchive,
)
from tests._preparer.raw_tar import header, link, member, pax, record, tar, tar_gz

KINDS = ["tar.gz", "tar.bz2", "tar.xz", "tar", "zip"]
NAME = "demo-1.0.tar.gz"
MARK = member("demo-1.0/setup.py", b"pass")


def unpack(folder, content, filename=NAME, **options):
    archive = folder / "download"
    archive.write_bytes(content)
    return unpack_source(archive, folder / "target", filename=filename, **options)


def tree(folder):
    """Content of files, None for folders, a tuple for links, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_archive_gives_the_same_tree(tmp_path, kind):
    content = make_sdist(
        "demo",
        "1.0",
        files={"src/demo/__init__.py": "x = 1", "run.sh": "#!/bin/sh", "empty": ""},
        modes={"run.sh": 0o755},
        links={"src/latest": "demo", "doc": "src/demo/__init__.py"},
        kind=kind,
    )

    top = unpack(tmp_path, content, f"demo-1.0.{kind}")

    assert top == tmp_path / "target" / "demo-1.0"
    found = tree(top)
    assert found.pop("PKG-INFO").startswith(b"Metadata-Version")
    assert b"demo" in found.pop("pyproject.toml")
    assert found == {
        "doc": ("link", "src/demo/__init__.py"),
        "empty": b"",
        "run.sh": b"#!/bin/sh",
        "src": None,
        "src/demo": None,
        "src/demo/__init__.py": b"x = 1",
        "src/latest": ("link", "demo"),
    }
    assert os.access(top / "run.sh", os.X_OK)
    assert not os.access(top / "empty", os.X_OK)
    assert (top / "empty").stat().st_mtime == 1577836800


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", SOURCE_ENDINGS)
def test_the_content_has_to_be_what_the_name_says(tmp_path, kind, ending):
    content = make_sdist("demo", "1.0", kind=kind)

    if SOURCE_ENDINGS[ending] == kind:
        unpack(tmp_path, content, f"demo-1.0{ending}")
    else:
        with pytest.raises(UnsafeArchive) as caught:
            unpack(tmp_path, content, f"demo-1.0{ending}")
        assert caught.value.rule == "other-kind"


def test_a_name_that_says_nothing_says_nothing_wrong(tmp_path):
    assert unpack(tmp_path, make_sdist("demo", "1.0", kind="tar.xz"), "download").name == "demo-1.0"


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>" * 200, bytes(2048), b"\x1f"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, content)

    assert caught.value.rule == "not-an-archive"
    assert (caught.value.name, caught.value.archive) == ("demo", NAME)


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_tar_formats_with_their_long_names(tmp_path, format_):
    long = "demo-1.0/" + "/".join(["a" * 40] * 4) + "/b"
    longer = "demo-1.0/" + "ü" * 120 + "/" + "c" * 200
    has_limits = format_ == tarfile.USTAR_FORMAT
    names = [long] if has_limits else [long, longer]
    target = "../demo-1.0" if has_limits else longer.partition("/")[2]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format_) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 3, 1_600_000_000
            archive.addfile(info, io.BytesIO(b"abc"))
        pointing = tarfile.TarInfo("demo-1.0/link")
        pointing.type, pointing.linkname = tarfile.SYMTYPE, target
        archive.addfile(pointing)

    top = unpack(tmp_path, gzip.compress(packed.getvalue()))

    for name in names:
        assert (top.parent / name).read_bytes() == b"abc"
    assert os.readlink(top / "link") == target


def test_the_format_before_all_others(tmp_path):
    old = {"magic": b"", "kind": b"\0"}
    top = unpack(tmp_path, tar_gz(member("demo/", **old), member("demo/setup.py", b"x", **old)))

    assert tree(top) == {"setup.py": b"x"}


def test_the_prefix_of_a_name_is_something_else_in_the_format_of_gnu(tmp_path):
    split = member("setup.py", b"x", prefix=b"demo/sub")
    times = member("demo/setup.py", b"x", magic=b"ustar  \0", prefix=b"14312345670")

    assert tree(unpack(tmp_path, tar_gz(split, times))) == {
        "setup.py": b"x",
        "sub": None,
        "sub/setup.py": b"x",
    }


def test_folders_are_made_where_no_entry_announces_them(tmp_path):
    assert tree(unpack(tmp_path, tar_gz(member("a/b/c/d", b"x")))) == {"b": None, "b/c": None, "b/c/d": b"x"}


def test_names_may_begin_with_the_folder_itself(tmp_path):
    top = unpack(
        tmp_path, tar_gz(header("./", kind=b"5"), header("./demo/", kind=b"5"), member("./demo//x", b"1"))
    )

    assert top == tmp_path / "target" / "demo"
    assert tree(top) == {"x": b"1"}


def test_names_that_are_no_text_keep_their_bytes(tmp_path):
    top = unpack(tmp_path, tar_gz(MARK, member(b"demo-1.0/caf\xe9", b"x")))

    assert b"caf\xe9" in os.listdir(os.fsencode(top))


def test_comments_for_all_entries_are_left_out(tmp_path):
    # As `git archive` writes them.
    assert tree(unpack(tmp_path, tar_gz(pax(b"g", comment="0" * 40), MARK))) == {"setup.py": b"pass"}


def test_of_the_modes_only_the_executable_bit_is_kept(tmp_path):
    modes = {"plain": 0o600, "own": 0o700, "special": 0o6755, "open": 0o777, "none": 0}
    top = unpack(tmp_path, tar_gz(*(member(f"demo/{name}", mode=mode) for name, mode in modes.items())))
    umask = os.umask(0)
    os.umask(umask)

    found = {name: stat.S_IMODE((top / name).stat().st_mode) for name in modes}
    runs, reads = 0o777 & ~umask, 0o666 & ~umask
    assert found == {"plain": reads, "own": runs, "special": runs, "open": runs, "none": reads}
    assert stat.S_IMODE(top.stat().st_mode) == runs


def test_a_folder_that_nobody_may_enter_is_filled_all_the_same(tmp_path):
    top = unpack(tmp_path, tar_gz(header("demo", kind=b"5", mode=0), member("demo/x", b"1", mode=0)))

    assert tree(top) == {"x": b"1"}


@pytest.mark.parametrize(
    ("told", "kept"),
    [(0, 315532800), (1, 315532800), (1_234_567_890, 1_234_567_890), (8_589_934_591, 4354819198)],
)
def test_times_are_kept_as_far_as_zip_archives_can_tell_them(tmp_path, told, kept):
    top = unpack(tmp_path, tar_gz(member("demo/x", mtime=told)))

    assert (top / "x").stat().st_mtime == kept


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({136: b"\xff" * 12}, 315532800),  # one second before 1970
        ({136: b"\x80" + bytes(7) + (1_500_000_000).to_bytes(4, "big")}, 1_500_000_000),
        ({136: bytes(12)}, 315532800),
        ({136: b" 7346545000 "}, 0o7346545000),
    ],
)
def test_numbers_in_headers_come_in_several_forms(tmp_path, fields, kept):
    assert (unpack(tmp_path, tar_gz(member("demo/x", fields=fields))) / "x").stat().st_mtime == kept


def test_values_of_an_extension_header_hold_for_one_entry(tmp_path):
    named = pax(path="demo/named", mtime="1234567890.5", size="3") + header("short", 1) + b"abc" + bytes(509)
    top = unpack(tmp_path, tar_gz(named, member("demo/plain", b"x")))

    assert tree(top) == {"named": b"abc", "plain": b"x"}
    assert (top / "named").stat().st_mtime == 1234567890.5


def test_checksums_of_signed_bytes_are_right_too(tmp_path):
    block = bytearray(header(b"demo/caf\xc3\xa9"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % (sum(block) - 256 * 2)

    assert tree(unpack(tmp_path, tar_gz(bytes(block)))) == {"caf\xe9": b""}


def test_a_hard_link_is_a_copy(tmp_path):
    again = header("demo/again", kind=b"1", target="demo/run", mode=0o755)
    top = unpack(tmp_path, tar_gz(member("demo/run", b"x" * 1000, mode=0o755), again))

    (top / "again").write_bytes(b"changed")
    assert (top / "run").read_bytes() == b"x" * 1000
    assert os.access(top / "again", os.X_OK)


def test_links_may_lead_anywhere_inside_also_to_nothing(tmp_path):
    links = [link("demo/a", "../demo/setup.py"), link("demo/b", "nothing"), link("demo/sub/c", "../a")]
    top = unpack(tmp_path, tar_gz(member("demo/setup.py", b"x"), *links))

    assert (top / "sub" / "c").read_bytes() == b"x"
    assert (top / "b").is_symlink()


def test_where_there_can_be_no_links_there_are_copies(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "there").mkdir()  # in the way, as a missing privilege would be
    make_link(str(tmp_path / "new"), "file")
    assert os.readlink(tmp_path / "new") == "file"

    (tmp_path / "new").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "symlink", refuse)
        make_link(str(tmp_path / "new"), "file")
        make_link(str(tmp_path / "dangling"), "nothing")

    assert not (tmp_path / "new").is_symlink()
    assert (tmp_path / "new").read_bytes() == b"x"
    assert not os.path.lexists(tmp_path / "dangling")


def refuse(*_args, **_options):
    raise OSError(errno.EPERM, "no privilege")


# -- the top folder


@pytest.mark.parametrize("mark", ["pyproject.toml", "setup.py", "PKG-INFO"])
def test_sources_may_lie_at_the_top(tmp_path, mark):
    content = tar_gz(member("src/demo.py"), member(mark, b"x"))

    assert unpack(tmp_path, content) == tmp_path / "target"


def test_what_macos_writes_beside_a_folder_is_not_a_second_folder(tmp_path):
    assert unpack(tmp_path, tar_gz(member("._demo-1.0", b"x"), MARK)).name == "demo-1.0"


@pytest.mark.parametrize(
    "members",
    [
        [],
        [member("README")],
        [member("a/setup.py"), member("b/setup.py")],
        [member("setup.py/x"), member("y")],
    ],
)
def test_an_archive_without_sources_is_no_source_distribution(tmp_path, members):
    with pytest.raises(MetadataInvalid, match="neither one top folder nor"):
        unpack(tmp_path, tar(*members) if members else zip_of(), "x.tar" if members else "x.zip")


def zip_of(*names):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return packed.getvalue()


def test_the_one_folder_may_be_the_project(tmp_path):
    # The build says what is missing in it.
    assert unpack(tmp_path, tar_gz(member("demo/README"))).name == "demo"


# -- streams


@pytest.mark.parametrize(
    ("kind", "compress"), [("tar.gz", gzip.compress), ("tar.bz2", bz2.compress), ("tar.xz", lzma.compress)]
)
def test_streams_one_after_the_other_are_one_stream(tmp_path, kind, compress):
    content = tar(MARK, member("demo-1.0/x", os.urandom(3000)))
    halves = compress(content[:2000]) + compress(content[2000:]) + bytes(512)

    assert set(tree(unpack(tmp_path, halves, f"demo-1.0.{kind}"))) == {"setup.py", "x"}


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 1_000_003])
@pytest.mark.parametrize("kind", KINDS)
def test_large_files_arrive_whole(tmp_path, kind, size):
    content = (os.urandom(1000) + bytes(5000)) * (size // 6000 + 1)
    files = {"big": content[:size], "after": "x"}

    top = unpack(tmp_path, make_sdist("demo", "1.0", files=files, kind=kind), f"demo-1.0.{kind}")

    assert (top / "big").read_bytes() == content[:size]
    assert (top / "after").read_bytes() == b"x"


class Impatient(Pump):
    """Cancels at the n-th look."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def check(self):
        self.left -= 1
        if self.left < 0:
            raise Cancelled("enough", reason="enough")


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_is_seen_within_large_files(tmp_path, kind):
    size, looks = (17 << 20, 5) if kind == "zip" else (8 * PIECE, 8)
    files = {name: os.urandom(size) for name in ("first", "second")}
    content = make_sdist("demo", "1.0", files=files, kind=kind)

    with pytest.raises(Cancelled):
        unpack(tmp_path, content, f"demo-1.0.{kind}", pump=Impatient(looks))

    assert (tmp_path / "target" / "demo-1.0" / "first").stat().st_size < size
    assert not (tmp_path / "target" / "demo-1.0" / "second").exists()


@pytest.mark.parametrize(("kind", "module"), [("tar.bz2", "bz2"), ("tar.xz", "lzma")])
def test_a_python_without_the_method_says_so(tmp_path, monkeypatch, kind, module):
    content = make_sdist("demo", "1.0", kind=kind)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MetadataInvalid, match=f"this Python has no module '{module}'"):
        unpack(tmp_path, content, f"demo-1.0.{kind}")


# -- bounds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Limits(max_bytes=10_000), "too-large"),
        (Limits(max_entries=3), "too-many-entries"),
        (Limits(max_entries=8), "too-many-entries"),
        (Limits(max_ratio=2, ratio_floor=100), "ratio"),
    ],
)
def test_archives_beyond_the_limits_are_refused(tmp_path, kind, limits, rule):
    if rule == "ratio" and kind == "tar":
        limits, rule = Limits(max_bytes=100_000), "too-large"  # nothing is compressed
    files = {"a/b/c/d/e/f": bytes(100_000), "x": ""}

    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, make_sdist("demo", "1.0", files=files, kind=kind), f"demo-1.0.{kind}", limits=limits)

    assert caught.value.rule == rule


def test_hard_links_pay_for_their_copies(tmp_path):
    links = [header(f"demo/{i}", kind=b"1", target="demo/x") for i in range(20)]
    content = tar_gz(member("demo/x", os.urandom(10_000)), *links)

    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, content, limits=Limits(max_bytes=100_000))

    assert caught.value.rule == "too-large"
    assert caught.value.entry in {f"demo/{i}" for i in range(20)}


def test_an_extension_header_is_not_read_into_memory_at_any_size(tmp_path):
    bomb = header("long", 8 << 20, kind=b"L") + b"x" * (8 << 20)

    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, tar_gz(bomb, MARK))

    assert caught.value.rule == "damaged-header"


def test_a_dictionary_of_any_size_is_not_made(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 16 << 10}]
    content = lzma.compress(tar(MARK), filters=filters)
    # The size of the dictionary stands in one byte of the block header, which has a checksum.
    at = content.index(b"\x21\x01") + 2
    block = bytearray(content[12:24])
    block[at - 12] = 40  # 4 GiB
    block[8:12] = zlib.crc32(block[:8]).to_bytes(4, "little")

    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, content[:12] + bytes(block) + content[24:], "demo-1.0.tar.xz")

    assert caught.value.rule == "damaged-data"


# -- the same file twice


def test_the_same_file_twice_is_one_file(tmp_path):
    # Some build backends list a file both as a source and as a licence.
    assert tree(unpack(tmp_path, tar_gz(MARK, MARK, link("demo-1.0/a", "x"), link("demo-1.0/a", "x")))) == {
        "a": ("link", "x"),
        "setup.py": b"pass",
    }


@pytest.mark.parametrize("other", [b"pas", b"pass ", b"fail", b""])
def test_another_file_of_the_same_name_is_refused(tmp_path, other):
    with pytest.raises(UnsafeArchive) as caught:
        unpack(tmp_path, tar_gz(MARK, member("demo-1.0/setup.py", other)))

    assert (caught.value.rule, caught.value.entry) == ("duplicate-entry", "demo-1.0/setup.py")


# -- places that fail


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, DiskFull), (errno.ENAMETOOLONG, PathTooLong), (errno.EACCES, CacheUnavailable)],
)
def test_what_the_system_says_becomes_an_error_of_ours(tmp_path, monkeypatch, number, error):
    monkeypatch.setattr(os, "utime", lambda path, _: raise_number(number, path))

    with pytest.raises(error, match="target"):
        unpack(tmp_path, tar_gz(MARK))


def raise_number(number, path):
    raise OSError(number, os.strerror(number), path)


def test_an_archive_that_is_not_there_cannot_be_unpacked(tmp_path):
    with pytest.raises(CacheUnavailable):
        unpack_source(tmp_path / "none", tmp_path / "target", filename=NAME)


def test_kinds_are_told_by_the_first_bytes(tmp_path):
    for kind in KINDS:
        path = tmp_path / "file"
        path.write_bytes(make_sdist("demo", "1.0", kind=kind))
        assert archive_kind(path) == kind


def test_helpers_of_these_tests_are_right():
    assert record("path", "x") == b"9 path=x\n"
    with tarfile.open(fileobj=io.BytesIO(tar(MARK, pax(path="demo/y"), member("z", b"1")))) as archive:
        assert archive.getnames() == ["demo-1.0/setup.py", "demo/y"]
