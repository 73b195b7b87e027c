"""Wheels named by URL or path, end to end: resolved, fetched, installed, and told apart later."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from puffin_api import Cache, Environment, Installer, Resolver, Target
from puffin_api._testing.wheels import write_wheel
from puffin_api.errors import (
    AuthenticationRequired,
    BuildFailed,
    HashMismatch,
    NetworkError,
    OfflineMiss,
    RequirementInvalid,
    ResolutionFailed,
    ServerError,
)
from tests.integration.job_kit import as_plain_user, can_be_plain_user, find_error, versions, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
APP = "app-1.0-py3-none-any.whl"


@pytest.fixture
def folder(tmp_path):
    """Where wheels are built."""
    place = tmp_path / "built wheels"
    place.mkdir()
    return place


@pytest.fixture
def place(tmp_path):
    """A folder to install into."""
    return Environment.directory(tmp_path / "packages", target=TARGET)


def app(text="one", version="1.0"):
    return wheel("app", version, requires=["log"], files={"app.py": f"said = {text!r}\n"})


def said(environment):
    return (environment.root / "app.py").read_text()


def origin(environment, name="app"):
    """The content of direct_url.json, None where there is none."""
    dist = environment.installed().get(name)
    path = environment.root / f"{name}-{dist.version}.dist-info" / "direct_url.json"
    return json.loads(path.read_text()) if path.exists() else None


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_a_wheel_is_installed_from_its_url(serve, make_client, place):
    files = app()
    there = wheel("log", "1.0") | wheel("app", "9.0") | wheel("tool", "1.0", requires=["app"])
    index, elsewhere = serve(there), serve(files)
    url = elsewhere.file_url(APP)

    report = Installer(place, make_client(index)).install([f"app @ {url}", "tool"])

    assert versions(place) == {"app": "1.0", "log": "1.0", "tool": "1.0"}
    assert origin(place) == {
        "url": url,
        "archive_info": {"hash": f"sha256={sha256(files[APP])}", "hashes": {"sha256": sha256(files[APP])}},
    }
    assert origin(place, "log") is None
    assert index.count("/simple/app/") == 0
    assert report.changed


def test_a_second_time_nothing_is_done(serve, make_client, place):
    index = serve(wheel("log", "1.0") | app())
    wanted = [f"app @ {index.file_url(APP)}"]
    Installer(place, make_client(index)).install(wanted)

    client = make_client(index)
    plan = Installer(place, client).plan(Resolver(client).resolve(wanted, target=TARGET))

    assert plan.is_empty


def test_the_same_version_from_an_index_is_replaced_by_that_of_the_url(serve, make_client, place):
    index, elsewhere = serve(wheel("log", "1.0") | app()), serve(app("two"))
    installer = Installer(place, make_client(index))
    installer.install(["app"])

    report = installer.install([f"app @ {elsewhere.file_url(APP)}"])

    assert [(change.name, change.action, change.cause) for change in report.changes] == [
        ("app", "reinstall", "origin")
    ]
    assert "two" in said(place)


def test_a_digest_in_the_url_is_checked(serve, make_client, place):
    index = serve(wheel("log", "1.0") | app())
    installer = Installer(place, make_client(index))
    url = index.file_url(APP)

    error = find_error(lambda: installer.install([f"app @ {url}#sha256={'0' * 64}"]))

    assert isinstance(error, HashMismatch)
    assert versions(place) == {}
    installer.install([f"app @ {url}#sha256={sha256(app()[APP])}"])
    assert versions(place) == {"app": "1.0", "log": "1.0"}


def test_another_file_at_the_same_url_is_noticed_by_the_next_client(serve, make_client, place, tmp_path):
    index = serve(wheel("log", "1.0") | app())
    wanted = [f"app @ {index.file_url(APP)}"]
    Installer(place, make_client(index)).install(wanted)
    index.add(APP, app("two")[APP])

    there = Environment.directory(tmp_path / "other", target=TARGET)
    Installer(there, make_client(index)).install(wanted)

    assert "two" in said(there)


def test_what_is_installed_from_a_url_is_replaced_when_that_is_known_to_be_another(serve, make_client, place):
    index = serve(wheel("log", "1.0") | app())
    url = f"app @ {index.file_url(APP)}"
    Installer(place, make_client(index)).install([url])
    changed = app("two")[APP]
    index.add(APP, changed)

    def plan(what, **options):
        client = make_client(index)
        found = Installer(place, client).plan(Resolver(client).resolve([what], target=TARGET), **options)
        return [(change.action, change.cause) for change in found.changes]

    assert plan(url) == []
    assert plan(url, reinstall=["app"]) == [("reinstall", "asked")]
    assert plan(f"{url}#sha256={sha256(changed)}") == [("reinstall", "origin")]


def test_a_url_that_no_index_lists_is_not_said_to_be_listed(serve, make_client, place):
    index = serve(wheel("log", "1.0") | app())
    wanted = f"log @ {index.file_url('log-1.0-py3-none-any.whl')}"
    client = make_client(index)
    resolutions = [Resolver(client).resolve([what], target=TARGET) for what in ("log", wanted)]
    index.remove("log-1.0-py3-none-any.whl")

    said = [str(find_error(lambda r=r: Installer(place, client).install(r))) for r in resolutions]

    url = index.file_url("log-1.0-py3-none-any.whl")
    assert said == [f"{url} answered 404 for a file that the index lists", f"{url} answered 404"]


@pytest.mark.parametrize("etag", [True, False])
def test_a_file_that_has_not_changed_is_not_fetched_again(serve, make_client, place, tmp_path, etag):
    files = wheel("log", "1.0") | app()
    index = serve(files)
    if not etag:  # nothing tells it from another: then it has to be
        index.page(f"/files/{APP}", files[APP])
    wanted = [f"app @ {index.file_url(APP)}"]
    Installer(place, make_client(index)).install(wanted)
    index.forget()

    there = Environment.directory(tmp_path / "other", target=TARGET)
    Installer(there, make_client(index)).install(wanted)

    whole = [asked for asked in index.requests if asked.path.endswith(APP) and "range" not in asked.headers]
    assert bool(whole) is not etag
    assert "one" in said(there)


def test_with_a_digest_it_works_offline_once_it_was_installed(serve, make_client, place, tmp_path):
    index = serve(wheel("log", "1.0") | app())
    wanted = [f"app @ {index.file_url(APP)}#sha256={sha256(app()[APP])}"]
    with make_client(index) as client:
        Installer(place, client).install(wanted)

    there = Environment.directory(tmp_path / "other", target=TARGET)
    Installer(there, make_client(index, offline=True)).install(wanted)

    assert versions(there) == {"app": "1.0", "log": "1.0"}


def test_metadata_of_the_file_before_does_not_stay(serve, make_client, place):
    """A digest that was put down early does not make the metadata of the old file those of the new one."""
    index, old, new = (
        serve(wheel("log", "1.0") | wheel("net", "1.0")),
        app(),
        wheel("app", "1.0", requires=["net"]),
    )
    elsewhere = serve(old)
    url = elsewhere.file_url(APP)
    wanted = [f"app @ {url}#sha256={sha256(new[APP])}"]
    with make_client(index) as client:
        for what in ([f"app @ {url}"], wanted):
            assert "log" in Resolver(client).resolve(what, target=TARGET).packages

    elsewhere.add(APP, new[APP])
    Installer(place, make_client(index)).install(wanted)

    assert versions(place) == {"app": "1.0", "net": "1.0"}
    offline = Resolver(make_client(index, offline=True)).resolve(wanted, target=TARGET)
    assert set(offline.packages) == {"app", "net"}


def test_a_client_does_not_take_one_file_of_a_url_for_another(serve, make_client):
    index = serve(wheel("log", "1.0") | wheel("net", "1.0"))
    elsewhere, new = serve(app()), wheel("app", "1.0", requires=["net"])
    resolver, url = Resolver(make_client(index)), elsewhere.file_url(APP)
    resolver.resolve([f"app @ {url}"], target=TARGET)
    elsewhere.add(APP, new[APP])

    resolution = resolver.resolve([f"app @ {url}#sha256={sha256(new[APP])}"], target=TARGET)

    assert set(resolution.packages) == {"app", "net"}


def test_without_one_it_does_not(serve, make_client):
    index = serve(wheel("log", "1.0") | app())

    error = find_error(
        lambda: Resolver(make_client(index, offline=True)).resolve(
            [f"app @ {index.file_url(APP)}"], target=TARGET
        )
    )

    assert isinstance(error, OfflineMiss)
    assert error.missing == [APP]


def test_a_login_in_the_url_is_used_and_never_shown(serve, make_client, place, tmp_path):
    index = serve(wheel("log", "1.0"))
    elsewhere = serve(app(), login=("user", "secret"))
    url = elsewhere.file_url(APP).replace("http://", "http://user:secret@")
    client = make_client(index)

    resolution = Resolver(client).resolve([f"app @ {url}"], target=TARGET)
    Installer(place, client).install(resolution)

    assert versions(place)["app"] == "1.0"
    assert "secret" not in json.dumps(resolution.to_dict())
    assert "secret" not in json.dumps(origin(place))
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()


def test_a_url_where_nothing_is(serve, make_client):
    index = serve(wheel("log", "1.0"))
    resolver = Resolver(make_client(index))

    error = find_error(lambda: resolver.resolve([f"app @ {index.file_url(APP)}"], target=TARGET))

    assert isinstance(error, ResolutionFailed)
    assert "there is no such file" in error.explain()


def test_a_host_that_does_not_answer(serve, make_client):
    index = serve(wheel("log", "1.0") | app())
    index.fail(APP, times=99, status=503)
    resolver = Resolver(make_client(index))

    error = find_error(lambda: resolver.resolve([f"app @ {index.file_url(APP)}"], target=TARGET))

    assert isinstance(error, NetworkError)


def test_what_was_missing_is_asked_for_again_by_the_next_call(serve, make_client):
    index = serve(wheel("log", "1.0"))
    resolver = Resolver(make_client(index))
    wanted = [f"app @ {index.file_url(APP)}"]
    find_error(lambda: resolver.resolve(wanted, target=TARGET))
    index.add(APP, app()[APP])

    assert resolver.resolve(wanted, target=TARGET).packages["app"].version == "1.0"


def test_the_last_login_for_a_url_counts(serve, make_client):
    index = serve(wheel("log", "1.0"))
    elsewhere = serve(app(), login=("user", "right"))
    resolver = Resolver(make_client(index))
    url = elsewhere.file_url(APP).replace("http://", "http://user:{}@")

    error = find_error(lambda: resolver.resolve([f"app @ {url.format('wrong')}"], target=TARGET))

    assert isinstance(error, AuthenticationRequired)
    assert resolver.resolve([f"app @ {url.format('right')}"], target=TARGET).packages["app"]


def test_a_login_in_metadata_is_nobodys(serve, make_client):
    elsewhere = serve(wheel("app", "1.0"), login=("user", "right"))
    inner = elsewhere.file_url(APP).replace("http://", "http://user:right@")
    index = serve(wheel("tool", "1.0", requires=[f"app @ {inner}"]))
    resolver = Resolver(make_client(index))
    tool = index.file_url("tool-1.0-py3-none-any.whl")

    error = find_error(lambda: resolver.resolve([f"tool @ {tool}"], target=TARGET))

    assert isinstance(error, AuthenticationRequired)


def test_a_server_that_sends_a_part_that_nobody_asked_for(serve, make_client, place):
    index = serve(wheel("log", "1.0"))
    data = app()[APP]
    index.page(f"/files/{APP}", data, status=206, Content_Range=f"bytes 0-{len(data) - 1}/{len(data)}")
    installer = Installer(place, make_client(index))

    error = find_error(lambda: installer.install([f"app @ {index.file_url(APP)}"]))

    assert isinstance(error, ServerError)
    assert versions(place) == {}


def test_other_places_for_one_file_name_are_another_resolution(serve, make_client):
    one, other = serve(app() | wheel("log", "1.0")), serve(app())
    resolver = Resolver(make_client(one))

    first = resolver.resolve([f"app @ {one.file_url(APP)}"], target=TARGET)
    second = resolver.resolve(["app"], constraints=[f"app @ {other.file_url(APP)}"], target=TARGET)
    third = resolver.resolve(["app"], constraints=[f"app @ {one.file_url(APP)}"], target=TARGET)

    assert second != third
    assert dict(third.diff(second).changed) == {
        "app": (f"1.0 @ {one.file_url(APP)}", f"1.0 @ {other.file_url(APP)}")
    }
    assert not first.diff(third)


def test_an_environment_has_what_a_url_asks_for_however_it_is_spelt(serve, make_client, place):
    index = serve(wheel("log", "1.0") | wheel("app", "1.0+local"))
    name = "app-1.0+local-py3-none-any.whl"
    Installer(place, make_client(index)).install([f"app @ {index.origin}/files/{name}"])

    assert place.satisfies([f"app @ {index.origin}/files/{name}"])
    assert place.satisfies([f"app @ {index.origin}/files/{name.replace('+', '%2B')}"])
    assert not place.satisfies([f"app @ {index.origin}/other/{name}"])


# -- local wheels


@pytest.mark.parametrize("kind", ["path", "url"])
def test_a_local_wheel_is_installed(serve, make_client, place, folder, kind):
    path = write_wheel(folder, "app", "1.0", requires=["log"])
    what = path if kind == "path" else f"app @ {path.as_uri()}"

    Installer(place, make_client(serve(wheel("log", "1.0")))).install([what])

    assert versions(place) == {"app": "1.0", "log": "1.0"}
    found = origin(place)
    assert found["url"] == path.as_uri()
    assert found["archive_info"]["hashes"] == {"sha256": sha256(path.read_bytes())}


def test_a_relative_path_counts_from_the_current_folder(serve, make_client, place, folder, monkeypatch):
    write_wheel(folder, "app", "1.0")
    monkeypatch.chdir(folder)
    client = make_client(serve())

    resolution = Resolver(client).resolve([Path(APP)], target=TARGET)

    package = resolution.packages["app"]
    assert package.source == "path"
    assert package.file.url == (folder / APP).as_uri()


def test_a_wheel_that_was_built_anew_is_installed_again(serve, make_client, place, folder):
    installer = Installer(place, make_client(serve()))
    path = write_wheel(folder, "app", "1.0", files={"app.py": "said = 'one'\n"})
    installer.install([path])
    write_wheel(folder, "app", "1.0", files={"app.py": "said = 'two'\n"})

    report = installer.install([path])

    assert report.changed
    assert "two" in said(place)
    assert not installer.install([path]).changed


def test_local_wheels_may_require_each_other(serve, make_client, place, folder):
    lib = write_wheel(folder, "lib", "1.0")
    tool = write_wheel(folder, "tool", "1.0", requires=[f"lib @ {lib.as_uri()}"])

    Installer(place, make_client(serve())).install([tool])

    assert versions(place) == {"lib": "1.0", "tool": "1.0"}
    assert place.check() == ()


def test_a_path_where_nothing_is(serve, make_client, tmp_path):
    resolver = Resolver(make_client(serve()))
    path = tmp_path / "nothing-1.0-py3-none-any.whl"

    for what in (path, f"nothing @ {path.as_uri()}"):
        error = find_error(lambda what=what: resolver.resolve([what], target=TARGET))
        assert isinstance(error, RequirementInvalid)
        assert str(path) in str(error)
        assert error.hint


def unusable(path):
    """A folder, and names that no file can have."""
    (path / APP).mkdir()
    yield (path / APP).as_uri(), BuildFailed
    yield (path / f"{'a' * 300}-1.0-py3-none-any.whl").as_uri(), RequirementInvalid
    yield f"{path.as_uri()}/%00/{APP}", RequirementInvalid
    yield f"file:{APP}", RequirementInvalid


def test_what_is_no_file_is_told(serve, make_client, folder):
    resolver = Resolver(make_client(serve()))

    for url, kind in unusable(folder):
        name = "a" * 300 if "aaa" in url else "app"
        error = find_error(lambda what=f"{name} @ {url}": resolver.resolve([what], target=TARGET))
        assert type(error) is kind, url
        assert error.hint


def test_in_metadata_it_bars_the_file_that_names_it(serve, make_client, folder):
    missing = (folder / "nowhere" / APP).as_uri()
    tool = write_wheel(folder, "tool", "1.0", requires=[f"app @ {missing}"])
    resolver = Resolver(make_client(serve()))

    error = find_error(lambda: resolver.resolve([tool], target=TARGET))

    assert isinstance(error, ResolutionFailed)
    assert error.excluded["tool"][0]["code"] == "direct-url"
    assert f"depends on app @ {missing}, which cannot be used" in error.explain()


@pytest.mark.skipif(sys.platform == "win32", reason="a path has a drive there")
def test_a_file_that_may_not_be_read_is_told(serve, make_client, folder):
    if not can_be_plain_user():
        pytest.skip("nothing is closed to us")
    path = write_wheel(folder, "app", "1.0")
    path.chmod(0)
    resolver = Resolver(make_client(serve()))

    error = as_plain_user(lambda: find_error(lambda: resolver.resolve([path], target=TARGET)))

    assert isinstance(error, RequirementInvalid)
    assert "cannot be read" in str(error)


def test_tools_that_escape_other_characters_name_the_same_file(serve, make_client, place, folder):
    path = write_wheel(folder, "app", "1.0+cu118")
    client = make_client(serve())
    Installer(place, client).install([path])
    record = place.root / "app-1.0+cu118.dist-info" / "direct_url.json"
    record.write_text(json.dumps({"url": path.as_uri().replace("%2B", "+"), "archive_info": {}}))

    plan = Installer(place, client).plan(Resolver(client).resolve([path], target=TARGET))

    assert plan.is_empty


def test_a_digest_that_does_not_fit_a_local_wheel(serve, make_client, folder):
    path = write_wheel(folder, "app", "1.0")
    resolver = Resolver(make_client(serve()))

    error = find_error(lambda: resolver.resolve([f"app @ {path.as_uri()}#sha256={'0' * 64}"], target=TARGET))

    assert isinstance(error, HashMismatch)
    assert error.actual == f"sha256:{sha256(path.read_bytes())}"


def test_what_is_no_wheel_although_it_is_called_so(serve, make_client, folder):
    path = folder / APP
    path.write_bytes(b"this is no archive")
    resolver = Resolver(make_client(serve()))

    error = find_error(lambda: resolver.resolve([path], target=TARGET))

    assert isinstance(error, ResolutionFailed)
    assert error.excluded["app"][0]["code"] == "file-missing"


def test_a_read_only_cache_is_enough_for_resolving(serve, make_client, folder, tmp_path):
    path = write_wheel(folder, "app", "1.0")
    Cache(tmp_path / "shared")
    client = make_client(serve(), cache=Cache(tmp_path / "shared", read_only=True))

    assert Resolver(client).resolve([path], target=TARGET).packages["app"].version == "1.0"
