from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._fs import is_inside, resolves_inside, same_volume


@pytest.mark.parametrize(
    ("root", "path", "inside"),
    [
        ("/env", "/env", True),
        ("/env", "/env/lib/x.py", True),
        ("/env/", "/env/lib/../bin", True),
        ("/env", "/environment", False),
        ("/env", "/env/../etc", False),
        ("/env", "lib", True),
        ("/env", "../etc", False),
        ("/env", "lib/../../etc", False),
        ("/env", "/etc", False),
        ("/", "/etc", True),
    ],
)
def test_inside_is_judged_by_text(root, path, inside):
    assert is_inside(root, path) is inside


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), max_size=8))
def test_what_is_inside_never_climbs_out(segments):
    text = "/".join(segments)
    depth = lowest = 0
    for segment in segments:
        depth += {"..": -1, ".": 0, "": 0}.get(segment, 1)
        lowest = min(lowest, depth)

    if lowest == 0:
        assert is_inside("/root/of/it", text.lstrip("/"))
    # Names differ from those of the root, so what has climbed out cannot be back inside.
    if depth < 0:
        assert not is_inside("/root/of/it", text.lstrip("/"))


def test_a_link_that_leads_out_is_inside_by_text_only(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", tmp_path / "root" / "link", target_is_directory=True)

    assert is_inside(tmp_path / "root", tmp_path / "root" / "link" / "file")
    assert not resolves_inside(tmp_path / "root", tmp_path / "root" / "link" / "file")
    assert resolves_inside(tmp_path / "root", "missing/file")


def test_places_that_do_not_exist_yet_count_for_their_nearest_ancestor(tmp_path):
    (tmp_path / "file").touch()

    assert same_volume(tmp_path, tmp_path / "missing" / "deeper")
    assert same_volume(tmp_path, tmp_path / "file" / "below")
