"""Builds that are kept: each goes to one caller, and none outlives what keeps it."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from puffin_api._preparer.workbench import KeptBuilds, Workbench


class StillBuild:
    """A build that only knows whether it rests."""

    def __init__(self):
        self.is_whole = True
        self.rests = False

    def rest(self):
        self.rests = True


class Shop:
    """Makes workbenches below a folder, and puts builds on them."""

    def __init__(self, root):
        self.root = root
        self.now = 0.0
        self._count = iter(range(100))

    def new_folder(self):
        folder = self.root / str(next(self._count))
        folder.mkdir()
        return folder

    def builds(self, **options):
        return KeptBuilds(clock=lambda: self.now, **options)

    def keep(self, builds, key):
        with Workbench(self.new_folder) as bench:
            metadata = bench.folder / "metadata"
            metadata.mkdir()
            build = StillBuild()
            builds.keep(key, bench, build, metadata)
        assert build.rests
        return build

    @property
    def there(self):
        return sorted(os.listdir(self.root))


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop").mkdir()
    return Shop(tmp_path / "shop")


def test_a_workbench_ends_with_all_that_is_on_it(shop):
    with Workbench(shop.new_folder) as bench:
        (bench.folder / "file").touch()
        assert bench.folder == bench.folder
        assert shop.there == ["0"]

    assert shop.there == []


def test_a_workbench_that_nobody_needs_makes_no_folder(shop):
    with Workbench(shop.new_folder):
        pass

    assert shop.there == []
    assert next(shop._count) == 0


def test_a_workbench_ends_on_an_error_too_and_tells_what_it_was(shop):
    class Witness:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, trace):
            self.seen = error

    def work():
        with Workbench(shop.new_folder) as bench:
            bench.enter(witness)
            assert bench.folder.is_dir()
            raise ValueError("it failed")

    witness = Witness()
    with pytest.raises(ValueError, match="it failed"):
        work()

    assert isinstance(witness.seen, ValueError)
    assert shop.there == []


def test_a_kept_build_is_taken_once(shop):
    builds = shop.builds()
    build = shop.keep(builds, "a")

    kept = builds.take("a")

    assert kept is not None
    assert kept.build is build
    assert builds.take("a") is None
    assert shop.there == ["0"]
    with kept.bench:
        pass
    assert shop.there == []


def test_of_many_threads_one_gets_it(shop):
    builds = shop.builds()
    for _ in range(50):
        shop.keep(builds, "a")
        barrier, got = threading.Barrier(8), []

        def take(barrier=barrier, got=got):
            barrier.wait(60)
            kept = builds.take("a")
            if kept is not None:
                got.append(kept)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(got) == 1
        with got[0].bench:
            pass
    assert shop.there == []


def test_the_one_that_was_kept_first_gives_way(shop):
    builds = shop.builds(most=2)
    for key in "abc":
        shop.keep(builds, key)

    assert shop.there == ["1", "2"]
    assert builds.take("a") is None
    assert len(builds) == 2


def test_one_with_the_same_key_takes_the_place(shop):
    builds = shop.builds()
    shop.keep(builds, "a")
    second = shop.keep(builds, "a")

    assert shop.there == ["1"]
    assert builds.take("a").build is second


def test_one_that_was_kept_for_too_long_is_not_used(shop):
    builds = shop.builds(seconds=10)
    shop.keep(builds, "old")
    shop.now = 5
    young = shop.keep(builds, "young")
    shop.now = 11

    assert builds.take("old") is None
    assert shop.there == ["1"]
    assert builds.take("young").build is young


def test_age_is_found_out_whoever_asks(shop):
    builds = shop.builds(seconds=10)
    shop.keep(builds, "old")
    shop.now = 11

    assert builds.take("another") is None
    assert shop.there == []


@pytest.mark.parametrize("lost", ["build", "metadata"])
def test_one_that_is_not_whole_is_not_used(shop, lost):
    builds = shop.builds()
    build = shop.keep(builds, "a")
    if lost == "build":
        build.is_whole = False
    else:
        (shop.root / "0" / "metadata").rmdir()

    assert builds.take("a") is None
    assert shop.there == []


def test_one_is_found_under_its_new_key(shop):
    builds = shop.builds()
    build = shop.keep(builds, "a")
    shop.keep(builds, "b")

    builds.move("a", "b")
    builds.move("missing", "b")

    assert shop.there == ["0"]
    assert builds.take("a") is None
    assert builds.take("b").build is build


def test_one_that_is_not_needed_any_more_ends(shop):
    builds = shop.builds()
    shop.keep(builds, "a")
    shop.keep(builds, "b")

    builds.drop("a")
    builds.drop("missing")

    assert shop.there == ["1"]


def test_closing_ends_all_and_keeps_no_more(shop):
    builds = shop.builds()
    shop.keep(builds, "a")
    shop.keep(builds, "b")

    builds.close()
    assert shop.there == []

    shop.keep(builds, "c")
    assert shop.there == []
    builds.close()


def test_they_end_with_what_keeps_them(shop):
    builds = shop.builds()
    shop.keep(builds, "a")

    del builds
    gc.collect()

    assert shop.there == []


def test_what_cannot_be_removed_does_no_harm(shop):
    class Stubborn(StillBuild):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            raise PermissionError("it is held open")

    builds = shop.builds()
    with Workbench(shop.new_folder) as bench:
        metadata = bench.folder / "metadata"
        metadata.mkdir()
        builds.keep("a", bench, bench.enter(Stubborn()), metadata)
    shop.keep(builds, "b")

    builds.close()

    assert shop.there == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("act", ["take", "close", "forget"])
def test_a_forked_child_leaves_alone_what_its_parent_keeps(shop, act):
    builds = shop.builds()
    shop.keep(builds, "a")

    child = os.fork()
    if child == 0:
        taken = builds.take("a") if act == "take" else None
        if act == "close":
            builds.close()
        del builds
        gc.collect()
        os._exit(0 if taken is None else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert shop.there == ["0"]
    assert builds.take("a") is not None
