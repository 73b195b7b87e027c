"""A cache that is damaged in whatever way gives right environments, and is sound again afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puffin_api import Cache, Client, Installer, Interpreter, LinkMode, Resolver
from puffin_api.errors import OfflineMiss
from puffin_api.testing import LoopbackIndex, RecordingReporter
from tests.integration.cache_kit import installer_looks
from tests.integration.job_kit import GRAPH, graph_files, leftovers, versions

EXPECTED = {name: version for name, (version, _) in GRAPH.items()}


def archive_of(cache, name):
    (link,) = Path(cache).glob(f"wheels-v0/*/*/{name}/{name}-*")
    return Path(os.path.realpath(link))


def module_of(cache, name):
    return archive_of(cache, name) / "files" / name / "__init__.py"


def check_environment(environment):
    assert versions(environment) == EXPECTED
    assert environment.check(deep=True) == ()
    assert leftovers(environment) == []


def repairs(report):
    return [notice.data for notice in report.notices if notice.code == "cache-repaired"]


def in_place(act):
    """Change the module of one wheel, as through a hard link."""
    return lambda cache: act(module_of(cache, "web"))


def become_folder(path):
    path.unlink()
    path.mkdir()


def become_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


ARCHIVES = {
    "edited": in_place(lambda path: path.write_bytes(b"edited in place")),
    "cut": in_place(lambda path: os.truncate(path, 3)),
    "zeros": in_place(lambda path: path.write_bytes(bytes(path.stat().st_size))),
    "deleted": in_place(lambda path: path.unlink()),
    "folder": in_place(become_folder),
    "link": in_place(become_link),
    "no files": lambda cache: shutil.rmtree(archive_of(cache, "web") / "files"),
    "script": lambda cache: os.truncate(
        archive_of(cache, "web") / "files" / "web-1.5.dist-info" / "RECORD", 5
    ),
}


def damage_link(act):
    def run(cache):
        (link,) = Path(cache).glob("wheels-v0/*/*/web/web-*")
        target = os.readlink(link)
        link.unlink()
        act(link, target)

    return run


def damage_tables(act):
    def run(cache):
        for path in Path(cache).glob("simple-v0/**/*"):
            if path.is_file():
                act(path)

    return run


def replace_bucket(name):
    def run(cache):
        shutil.rmtree(Path(cache) / name)
        (Path(cache) / name).write_bytes(b"damaged")

    return run


OTHERS = {
    "manifest cut": lambda cache: os.truncate(archive_of(cache, "web") / "manifest.json", 40),
    "manifest garbage": lambda cache: (archive_of(cache, "web") / "manifest.json").write_bytes(b"{}"),
    "manifest of another version": lambda cache: (archive_of(cache, "web") / "manifest.json").write_bytes(
        b'{"puffin-manifest":99,"crc32":"00000000","columns":{}}\n'
    ),
    "no manifest": lambda cache: (archive_of(cache, "web") / "manifest.json").unlink(),
    "archive gone": lambda cache: shutil.rmtree(archive_of(cache, "web")),
    "archive a file": lambda cache: (
        archive := archive_of(cache, "web"),
        shutil.rmtree(archive),
        archive.write_bytes(b""),
    ),
    "link to a file": damage_link(lambda link, target: link.symlink_to(f"{target}/manifest.json")),
    "link to itself": damage_link(lambda link, target: link.symlink_to(link.name)),
    "link a file": damage_link(lambda link, target: link.write_bytes(b"damaged")),
    "link a folder": damage_link(lambda link, target: (link / "files").mkdir(parents=True)),
    "link to another wheel": damage_link(
        lambda link, target: link.symlink_to(
            os.path.relpath(archive_of(link.parents[4], "net"), os.path.realpath(link.parent))
        )
    ),
    "tables cut": damage_tables(lambda path: os.truncate(path, path.stat().st_size // 2)),
    "tables zeros": damage_tables(lambda path: path.write_bytes(bytes(path.stat().st_size))),
    "tables empty": damage_tables(lambda path: os.truncate(path, 0)),
    "tables folders": damage_tables(become_folder),
    **{
        f"{name} a file": replace_bucket(name)
        for name in ("simple-v0", "wheels-v0", "archive-v0", ".locks", ".tmp")
    },
}


@pytest.fixture
def filled(index, make_client, make_venv):
    """A cache from which a set was installed."""
    client = make_client(index)
    environment = make_venv("first")
    resolution = Resolver(client).resolve(["app"], target=environment)
    Installer(environment, client).install(resolution)
    return client, resolution


@installer_looks
@pytest.mark.parametrize("damage", ARCHIVES)
@pytest.mark.parametrize("again", [True, False], ids=["same client", "new client"])
def test_a_damaged_archive_is_fetched_anew(filled, index, make_client, make_venv, damage, again):
    client, resolution = filled
    cache = client.cache.path
    old = archive_of(cache, "web")
    ARCHIVES[damage](cache)
    client = client if again else make_client(index)
    index.forget()

    environment = make_venv("second")

    report = Installer(environment, client).install(resolution)

    check_environment(environment)
    (told,) = repairs(report)
    assert told["path"] == str(old)
    assert told["name"] == "web"
    assert told["damage"]
    assert archive_of(cache, "web") != old
    assert [asked.path for asked in index.requests] == ["/files/web-1.5-py3-none-any.whl"]
    assert repairs(Installer(make_venv("third"), client).install(resolution)) == []
    assert client.cache.verify().damaged.keys() <= {old}


@pytest.mark.parametrize("damage", OTHERS)
def test_other_damage_is_a_miss_and_mended(filled, index, make_client, make_venv, damage):
    client, _ = filled
    cache = client.cache.path
    client.close()
    OTHERS[damage](cache)
    client = make_client(index)
    environment = make_venv("second")

    Installer(environment, client).install(["app"])

    check_environment(environment)
    client.close()
    index.forget()
    once_more = make_venv("third")
    with Client(indexes=[index.url], cache=Cache(cache), offline=True) as offline:
        Installer(once_more, offline).install(["app"])
    check_environment(once_more)
    assert index.requests == [], "everything is there again"


def test_a_damaged_interpreter_entry_is_asked_again(tmp_path):
    cache = Cache(tmp_path / "cache")
    python = Interpreter.current().create_venv(tmp_path / "venv").interpreter.path
    found = Interpreter.probe(python, cache=cache)
    (entry,) = (cache.path / "interpreter-v0").iterdir()
    for content in (b"", entry.read_bytes()[:-3], bytes(entry.stat().st_size)):
        entry.write_bytes(content)
        assert Interpreter.probe(python, cache=Cache(tmp_path / "cache")).version == found.version
    assert cache.verify().damaged == {}


@installer_looks
def test_offline_a_damaged_archive_is_what_is_missing(filled, index, make_client, make_venv):
    _, resolution = filled
    client = make_client(index, offline=True)
    module_of(client.cache.path, "web").write_bytes(b"edited in place")
    environment = make_venv("second")

    with pytest.raises(OfflineMiss) as caught:
        Installer(environment, client).install(resolution)

    assert "web-1.5-py3-none-any.whl" in str(caught.value.missing)
    assert versions(environment) == {}


@installer_looks
def test_what_is_edited_in_an_environment_does_not_come_into_the_next_one(filled, index, make_venv):
    client, resolution = filled
    first, second = make_venv("hard"), make_venv("second")
    if "hardlink" not in client.cache.links_to(second.root).modes:
        pytest.skip("this file system has no hard links")
    with Client(indexes=[index.url], cache=Cache(client.cache.path, link_mode=LinkMode.HARDLINK)) as hard:
        Installer(first, hard).install(resolution)
        module = Path(first.scheme.purelib) / "web" / "__init__.py"
        module.write_text(module.read_text() + "debugging = True\n")
        report = Installer(second, hard).install(resolution)

    assert [told["name"] for told in repairs(report)] == ["web"]
    check_environment(second)


@installer_looks
@pytest.mark.parametrize("damage", [*ARCHIVES, "archive gone"])
def test_a_prepared_plan_is_looked_at_again(filled, make_venv, damage):
    client, resolution = filled
    environment = make_venv("second")
    installer = Installer(environment, client)
    prepared = installer.prepare(installer.plan(resolution))
    {**ARCHIVES, **OTHERS}[damage](client.cache.path)
    reporter = RecordingReporter()

    report = installer.install(prepared, reporter=reporter)

    check_environment(environment)
    assert len(repairs(report)) == (damage != "archive gone")
    assert [event.code for event in reporter.events if hasattr(event, "code")].count("cache-repaired") == len(
        repairs(report)
    )
    assert report.bytes_downloaded > 0


# -- random damage


def truncate(path, draw):
    os.truncate(path, draw(st.integers(0, path.stat().st_size)))


def fill_with_zeros(path, draw):
    path.write_bytes(bytes(path.stat().st_size))


def append(path, draw):
    with path.open("ab") as file:
        file.write(draw(st.binary(min_size=1, max_size=20)))


def replace(path, draw):
    path.write_bytes(draw(st.binary(max_size=200)))


def flip(path, draw):
    data = bytearray(path.read_bytes())
    if data:
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
        path.write_bytes(data)


def delete(path, draw):
    path.unlink()


def turn_into_folder(path, draw):
    become_folder(path)


def lead_elsewhere(path, draw):
    path.unlink()
    path.symlink_to(draw(st.sampled_from(["nowhere", "..", "../..", path.name, "/"])))


FILE_DAMAGES = (truncate, fill_with_zeros, append, replace, flip, delete, turn_into_folder, lead_elsewhere)


def hurt(path, draw):
    """Damage one thing, whatever it is."""
    if path.is_symlink():
        draw(st.sampled_from((delete, turn_into_folder, lead_elsewhere)))(path, draw)
    elif path.is_file():
        draw(st.sampled_from(FILE_DAMAGES))(path, draw)
    elif path.is_dir():
        shutil.rmtree(path)
        if draw(st.booleans()):
            path.write_bytes(b"damaged")


@pytest.fixture(scope="module")
def model_cache(tmp_path_factory):
    """An index, and a filled cache to be copied."""
    place = tmp_path_factory.mktemp("model")
    with LoopbackIndex(graph_files()) as index:
        environment = Interpreter.current().create_venv(place / "venv")
        with Client(indexes=[index.url], cache=Cache(place / "cache")) as client:
            Installer(environment, client).install(["app"])
            Interpreter.probe(environment.interpreter.path, cache=client.cache)
        yield index, place / "cache"


@installer_looks
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_after_any_damage_the_environment_is_right(model_cache, data):
    index, model = model_cache
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        shutil.copytree(model, cache, symlinks=True)
        for _ in range(data.draw(st.integers(1, 6))):
            paths = sorted(cache.rglob("*"))
            if paths:
                hurt(paths[data.draw(st.integers(0, len(paths) - 1))], data.draw)
        environment = Interpreter.current().create_venv(Path(folder) / "venv")
        with Client(indexes=[index.url], cache=Cache(cache)) as client:
            Installer(environment, client).install(["app"])

        check_environment(environment)
        Cache(cache).verify()
        assert Cache(cache).verify().damaged == {}, "what one repair leaves, there is none of"
