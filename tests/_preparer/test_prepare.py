from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager

import pytest

from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.locks import FileLocks
from puffin_api._concurrency import Pump, WorkerPool
from puffin_api._fs import SymlinkDirectoryLink
from puffin_api._model.cancel import CancelToken
from puffin_api._model.file import DistFile
from puffin_api._preparer.prepare import WheelPreparer
from puffin_api._preparer.wheel_index import CachedWheels
from puffin_api._testing.wheels import make_wheel
from puffin_api._wheel.manifest import read_manifest_and_hashes
from puffin_api.errors import Cancelled, ConnectFailed, MetadataInvalid, UnsafeArchive

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
def no_lock(path, *, what, cancel):
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
    def lock(path, *, what, cancel):
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
