from __future__ import annotations

import errno
import os

import pytest

from puffin_api._model.options import LinkMode
from puffin_api._wheel.link import STANDARD_WAYS, Linker, link_files


def refusing(*kinds, number=errno.EOPNOTSUPP):
    """Ways of which some do not work here."""

    def refuse(source, target):
        raise OSError(number, os.strerror(number), source)

    return {kind: refuse if kind in kinds else way for kind, way in STANDARD_WAYS.items()}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("mode", "broken", "expected"),
    [
        (LinkMode.AUTO, ("clone",), "hardlink"),
        (LinkMode.AUTO, ("clone", "hardlink"), "copy"),
        (LinkMode.CLONE, ("clone",), "copy"),
        (LinkMode.HARDLINK, (), "hardlink"),
        (LinkMode.HARDLINK, ("hardlink",), "copy"),
        (LinkMode.COPY, (), "copy"),
        (LinkMode.SYMLINK, (), "symlink"),
        (LinkMode.SYMLINK, ("symlink",), "copy"),
    ],
)
def test_the_first_way_that_works_is_taken(tmp_path, source, mode, broken, expected):
    told = []
    linker = Linker(mode)

    chosen = linker.choose(
        (1, 1),
        str(source / "a"),
        str(tmp_path / "a"),
        ways=refusing(*broken),
        on_fallback=lambda kind, reason: told.append(kind),
    )

    assert chosen == linker.known((1, 1)) == expected
    assert (tmp_path / "a").read_text() == "a"
    assert told == (["copy"] if expected == "copy" and broken else [])


def test_the_choice_is_made_once_for_a_pair_of_volumes(tmp_path, source):
    linker = Linker(LinkMode.HARDLINK)
    linker.choose((1, 1), str(source / "a"), str(tmp_path / "a"), ways=refusing("hardlink"))

    assert linker.known((1, 1)) == "copy"
    assert linker.known((1, 2)) is None
    assert linker.choose((1, 2), str(source / "b"), str(tmp_path / "b")) == "hardlink"


def test_a_full_disk_is_no_reason_to_try_another_way(tmp_path, source):
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        Linker().choose(
            (1, 1), str(source / "a"), str(tmp_path / "a"), ways=refusing("clone", number=errno.ENOSPC)
        )


def test_a_file_with_too_many_links_is_copied(tmp_path, source):
    def link(old, new):
        if old.endswith("b"):
            raise OSError(errno.EMLINK, "too many")
        os.link(old, new)

    link_files([("a", "a"), ("b", "b"), ("c", "other")], str(source), str(tmp_path), link)

    assert (tmp_path / "a").samefile(source / "a")
    assert not (tmp_path / "b").samefile(source / "b")
    assert (tmp_path / "b").read_text() == "b"
    assert (tmp_path / "other").read_text() == "c"


def test_other_errors_are_raised(tmp_path, source):
    (tmp_path / "a").write_text("there")

    with pytest.raises(FileExistsError):
        link_files([("a", "a")], str(source), str(tmp_path), os.link)
