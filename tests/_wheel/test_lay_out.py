from __future__ import annotations

import pytest

from puffin_api._model.direct_url import DirectUrl, DirInfo
from puffin_api._wheel.lay_out import Places, lay_out
from puffin_api._wheel.record import digest_bytes, parse_record
from puffin_api.errors import UnsafeArchive
from tests._installer.environment_kit import Place

FOLDERS = {
    "purelib": "/env/lib/site-packages",
    "platlib": "/env/lib/site-packages",
    "scripts": "/env/bin",
    "data": "/env",
    "headers": "/env/include",
}


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_each_file_has_one_place():
    places = Places(FOLDERS)

    assert places.locate("platlib", "a.py") == ("purelib", "a.py")
    assert places.locate("data", "share/x") == ("data", "share/x")
    assert places.locate("data", "bin/x") == ("scripts", "x")
    assert places.locate("data", "lib/site-packages/x.py") == ("purelib", "x.py")
    assert places.locate("data", "lib/other") == ("data", "lib/other")
    assert places.locate("data", "binary") == ("data", "binary")


def test_paths_are_relative_to_where_record_is():
    places = Places(FOLDERS)

    assert places.relative("scripts", "x", start="purelib") == "../../bin/x"
    assert places.relative("data", "share/x", start="purelib") == "../../share/x"
    assert places.relative("purelib", "x.py", start="purelib") == "x.py"


def test_a_wheel_for_one_platform_goes_to_platlib(place):
    places = Places({**FOLDERS, "platlib": "/env/lib64/site-packages"})

    assert lay_out(place.wheel("a", root_is_purelib=False), places, executable="p").place == "platlib"
    assert lay_out(place.wheel("a"), places, executable="p").place == "purelib"


def test_record_describes_what_will_be_written(place):
    wheel = place.wheel(
        "a",
        files={'a/od"d,name.txt': "x"},
        data={"scripts/tool": "#!python\n"},
        entry_points={"console_scripts": {"run": "a:f"}},
    )
    origin = DirectUrl(url="file:///src/a", info=DirInfo(editable=True))

    layout = lay_out(wheel, Places(FOLDERS), executable="/p", requested=True, direct_url=origin)

    rows = {path: (digest, size) for path, digest, size in parse_record(layout.dist_info[-1][1].decode())}
    written = dict(layout.dist_info[:-1])
    written |= {f"../../bin/{extra.path}": extra.content for extra in layout.extra}
    for path, content in written.items():
        assert rows[path] == (digest_bytes(content), str(len(content)))
    assert rows['a/od"d,name.txt'] == (digest_bytes(b"x"), "1")
    assert rows["a-1.0.dist-info/RECORD"] == ("", "")
    assert not layout.links_record
    assert [path.rpartition("/")[2] for path, _ in layout.dist_info] == [
        "REQUESTED",
        "direct_url.json",
        "RECORD",
    ]


def test_a_wheel_that_brings_nothing_of_this_place_has_its_record_linked(place):
    layout = lay_out(place.wheel("a"), Places(FOLDERS), executable="/p")

    assert layout.links_record
    assert layout.dist_info == []
    assert layout.tree[-1] == "a-1.0.dist-info/RECORD"
    assert layout.digests()["a-1.0.dist-info/RECORD"] == ""


def test_an_entry_point_counts_before_a_shipped_script_of_its_name(place):
    wheel = place.wheel(
        "a", data={"scripts/run": "#!python\n"}, entry_points={"console_scripts": {"run": "a:f"}}
    )

    layout = lay_out(wheel, Places(FOLDERS), executable="/p")

    assert [extra.path for extra in layout.extra] == ["run"]
    assert b"from a import f" in layout.extra[0].content


def test_a_shipped_script_may_not_replace_the_interpreter(place):
    wheel = place.wheel("a")
    data = type("Data", (), {"scheme": "scripts", "path": "pypy3", "source": "x"})()
    wheel.manifest.data = (data,)

    with pytest.raises(UnsafeArchive):
        lay_out(wheel, Places(FOLDERS), executable="/p")


def test_an_unknown_scheme_is_refused(place):
    wheel = place.wheel("a")
    wheel.manifest.data = (type("Data", (), {"scheme": "attic", "path": "x", "source": "a.data/attic/x"})(),)

    with pytest.raises(UnsafeArchive) as caught:
        lay_out(wheel, Places(FOLDERS), executable="/p")

    assert caught.value.rule == "data-scheme"
