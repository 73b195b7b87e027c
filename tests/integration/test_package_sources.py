"""Sources of the caller's own: beside and instead of indexes, from threads, with errors of their own."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from puffin_api import Cache, Client, Environment, IndexStrategy, Installer, Resolver, Target
from puffin_api.errors import ConnectFailed, MetadataInvalid, PackageNotFound, ResolutionFailed
from puffin_api.model import CoreMetadata, DistFile, Project
from puffin_api.testing import LoopbackIndex, make_wheel
from tests.integration.job_kit import ONE_TRY, find_error, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
SECONDS = 20
"""How long a call may take before it counts as hanging."""


class Gone(Exception):
    """An error that only the caller knows."""


class Shelf:
    """A source in memory: requirements by name and version."""

    def __init__(self, projects, *, fails=None, says=None, has_hashes=True):
        self.projects = projects
        self.fails = fails or {}
        """Errors by what is asked: a project, or `metadata` or `fetch` and a file name."""
        self.says = says or {}
        """Other metadata by file name."""
        self.has_hashes = has_hashes
        self.asked = []
        self.threads = set()

    def project(self, name):
        self._note(name)
        found = self.projects.get(name)
        if found is None:
            return None
        files = tuple(self._file(name, version) for version in found)
        return Project(name=name, versions=tuple(found), files=files)

    def metadata(self, file):
        self._note("metadata", file.filename)
        given = {"name": file.name, "version": file.version, "requires_dist": self._requires(file)}
        return CoreMetadata(**{**given, **self.says.get(file.filename, {})})

    def fetch(self, file, target):
        self._note("fetch", file.filename)
        target.write_bytes(self._data(file.name, file.version))

    def _note(self, *key):
        self.asked.append(key)
        self.threads.add(threading.get_ident())
        error = self.fails.get(key[-1] if len(key) == 1 else key)
        if error is not None:
            raise error

    def _requires(self, file):
        return tuple(self.projects[file.name][file.version])

    def _data(self, name, version):
        return make_wheel(name, version, requires=self.projects[name][version])

    def _file(self, name, version):
        filename = f"{name}-{version}-py3-none-any.whl"
        digest = hashlib.sha256(self._data(name, version)).hexdigest()
        hashes = {"sha256": digest} if self.has_hashes else {}
        return DistFile(name=name, version=version, filename=filename, url=f"shelf:{filename}", hashes=hashes)


GRAPH = {"app": {"1.0": ["web"], "2.0": ["web>=1"]}, "web": {"1.0": ["log"]}, "log": {"0.5": [], "0.6": []}}


@pytest.fixture
def make_client(serve, tmp_path):
    """Make a client for servers and sources, in this order."""
    clients = []

    def make(*places, **options):
        options = {"cache": Cache(tmp_path / "cache"), "retries": ONE_TRY, **options}
        given = [place.url if isinstance(place, LoopbackIndex) else place for place in places]
        clients.append(Client(indexes=given, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def place(tmp_path):
    return Environment.directory(tmp_path / "packages", target=TARGET)


def resolve(client, *requirements, **options):
    resolution = Resolver(client).resolve(requirements, target=TARGET, **options)
    return {name: str(package.version) for name, package in resolution.packages.items()}


def within_time(call):
    """Call in a thread, and fail where it does not come back."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(SECONDS)


def caught(call):
    """Return whatever a call raises."""

    def catch():
        try:
            call()
        except Exception as error:  # noqa: BLE001  # it is what the test looks at
            return error
        return None

    return within_time(catch)


def test_a_source_stands_instead_of_indexes(make_client, place):
    client = make_client(Shelf(GRAPH))
    resolution = Resolver(client).resolve(["app"], target=TARGET)
    Installer(place, client).install(resolution)

    assert {d.name: d.version for d in place.installed()} == {"app": "2.0", "web": "1.0", "log": "0.6"}


def test_what_a_source_does_not_know_comes_from_the_next_index(serve, make_client, place):
    server = serve(wheel("log", "9.0") | wheel("web", "9.0"))
    shelf = Shelf({name: GRAPH[name] for name in ("app", "web")})
    client = make_client(shelf, server)

    assert resolve(client, "app") == {"app": "2.0", "web": "1.0", "log": "9.0"}
    Installer(place, client).install(Resolver(client).resolve(["app"], target=TARGET))
    assert {d.name for d in place.installed()} == {"app", "web", "log"}
    assert server.count("/web/") == 0


def test_a_source_may_be_the_second_or_count_with_the_others(serve, make_client):
    server = serve(wheel("log", "0.5.1"))

    assert resolve(make_client(server, Shelf(GRAPH)), "app")["log"] == "0.5.1"
    both = make_client(server, Shelf(GRAPH), index_strategy=IndexStrategy.BEST_MATCH)
    assert resolve(both, "app")["log"] == "0.6"


def test_a_project_can_be_pinned_to_a_source(serve, make_client):
    server, shelf = serve(wheel("log", "9.0") | wheel("web", "9.0")), Shelf(GRAPH)

    assert resolve(make_client(server, shelf, index_pins={"log": "Shelf"}), "log", "web") == {
        "log": "0.6",
        "web": "9.0",
    }
    assert ("web",) not in shelf.asked


def test_an_unknown_project_names_the_source(serve, make_client):
    server = serve()
    error = find_error(lambda: resolve(make_client(Shelf(GRAPH), server), "nope"))

    assert type(error) is PackageNotFound
    assert error.indexes == ["Shelf", server.url]


@pytest.mark.parametrize(
    ("key", "requirement"),
    [
        ("app", "app"),
        ("log", "app"),
        (("metadata", "app-2.0-py3-none-any.whl"), "app"),
        (("metadata", "log-0.6-py3-none-any.whl"), "app"),
    ],
)
@pytest.mark.parametrize("error", [Gone("the database is closed"), ValueError("x"), OSError(5, "disk")])
def test_an_error_of_a_source_reaches_the_caller_as_it_is(make_client, key, requirement, error):
    shelf = Shelf(GRAPH, fails={key: error})
    client = make_client(shelf)

    assert caught(lambda: resolve(client, requirement)) is error

    shelf.fails.clear()
    assert within_time(lambda: resolve(client, requirement))["app"] == "2.0"


def test_an_error_while_fetching_reaches_the_caller_as_it_is(make_client, place):
    error = Gone("the shelf is empty")
    shelf = Shelf(GRAPH, fails={("fetch", "web-1.0-py3-none-any.whl"): error})
    client = make_client(shelf)
    resolution = Resolver(client).resolve(["app"], target=TARGET)

    assert caught(lambda: Installer(place, client).install(resolution)) is error
    assert list(place.installed()) == []

    shelf.fails.clear()
    within_time(lambda: Installer(place, client).install(resolution))
    assert len(list(place.installed())) == 3


def test_an_error_about_what_nobody_needs_is_not_raised(make_client):
    shelf = Shelf({**GRAPH, "app": {"1.0": ["web"], "2.0": ["broken", "web>5"]}}, fails={"broken": Gone("x")})
    error = caught(lambda: resolve(make_client(shelf), "app<2"))

    assert error is None


def test_a_network_error_of_a_source_is_raised_and_a_package_error_costs_the_file_only(make_client):
    network = ConnectFailed("the store does not answer", url="store:")
    key = ("metadata", "app-2.0-py3-none-any.whl")
    assert caught(lambda: resolve(make_client(Shelf(GRAPH, fails={key: network})), "app")) is network

    broken = MetadataInvalid("it is damaged", name="app", source="app-2.0", reason="it is damaged")
    assert resolve(make_client(Shelf(GRAPH, fails={key: broken})), "app")["app"] == "1.0"


@pytest.mark.parametrize(
    ("says", "reason"), [({"name": "other"}, "that of other"), ({"version": "7.0"}, "says version 7.0")]
)
def test_metadata_of_something_else_costs_the_version_with_a_reason(make_client, says, reason):
    shelf = Shelf(GRAPH, says={"app-2.0-py3-none-any.whl": says})
    client = make_client(shelf)

    assert resolve(client, "app")["app"] == "1.0"
    error = find_error(lambda: resolve(client, "app>=2"))
    assert type(error) is ResolutionFailed
    (found,) = error.excluded["app"]
    assert found["code"] == "metadata-invalid"
    assert reason in found["reason"]


def test_files_of_another_name_are_left_out_with_a_reason(make_client):
    shelf = Shelf({"app": {"1.0": []}})
    odd = DistFile(name="app", version="2.0", filename="other-2.0-py3-none-any.whl", url="shelf:x")
    listed = shelf.project("app")
    shelf.project = lambda name: Project(name=name, versions=("1.0", "2.0"), files=(*listed.files, odd))
    project = make_client(shelf).project("app")

    assert project.versions == ("1.0",)
    assert "another project" in project.skipped["other-2.0-py3-none-any.whl"]


def test_many_threads_may_share_a_client_with_a_slow_source(make_client):
    class Slow(Shelf):
        def project(self, name):
            time.sleep(0.02)  # so that threads overlap; the answers do not depend on it
            return super().project(name)

    shelf = Slow(GRAPH)
    client = make_client(shelf)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: resolve(client, "app"), range(8), timeout=SECONDS))

    assert found == [{"app": "2.0", "web": "1.0", "log": "0.6"}] * 8
    assert sorted(key for key in shelf.asked if len(key) == 1) == [("app",), ("log",), ("web",)]
    assert threading.get_ident() not in shelf.threads


def test_all_threads_that_wait_for_a_project_get_its_error(make_client):
    barrier = threading.Barrier(4)
    error = Gone("x")

    class Late(Shelf):
        def project(self, name):
            time.sleep(0.1)  # so that the others wait for it; they get the error in any case
            raise error

    client = make_client(Late(GRAPH))

    def ask(_):
        barrier.wait(SECONDS)
        try:
            client.project("app")
        except Gone as raised:
            return raised
        return None

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4), timeout=SECONDS)) == [error] * 4


@pytest.mark.parametrize("has_hashes", [True, False])
def test_two_sources_that_share_a_cache_do_not_get_each_others_files(make_client, tmp_path, has_hashes):
    """A source has no address: nothing but digests tells its files from those of another."""
    for number, word in enumerate(("one", "two")):
        shelf = Shelf({"app": {"1.0": [f"{word}; extra == 'x'"]}}, has_hashes=has_hashes)
        client = make_client(shelf)
        target = Environment.directory(tmp_path / f"place{number}", target=TARGET)
        Installer(target, client).install(Resolver(client).resolve(["app"], target=TARGET))
        (found,) = target.installed()
        assert word in str(found.requires)
