"""What may be said about builds, said of real projects: the environment, settings, constraints, Pythons."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puffin_api import Cache, Environment, Installer, Resolver
from puffin_api._testing.doubles import FailingRunner
from puffin_api.errors import BuildFailed, HashMismatch
from puffin_api.model import BuildSettings
from tests.network.conftest import find_python, open_client
from tests.network.interop_kit import Tree
from tests.network.sources_kit import (
    Phases,
    install_from_sources,
    recorded,
    unexplained,
    unpack_sdist,
    uv_install_from_sources,
)

pytestmark = pytest.mark.network

REFUSES = "sklearn==0.0.post12"
CONSENT = {"SKLEARN_ALLOW_DEPRECATED_SKLEARN_PACKAGE_INSTALL": "True"}
"""The project above is built only where this is set."""
IN_C = "pyasn==1.6.2"
"""Does not go without its extension."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    yield folder
    shutil.rmtree(folder)  # pytest keeps the folders of three runs; these are large


@pytest.fixture
def make_environment(tmp_path):
    return lambda name, python="3.12": find_python(python).create_venv(tmp_path / name / "env")


def wheel_file(environment: Environment) -> list[str]:
    [installed] = environment.installed()
    return (installed.read_text("WHEEL") or "").splitlines()


@pytest.mark.parametrize("python", ["3.9", "3.12"])
def test_a_whole_set_is_built_for_another_python_as_by_uv(store, make_environment, python):
    ours, other, phases = make_environment("ours", python), make_environment("uv", python), Phases()

    resolution, _ = install_from_sources(
        ours, ["flask==3.1.2"], [":all:"], cache=Cache(store / "cache"), reporter=phases.reporter
    )
    uv_install_from_sources(other, ["flask==3.1.2"], [":all:"], cache=store / "uv-cache")

    packages = resolution.packages.values()
    assert [package.name for package in packages if not package.needs_build] == []
    assert unexplained(Tree.of(ours), Tree.of(other)) == {}
    assert recorded(Tree.of(ours)) == recorded(Tree.of(other))
    assert ours.check(deep=True) == ()


def test_a_pure_wheel_is_built_once_for_all_pythons_and_a_compiled_one_for_each(make_environment, tmp_path):
    asked, cache, heard = ["iniconfig==2.1.0", "markupsafe==3.0.2"], Cache(tmp_path / "cache"), []

    for python in ("3.12", "3.9", "3.12"):
        phases = Phases()
        environment = make_environment(f"{python}-{len(heard)}", python)
        install_from_sources(environment, asked, [":all:"], cache=cache, reporter=phases.reporter)
        heard.append(set(phases.of))

    assert heard == [{"iniconfig", "markupsafe"}, {"markupsafe"}, set()]


def test_variables_reach_backends(store, make_environment):
    cache, environment = Cache(store / "cache"), make_environment("env")
    with open_client(cache) as client, pytest.raises(BuildFailed, match="sklearn"):
        Resolver(client).resolve([REFUSES], target=environment)

    with open_client(cache, env={**os.environ, **CONSENT}) as client:
        resolution = Resolver(client).resolve([REFUSES], target=environment)
        Installer(environment, client).install(resolution)

    assert [dist.version for dist in environment.installed()] == ["0.0.post12"]


def test_variables_reach_the_backend_of_the_named_package(store, make_environment):
    cache, environment = Cache(store / "other-cache"), make_environment("env")

    settings = BuildSettings(env={"another": CONSENT})
    with open_client(cache) as client, pytest.raises(BuildFailed, match="sklearn"):
        Resolver(client).resolve([REFUSES], target=environment, build_settings=settings)
    install_from_sources(
        environment, [REFUSES], (), cache=cache, build_settings=BuildSettings(env={"sklearn": CONSENT})
    )

    assert [dist.version for dist in environment.installed()] == ["0.0.post12"]


def test_the_compiler_is_the_one_that_the_client_names(make_environment, tmp_path):
    calls, compiler = tmp_path / "calls", tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec cc "$@"\n')
    compiler.chmod(0o755)
    environment = make_environment("env")

    with open_client(Cache(tmp_path / "cache"), env={**os.environ, "CC": str(compiler)}) as client:
        resolution = Resolver(client).resolve([IN_C], target=environment)
        Installer(environment, client).install(resolution)

    assert "radix.c" in calls.read_text(encoding="utf-8")
    assert any(path.endswith(".so") for path in Tree.of(environment).entries)


def test_without_a_compiler_there_is_advice_and_nothing_is_changed(make_environment, tmp_path):
    environment = make_environment("env")
    before = Tree.of(environment)

    with open_client(Cache(tmp_path / "cache"), env={"PATH": str(tmp_path)}) as client:
        resolution = Resolver(client).resolve([IN_C], target=environment)
        with pytest.raises(BuildFailed) as caught:
            Installer(environment, client).install(resolution)

    error = caught.value
    assert (error.package, error.phase, error.state) == ("pyasn", "build-wheel", "untouched")
    assert "compiler" in error.hint
    assert error.log_path is not None
    assert "error: " in Path(error.log_path).read_text(encoding="utf-8")
    assert Tree.of(environment).differences(before) == {}


def test_settings_reach_the_backend_and_make_another_wheel(store, make_environment):
    cache, environments = Cache(store / "cache"), [make_environment(name) for name in ("a", "b", "c")]
    settings = {"--build-option": ["--build-number=7"]}

    for environment, given in zip(environments, ({}, settings, {}), strict=True):
        install_from_sources(
            environment, ["inflection==0.5.1"], ["inflection"], cache=cache, config_settings=given
        )

    assert ["Build: 7" in wheel_file(environment) for environment in environments] == [False, True, False]


def test_constraints_hold_for_what_builds(make_environment, tmp_path):
    environment, constraint = make_environment("env"), "setuptools==75.8.0"

    install_from_sources(
        environment,
        ["inflection==0.5.1"],
        ["inflection"],
        cache=Cache(tmp_path / "cache"),
        build_constraints=[constraint],
    )

    assert "Generator: setuptools (75.8.0)" in wheel_file(environment)


def test_who_asks_at_the_same_time_waits_for_the_one_build(store, make_environment, tmp_path):
    cache, heard = Cache(tmp_path / "cache"), [Phases(), Phases()]
    environments = [make_environment(name) for name in ("one", "two")]
    ready = threading.Barrier(2)

    def install(at: int) -> None:
        ready.wait()
        install_from_sources(environments[at], [IN_C], ["pyasn"], cache=cache, reporter=heard[at].reporter)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(install, range(2)))

    phases = [phase for phases in heard for phase in phases.of.get("pyasn", [])]
    assert sorted(phases) == ["build-wheel", "get-requires", "prepare-metadata"]
    first, second = map(Tree.of, environments)
    # A RECORD has the digests of scripts, and these name their interpreter.
    assert first.differences(second, besides={"RECORD"}) == {}
    assert recorded(first) == recorded(second)


@pytest.mark.parametrize("python", ["3.12"])
def test_an_archive_by_url_and_by_path_is_what_uv_installs(store, make_environment, tmp_path, python):
    ours, other, again = (make_environment(name, python) for name in ("ours", "uv", "again"))
    cache, phases = Cache(tmp_path / "cache"), Phases()
    with open_client() as client:
        files = client.project("wget").files
    [url] = [file.url for file in files if file.filename == "wget-3.2.zip"]

    resolution, _ = install_from_sources(ours, [f"wget @ {url}"], (), cache=cache, reporter=phases.reporter)
    uv_install_from_sources(other, [f"wget @ {url}"], (), cache=store / "uv-cache")
    install_from_sources(again, [f"wget @ {url}"], (), cache=cache, runner=FailingRunner())

    assert resolution.packages["wget"].version == "3.2"
    assert unexplained(Tree.of(ours), Tree.of(other)) == {}
    mine, theirs, third = ([dist.direct_url for dist in env.installed()] for env in (ours, other, again))
    assert [origin.url for origin in mine if origin] == [url]
    assert [origin.url for origin in theirs if origin] == [url]
    assert third == mine


def archive_of(store: Path, name: str, version: str, file: str) -> str:
    """Return the address of an sdist of the index, and its digest as a fragment."""
    with open_client(Cache(store / "cache")) as client:
        [found] = [entry for entry in client.project(name).files if entry.filename == file]
    assert found.version == version
    return f"{found.url}#sha256={found.hashes['sha256']}"


STATIC, DYNAMIC = ("iniconfig", "2.3.1", "iniconfig-2.3.1.tar.gz"), ("docopt", "0.6.2", "docopt-0.6.2.tar.gz")


@pytest.mark.parametrize("sdist", [STATIC, DYNAMIC], ids=["static", "dynamic"])
def test_an_archive_by_url_may_come_with_its_digest(sdist, store, make_environment):
    ours, other = make_environment("ours"), make_environment("uv")
    name, version, _ = sdist
    address = archive_of(store, *sdist)
    url, _, digest = address.partition("#sha256=")

    install_from_sources(ours, [f"{name} @ {address}"], (), cache=Cache(store / "cache"))
    uv_install_from_sources(other, [f"{name} @ {address}"], (), cache=store / "uv-cache")

    assert unexplained(Tree.of(ours), Tree.of(other)) == {}
    [installed], [expected] = ours.installed(), other.installed()
    assert (installed.version, expected.version) == (version, version)
    assert installed.direct_url.to_dict() == {
        "url": url,
        "archive_info": {"hash": f"sha256={digest}", "hashes": {"sha256": digest}},
    }
    assert expected.direct_url.url == url


@pytest.mark.parametrize("sdist", [STATIC, DYNAMIC], ids=["static", "dynamic"])
def test_no_code_of_an_archive_with_another_digest_is_run(sdist, store, make_environment, tmp_path):
    environment, runner = make_environment("env"), FailingRunner()
    before = Tree.of(environment)
    url, _, digest = archive_of(store, *sdist).partition("#sha256=")

    with pytest.raises(HashMismatch) as caught:
        install_from_sources(
            environment,
            [f"{sdist[0]} @ {url}#sha256={'0' * 64}"],
            (),
            cache=Cache(tmp_path / "cache"),
            runner=runner,
        )

    assert digest in str(caught.value)
    assert runner.asked == []
    assert Tree.of(environment).differences(before) == {}


@pytest.mark.parametrize("kind", ["tar.bz2", "tar.xz", "tar", "zip", "tgz"])
def test_an_archive_by_path_may_be_of_any_kind(kind, store, make_environment, tmp_path):
    ours, other = make_environment("ours"), make_environment("uv")
    tree = unpack_sdist("docopt", "0.6.2", tmp_path / "tree")
    format_ = {"tar.bz2": "bztar", "tar.xz": "xztar", "tgz": "gztar"}.get(kind, kind)
    made = Path(shutil.make_archive(str(tmp_path / "made"), format_, tree.parent, tree.name))
    archive = made.rename(tmp_path / f"docopt-0.6.2.{kind}")
    asked = [f"docopt @ {archive.as_uri()}"]

    resolution, _ = install_from_sources(ours, asked, (), cache=Cache(store / "cache"))
    # Of archives, uv takes two kinds only.
    uv_install_from_sources(other, ["docopt==0.6.2"], ["docopt"], cache=store / "uv-cache")

    assert resolution.packages["docopt"].version == "0.6.2"
    assert unexplained(Tree.of(ours), Tree.of(other)) == {}
    assert recorded(Tree.of(ours)) == recorded(Tree.of(other))
    assert ours.check(deep=True) == ()
