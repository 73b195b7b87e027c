"""A download that takes longer than others wait for a lock, as long as it goes on."""

from __future__ import annotations

import threading
import time

from puffin_api import Cache, Client, Installer
from puffin_api.model import LockWaiting
from puffin_api.testing import RecordingReporter
from tests.integration.job_kit import ONE_TRY, versions, wheel


def test_who_waits_for_a_long_download_waits_as_long_as_it_goes_on(make_venv, tmp_path, serve, monkeypatch):
    index = serve(wheel("large", "1.0", files={"large.py": "x" * 200_000}))
    begun = threading.Event()
    original = Client._make_registry

    def slow_registry(self, cache):
        registry = original(self, cache)
        fetch = registry.fetcher.fetch_file

        def fetch_file(file, target, *, pump):
            begun.set()
            for _ in range(25):  # a connection that is slow, but alive
                time.sleep(0.1)
                pump.check()
            return fetch(file, target, pump=pump)

        registry.fetcher.fetch_file = fetch_file
        return registry

    monkeypatch.setattr(Client, "_make_registry", slow_registry)
    environments = [make_venv("first"), make_venv("second")]
    reporters = [RecordingReporter(), RecordingReporter()]

    def install(number):
        if number:
            begun.wait(30)
        with Client(
            indexes=[index.url], cache=Cache(tmp_path / "cache", lock_timeout=1.6), retries=ONE_TRY
        ) as client:
            Installer(environments[number], client).install(["large"], reporter=reporters[number])

    threads = [threading.Thread(target=install, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [versions(environment) for environment in environments] == [{"large": "1.0"}] * 2
    assert reporters[1].of(LockWaiting)
    assert len([asked for asked in index.requests if asked.path.endswith(".whl")]) == 1
