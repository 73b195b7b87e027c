from __future__ import annotations

import os
from itertools import product

import pytest

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import PYPI, CacheLayout
from puffin_api._cache.leases import Leases
from puffin_api._cache.project_table import ProjectTables, encode_page_table
from puffin_api._cache.store import write_entry
from puffin_api._cache.verify import verify
from puffin_api._fs import PointerFileDirectoryLink, choose_directory_link, remove_tree
from puffin_api._fs.atomic import TEMPORARY_SUFFIX
from puffin_api._model.file import DistFile
from puffin_api._model.metadata import DistMetadata

PAGE = [
    (version, (f"flask-{version}-py3-none-any.whl", "https://h/f", "", None, None, "", None, None))
    for version in ("1.0", "2.0")
]


@pytest.fixture
def layout(tmp_path):
    layout = CacheLayout(tmp_path / "cache")
    layout.initialize()
    return layout


@pytest.fixture(
    params=[choose_directory_link, lambda _: PointerFileDirectoryLink()], ids=["usual", "pointer"]
)
def store(request, layout):
    return ArchiveStore(layout, request.param(layout.root))


def persist(store, place):
    with store.scratch() as folder:
        (folder / "files").mkdir()
        (folder / "files" / "module.py").write_bytes(b"x" * 100)
        (folder / "manifest.json").write_bytes(b"{}")
        return store.persist(folder, place)


def inspect(archive):
    """Archives hold a hundred of one letter."""
    try:
        return "" if (archive / "files" / "module.py").read_bytes() == b"x" * 100 else "module.py is bad"
    except OSError:
        return "module.py is missing"


def look(layout, *, repair=True, check=lambda: None):
    return verify(layout, Leases(layout), inspect=inspect, repair=repair, check=check)


def fill(layout, store):
    """A cache with something sound in every bucket."""
    tables = ProjectTables(layout)
    file = DistFile(name="flask", version="1", filename="flask-1-py3-none-any.whl", url="https://h/f")
    tables.write_page(PYPI, "flask", encode_page_table("flask", PAGE, stored_at=1.0, policy=[]))
    metadata = tables.metadata(PYPI, "flask")
    metadata.add(file.row(), DistMetadata("flask", "1", (), "", ()))
    metadata.flush()
    for path in (
        layout.simple("hosts", "h"),
        layout.flat_index("https://h/"),
        layout.interpreter(layout.root),
    ):
        write_entry(path, b"entry")
    write_entry(layout.wheel_metadata(PYPI, "flask", "flask-1"), b"metadata")
    return persist(store, layout.wheel(PYPI, "flask", "flask-1"))


def entries(layout):
    folder = layout.simple(PYPI, "x").parent
    return [
        folder / "flask.page",
        folder / "flask.meta",
        layout.simple("hosts", "h"),
        layout.flat_index("https://h/"),
        layout.interpreter(layout.root),
    ]


def test_in_a_sound_cache_nothing_is_damaged(layout, store):
    fill(layout, store)
    layout.simple(PYPI, f"unfinished{TEMPORARY_SUFFIX}").touch()

    found = look(layout)

    assert found.damaged == {}
    assert found.removed.paths == ()


DAMAGES = {
    "cut": lambda data: data[:-1],
    "zeros": lambda data: bytes(len(data)),
    "bit": lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    "last bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "empty": lambda data: b"",
    "longer": lambda data: data + b"more",
}


@pytest.mark.parametrize(
    ("number", "damage"),
    # What follows the last row of a page is never read.
    [pair for pair in product(range(5), DAMAGES) if pair != (0, "longer")],
)
def test_a_damaged_table_or_entry_is_found_and_removed(layout, store, number, damage):
    fill(layout, store)
    path = entries(layout)[number]
    path.write_bytes(DAMAGES[damage](path.read_bytes()))

    reported = look(layout, repair=False)
    assert path.exists()
    found = look(layout)

    assert reported.damaged == found.damaged == {path: "is damaged, or of another version"}
    assert reported.removed.paths == ()
    assert found.removed.paths == (path,)
    assert not path.exists()
    assert look(layout).damaged == {}


def test_a_damaged_archive_goes_with_its_links(layout, store):
    bad, good = fill(layout, store), persist(store, layout.wheel(PYPI, "flask", "flask-2"))
    place = layout.wheel(PYPI, "flask", "flask-1")
    (bad / "files" / "module.py").write_bytes(b"y" * 100)

    found = look(layout)

    assert found.damaged == {bad: "module.py is bad", place: "leads to a damaged archive"}
    assert set(found.removed.paths) == {bad, place}
    assert found.removed.size > 100
    assert not bad.exists()
    assert not os.path.lexists(place)
    assert good.is_dir()
    assert os.listdir(layout.temporary) == []


def test_a_damaged_archive_that_is_in_use_only_loses_its_links(layout, store):
    bad = fill(layout, store)
    (bad / "files" / "module.py").write_bytes(b"y" * 100)
    leases = Leases(layout)

    with leases.lease():
        leases.take([bad])
        found = look(layout)

    assert found.removed.paths == (layout.wheel(PYPI, "flask", "flask-1"),)
    assert bad.is_dir()
    assert look(layout).removed.paths == (bad,)


def test_links_that_lead_to_no_archive_are_removed(layout, store):
    fill(layout, store)
    gone, broken = layout.wheel(PYPI, "flask", "gone"), layout.wheel(PYPI, "flask", "broken")
    garbage = layout.wheel(PYPI, "flask", "garbage")
    remove_tree(persist(store, gone))
    (persist(store, broken) / "manifest.json").unlink()
    garbage.write_bytes(b"no link")

    found = look(layout, repair=True)

    assert found.damaged == {
        gone: "leads to no archive",
        broken: "leads to no archive",
        garbage: "is no link",
    }
    assert set(found.removed.paths) == {gone, broken, garbage}
    assert store.lookup(layout.wheel(PYPI, "flask", "flask-1")) is not None
    assert layout.wheel_metadata(PYPI, "flask", "flask-1").exists()


def test_it_can_be_stopped(layout, store):
    fill(layout, store)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        look(layout, check=stop)


def test_an_archive_that_is_pruned_meanwhile_is_no_damage(layout, store):
    archive = fill(layout, store)

    def inspect_and_lose(path):
        remove_tree(path)
        return "module.py is missing"

    found = verify(layout, Leases(layout), inspect=inspect_and_lose, repair=False)

    assert archive not in found.damaged


def test_a_cache_that_does_not_exist_is_sound(tmp_path):
    layout = CacheLayout(tmp_path / "missing")

    assert look(layout, repair=False).damaged == {}
    assert not layout.root.exists()


def test_an_unknown_bucket_is_left_alone(layout, store):
    fill(layout, store)
    other = layout.root / "simple-v9" / "pypi" / "flask"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of a later version")

    assert look(layout).damaged == {}
    assert other.exists()
