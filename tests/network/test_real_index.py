"""The real index: what it says is understood in each of its forms, and asked for no more than needed."""

from __future__ import annotations

from contextlib import contextmanager

import attrs
import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from puffin_api import Cache, Index, Interpreter, Refresh, Resolver
from puffin_api.errors import HashMismatch, PackageNotFound
from tests.network.conftest import open_client
from tests.network.other_tools import pip

pytestmark = pytest.mark.network

OLD_WHEEL = "Flask-0.12.2-py2.py3-none-any.whl"
"""Of 2017, older than separate metadata; nobody can replace it, so it says the same for ever."""
OLD_REQUIREMENTS = ("Jinja2 (>=2.4)", "Werkzeug (>=0.7)", "click (>=2.0)", "itsdangerous (>=0.21)")


class WatchedTransport:
    """A `Transport` that notes each exchange, and may change a request before it leaves."""

    def __init__(self, change=None):
        # The one that the user's settings ask for; it is closed with the client that gets this one.
        self._transport = open_client()._transport
        self._change = change or (lambda url, headers: (url, headers))
        self.exchanges = []
        """End of the URL, whether a range was asked for, and status of each."""

    @contextmanager
    def open(self, url, *, headers, cancel=None):
        url, headers = self._change(url, headers)
        with self._transport.open(url, headers=headers, cancel=cancel) as response:
            self.exchanges.append((url.rstrip("/").rpartition("/")[2], "Range" in headers, response.status))
            yield response

    def close(self):
        self._transport.close()


@pytest.fixture
def watched():
    """Open clients over transports of which the test knows every exchange."""
    clients = []

    def watched(change=None, **options):
        transport = WatchedTransport(change)
        clients.append(open_client(transport=transport, **options))
        return clients[-1], transport.exchanges

    yield watched
    for client in clients:
        client.close()


def without_metadata_files(url, headers):
    return (f"{url}-not-there" if url.endswith(".metadata") else url), headers


def without_ranges(url, headers):
    return url, {name: value for name, value in headers.items() if name != "Range"}


def as_html(url, headers):
    return url, {**headers, "Accept": "text/html"} if "/simple/" in url else headers


# --- what it says of a project ------------------------------------------------------------------


def test_a_project_is_read_in_full():
    with open_client() as client:
        project = client.project("Flask")

    versions = [Version(version) for version in project.versions]
    assert (project.name, project.status, project.index) == ("flask", "active", Index.pypi().url)
    assert versions == sorted(versions)
    assert {"0.12.2", "1.0", "2.0.0rc1", "3.0.0"} <= set(project.versions)
    for file in project.files:
        assert (file.name, file.index, file.url.rpartition("/")[2]) == ("flask", project.index, file.filename)
        assert file.version in project.versions
        assert len(file.hashes["sha256"]) == 64
        assert file.size > 0
        assert file.upload_time.year >= 2010
    wheel = next(file for file in project.files if file.filename == "flask-3.0.0-py3-none-any.whl")
    assert wheel.requires_python == ">=3.8"
    assert wheel.yanked is None
    # An index may keep silent on separate metadata.
    assert wheel.metadata in (None, True) or wheel.metadata.startswith("sha256:")


def test_html_says_the_same_as_json(watched):
    json_client, _ = watched()
    html_client, _ = watched(as_html)
    from_json, from_html = json_client.project("flask"), html_client.project("flask")

    assert from_html.versions == from_json.versions
    assert dict(from_html.skipped) == dict(from_json.skipped)
    # The order within a version is the page's; sizes and times are not part of HTML.
    expected = {attrs.evolve(file, size=None, upload_time=None) for file in from_json.files}
    assert set(from_html.files) == expected
    assert {f.filename: dict(f.hashes) for f in from_html.files} == {
        f.filename: dict(f.hashes) for f in expected
    }


def test_an_unknown_project_is_told_from_a_failure():
    with open_client() as client, pytest.raises(PackageNotFound) as caught:
        client.project("puffin-api-has-no-such-project")

    assert caught.value.name == "puffin-api-has-no-such-project"


# --- metadata -----------------------------------------------------------------------------------


@pytest.fixture
def old_wheel(cache):
    with open_client(cache) as client:
        return next(file for file in client.project("flask").files if file.filename == OLD_WHEEL)


@pytest.mark.parametrize(
    ("change", "announced", "expected"),
    [
        (None, True, [(f"{OLD_WHEEL}.metadata", False, 200)]),
        (None, False, [(OLD_WHEEL, True, 206)]),
        (without_ranges, False, [(OLD_WHEEL, False, 200), (OLD_WHEEL, False, 200)]),
        (
            without_metadata_files,
            True,
            [(f"{OLD_WHEEL}.metadata-not-there", False, 404), (OLD_WHEEL, True, 206)],
        ),
    ],
    ids=["beside the file", "from its end", "from the whole", "from its end after all"],
)
def test_metadata_of_an_old_wheel_is_had_in_every_way(watched, old_wheel, change, announced, expected):
    client, exchanges = watched(change)
    file = attrs.evolve(old_wheel, metadata=announced)

    core = client.metadata(file)

    assert (core.name, core.version) == ("Flask", "0.12.2")
    assert sorted(core.requires_dist) == list(OLD_REQUIREMENTS)
    assert exchanges == expected


def test_metadata_that_is_not_announced_is_looked_for_once_for_each_host(watched, old_wheel):
    client, exchanges = watched(without_metadata_files)
    file = attrs.evolve(old_wheel, metadata=None)

    first, second = client.metadata(file), client.metadata(file)

    assert first == second
    assert [status for _, _, status in exchanges] == [404, 206, 206]


def test_metadata_that_is_not_what_was_announced_is_refused(old_wheel):
    file = attrs.evolve(old_wheel, metadata=f"sha256:{'0' * 64}")

    with open_client() as client, pytest.raises(HashMismatch):
        client.metadata(file)


def test_a_wheel_that_is_not_what_was_announced_is_refused(old_wheel):
    file = attrs.evolve(old_wheel, hashes={"sha256": "0" * 64})

    with open_client() as client, pytest.raises(HashMismatch):
        client.fetch(file)


# --- no more requests than needed ---------------------------------------------------------------


def test_what_is_known_is_not_asked_for_again(watched, tmp_path):
    cache, target = Cache(tmp_path / "cache"), Interpreter.current()

    client, exchanges = watched(cache=cache)
    first = Resolver(client).resolve(["flask"], target=target)
    names = set(first.packages)
    assert names <= {end for end, _, _ in exchanges}

    exchanges.clear()
    assert Resolver(client).resolve(["flask"], target=target) == first
    assert exchanges == [], "all of it is in memory"
    client.close()  # which ends the writing of what was learned

    client, exchanges = watched(cache=cache)
    assert Resolver(client).resolve(["flask"], target=target) == first
    assert exchanges == [], "all of it is on disk, and fresh"

    client, exchanges = watched(cache=cache, refresh=Refresh.all())
    assert Resolver(client).resolve(["flask"], target=target) == first
    asked = [end for end, _, _ in exchanges]
    assert names <= set(asked)
    assert len(asked) == len(set(asked)), "each page once"
    assert not any(".whl" in end for end in asked), "metadata does not change"
    assert {status for _, _, status in exchanges} <= {200, 304}

    client, exchanges = watched(cache=cache, offline=True)
    assert Resolver(client).resolve(["flask"], target=target) == first
    assert exchanges == []


# --- what we hand on ----------------------------------------------------------------------------


def test_pip_takes_our_list_with_hashes(cache, tmp_path):
    environment = Interpreter.current().create_venv(tmp_path / "env")
    with open_client(cache) as client:
        resolution = Resolver(client).resolve(["flask", "fastapi"], target=environment, only_binary=[":all:"])
    listed = tmp_path / "requirements.txt"
    listed.write_text(resolution.to_requirements_txt(hashes=True), encoding="utf-8")
    options = ("--require-hashes", "--dry-run", "--no-cache-dir", "--index-url", Index.pypi().url)

    version = environment.interpreter.version
    printed = pip(environment.interpreter.path, "install", *options, "-r", listed, version=version)

    last = printed.strip().splitlines()[-1]
    assert last.startswith("Would install ")
    pairs = (item.rpartition("-")[::2] for item in last.split()[2:])
    expected = {name: package.version for name, package in resolution.packages.items()}
    assert {canonicalize_name(name): version for name, version in pairs} == expected
