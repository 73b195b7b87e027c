"""Where packages come from, end to end: several indexes, pins, find-links, custom sources."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from puffin_api import Cache, Client, Index, IndexStrategy, Resolver, Target
from puffin_api.errors import PackageNotFound
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import ONE_TRY, find_error, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
EXAMPLE = Path(__file__).parents[2] / "docs/examples/indexes.py"


@pytest.fixture
def make_client(serve, tmp_path):
    """Make a client for servers, `Index` values and sources; all share one cache."""
    clients = []

    def make(*indexes, **options):
        given = [i.url if isinstance(i, LoopbackIndex) else i for i in indexes]
        options = {"cache": Cache(tmp_path / "cache"), "retries": ONE_TRY, **options}
        client = Client(indexes=given, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


def resolve(client, *requirements, **options):
    """Resolve for a fixed target: version and index of each package."""
    resolution = Resolver(client).resolve(requirements, target=TARGET, **options)
    return {name: (str(p.version), p.file.index) for name, p in resolution.packages.items()}


def resolve_versions(client, *requirements, **options):
    return {name: version for name, (version, _) in resolve(client, *requirements, **options).items()}


def folder_of(path, *entries):
    """Write wheels into a new folder."""
    path.mkdir()
    for entry in entries:
        for name, data in entry.items():
            (path / name).write_bytes(data)
    return path


# -- explicit indexes and pins


def test_an_explicit_index_serves_pinned_projects_and_nothing_else(serve, make_client):
    public = serve(
        wheel("app", "1.0", requires=["torch", "log"]) | wheel("torch", "9.0") | wheel("log", "1.0")
    )
    special = serve(wheel("torch", "2.0") | wheel("log", "5.0"))
    client = make_client(
        Index(special.url, name="special", explicit=True), public, index_pins={"Torch": "special"}
    )

    found = resolve(client, "app")

    assert found == {
        "app": ("1.0", public.url),
        "torch": ("2.0", special.url),
        "log": ("1.0", public.url),
    }
    assert public.count("/torch/") == 0
    assert special.count("/log/") == special.count("/app/") == 0


@pytest.mark.parametrize("strategy", list(IndexStrategy))
def test_a_pinned_project_comes_from_no_other_place_whatever_the_strategy(
    serve, make_client, tmp_path, strategy
):
    links = folder_of(tmp_path / "links", wheel("torch", "8.0"))
    first, second = serve(wheel("torch", "9.0")), serve(wheel("torch", "2.0"))
    client = make_client(
        first,
        second,
        find_links=[links],
        index_strategy=strategy,
        index_pins={"torch": second.url.rstrip("/")},
    )

    assert resolve(client, "torch") == {"torch": ("2.0", second.url)}
    assert first.count() == 0


def test_a_pinned_project_that_its_index_does_not_know_is_not_found(serve, make_client, tmp_path):
    links = folder_of(tmp_path / "links", wheel("torch", "8.0"))
    public, special = serve(wheel("torch", "9.0")), serve()
    client = make_client(public, find_links=[links], index_pins={"torch": Index(special.url, name="special")})

    error = find_error(lambda: resolve(client, "torch"))

    assert isinstance(error, PackageNotFound)
    assert error.indexes == ["special"]
    assert "pinned" in str(error)
    assert public.count() == 0


def test_an_index_that_only_a_pin_knows_is_asked_with_its_login(serve, make_client):
    public, special = serve(wheel("log", "1.0")), serve(wheel("torch", "2.0"), login=("me", "secret"))
    pin = Index(special.url, credentials=("me", "secret"))
    client = make_client(public, index_pins={"torch": pin})

    assert resolve_versions(client, "torch", "log") == {"torch": "2.0", "log": "1.0"}
    assert special.count("/log/") == 0


def test_a_pin_to_nothing_is_refused_when_the_client_is_made(serve, make_client):
    public = serve()
    with pytest.raises(ValueError, match="none of the indexes") as caught:
        make_client(Index(public.url, name="main"), index_pins={"torch": "special"})

    assert "main" in str(caught.value)
    assert public.count() == 0


def test_the_documented_pin(serve, tmp_path):
    public = serve(wheel("app", "1.0", requires=["torch"]) | wheel("torch", "9.0"))
    special = serve(wheel("torch", "2.0") | wheel("app", "7.0"))
    example = runpy.run_path(str(EXAMPLE))
    with example["pinned_client"](Cache(tmp_path / "cache"), public.url, special.url) as client:
        assert resolve_versions(client, "app") == {"app": "1.0", "torch": "2.0"}
