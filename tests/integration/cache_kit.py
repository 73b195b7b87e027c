"""What the tests of shared and damaged caches have in common; importable by new processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from puffin_api import Cache, Client, Environment, Installer, Resolver
from puffin_api._api.change import Changer
from puffin_api._cache.archive_store import ArchiveStore
from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.locks import FileLocks
from puffin_api._concurrency import Pump, WorkerPool
from puffin_api._fs import SymlinkDirectoryLink
from puffin_api._preparer.prepare import WheelPreparer
from puffin_api._preparer.wheel_index import CachedWheels
from puffin_api.errors import PlanOutdated
from puffin_api.model import LockWaiting
from puffin_api.testing import RecordingReporter

installer_looks = pytest.mark.skipif(
    not hasattr(Changer, "renew"), reason="the installer does not look at wheels again before it uses them"
)
_TRIES = 50


def install_patiently(environment, client, resolution, reporter=None):
    """Install, again where others have changed the environment meanwhile."""
    for left in reversed(range(_TRIES)):
        try:
            return Installer(environment, client).install(resolution, reporter=reporter)
        except PlanOutdated:
            if not left:
                raise
    raise AssertionError("the loop returns or raises")


def install_from_one_cache(place, own, common, url, begin, answers):
    """Install one set into an environment of its own and into one that all share; tell for whom it waited."""
    reporter = RecordingReporter()
    try:
        with Client(indexes=[url], cache=Cache(f"{place}/cache")) as client:
            environments = [Environment.at(f"{place}/{name}", cache=client.cache) for name in (own, common)]
            resolution = Resolver(client).resolve(["app"], target=environments[0])
            begin.wait(240)
            for environment in environments:
                install_patiently(environment, client, resolution, reporter)
        waits = [(e.path, e.owner) for e in reporter.events if isinstance(e, LockWaiting)]
        answers.put((own, "", waits))
    except BaseException as error:
        answers.put((own, repr(error), []))
        raise


def install_and_wait_for_death(place, name, url):
    """Install from an index that never ends its answer."""
    with Client(indexes=[url], cache=Cache(f"{place}/cache")) as client:
        Installer(Environment.at(f"{place}/{name}", cache=client.cache), client).install(["app"])


def preparer_of(cache, wheel, *, unpack=None):
    """A preparer whose index is one file on disk."""
    layout = CacheLayout(Path(cache))
    layout.initialize()
    store = ArchiveStore(layout, SymlinkDirectoryLink())

    def fetch(file, target, /, *, pump):
        target.write_bytes(Path(wheel).read_bytes())

    options = {} if unpack is None else {"unpack": unpack}
    return WheelPreparer(
        layout=layout,
        store=store,
        wheels=CachedWheels(layout, store),
        fetch=fetch,
        lock=FileLocks(60).hold,
        pool=WorkerPool(1),
        **options,
    )


def unpack_half_and_wait_for_death(cache, wheel, file, half_done):
    """Begin to unpack, and never end."""

    def unpack(wheel, target, **_):
        (target / "files").mkdir(parents=True)
        (target / "files" / "half").write_bytes(b"half")
        Path(half_done).touch()
        time.sleep(600)

    preparer_of(cache, wheel, unpack=unpack).prepare_wheels([file], pump=Pump())


def scratch_of(cache):
    """What lies half done in a cache."""
    return sorted(os.listdir(Path(cache) / ".tmp"))
