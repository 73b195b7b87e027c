from __future__ import annotations

import errno
import hashlib
import os
import threading
from contextlib import contextmanager

import pytest

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.locks import FileLocks
from puffin_api._concurrency import Pump, WorkerPool
from puffin_api._fs import SymlinkDirectoryLink, remove_tree
from puffin_api._model.cancel import CancelToken
from puffin_api._model.events import LockWaiting, Notice
from puffin_api._model.file import DistFile
from puffin_api._preparer.prepare import WheelPreparer
from puffin_api._preparer.telling import Telling
from puffin_api._preparer.wheel_index import CachedWheels
from puffin_api._testing.doubles import RecordingReporter
from puffin_api._testing.wheels import make_wheel
from puffin_api._wheel.manifest import read_manifest_and_hashes
from puffin_api.errors import CacheUnavailable, Cancelled, ConnectFailed, MetadataInvalid, UnsafeArchive

WAIT = 20.0


def dist_file(name, *, size=None, hashes=None):
    return DistFile(
        name=name,
        version="1.0",
        filename=f"{name}-1.0-py3-none-any.whl",
        url=f"https://files.test/{name}",
        size=size,
        hashes=hashes or {},
        index="https://index.test/simple",
    )


class FakeFetch:
    """Serves wheels made on the fly, and notes what was asked for."""

    def __init__(self):
        self.asked = []
        self.contents = {}
        self.errors = {}
        self.digests = None
        self.before = lambda file: None

    def __call__(self, file, target, /, *, pump):
        self.asked.append(file.name)
        self.before(file)
        pump.check()
        if file.name in self.errors:
            raise self.errors[file.name]
        assert not target.exists()
        target.write_bytes(self.contents.get(file.name) or make_wheel(file.name, file.version))
        return self.digests


class Setting:
    """A cache with all that a preparer needs."""

    def __init__(self, root, size=3):
        self.layout = CacheLayout(root)
        self.layout.initialize()
        self.store = ArchiveStore(self.layout, SymlinkDirectoryLink())
        self.fetch = FakeFetch()
        self.pool = WorkerPool(size)
        self.lock = FileLocks(WAIT).hold

    def preparer(self, **options):
        return WheelPreparer(
            **{
                "layout": self.layout,
                "store": self.store,
                "wheels": CachedWheels(self.layout, self.store),
                "fetch": self.fetch,
                "lock": self.lock,
                "pool": self.pool,
                **options,
            }
        )

    def archives(self):
        folder = self.layout.archive("")
        return sorted(folder.iterdir()) if folder.exists() else []

    def leftovers(self):
        return sorted(self.layout.temporary.iterdir())


@pytest.fixture
def setting(tmp_path):
    made = Setting(tmp_path / "cache")
    yield made
    made.pool.close()


def test_missing_wheels_are_fetched_and_unpacked(setting):
    wheels = setting.preparer().prepare_wheels([dist_file("a"), dist_file("b")], pump=Pump())

    assert list(wheels) == ["a", "b"]
    assert (wheels["a"].archive / "files" / "a" / "__init__.py").is_file()
    assert sorted(setting.fetch.asked) == ["a", "b"]
    assert setting.leftovers() == []


def test_what_is_cached_is_not_fetched(setting):
    setting.preparer().prepare_wheels([dist_file("a")], pump=Pump())

    wheels = setting.preparer().prepare_wheels([dist_file("b"), dist_file("a")], pump=Pump())

    assert list(wheels) == ["b", "a"]
    assert setting.fetch.asked == ["a", "b"]


def test_nothing_wanted_is_nothing_done(setting):
    assert setting.preparer().prepare_wheels([], pump=Pump()) == {}


def test_large_files_begin_first(tmp_path):
    setting = Setting(tmp_path / "cache", size=1)
    sizes = {"small": 1, "unknown": None, "large": 99, "middle": 50}

    wheels = setting.preparer().prepare_wheels([dist_file(n, size=s) for n, s in sizes.items()], pump=Pump())
    setting.pool.close()

    assert list(wheels) == list(sizes)
    assert setting.fetch.asked == ["large", "middle", "small", "unknown"]


def test_the_digests_of_the_wheel_are_recorded(setting):
    setting.fetch.digests = {"sha256": "aa"}
    given = setting.preparer().prepare_wheels([dist_file("a", hashes={"md5": "bb"})], pump=Pump())["a"]
    setting.fetch.digests = None
    counted = setting.preparer().prepare_wheels([dist_file("b")], pump=Pump())["b"]

    def hashes(wheel):
        return read_manifest_and_hashes(wheel.archive / "manifest.json")[1]

    assert hashes(given) == {"sha256": "aa", "md5": "bb"}
    assert hashes(counted) == {"sha256": hashlib.sha256(make_wheel("b", "1.0")).hexdigest()}


def test_a_cached_wheel_of_other_bytes_is_fetched_again(setting):
    old = setting.preparer().prepare_wheels([dist_file("a")], pump=Pump())["a"]

    new = setting.preparer().prepare_wheels([dist_file("a", hashes={"sha256": "ff"})], pump=Pump())["a"]

    assert new.archive != old.archive
    assert old.archive.exists()
    assert setting.fetch.asked == ["a", "a"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"no wheel", UnsafeArchive), (make_wheel("other", "1.0"), MetadataInvalid)],
)
def test_a_bad_wheel_is_the_error_and_leaves_nothing(setting, content, kind):
    setting.fetch.contents["b"] = content
    files = [dist_file(name) for name in "ab"]

    with pytest.raises(kind):
        setting.preparer().prepare_wheels(files, pump=Pump())

    assert setting.leftovers() == []
    assert len(setting.archives()) <= 1
    assert CachedWheels(setting.layout, setting.store).lookup(dist_file("b")) is None


def test_an_error_of_the_fetch_is_the_error_of_the_call(setting):
    setting.fetch.errors["b"] = ConnectFailed("no connection", url="https://files.test/b")

    with pytest.raises(ConnectFailed):
        setting.preparer().prepare_wheels([dist_file(name) for name in "abc"], pump=Pump())

    assert setting.leftovers() == []
    assert "b" not in CachedWheels(setting.layout, setting.store).lookup_all(map(dist_file, "abc"))


def test_after_an_error_the_same_preparer_can_try_again(setting):
    preparer = setting.preparer()
    setting.fetch.errors["a"] = ConnectFailed("no connection", url="https://files.test/a")
    with pytest.raises(ConnectFailed):
        preparer.prepare_wheels([dist_file("a")], pump=Pump())
    del setting.fetch.errors["a"]

    assert preparer.prepare_wheels([dist_file("a")], pump=Pump()).keys() == {"a"}


def test_the_first_failure_stops_downloads_that_are_under_way(setting):
    stopped = []

    def fetch(file, target, /, *, pump):
        if file.name == "b":
            raise ConnectFailed("no connection", url=file.url)
        asked_to_stop = threading.Event()
        pump.cancel.on_cancel(asked_to_stop.set)
        stopped.append(asked_to_stop.wait(WAIT))
        pump.check()

    with pytest.raises(ConnectFailed):
        setting.preparer(fetch=fetch).prepare_wheels([dist_file("a"), dist_file("b")], pump=Pump())

    assert stopped == [True]
    assert setting.leftovers() == []


def in_threads(calls):
    results = [None] * len(calls)

    def run(i, call):
        try:
            results[i] = call()
        except BaseException as error:  # noqa: BLE001  # a result like any other here
            results[i] = error

    threads = [threading.Thread(target=run, args=(i, call)) for i, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    return results


@contextmanager
def no_lock(path, *, what, **_):
    yield


def test_a_file_wanted_by_several_threads_is_fetched_once(setting):
    wanted = threading.Semaphore(0)

    class Wheels(CachedWheels):
        """Tells when somebody has found nothing."""

        def lookup_all(self, files):
            found = super().lookup_all(files)
            wanted.release()
            return found

    def until_all_have_asked(file):
        for _ in range(3):
            assert wanted.acquire(timeout=WAIT)

    preparer = setting.preparer(lock=no_lock, wheels=Wheels(setting.layout, setting.store))
    setting.fetch.before = until_all_have_asked

    results = in_threads([lambda: preparer.prepare_wheels([dist_file("a")], pump=Pump())["a"]] * 3)

    assert setting.fetch.asked == ["a"]
    assert len({wheel.archive for wheel in results}) == 1
    assert len(setting.archives()) == 1


def test_a_file_wanted_through_several_preparers_is_fetched_once(tmp_path):
    settings = [Setting(tmp_path / "cache") for _ in range(3)]

    results = in_threads(
        [lambda s=s: s.preparer().prepare_wheels([dist_file("a")], pump=Pump())["a"] for s in settings]
    )
    for setting in settings:
        setting.pool.close()

    assert sum(len(s.fetch.asked) for s in settings) == 1
    assert len({wheel.archive for wheel in results}) == 1


def test_the_lock_is_that_of_the_file_and_says_what_for(setting):
    seen = []

    @contextmanager
    def lock(path, *, what, **_):
        seen.append((path, what))
        yield

    setting.preparer(lock=lock).prepare_wheels([dist_file("a"), dist_file("b")], pump=Pump())

    assert sorted(what for _, what in seen) == [
        "fetching a-1.0-py3-none-any.whl",
        "fetching b-1.0-py3-none-any.whl",
    ]
    assert len({path for path, _ in seen}) == 2


def test_cancelling_one_caller_does_not_cancel_the_other(setting):
    token = CancelToken()
    preparer = setting.preparer()
    fetching, go_on = threading.Event(), threading.Event()

    def hold_the_first(file):
        if len(setting.fetch.asked) == 1:
            fetching.set()
            go_on.wait(WAIT)

    setting.fetch.before = hold_the_first

    def first():
        return preparer.prepare_wheels([dist_file("a")], pump=Pump(cancel=token))

    def second():
        fetching.wait(WAIT)
        token.cancel("first only")
        go_on.set()
        return preparer.prepare_wheels([dist_file("a")], pump=Pump())

    cancelled, done = in_threads([first, second])

    assert isinstance(cancelled, Cancelled)
    assert done.keys() == {"a"}
    assert setting.leftovers() == []


def test_a_cancelled_call_fetches_nothing(setting):
    token = CancelToken()
    token.cancel()

    with pytest.raises(Cancelled):
        setting.preparer().prepare_wheels([dist_file("a")], pump=Pump(cancel=token))

    assert setting.fetch.asked == []


def damaged(wheel):
    """Edit a file of an archive as through a hard link."""
    (wheel.archive / "files" / wheel.name / "__init__.py").write_bytes(b"edited in place")


def test_a_damaged_archive_is_fetched_anew_and_told_once(setting):
    file = dist_file("a")
    preparer, reporter = setting.preparer(), RecordingReporter()
    pump = Pump(reporter.on_event)
    telling = Telling(pump)
    old = preparer.prepare_wheels([file], pump=Pump())["a"]
    damaged(old)

    new = preparer.prepare_wheels([file], pump=pump, telling=telling)["a"]
    pump.close()

    assert new.archive != old.archive
    assert (new.archive / "files" / "a" / "__init__.py").read_bytes() == b""
    assert setting.fetch.asked == ["a", "a"]
    (notice,) = telling.notices
    assert notice.code == "cache-repaired"
    assert notice.data["path"] == str(old.archive)
    assert "__init__.py" in notice.data["damage"]
    assert [event for event in reporter.events if isinstance(event, Notice)] == [notice]


def test_the_link_to_a_damaged_archive_goes_even_if_it_cannot_be_fetched(setting):
    file = dist_file("a")
    preparer = setting.preparer()
    damaged(preparer.prepare_wheels([file], pump=Pump())["a"])
    setting.fetch.errors["a"] = ConnectFailed("no connection", url="https://files.test/a")

    with pytest.raises(ConnectFailed):
        preparer.prepare_wheels([file], pump=Pump())

    assert CachedWheels(setting.layout, setting.store).lookup(file) is None


def test_wheels_that_were_found_before_are_looked_at_again(setting):
    preparer, telling = setting.preparer(), Telling(Pump())
    wheels = preparer.prepare_wheels([dist_file(name) for name in "abc"], pump=Pump())
    damaged(wheels["a"])
    remove_tree(wheels["b"].archive)

    whole = preparer.intact(wheels.values(), pump=Pump(), telling=telling)

    assert whole == {"c": wheels["c"]}
    assert [notice.data["name"] for notice in telling.notices] == ["a"], "a pruned one is no damage"
    assert preparer.prepare_wheels([dist_file(name) for name in "abc"], pump=Pump()).keys() == set("abc")
    assert sorted(setting.fetch.asked) == ["a", "a", "b", "b", "c"]


def test_whoever_waits_for_another_process_says_for_whom(setting):
    file = dist_file("a")
    reporter = RecordingReporter()
    link = CachedWheels(setting.layout, setting.store).link(file)
    lock = setting.layout.lock("wheel", str(link.relative_to(setting.layout.root)))
    other = FileLocks().hold(lock, what="fetching a-1.0-py3-none-any.whl")
    other.__enter__()

    def on_event(event):
        reporter.on_event(event)
        if isinstance(event, LockWaiting):
            other.__exit__(None, None, None)

    setting.preparer().prepare_wheels([file], pump=Pump(on_event))

    (waiting,) = [event for event in reporter.events if isinstance(event, LockWaiting)]
    assert waiting.path == str(link)
    assert f"process {os.getpid()} on " in waiting.owner
    assert "(fetching a-1.0-py3-none-any.whl)" in waiting.owner


def test_without_locks_the_work_is_done_and_the_notice_comes_once(setting):
    def no_locks(_):
        raise OSError(errno.ENOLCK, "No locks available")

    telling = Telling(Pump())
    lock = FileLocks(WAIT, take=no_locks).hold

    wheels = setting.preparer(lock=lock).prepare_wheels(
        [dist_file("a"), dist_file("b")], pump=Pump(), telling=telling
    )

    assert wheels.keys() == {"a", "b"}
    (notice,) = telling.notices
    assert notice.code == "locks-degraded"
    assert notice.data["how"] == "soft"


def test_what_is_used_is_taken_before_it_is_looked_at(setting):
    taken = []

    def take(archives):
        taken.append([archive.is_dir() for archive in archives])

    setting.preparer(take=take).prepare_wheels([dist_file("a")], pump=Pump())
    setting.preparer(take=take).prepare_wheels([dist_file("a"), dist_file("b")], pump=Pump())

    assert taken == [[], [True], [True], [True]]


def test_what_was_pruned_before_it_could_be_taken_is_made_again(setting):
    pruned = []

    def take(archives):
        for archive in archives:
            if not pruned:
                pruned.append(archive)
                remove_tree(archive)

    wheels = setting.preparer(take=take).prepare_wheels([dist_file("a")], pump=Pump())

    assert wheels["a"].archive.is_dir()
    assert setting.fetch.asked == ["a", "a"]


def test_a_read_only_cache_is_not_even_locked(tmp_path):
    setting = Setting(tmp_path / "cache")
    before = sorted(tmp_path.rglob("*"))
    store = ArchiveStore(setting.layout, SymlinkDirectoryLink(), read_only=True)

    with pytest.raises(CacheUnavailable):
        setting.preparer(store=store).prepare_wheels([dist_file("a")], pump=Pump())

    assert sorted(tmp_path.rglob("*")) == before
    setting.pool.close()
