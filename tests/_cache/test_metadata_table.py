"""Metadata tables: round trips without parsing, merging, damage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.metadata_table import MetadataTable
from puffin_api._cache.project_table import GroupedFiles, ProjectTables, encode_grouped
from puffin_api._model import requirement
from puffin_api._model.file import FileRow
from puffin_api._model.metadata import DistMetadata
from puffin_api._model.requirement import RequirementRow, lenient_row

TEXTS = [
    "click>=8.1.3",
    "click",
    "a[x,y]>=1,!=1.5,<2",
    "b ===1.0",
    "c==1.0+local",
    'd>1 ; python_version < "3.10"',
    'e ; extra == "async"',
    'f ; sys_platform == "win32" and extra == "dev"',
    "g @ https://h/g.zip#sha256=00",
    "h<1,>2",
    'i ; (python_version < "3.9" or os_name == "nt") and extra == "x"',
    "j>=1.0.*",
]


def file(name="foo-1.0-py3-none-any.whl", **more):
    return FileRow(project="foo", version="1.0", filename=name, url=f"https://f/{name}", **more)


def metadata(*texts, **more):
    return DistMetadata("foo", "1.0", tuple(lenient_row(text) for text in texts), **more)


class Shelf:
    """Bytes in memory."""

    def __init__(self, data=b""):
        self.data = data
        self.reads = 0

    def read(self):
        self.reads += 1
        return [self.data] if self.data else []

    def write(self, data):
        self.data = data

    def table(self, recent=()):
        return MetadataTable("foo", read=self.read, write=self.write, recent=recent)


def columns(row):
    return {name: getattr(row, name) for name in RequirementRow.__slots__}


def test_rows_come_back_whole_and_without_parsing(monkeypatch):
    shelf, table = Shelf(), Shelf().table()
    table = shelf.table()
    before = metadata(*TEXTS, requires_python=">=3.8", extras=("async", "dev"))
    table.add(file(), before)
    table.flush()
    requirement._rows.clear()
    monkeypatch.setattr(requirement, "Requirement", None)

    after = shelf.table().get(file())

    assert [columns(row) for row in after.requires] == [columns(row) for row in before.requires]
    assert (after.name, after.version, after.requires_python) == ("foo", "1.0", ">=3.8")
    assert after.extras == ("async", "dev")


def test_equal_requirements_are_one_object_and_one_line():
    shelf = Shelf()
    table = shelf.table()
    for n in range(50):
        table.add(file(f"foo-{n}.whl"), metadata(*TEXTS))
    table.flush()

    assert shelf.data.count(b"click>=8.1.3") == 1
    again = shelf.table()
    first, second = again.get(file("foo-1.whl")), again.get(file("foo-2.whl"))
    assert all(a is b for a, b in zip(first.requires, second.requires, strict=True))


def test_what_others_stored_in_the_meantime_is_kept():
    shelf = Shelf()
    one, two = shelf.table(), shelf.table()
    one.add(file("foo-1.whl"), metadata("a", "b"))
    two.add(file("foo-2.whl"), metadata("b", "c"))
    one.flush()
    two.flush()

    table = shelf.table()
    assert [row.name for row in table.get(file("foo-1.whl")).requires] == ["a", "b"]
    assert [row.name for row in table.get(file("foo-2.whl")).requires] == ["b", "c"]


def test_a_file_with_other_bytes_under_the_same_name_is_not_known():
    shelf = Shelf()
    table = shelf.table()
    table.add(file(hashes=("sha256:" + "a" * 64,)), metadata("a"))
    table.flush()

    assert shelf.table().get(file(hashes=("sha256:" + "a" * 64,))) is not None
    assert shelf.table().get(file(hashes=("sha256:" + "b" * 64,))) is None
    assert shelf.table().get(file()) is None


def test_it_is_read_once_and_only_when_asked():
    shelf = Shelf()
    table = shelf.table()
    assert shelf.reads == 0
    table.get(file())
    table.get(file("other.whl"))

    assert shelf.reads == 1


def test_what_was_looked_at_last_comes_with_the_page_and_needs_no_reading():
    shelf = Shelf()
    before = shelf.table()
    for n in range(9):
        before.add(file(f"foo-{n}.whl"), metadata("click>=8", f"dep{n}"))
    before.flush()
    before = shelf.table()
    before.get(file("foo-3.whl"))
    table = shelf.table(before.recent())
    shelf.reads = 0

    assert [row.name for row in table.get(file("foo-3.whl")).requires] == ["click", "dep3"]
    assert shelf.reads == 0
    assert [row.name for row in table.get(file("foo-4.whl")).requires] == ["click", "dep4"]
    assert table.get(file("foo-9.whl")) is None
    assert shelf.reads == 1


def test_only_a_little_comes_with_the_page():
    table = Shelf().table()
    for n in range(9):
        table.add(file(f"foo-{n}.whl"), metadata("a"))
    few = table.recent()
    table.add(file("long.whl"), metadata(*[f"dep{n}" for n in range(500)]))

    assert [key.split(" ")[0] for key in few[0].split("\n")] == [f"foo-{n}.whl" for n in (5, 6, 7, 8)]
    assert table.recent() == ()
    assert Shelf().table().recent() == ()


def test_damaged_recent_metadata_is_none():
    shelf = Shelf()
    whole = shelf.table()
    whole.add(file(), metadata("a"))

    for texts in (("x",), ("a\nb", "c", "d"), (*whole.recent(), "more")):
        assert shelf.table(texts).get(file()) is None


def test_nothing_new_is_not_written():
    shelf = Shelf()
    shelf.write = None
    shelf.table().flush()


def test_a_damaged_table_is_empty_and_replaced():
    shelf = Shelf()
    table = shelf.table()
    table.add(file(), metadata("a"))
    table.flush()
    sound = shelf.data
    for position in range(len(sound)):
        shelf.data = sound[:position] + bytes([sound[position] ^ 0x41]) + sound[position + 1 :]
        assert shelf.table().get(file()) is None
    table = shelf.table()
    table.add(file("new.whl"), metadata("b"))
    table.flush()

    assert shelf.table().get(file("new.whl")).requires[0].name == "b"


def test_text_that_does_not_fit_is_left_out_not_mangled():
    shelf = Shelf()
    table = shelf.table()
    odd = RequirementRow("x\x1f", "x", (), "", None, "", "", "")
    table.add(file("odd.whl"), DistMetadata("foo", "1.0", (odd,)))
    table.add(file("good.whl"), metadata("a"))
    table.flush()

    assert shelf.table().get(file("odd.whl")) is None
    assert shelf.table().get(file("good.whl")) is not None


@given(st.lists(st.lists(st.sampled_from(TEXTS), max_size=6), max_size=6), st.integers(0, 6))
def test_any_split_of_the_same_work_gives_the_same_table(batches, cut):
    shelf = Shelf()
    for part in (range(min(cut, len(batches))), range(min(cut, len(batches)), len(batches))):
        table = shelf.table()
        for n in part:
            table.add(file(f"foo-{n}.whl"), metadata(*batches[n]))
        table.flush()
    table = shelf.table()

    for n, texts in enumerate(batches):
        assert [row.text for row in table.get(file(f"foo-{n}.whl")).requires] == texts


def test_it_lies_beside_the_page(tmp_path):
    tables = ProjectTables(CacheLayout(tmp_path))
    table = tables.metadata("pypi", "foo")
    table.add(file(), metadata("a"))
    table.flush()

    assert (tmp_path / "simple-v0" / "pypi" / "foo.meta").is_file()
    assert tables.metadata("pypi", "foo").get(file()).requires[0].name == "a"


def test_a_page_brings_the_metadata_that_was_looked_at(tmp_path):
    first = ProjectTables(CacheLayout(tmp_path))
    first.metadata("pypi", "foo").add(file(), metadata("a"))
    grouped = GroupedFiles([], {}, str)
    recent = first.recent_metadata("pypi", "foo")
    data = encode_grouped(
        "foo", grouped, [], stored_at=1.0, policy=[], index="", url="", status="", skipped={}, recent=recent
    )
    first.write_page("pypi", "foo", data)
    second = ProjectTables(CacheLayout(tmp_path))
    second.read_page("pypi", "foo")

    assert not (tmp_path / "simple-v0" / "pypi" / "foo.meta").exists()
    assert [row.name for row in second.metadata("pypi", "foo").get(file()).requires] == ["a"]
    assert first.recent_metadata("pypi", "other") == ()
