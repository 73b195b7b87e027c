"""Archives at URLs without a digest: a new client asks as HTTP lets it, and notices what has changed."""

from __future__ import annotations

import hashlib
from email.utils import formatdate

import pytest

from puffin_api import Cache, Installer
from puffin_api._testing.index_server import Reply
from puffin_api.errors import HashMismatch, OfflineMiss, ServerError
from puffin_api.model import FetchFinished, Refresh, RetryPolicy
from puffin_api.testing import LoopbackIndex, RecordingReporter
from tests.integration.job_kit import find_error, versions
from tests.integration.source_kit import cache_leftovers, project, resolve, sdist, sha256

NAME = "demo-1.0.tar.gz"


class ArchiveServer(LoopbackIndex):
    """Serves one archive with what HTTP says about it, and answers conditions."""

    def __init__(self, _files=None, **headers):
        super().__init__({})
        self.data = b""
        self.headers = headers
        """Sent with the archive; ``etag=True`` and ``last_modified=True`` for true ones."""
        self.target = ""
        """Where the URL leads to; empty for nowhere else."""

    @property
    def place(self):
        return f"{self.origin}/made/{NAME}"

    def answer(self, asked):
        if self.target and asked.path == f"/made/{NAME}":
            return Reply(302, b"", {"Location": self.target})
        if not asked.path.startswith(("/made/", "/elsewhere/")):
            return super().answer(asked)
        headers = {name.replace("_", "-").title(): value for name, value in self.headers.items()}
        digest = hashlib.sha256(self.data).hexdigest()
        if self.headers.get("etag") is True:
            headers["Etag"] = f'"{digest[:16]}"'
        if self.headers.get("last_modified") is True:
            seconds = 1_700_000_000 + int(digest[:6], 16)
            headers["Last-Modified"] = formatdate(seconds, usegmt=True)
        tag, time = asked.headers.get("if-none-match"), asked.headers.get("if-modified-since")
        is_same = tag == headers.get("Etag") if tag else time and time == headers.get("Last-Modified")
        if is_same:
            return Reply(304, b"", headers)
        return Reply(200, self.data, headers)

    def take(self):
        """Return what was asked for, each with the status of the answer; and forget it."""
        self.last = [asked for asked in self.requests if "/simple/" not in asked.path]
        found = [self.answer(asked).status for asked in self.last]
        self.forget()
        return found


@pytest.fixture
def job(serve, make_client, make_venv, journal, tmp_path):
    """Each time, a new client installs what is at the URL into a new environment."""
    count = iter(range(100))

    class Job:
        def serve(self, **headers):
            self.server = serve(kind=ArchiveServer, **headers)
            self.put(1)
            return self

        def put(self, value, **options):
            code = f"EXTRA = {value}\n"
            (self.server.data,) = sdist(
                project(journal, text=f"value = {value}\n", code=code, **options)
            ).values()

        def install(self, fragment="", **options):
            """Return the value that was installed, and the statuses of what was asked."""
            client, environment = make_client(self.server, **options), make_venv(f"venv-{next(count)}")
            self.reporter = RecordingReporter()
            asked = f"demo @ {self.server.place}{fragment}"
            resolution = resolve(client, environment, asked, reporter=self.reporter)
            Installer(environment, client).install(resolution)
            client.close()
            assert versions(environment) == {"demo": "1.0"}
            assert cache_leftovers(Cache(tmp_path / "cache")) == []
            (dist,) = environment.installed()
            text = (dist.location.parent / "demo.py").read_text()
            return int(text.rpartition("=")[2]), self.server.take()

    return Job()


VALIDATORS = [{"etag": True}, {"last_modified": True}, {"etag": True, "last_modified": True}]


@pytest.mark.parametrize("headers", VALIDATORS)
def test_what_has_not_changed_is_not_downloaded_again(job, journal, headers):
    job.serve(**headers)

    assert job.install() == (1, [200])
    assert job.install() == (1, [304])
    assert job.install() == (1, [304])
    assert journal.hooks == ["metadata demo", "wheel demo"]


@pytest.mark.parametrize("headers", [*VALIDATORS, {}, {"etag": True, "cache_control": "no-cache"}])
def test_what_has_changed_is_noticed_and_what_changes_back_too(job, headers):
    job.serve(**headers)
    assert job.install() == (1, [200])

    job.put(2)
    assert job.install() == (2, [200])
    job.put(1)
    assert job.install() == (1, [200])


def test_where_nothing_tells_files_apart_it_is_downloaded_again_but_not_built_again(job, journal):
    job.serve()

    assert job.install() == (1, [200])
    assert job.install() == (1, [200])
    assert journal.hooks == ["metadata demo", "wheel demo"]


def test_what_the_server_calls_fresh_is_not_asked_for(job):
    job.serve(etag=True, cache_control="max-age=1000")
    assert job.install() == (1, [200])
    job.put(2)

    assert job.install() == (1, [])


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"cache_control": "max-age=0"}, [304]),
        ({"cache_control": "max-age=100", "age": "200"}, [304]),
        ({"cache_control": "no-store"}, [200]),
        ({"cache_control": "no-store, max-age=1000"}, [200]),
        ({"expires": "Mon, 01 Jan 2024 00:00:00 GMT"}, [304]),
        ({"cache_control": "max-age=1000", "vary": "*"}, [304]),
        ({"cache_control": "immutable"}, []),
    ],
)
def test_what_the_server_says_of_freshness(job, said, asked):
    job.serve(etag=True, **said)
    job.install()

    assert job.install() == (1, asked)


def test_after_a_304_it_is_fresh_again(job):
    job.serve(etag=True, cache_control="max-age=0")
    job.install()
    job.server.headers["cache_control"] = "max-age=1000"

    assert job.install() == (1, [304])
    assert job.install() == (1, [])


@pytest.mark.parametrize(("refresh", "asked"), [(Refresh.all(), [304]), (Refresh.only(["demo"]), [304])])
def test_refreshing_asks_all_the_same(job, refresh, asked):
    job.serve(etag=True, cache_control="max-age=1000")
    job.install()

    assert job.install(refresh=refresh) == (1, asked)
    assert job.install(refresh=Refresh.only(["other"])) == (1, [])


def test_a_client_asks_once(job, make_client, make_venv):
    job.serve(etag=True)
    client = make_client(job.server)

    for name in ("one", "two"):
        Installer(make_venv(name), client).install([f"demo @ {job.server.place}"])

    assert job.server.take() == [200]


def test_a_redirect_may_lead_elsewhere_tomorrow(job):
    """However long the place may be kept that it leads to: that says nothing of the URL."""
    job.serve(etag=True, cache_control="max-age=1000, immutable")
    job.server.target = f"/elsewhere/one/{NAME}"
    assert job.install() == (1, [302, 200])
    assert job.install() == (1, [302, 304])

    job.server.target = f"/elsewhere/two/{NAME}"
    job.put(2)
    assert job.install() == (2, [302, 200])


def test_offline_the_last_one_is_used(job):
    job.serve(etag=True)
    job.install()
    job.put(2)
    job.install()
    job.put(1)
    job.install()

    assert job.install(offline=True) == (1, [])
    job.put(2)
    assert job.install() == (2, [200])
    assert job.install(offline=True) == (2, [])


def test_offline_what_was_never_fetched_is_missing(job):
    job.serve(etag=True)

    error = find_error(lambda: job.install(offline=True))

    assert isinstance(error, OfflineMiss)
    assert error.missing == [NAME]


def test_a_304_counts_as_cached(job):
    job.serve(etag=True)
    job.install()
    first = [event for event in job.reporter.of(FetchFinished) if event.received]
    job.install()

    (event,) = job.reporter.of(FetchFinished)
    assert len(first) == 1
    assert (event.cached, event.received, event.error) == (True, 0, "")


@pytest.mark.parametrize("damage", ["empty", "other", "gone"])
@pytest.mark.parametrize("said", ["max-age=0", "max-age=1000"])
def test_an_archive_that_is_damaged_is_downloaded_again(job, tmp_path, damage, said):
    job.serve(etag=True, cache_control=said)
    job.install()
    (kept,) = (tmp_path / "cache").rglob("source.archive")
    if damage == "gone":
        kept.unlink()
    else:
        kept.write_bytes(b"" if damage == "empty" else b"x" + kept.read_bytes()[1:])

    assert job.install() == (1, [200])


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PUFFIN\x00\x01" + bytes(12)])
def test_a_note_that_is_damaged_is_none(job, tmp_path, data):
    job.serve(etag=True, cache_control="max-age=1000")
    job.install()
    (note,) = (tmp_path / "cache").rglob("source.http")
    note.write_bytes(data)

    assert job.install() == (1, [200])
    assert job.install() == (1, [])


def test_upkeep_finds_nothing_wrong(job, tmp_path):
    job.serve(etag=True)
    job.install()
    cache = Cache(tmp_path / "cache")

    assert cache.verify(repair=False).damaged == {}
    cache.remove(["demo"])
    cache.prune()

    assert job.install() == (1, [200])


def test_a_digest_in_the_url_is_compared_with_what_comes(job):
    """Not with what was kept of the URL before, whose other digests nobody knows."""
    job.serve(etag=True, cache_control="max-age=1000")
    job.install()
    right = hashlib.sha512(job.server.data).hexdigest()

    assert job.install(f"#sha512={right}") == (1, [200])
    error = find_error(lambda: job.install(f"#sha512={'0' * 128}"))

    assert isinstance(error, HashMismatch)


def test_one_client_compares_each_digest(job, make_client, make_venv):
    job.serve(etag=True)
    client, environment = make_client(job.server), make_venv("here")
    resolve(client, environment, f"demo @ {job.server.place}")

    error = find_error(lambda: resolve(client, environment, f"demo @ {job.server.place}#sha512={'0' * 128}"))

    assert isinstance(error, HashMismatch)


def test_with_a_sha256_nobody_is_asked_what_is_known(job):
    job.serve()
    digest = sha256(job.server.data)
    assert job.install(f"#sha256={digest}") == (1, [200])

    assert job.install(f"#sha256={digest}") == (1, [])


def test_an_error_of_the_server_is_no_answer(job):
    job.serve(etag=True)
    job.install()
    job.put(2)
    job.server.fail("/made/", status=500)

    assert isinstance(find_error(job.install), ServerError)
    assert job.install()[0] == 2


def test_a_download_that_breaks_off_is_begun_again_without_conditions(job):
    job.serve(etag=True)
    job.install()
    job.put(2)
    job.server.fail("/made/", truncate=100)

    assert job.install(retries=RetryPolicy(attempts=2, backoff=0.0)) == (2, [200, 200])
    assert ["if-none-match" in asked.headers for asked in job.server.last] == [True, False]


def test_a_304_that_nobody_asked_for_is_no_answer(job):
    job.serve()
    answer = job.server.answer
    job.server.answer = lambda asked: Reply(304) if asked.path.startswith("/made/") else answer(asked)

    assert isinstance(find_error(job.install), ServerError)


@pytest.mark.parametrize("kind", ["static", "built"])
def test_changed_metadata_is_that_of_the_new_archive(job, make_client, make_venv, kind):
    job.serve(etag=True)
    job.put(1, requires=["one"], static=kind == "static")
    with make_client(job.server) as client:
        found = find_error(lambda: resolve(client, make_venv("a"), f"demo @ {job.server.place}"))
        assert "one" in str(found)
    job.put(1, requires=["two"], static=kind == "static")
    with make_client(job.server) as client:
        found = find_error(lambda: resolve(client, make_venv("b"), f"demo @ {job.server.place}"))

    assert "two" in str(found)
