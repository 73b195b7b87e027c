from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import stat
import sys
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffin_api._concurrency import Pump, WorkerPool
from puffin_api._model.cancel import CancelToken
from puffin_api._testing.wheels import make_wheel, record_digest, wheel_filename, write_wheel
from puffin_api._wheel.manifest import read_manifest, read_manifest_and_hashes
from puffin_api._wheel.record import digest_bytes, parse_record
from puffin_api._wheel.unpack import unpack_wheel
from puffin_api.errors import (
    CacheUnavailable,
    Cancelled,
    DiskFull,
    HashMismatch,
    MetadataInvalid,
    PathTooLong,
)
from tests._wheel.test_manifest import as_data

FILES = {
    "demo/__init__.py": "import os\n",
    "demo/run": "#!/bin/sh\n",
    "demo/data/größe, x.txt": "ü" * 1000,
    "demo/empty": "",
    "single.py": "x = 1\n",
}
DATA = {
    "scripts/go": "#!python\n",
    "data/share/demo/x.txt": "x",
    "headers/demo.h": "",
    "purelib/extra.py": "1",
}


def unpack(folder, content, *, filename="demo-1.0-py3-none-any.whl", **options):
    wheel = folder / "download"
    wheel.write_bytes(content)
    return unpack_wheel(wheel, folder / "target", filename=filename, **options)


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def digest_of(algorithm, content):
    return base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode()


def full_wheel(**options):
    return make_wheel(
        "demo",
        "1.0",
        files=FILES,
        data=DATA,
        executables=["demo/run", "demo-1.0.data/scripts/go"],
        entry_points={"console_scripts": {"Demo": "demo.cli:main"}, "gui_scripts": {"show": "demo:show"}},
        root_is_purelib=False,
        **options,
    )


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_tree_is_that_of_the_wheel(tmp_path, compression):
    unpack(tmp_path, full_wheel(compression=compression))

    found = tree(tmp_path / "target" / "files")
    expected = {**FILES, **{f"demo-1.0.data/{path}": text for path, text in DATA.items()}}
    parts = ("METADATA", "WHEEL", "entry_points.txt", "INSTALLER", "RECORD")
    assert found.keys() == expected.keys() | {f"demo-1.0.dist-info/{part}" for part in parts}
    assert all(found[path] == text.encode() for path, text in expected.items())


def test_the_manifest_says_all_that_installing_needs(tmp_path):
    manifest = unpack(tmp_path, full_wheel())

    parts = ("METADATA", "WHEEL", "entry_points.txt", "INSTALLER")
    described = tuple(f"demo-1.0.dist-info/{part}" for part in parts)
    assert manifest.has_record
    assert (manifest.name, manifest.version, manifest.dist_info) == ("demo", "1.0", "demo-1.0.dist-info")
    assert manifest.root_is_purelib is False
    assert manifest.files == (*FILES, *described)
    assert manifest.directories == ("demo", "demo-1.0.dist-info", "demo/data")
    assert manifest.executables == {"demo/run"}
    assert manifest.top_level == ("demo", "demo-1.0.dist-info", "single.py")
    assert [(e.name, e.module, e.attribute, e.gui) for e in manifest.entry_points] == [
        ("Demo", "demo.cli", "main", False),
        ("show", "demo", "show", True),
    ]
    assert [(d.scheme, d.path, d.source, d.executable) for d in manifest.data] == [
        ("scripts", "go", "demo-1.0.data/scripts/go", True),
        ("data", "share/demo/x.txt", "demo-1.0.data/data/share/demo/x.txt", False),
        ("headers", "demo.h", "demo-1.0.data/headers/demo.h", False),
        ("purelib", "extra.py", "demo-1.0.data/purelib/extra.py", False),
    ]
    assert (manifest.data[0].digest, manifest.data[0].size) == (record_digest("#!python\n"), 9)
    unpacked = tree(tmp_path / "target" / "files")
    record = unpacked.pop("demo-1.0.dist-info/RECORD")
    assert record.decode().startswith(manifest.record)
    assert manifest.installed_size == sum(len(content) for content in unpacked.values())
    assert parse_record(manifest.record) == [
        (path, record_digest(unpacked[path]), str(len(unpacked[path]))) for path in manifest.files
    ]


def test_the_manifest_on_disk_is_the_one_returned(tmp_path):
    manifest = unpack(tmp_path, full_wheel(), source_hashes={"sha256": "ab"})

    found, hashes = read_manifest_and_hashes(tmp_path / "target" / "manifest.json")
    assert as_data(found) == as_data(manifest)
    assert hashes == {"sha256": "ab"}


def test_the_wheel_of_a_package_with_many_names_is_recognised(tmp_path):
    filename = wheel_filename("Foo.Bar-Baz", "1.0.post1+local.1", build="2")
    content = make_wheel("Foo.Bar-Baz", "1.0.post1+local.1", build="2")

    manifest = unpack(tmp_path, content, filename=filename)

    assert manifest.name == "foo-bar-baz"
    assert manifest.version == "1.0.post1+local.1"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
def test_only_the_executable_bit_is_kept(tmp_path):
    packed = tmp_path / "download"
    with zipfile.ZipFile(packed, "w") as archive, zipfile.ZipFile(io.BytesIO(full_wheel())) as made:
        for info in made.infolist():
            info.external_attr = (0o104777 if info.filename == "demo/run" else 0o100000) << 16
            archive.writestr(info, made.read(info))
    unpack_wheel(packed, tmp_path / "target", filename="demo-1.0-py3-none-any.whl")
    plain = tmp_path / "plain"
    plain.touch()

    files = tmp_path / "target" / "files"
    expected = stat.S_IMODE(plain.stat().st_mode)
    assert stat.S_IMODE((files / "single.py").stat().st_mode) == expected
    assert stat.S_IMODE((files / "demo/run").stat().st_mode) == expected | (expected & 0o444) >> 2


def test_files_that_only_installers_write_are_ours(tmp_path):
    theirs = {"INSTALLER": "other", "REQUESTED": "", "direct_url.json": "{}", "RECORD.jws": "x"}

    manifest = unpack(tmp_path, make_wheel("demo", "1.0", dist_info_files=theirs))

    assert [path for path in manifest.files if path.startswith("demo-1.0.dist-info/")] == [
        "demo-1.0.dist-info/METADATA",
        "demo-1.0.dist-info/WHEEL",
        "demo-1.0.dist-info/INSTALLER",
    ]
    found = tree(tmp_path / "target" / "files")
    assert found["demo-1.0.dist-info/INSTALLER"] == b"puffin-api\n"
    assert not any(path.endswith(("REQUESTED", "direct_url.json", ".jws")) for path in found)


def test_the_record_in_the_archive_lists_what_is_linked(tmp_path):
    manifest = unpack(tmp_path, full_wheel())

    found = tree(tmp_path / "target" / "files")
    rows = parse_record(found["demo-1.0.dist-info/RECORD"].decode())
    assert [path for path, _, _ in rows] == [*manifest.files, "demo-1.0.dist-info/RECORD"]
    for path, digest, size in rows[:-1]:
        assert (digest, size) == (digest_bytes(found[path]), str(len(found[path])))


def test_announced_directories_are_no_files_and_empty_ones_are_left_out(tmp_path):
    files = {"demo/": "", "demo/__init__.py": "", "empty/": ""}

    manifest = unpack(tmp_path, make_wheel("demo", "1.0", files=files))

    assert "demo/" not in manifest.files
    assert manifest.directories == ("demo", "demo-1.0.dist-info")
    assert not (tmp_path / "target" / "files" / "empty").exists()


def test_large_wheels_are_shared_by_threads(tmp_path):
    files = {f"demo/{i}.bin": os.urandom(3 << 20) for i in range(5)}
    content = make_wheel("demo", "1.0", files=files, compression=zipfile.ZIP_STORED)
    pool = WorkerPool(2)
    try:
        manifest = unpack(tmp_path, content, pool=pool)
    finally:
        pool.close()

    found = tree(tmp_path / "target" / "files")
    assert all(found[path] == data for path, data in files.items())
    assert parse_record(manifest.record)[:5] == [
        (path, record_digest(data), str(len(data))) for path, data in files.items()
    ]


def test_an_error_in_a_thread_is_the_error_of_the_call(tmp_path):
    files = {f"demo/{i}.bin": os.urandom(3 << 20) for i in range(5)}
    wrong = {"demo/4.bin": f"{record_digest('')},{3 << 20}"}
    content = make_wheel("demo", "1.0", files=files, record=wrong, compression=zipfile.ZIP_STORED)
    pool = WorkerPool(2)
    try:
        with pytest.raises(HashMismatch):
            unpack(tmp_path, content, pool=pool)
    finally:
        pool.close()

    assert not (tmp_path / "target" / "manifest.json").exists()


@pytest.mark.parametrize(
    "row",
    [
        ",",
        f"{record_digest('x')},",
        ",1",
        f"{record_digest('x')}=,1",
        f"sha512={digest_of('sha512', b'x')},1",
        f"SHA512={digest_of('sha512', b'x')},1",
        f"md5={digest_of('md5', b'x')},1",
    ],
)
def test_rows_of_record_may_say_less_or_say_it_differently(tmp_path, row):
    manifest = unpack(tmp_path, make_wheel("demo", "1.0", files={"a.py": "x"}, record={"a.py": row}))

    assert parse_record(manifest.record)[0] == ("a.py", record_digest("x"), "1")


def test_paths_of_record_may_be_written_as_on_windows(tmp_path):
    row = f"{record_digest('x')},1"
    record = {"demo/a.py": None, "demo\\a.py": row, "demo/": ",", "./demo/b.py": row, "demo/b.py": None}

    manifest = unpack(
        tmp_path, make_wheel("demo", "1.0", files={"demo/a.py": "x", "demo/b.py": "x"}, record=record)
    )

    assert manifest.files[:2] == ("demo/a.py", "demo/b.py")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "md5"])
def test_a_file_with_another_digest_than_in_record_is_a_mismatch(tmp_path, algorithm):
    content = make_wheel("demo", "1.0", files={"a.py": "x"}, record={"a.py": f"{algorithm}=AAAA,1"})

    with pytest.raises(HashMismatch) as caught:
        unpack(tmp_path, content)

    assert caught.value.expected == (f"{algorithm}:AAAA",)
    assert caught.value.actual.startswith(f"{algorithm}:")
    assert caught.value.name == "demo"
    assert "a.py" in caught.value.source


@pytest.mark.parametrize(
    "options",
    [
        {"record": {"a.py": "crc99=AAAA,1"}},
        {"record": {"a.py": "shake_128=AAAA,1"}},
        {"dist_info_files": {"RECORD": None}},
        {"dist_info_files": {"RECORD": b"\xff\xff"}},
        {"dist_info_files": {"WHEEL": None}},
        {"dist_info_files": {"METADATA": None}},
        {"dist_info": "other-1.0.dist-info"},
        {"dist_info": "demo-2.0.dist-info"},
        {"metadata_headers": {"Name": "other"}},
        {"metadata_headers": {"Version": "1.1"}},
        {"wheel_headers": {"Wheel-Version": "2.0"}},
        {"wheel_headers": {"Wheel-Version": None}},
        {"entry_points": {"console_scripts": {"x": "no_function"}}},
        {"data": {"nowhere/x": ""}},
        {"data": {"x": ""}},
    ],
)
def test_a_wheel_that_is_none_is_refused_before_anything_is_written(tmp_path, options):
    with pytest.raises(MetadataInvalid) as caught:
        unpack(tmp_path, make_wheel("demo", "1.0", **{"files": {"a.py": "x"}, **options}))

    assert caught.value.name == "demo"
    assert caught.value.reason
    assert not (tmp_path / "target").exists()


@given(data=st.data())
@settings(max_examples=60)
def test_made_wheels_come_back(tmp_path_factory, data):
    part = st.text(st.sampled_from("abcXYZ019_- äß"), min_size=1, max_size=6).map(lambda s: s.strip() or "q")
    paths = data.draw(
        st.lists(
            st.lists(part, min_size=1, max_size=3).map(lambda p: "pkg/" + "/".join(p) + ".py"), max_size=6
        )
    )
    contents = {}
    for path in paths:
        if path.casefold() not in {p.casefold() for p in contents}:
            contents[path] = data.draw(st.binary(max_size=50))
    folder = tmp_path_factory.mktemp("unpack")

    manifest = unpack(folder, make_wheel("demo", "1.0", files=contents))

    found = tree(folder / "target" / "files")
    assert {path: found[path] for path in contents} == contents
    assert {*manifest.files, "demo-1.0.dist-info/RECORD"} == found.keys()
    assert as_data(read_manifest(folder / "target" / "manifest.json")) == as_data(manifest)


def test_a_cancelled_unpack_leaves_no_manifest(tmp_path):
    token = CancelToken()
    token.cancel("enough")

    with pytest.raises(Cancelled):
        unpack(tmp_path, full_wheel(), pump=Pump(cancel=token))

    assert not (tmp_path / "target" / "manifest.json").exists()


def test_a_target_that_is_taken_is_left_alone(tmp_path):
    unpack(tmp_path, full_wheel())
    before = tree(tmp_path / "target")

    with pytest.raises(CacheUnavailable):
        unpack(tmp_path, make_wheel("demo", "1.0"))

    assert tree(tmp_path / "target") == before


def test_a_wheel_that_is_not_there_is_a_typed_error(tmp_path):
    with pytest.raises(CacheUnavailable):
        unpack_wheel(tmp_path / "no", tmp_path / "target", filename="demo-1.0-py3-none-any.whl")


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, DiskFull), (errno.ENAMETOOLONG, PathTooLong), (errno.EIO, CacheUnavailable)],
)
def test_failures_of_the_disk_are_typed(tmp_path, number, kind, monkeypatch):
    def full(descriptor, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", full)

    with pytest.raises(kind):
        unpack(tmp_path, full_wheel())
    assert not (tmp_path / "target" / "manifest.json").exists()


def test_writes_that_take_only_a_part_are_finished(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:7])))

    unpack(tmp_path, full_wheel())

    assert tree(tmp_path / "target" / "files")["demo/__init__.py"] == b"import os\n"


def test_write_wheel_gives_the_file_its_name(tmp_path):
    path = write_wheel(tmp_path, "Demo-Kit", "1.0", tags="cp312-cp312-win_amd64", build="3")

    manifest = unpack_wheel(path, tmp_path / "target", filename=path.name)

    assert path.name == "Demo_Kit-1.0-3-cp312-cp312-win_amd64.whl"
    assert manifest.name == "demo-kit"
