"""Indexes that are folders on disk: looked at in each call, and read only where something has changed."""

from __future__ import annotations

import pytest

from puffin_api import Resolver, Target
from puffin_api._client import transport
from puffin_api.errors import PackageNotFound
from tests.integration.job_kit import find_error, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "an index"
    place.mkdir()
    return place


@pytest.fixture
def opened(monkeypatch):
    """What was opened through the transport."""
    urls = []
    real = transport.open_local
    monkeypatch.setattr(transport, "open_local", lambda url, headers: urls.append(url) or real(url, headers))
    return urls


def put(root, name, version, **options):
    folder = root / name
    folder.mkdir(exist_ok=True)
    for filename, data in wheel(name, version, **options).items():
        (folder / filename).write_bytes(data)


def pins(resolver, *requirements):
    found = resolver.resolve(requirements, target=TARGET).packages
    return {name: package.version for name, package in found.items()}


def test_nothing_is_read_again_while_nothing_changes(root, serve, make_client, opened):
    put(root, "app", "1.0", requires=["log"])
    resolver = Resolver(make_client(root.as_uri(), serve(wheel("log", "1.0"))))
    expected = pins(resolver, "app")
    pages = [url.rpartition("/an%20index/")[2] for url in opened if not url.endswith(".whl")]
    assert pages == ["app/", "log/"]
    opened.clear()

    assert pins(resolver, "app") == expected == {"app": "1.0", "log": "1.0"}
    assert opened == []


def test_a_new_file_in_a_folder_counts_at_the_next_call(root, make_client):
    put(root, "app", "1.0")
    resolver = Resolver(make_client(root.as_uri()))
    assert pins(resolver, "app") == {"app": "1.0"}

    put(root, "app", "2.0")

    assert pins(resolver, "app") == {"app": "2.0"}


def test_so_does_another_page(root, make_client):
    put(root, "app", "1.0")
    put(root, "app", "2.0")
    page = root / "app" / "index.html"
    page.write_text('<a href="app-1.0-py3-none-any.whl">app-1.0-py3-none-any.whl</a>')
    resolver = Resolver(make_client(root.as_uri()))
    assert pins(resolver, "app") == {"app": "1.0"}

    page.write_text('<a href="app-2.0-py3-none-any.whl">app-2.0-py3-none-any.whl</a>\n')
    assert pins(resolver, "app") == {"app": "2.0"}
    page.unlink()
    put(root, "app", "3.0")
    assert pins(resolver, "app") == {"app": "3.0"}


def test_a_project_that_was_not_there_is_found_once_it_is(root, serve, make_client):
    resolver = Resolver(make_client(root.as_uri(), serve(wheel("app", "1.0"))))
    assert pins(resolver, "app") == {"app": "1.0"}
    assert isinstance(find_error(lambda: pins(resolver, "tool")), PackageNotFound)

    put(root, "app", "0.5")
    put(root, "tool", "1.0")

    assert pins(resolver, "app", "tool") == {"app": "0.5", "tool": "1.0"}


def test_a_link_that_leads_nowhere_hides_no_change(root, make_client):
    put(root, "app", "1.0")
    (root / "app" / "nowhere").symlink_to(root / "gone")
    resolver = Resolver(make_client(root.as_uri()))
    assert pins(resolver, "app") == {"app": "1.0"}

    put(root, "app", "2.0")

    assert pins(resolver, "app") == {"app": "2.0"}
