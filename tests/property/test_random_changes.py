"""Any sequence of changes: each is made as a whole or not at all, loses nothing, and can be undone."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from puffin_api._installer.undo import UndoStore
from puffin_api._model.plan import Change
from puffin_api.errors import PuffinError
from tests._installer.environment_kit import Place, commit_changes

NAMES = ("one", "two", "three")
# Files and folders that get in each other's way: "x" is a file of one and a folder of another.
PATHS = ("m.py", "x", "x/a.py", "x/b.py", "x/c/d.py", "x/c", "n/one.py", "n/two.py", "n/in/three.py")
SCRIPTS = ("run", "tool")
DATA = ("share/a", "share/b", "lib/python3.12/site-packages/x/data", "bin/tool")

contents = st.sampled_from(("", "1", "2"))


def _fits(paths):
    """No file may lie below another one of the same wheel."""
    return not any(other.startswith(f"{path}/") for path in paths for other in paths)


@st.composite
def wheel_contents(draw):
    files = draw(st.dictionaries(st.sampled_from(PATHS), contents, max_size=4).filter(_fits))
    scripts = draw(st.sets(st.sampled_from(SCRIPTS), max_size=1))
    data = draw(st.dictionaries(st.sampled_from(DATA), contents, max_size=1))
    return tuple(sorted(files.items())), tuple(sorted(scripts)), tuple(sorted(data.items()))


steps = st.one_of(
    st.tuples(st.just("change"), st.dictionaries(st.sampled_from(NAMES), wheel_contents(), min_size=1)),
    st.tuples(st.just("remove"), st.sets(st.sampled_from(NAMES), min_size=1)),
    st.tuples(st.just("swap"), st.sampled_from(NAMES), st.sampled_from(NAMES), wheel_contents()),
    st.tuples(st.just("stray"), st.sampled_from(PATHS), contents),
    st.tuples(st.just("edit"), st.sampled_from(PATHS), contents),
    st.tuples(st.just("undo")),
)


class Machine:
    """An environment, and what should be in it."""

    def __init__(self, top):
        self.place = Place(top)
        self.store = UndoStore(str(top / "undo"), str(top / "trash"))
        (top / "trash").mkdir()
        self.made = functools.lru_cache(None)(self._make)
        self.count = 0
        self.last = None

    def _make(self, name, version, content):
        files, scripts, data = content
        return self.place.wheel(
            name,
            version,
            files=dict(files),
            entry_points={"console_scripts": dict.fromkeys(scripts, "m:main")},
            data={f"data/{path}": text for path, text in data},
        )

    def step(self, kind, *arguments):
        before = self.place.tree()
        strays = self.strays()
        try:
            result = getattr(self, kind)(*arguments)
        except PuffinError as error:
            event(f"{kind}: {error.code}")
            self.refused(error, before)
            return
        if result is None:
            return
        event(kind)
        self.check(strays, result)
        if kind != "undo":
            self.last = result, before

    # -- what can be done

    def change(self, wheels):
        self.count += 1
        return self._commit({name: str(self.count) for name in wheels}, (), wheels)

    def remove(self, names):
        there = {dist.name for dist in self.place.installed()}
        return self._commit({}, sorted(names & there), {}) if names & there else None

    def swap(self, old, new, content):
        if old == new or old not in {dist.name for dist in self.place.installed()}:
            return None
        self.count += 1
        return self._commit({new: str(self.count)}, (old,), {new: content})

    def stray(self, path, content):
        target = self.place.site / path
        if not os.path.lexists(target) and all(not folder.is_file() for folder in target.parents):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)

    def edit(self, path, content):
        if (self.place.site / path).is_file():
            target = self.place.site / path
            target.unlink()  # as editors do: the cache has the other link
            target.write_text(content + "edited")

    def undo(self):
        if self.last is None:
            return None
        result, before = self.last
        self.last = None
        if self.touched_since != self.place.tree():
            return None  # somebody has written something since: other properties hold
        back = commit_changes(
            self.place,
            [_reverse(change) for change in result.changes],
            {},
            undo_store=self.store,
            restore=result.transaction_id if result.kept else "",
        )
        assert self.place.tree() == before, "undone to the last byte"
        return back

    def _commit(self, versions, removed, contents):
        wheels = {name: self.made(name, version, contents[name]) for name, version in versions.items()}
        there = {dist.name: dist.version for dist in self.place.installed()}
        changes = [
            Change(
                action="upgrade" if name in there else "install",
                name=name,
                old=there.get(name),
                new=version,
            )
            for name, version in versions.items()
        ]
        changes += [Change(action="remove", name=name, old=there[name]) for name in removed]
        result = commit_changes(self.place, changes, wheels, undo_store=self.store)
        kept = self.store.read(result.transaction_id, str(self.place.site)) is not None
        self.touched_since = self.place.tree()
        return _Done(result, kept)

    # -- what must hold

    def refused(self, error, before):
        assert error.code == "file-conflict", error
        assert error.state == "untouched", error
        assert self.place.tree() == before

    def owned(self):
        found = {}
        for dist in self.place.installed():
            for path, digest, _ in dist.record:
                found.setdefault(os.path.normpath(self.place.site / path), set()).add(digest)
        return found

    def strays(self):
        owned = self.owned()
        return {
            path: path.read_bytes()
            for path in self.place.prefix.rglob("*")
            if path.is_file() and str(path) not in owned
        }

    def check(self, strays, result):
        owned = self.owned()
        for path in owned:
            assert os.path.lexists(path), f"{path} is missing"
        replaced = {str(notice.data["path"]) for notice in result.notices if notice.code == "file-replaced"}
        for path, content in strays.items():
            if str(path) in owned or str(path) in replaced:
                assert str(path) in replaced or path.read_bytes() == content, f"{path} was replaced silently"
            else:
                assert path.read_bytes() == content, f"{path} belonged to nobody"
        assert not list(self.place.site.glob(".puffin-*"))


class _Done:
    def __init__(self, result, kept):
        self.changes, self.notices = result.changes, result.notices
        self.transaction_id, self.kept = result.transaction_id, kept


def _reverse(change):
    if change.old is None:
        return Change(action="remove", name=change.name, old=change.new, cause="undo")
    action = "install" if change.new is None else "downgrade"
    return Change(action=action, name=change.name, old=change.new, new=change.old, cause="undo")


@settings(max_examples=60)
@example([("change", {"one": ((("x", ""),), (), ()), "two": ((("x/c/d.py", ""),), (), ())})])
@given(st.lists(steps, min_size=2, max_size=7))
def test_nothing_is_lost_whatever_is_done_in_whatever_order(sequence):
    top = Path(tempfile.mkdtemp())
    try:
        machine = Machine(top)
        for step in sequence:
            machine.step(*step)
    finally:
        shutil.rmtree(top)
