"""The programs that the pages quote run, and do what the pages say."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from puffin_api import (
    Cache,
    CancelToken,
    Client,
    Environment,
    Installer,
    Interpreter,
    Resolver,
    Target,
    errors,
)
from puffin_api.testing import FakeIndex, LoopbackIndex, make_wheel
from tests.test_examples import index_environ, wheels

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def run(name: str, environ: dict[str, str], folder: Path) -> list[str]:
    """Run an example of the documentation in a folder; return the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(DOCS / "examples" / name)],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def example(monkeypatch):
    """Import an example by name."""
    monkeypatch.syspath_prepend(DOCS / "examples")
    return import_module


@pytest.fixture
def environ(tmp_path):
    with LoopbackIndex(wheels()) as server:
        yield index_environ(server.url, tmp_path)


TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")


@pytest.fixture
def index():
    index = FakeIndex()
    index.add("app", "1.0", requires=["library>=1"])
    index.add("plugin", "1.0", requires=["library>=2", "other"])
    for version in ("1.0", "1.1", "2.0"):
        index.add("library", version, files={"library/__init__.py": f"version = {version!r}\n"})
        index.add("other", version)
    return index


@pytest.fixture
def client(index):
    with Client(indexes=[index]) as client:
        yield client


@pytest.fixture
def environment(tmp_path, client):
    """A folder in which old versions are installed."""
    environment = Environment.directory(tmp_path / "packages", target=TARGET)
    Installer(environment, client).install(["app", "library==1.0", "other==1.0"])
    return environment


def versions(resolution) -> dict[str, str]:
    return {name: package.version for name, package in resolution.packages.items()}


def test_the_program_of_the_tutorial_runs(environ, tmp_path):
    lines = run("first_install.py", environ, tmp_path)

    assert lines[1:3] == ["5 packages", "flask 3.1.0"]
    assert "    markupsafe 3.0.2" in lines
    assert "install werkzeug 3.1.3" in lines
    assert "imported flask" in lines
    assert "flask>=3 -> jinja2>=3.1.2 -> markupsafe>=2.0" in lines
    assert [line for line in lines if line.startswith("changed")] == ["changed: True", "changed: False"]
    assert lines[-2:] == ["[('remove', 'flask')]", "['click', 'jinja2', 'markupsafe', 'werkzeug']"]


def test_the_program_of_the_readme_runs(environ, tmp_path):
    first = run("readme.py", environ, tmp_path)
    second = run("readme.py", environ, tmp_path)

    assert first[1] == "install flask 3.1.0"
    assert second == []


def test_a_change_is_taken_back(example, client, environment):
    undo = example("undo_and_recover")
    before = {dist.name: dist.version for dist in environment.installed()}

    report = undo.try_upgrade(client, environment, ["library>=2"], lambda: False)

    assert [(change.action, change.name) for change in report.changes] == [("downgrade", "library")]
    assert {dist.name: dist.version for dist in environment.installed()} == before
    assert undo.undo_later(client, environment, report) == "upgrade library"
    assert undo.undo_later(client, environment, report).startswith("changed again since: library: left as")


def test_an_interrupted_change_is_ended(example, tmp_path, capsys):
    environment = Interpreter.current().create_venv(tmp_path / "env")
    (Path(environment.scheme.purelib) / ".puffin-0123").mkdir()

    example("undo_and_recover").open_environment(str(tmp_path / "env"))

    assert capsys.readouterr().out == "an interrupted change was discarded\n"
    assert environment.recover() is None


def test_the_tests_of_the_page_on_fakes_pass():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs/examples/fakes_in_tests.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


def test_progress_and_cancel(example, client):
    progress = example("progress")

    def resolve(button: CancelToken, seconds: float = 60) -> str:
        return progress.resolve_within(seconds, client, ["app"], TARGET, button)

    assert resolve(CancelToken()).startswith("2 packages")
    assert resolve(CancelToken(), seconds=0) == "gave up after 0 s"
    pressed = CancelToken()
    pressed.cancel("enough")
    assert resolve(pressed) == "stopped: enough; the environment is untouched"


def test_the_advice_follows_the_fields(example):
    advice = example("errors_as_data").advice

    assert advice(errors.RateLimited(url="https://index.invalid/", retry_after=3)) == "wait 3 s, then again"
    assert advice(errors.RateLimited(url="https://index.invalid/")) == "again later"
    assert "flsk" in advice(errors.PackageNotFound(name="flsk", indexes=["https://index.invalid/"]))
    assert advice(errors.BuildForbidden(package="x", hint="allow builds")) == "allow builds"


def test_only_what_may_succeed_later_is_tried_again(example):
    patiently = example("errors_as_data").patiently
    waits: list[float] = []

    def failing(*problems: Exception):
        left = list(problems)

        def call() -> str:
            if left:
                raise left.pop(0)
            return "done"

        return call

    busy = errors.RateLimited(url="https://index.invalid/", retry_after=7)
    assert patiently(failing(busy, errors.ServerError(status=500)), sleep=waits.append) == "done"
    assert waits == [7, 4.0]
    for problem in (errors.HashMismatch(name="x"), errors.Cancelled()):
        with pytest.raises(type(problem)):
            patiently(failing(problem), sleep=waits.append)
    with pytest.raises(errors.ConnectFailed):
        patiently(failing(*[errors.ConnectFailed()] * 5), sleep=waits.append)
    assert len(waits) == 4


def test_a_foreign_target_is_locked_and_listed(example, client):
    foreign = example("foreign_target")

    lock = foreign.lock(client, ["app"], foreign.target)
    assert re.findall(r"^\S+==\S+", lock, re.MULTILINE) == ["app==1.0", "library==2.0"]
    assert lock.count("--hash=sha256:") >= 2
    assert ("app", "1.0", "app-1.0-py3-none-any.whl") in foreign.inventory(client, ["app"], foreign.target)


def test_versions_are_kept_and_one_is_upgraded(example, client, environment):
    page = example("keep_and_upgrade")

    assert versions(page.add(client, environment, ["app", "other"])) == {
        "app": "1.0",
        "library": "1.0",
        "other": "1.0",
    }
    upgraded = page.upgrade_one(client, environment, ["app", "other"], "other")
    assert versions(upgraded) == {"app": "1.0", "library": "1.0", "other": "2.0"}
    assert page.relock(client, ["app", "other"], upgraded) == upgraded


def test_protected_packages_are_not_changed(example, client, environment):
    page = example("keep_and_upgrade")

    assert versions(page.add_plugin(client, environment, "plugin", ["app"]))["library"] == "2.0"
    refused = page.add_plugin(client, environment, "plugin", ["library"])
    assert refused == "plugin would change library: plugin -> library>=2"


def test_a_policy_refuses_before_anything_is_fetched(example, client, index, environment):
    page = example("review")
    resolution = Resolver(client).resolve(["plugin"], target=TARGET)
    del index.asked[:]

    refused = page.install_reviewed(environment, client, resolution, page.HousePolicy(["plugin", "library"]))
    assert refused == ("other is not approved: plugin -> other",)
    assert index.asked == []
    passed = page.HousePolicy(["plugin", "library", "other"])
    assert page.install_reviewed(environment, client, resolution, passed).changed


def test_several_indexes(example, tmp_path):
    page = example("indexes")
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, data in wheels().items():
        (folder / name).write_bytes(data)
    with (
        Cache.temporary() as cache,
        LoopbackIndex({"flask-9.0-py3-none-any.whl": wheels()["flask-3.1.0-py3-none-any.whl"]}) as newer,
        LoopbackIndex(folder) as older,
        page.company_client(cache, older.url, newer.url) as first,
        page.best_of_both(cache, older.url, newer.url) as best,
        page.from_folder(cache, folder) as local,
    ):
        assert first.project("flask").versions == ("3.1.0",)
        assert best.project("flask").versions == ("3.1.0", "9.0")
        assert len(Resolver(local).resolve(["flask"], target=TARGET).packages) == 5


def test_a_failure_is_read(example):
    index = FakeIndex()
    for minor in range(5):
        index.add("menu", f"1.{minor}.0", requires=["dropdown>=2"])
    index.add("dropdown", "1.8.0", requires=["icons==1.*"])
    for minor in range(4):
        index.add("dropdown", f"2.{minor}.0", requires=["icons==2.*"])
    for version in ("1.0.0", "2.0.0"):
        index.add("icons", version)
    page = (DOCS / "how-to/read-a-failure.md").read_text(encoding="utf-8")
    with Client(indexes=[index]) as client:
        with pytest.raises(errors.ResolutionFailed) as caught:
            Resolver(client).resolve(["menu", "icons<2"], target=TARGET)
        found = example("read_a_failure").diagnose(client, TARGET, ["menu", "icons<2"])

    assert f"```text\n{caught.value}\n```" in page
    assert f"```text\n{caught.value.explain('full')}\n```" in page
    assert found["blame"] == ["menu", "icons<2"]
    assert found["facts"][:2] == [("required", "you require menu"), ("required", "you require icons<2")]


def test_scanners_and_bots(example):
    page = example("scanner_and_bot")
    index = FakeIndex()
    for version in ("1.0", "2.0"):
        index.add("app", version, requires=["library", "other"])
        index.add("library", version, requires=["base<2"] if version == "1.0" else ["middle"])
        index.add("base", version)
        index.add("other", version)
    index.add("middle", "1.0", requires=["base>=2"])
    with Client(indexes=[index]) as client:
        old = Resolver(client).resolve(["app==1.0", "base<2", "library==1.0", "other==1.0"], target=TARGET)
        listed = page.scan(client, TARGET, ["app", "base<2"])

        assert {item["name"]: item["version"] for item in listed}["library"] == "1.0"
        assert not any(item["built"] for item in listed)
        assert page.propose(client, old, ["app", "base<2"], "other") == {"other": ("1.0", "2.0")}
        assert page.propose_safe(client, old, ["app"], {"other": ">=2"}) == {"other": ("1.0", "2.0")}
        assert "your constraints say base>=3" in page.propose_safe(client, old, ["app"], {"base": ">=3"})
        held = page.held_back(Resolver(client).resolve(["app", "base<2"], target=TARGET), ["app", "library"])
        assert list(held) == ["library"]
        assert held["library"].startswith("2.0 is not possible: library==2.0 depends on middle")


def test_urls_paths_and_digests(example, tmp_path):
    page = example("direct_urls")
    own = tmp_path / "app-2.0-py3-none-any.whl"
    own.write_bytes(make_wheel("app", "2.0", requires=["library"]))
    patched, newest = "library-1.5-py3-none-any.whl", "library-3.0-py3-none-any.whl"
    files = {patched: make_wheel("library", "1.5"), newest: make_wheel("library", "3.0")}
    files["app-1.0-py3-none-any.whl"] = make_wheel("app", "1.0", requires=["library"])
    digest = f"sha256:{hashlib.sha256(files[patched]).hexdigest()}"
    with LoopbackIndex(files) as server, Client(indexes=[server.url]) as client:
        url = server.file_url(patched)
        own_build = page.with_own_build(client, TARGET, own, url)
        assert versions(own_build) == {"app": "2.0", "library": "1.5"}
        assert versions(page.with_patched(client, TARGET, url)) == {"app": "1.0", "library": "1.5"}
        assert versions(page.verified(client, TARGET, {"library<9": [digest]})) == {"library": "1.5"}
        with pytest.raises(errors.ResolutionFailed):
            page.verified(client, TARGET, {"library==1.5": ["sha256:" + "0" * 64]})


def test_connections(example, environ, tmp_path, monkeypatch):
    page = example("connections")
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, environ[name])

    with Cache.temporary() as cache, page.as_pip_is_configured(cache) as client:
        assert client.project("flask").versions == ("3.1.0",)
    with Cache.temporary() as cache:
        page.behind_a_proxy(cache, "https://index.invalid/simple/", tmp_path).close()
    with LoopbackIndex(wheels(), login=("me", "secret")) as server:
        vault = page.Vault({server.origin: ("me", "secret")})
        with Client(indexes=[server.url], credentials=vault) as client:
            assert client.project("flask").versions == ("3.1.0",)


def test_a_cache_is_shared_in_layers(example, tmp_path):
    page = example("shared_cache")
    with LoopbackIndex(wheels(), cache_control="max-age=600") as server:
        with Client(indexes=[server.url], cache=Cache(tmp_path / "site")) as client:
            resolution = Resolver(client).resolve(["flask"], target=TARGET)
            Installer(Environment.directory(tmp_path / "a", target=TARGET), client).install(resolution)
        del server.requests[:]
        layered = page.with_site_cache(tmp_path / "mine", tmp_path / "site")
        with Client(indexes=[server.url], cache=layered) as client:
            Installer(Environment.directory(tmp_path / "b", target=TARGET), client).install(["flask"])
        assert server.requests == []

    assert (tmp_path / "b/flask").is_dir()
    assert page.offline_client(tmp_path / "site").cache.read_only
    assert page.tidy(layered).startswith("freed 0 bytes")


def test_a_notebook_is_told_what_is_stale(example, client, tmp_path, monkeypatch):
    page = example("notebook")
    environment = Environment.directory(tmp_path / "packages", target=Interpreter.current())
    installer, resolver = Installer(environment, client), Resolver(client)
    installer.install(resolver.resolve(["library==1.0"], target=environment))
    monkeypatch.syspath_prepend(environment.root)
    monkeypatch.setitem(sys.modules, "library", import_module("library"))
    other = resolver.resolve(["other"], target=environment)
    newer = resolver.resolve(["library"], target=environment)

    assert page.here().interpreter.path == Interpreter.current().path
    assert page.warn(environment, client, other) == "can be used at once"
    assert page.warn(environment, client, newer).startswith("a restart is advised: library")
    assert page.install_here(environment, client, newer) == ["library"]
