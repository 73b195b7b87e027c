from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._model.cached import MANIFEST_FORMAT, DataFile, EntryPoint, WheelManifest
from puffin_api._wheel.manifest import read_manifest, read_manifest_and_hashes, write_manifest

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
TEXTS = st.lists(TEXT, max_size=4).map(tuple)


def as_data(value):
    """Everything a manifest says, as something that can be compared."""
    if isinstance(value, DataFile | EntryPoint | WheelManifest):
        return [as_data(getattr(value, name)) for name in type(value).__slots__]
    return [as_data(item) for item in value] if isinstance(value, tuple) else value


def manifest(**changes) -> WheelManifest:
    columns = {
        "name": "demo",
        "version": "1.0",
        "dist_info": "demo-1.0.dist-info",
        "root_is_purelib": True,
        "directories": ("demo", "demo-1.0.dist-info"),
        "files": ("demo/__init__.py", "demo/run", "demo-1.0.dist-info/METADATA"),
        "executables": frozenset({"demo/run"}),
        "record": 'demo/__init__.py,sha256=AA,0\n"demo/r,un",sha256=AB,1\n',
        "top_level": ("demo", "demo-1.0.dist-info"),
        "data": (DataFile("scripts", "go", "demo-1.0.data/scripts/go", "sha256=AC", 3, True),),
        "entry_points": (EntryPoint("Demo", "demo.cli", "main", False),),
        "installed_size": 4,
    }
    return WheelManifest(**{**columns, **changes})


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest(), source_hashes={"sha256": "00ff"})

    assert as_data(read_manifest(path)) == as_data(manifest())
    assert read_manifest_and_hashes(path)[1] == {"sha256": "00ff"}


@given(
    st.builds(
        manifest,
        name=TEXT,
        directories=TEXTS,
        files=TEXTS,
        executables=st.frozensets(TEXT, max_size=3),
        record=TEXT,
        top_level=TEXTS,
        data=st.lists(st.builds(DataFile, TEXT, TEXT, TEXT, TEXT, st.integers(0), st.booleans())).map(tuple),
        entry_points=st.lists(st.builds(EntryPoint, TEXT, TEXT, TEXT, st.booleans())).map(tuple),
        installed_size=st.integers(0, 1 << 50),
    )
)
def test_any_manifest_is_read_as_it_was_written(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("manifest") / "manifest.json"
    write_manifest(path, written)

    assert as_data(read_manifest(path)) == as_data(written)


def test_a_manifest_is_one_json_document(tmp_path):
    write_manifest(tmp_path / "manifest.json", manifest())

    document = json.loads((tmp_path / "manifest.json").read_bytes())

    assert document["puffin-manifest"] == MANIFEST_FORMAT
    assert document["columns"]["files"] == list(manifest().files)


def test_a_missing_manifest_is_none(tmp_path):
    assert read_manifest(tmp_path / "manifest.json") is None
    assert read_manifest(tmp_path) is None


def test_a_manifest_with_any_byte_flipped_or_cut_off_is_none_or_the_same(tmp_path):
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest())
    good = path.read_bytes()

    for at in range(len(good)):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]):
            path.write_bytes(bad)
            found = read_manifest(path)
            assert found is None or as_data(found) == as_data(manifest())


@pytest.mark.parametrize("change", [{"files": None}, {"data": [[1]]}, {"name": ...}])
def test_a_sound_document_with_other_columns_is_none(tmp_path, change):
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest())
    columns = {**json.loads(path.read_bytes())["columns"], **change}
    body = json.dumps({key: value for key, value in columns.items() if value is not ...}).encode()
    path.write_bytes(b'{"puffin-manifest":1,"crc32":"%08x","columns":%b}\n' % (zlib.crc32(body), body))

    assert read_manifest(path) is None


def test_a_manifest_is_never_written_over(tmp_path):
    write_manifest(tmp_path / "manifest.json", manifest())

    with pytest.raises(FileExistsError):
        write_manifest(tmp_path / "manifest.json", manifest())
