from __future__ import annotations

import io
import tarfile
import tomllib
import zipfile

import pytest
from installer.sources import WheelFile

from puffin_api._model.filename import parse_sdist_name, parse_wheel_name
from puffin_api._model.metadata import parse_metadata
from puffin_api._testing.wheels import (
    make_sdist,
    make_wheel,
    sdist_filename,
    wheel_filename,
    write_wheel,
)


def test_equal_arguments_give_equal_bytes():
    options = {"requires": ["attrs"], "extras": {"x": ["rich"]}, "data": {"scripts/go": "#!python"}}

    assert make_wheel("demo", "1.0", **options) == make_wheel("demo", "1.0", **options)
    assert make_sdist("demo", "1.0") == make_sdist("demo", "1.0")


def test_another_reader_finds_the_wheel_valid(tmp_path):
    path = write_wheel(
        tmp_path,
        "Demo.Kit",
        "1.0",
        files={"demo/a, b.py": "x"},
        entry_points={"console_scripts": {"go": "demo:main"}},
        data={"scripts/run": "#!python"},
    )

    with WheelFile.open(path) as wheel:
        wheel.validate_record()
        assert (wheel.distribution, wheel.version) == ("Demo_Kit", "1.0")


@pytest.mark.parametrize("name", ["demo", "Demo.Kit", "demo-kit"])
def test_file_names_are_those_of_the_specifications(name):
    wheel = parse_wheel_name(wheel_filename(name, "1.0+x", tags="py2.py3-none-any", build="1a"))

    assert (wheel.name, wheel.version, wheel.build) == (name.lower().replace(".", "-"), "1.0+x", (1, "a"))
    assert parse_sdist_name(sdist_filename(name, "1.0"), wheel.name) == "1.0"


def test_sdists_hold_metadata_and_one_top_folder():
    data = make_sdist("Demo.Kit", "1.0", requires=["attrs"], extras={"x": ["rich"]}, requires_python=">=3.8")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        metadata = parse_metadata(archive.extractfile("demo_kit-1.0/PKG-INFO").read(), source="")

    assert {name.partition("/")[0] for name in names} == {"demo_kit-1.0"}
    assert "demo_kit-1.0/pyproject.toml" in names
    assert metadata.requires_dist == ("attrs", "rich ; extra == 'x'")
    assert metadata.requires_python == ">=3.8"


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz", "tar"])
def test_sdists_can_be_any_kind_of_tar_archive_with_modes_and_links(kind):
    data = make_sdist(
        "demo",
        "1.0",
        files={"run": "#!/bin/sh", "a.py": ""},
        modes={"run": 0o4755},
        links={"b.py": "a.py"},
        dynamic=["Requires-Dist"],
        backend="def build_wheel(*_): ...",
        kind=kind,
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        metadata = parse_metadata(archive.extractfile("demo-1.0/PKG-INFO").read(), source="")
        pyproject = archive.extractfile("demo-1.0/pyproject.toml").read().decode()

        assert archive.getmember("demo-1.0/run").mode == 0o4755
        assert archive.getmember("demo-1.0/a.py").mode == 0o644
        assert archive.getmember("demo-1.0/b.py").linkname == "a.py"
        assert archive.getmember("demo-1.0/_backend/backend.py").isfile()
    assert metadata.dynamic == ("requires-dist",)
    assert tomllib.loads(pyproject)["build-system"] == {
        "requires": [],
        "build-backend": "backend",
        "backend-path": ["_backend"],
    }


def test_sdists_can_be_zip_archives_without_a_top_folder():
    data = make_sdist("demo", "1.0", kind="zip", top="", pyproject="", links={"here": "."})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["PKG-INFO", "demo/__init__.py", "here"]
        assert archive.getinfo("here").external_attr >> 16 == 0o120777


def test_broken_wheels_can_be_made():
    data = make_wheel(
        "demo",
        "1.0",
        dist_info="other.dist-info",
        metadata_headers={"Version": None, "Name": "wrong"},
        record={"demo/__init__.py": None, "not/there.py": "sha256=AAAA,1"},
        dist_info_files={"WHEEL": None, "extra.txt": "x"},
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        metadata = archive.read("other.dist-info/METADATA").decode()
        record = archive.read("other.dist-info/RECORD").decode()

    assert "other.dist-info/WHEEL" not in names
    assert "other.dist-info/extra.txt" in names
    assert "Version" not in metadata.replace("Metadata-Version", "")
    assert "Name: wrong" in metadata
    assert "not/there.py,sha256=AAAA,1\n" in record
    assert "demo/__init__.py" not in record
