"""The everyday program: what callers write most, with the types that they rely on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

from packaging.requirements import Requirement

import puffin_api
from puffin_api import (
    Allow,
    Cache,
    CancelToken,
    Client,
    Environment,
    Index,
    IndexStrategy,
    Installer,
    InstallReport,
    Interpreter,
    LinkMode,
    Manifest,
    Pin,
    Plan,
    PrereleaseMode,
    Refresh,
    Resolution,
    ResolutionMode,
    Resolver,
    RetryPolicy,
    Target,
    Timeouts,
    Tls,
    Upgrade,
)


def first_program() -> None:
    environment = Interpreter.current().create_venv("demo-env")
    assert_type(environment, Environment)
    with Client(cache=Cache.user()) as client:
        resolution = Resolver(client).resolve(["flask>=3"], target=environment)
        report = Installer(environment, client).install(resolution)
    assert_type(client, Client)
    assert_type(resolution, Resolution)
    assert_type(report, InstallReport)
    assert_type(report.changed, bool)


def clients(cache: Cache, environ: Mapping[str, str]) -> None:
    Client(
        indexes=[Index.pypi(), Index("https://index.invalid/simple/", name="mine", explicit=True)],
        find_links=["wheels"],
        cache=cache,
        tls=Tls.system(),
        retries=RetryPolicy(),
        timeouts=Timeouts(connect=10, idle=30, total=None),
        offline=True,
        index_strategy=IndexStrategy.FIRST_INDEX,
        refresh=Refresh.only(["flask"]),
    )
    Client(indexes=["https://index.invalid/simple/"])
    assert_type(Client.from_environ(environ), Client)


def caches() -> None:
    assert_type(Cache.user(), Cache)
    with Cache.temporary() as cache:
        assert_type(cache.path, Path)
    Cache(Path("cache"), link_mode=LinkMode.COPY, read_only=True, lock_timeout=1.0, layers=[Path("site")])


def targets(client: Client, interpreter: Interpreter, environment: Environment) -> None:
    """`target=` takes a Target, an Interpreter or an Environment everywhere."""
    target = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
    assert_type(target, Target)
    assert_type(target.markers["sys_platform"], str)
    assert_type(interpreter.target, Target)
    resolver = Resolver(client)
    resolver.resolve(["a"], target=target)
    resolver.resolve(["a"], target=interpreter)
    resolver.resolve(["a"], target=environment)


def interpreters(path: Path) -> None:
    assert_type(Interpreter.current(), Interpreter)
    assert_type(Interpreter.probe(path), Interpreter)
    assert_type(Interpreter.find(">=3.9"), Interpreter)
    for found in Interpreter.discover():
        if isinstance(found, puffin_api.errors.ProbeFailed):
            assert_type(found.reason, str)
        else:
            assert_type(found, Interpreter)


def every_option(client: Client, target: Target, earlier: Resolution) -> None:
    Resolver(client).resolve(
        ["flask>=3", Requirement("requests")],
        target=target,
        locked=[Pin("flask", "3.0.0")],
        protect=["torch"],
        constraints=["werkzeug<4"],
        overrides=["click>=8"],
        excludes=["colorama"],
        upgrade=Upgrade.only(["flask"]),
        mode=ResolutionMode.LOWEST_DIRECT,
        prereleases=PrereleaseMode.IF_NECESSARY,
        exclude_newer=datetime(2026, 1, 1, tzinfo=UTC),
        dependencies=True,
        only_binary=[":all:"],
        no_binary=(),
        reporter=None,
        cancel=CancelToken.deadline(30),
    )
    Resolver(client).resolve(Manifest.of("a", "b"), target=target, locked=earlier)
    Resolver(client).resolve(["a"], target=target, exclude_newer=timedelta(days=7))


def results(resolution: Resolution) -> None:
    for name, package in resolution.packages.items():
        assert_type(name, str)
        assert_type(package.file.url, str)
    assert_type(resolution.to_requirements_txt(hashes=True, annotate=True), str)
    assert_type(resolution.digest, str)
    assert_type(Resolution.from_dict(resolution.to_dict()), Resolution)


def plans(installer: Installer, resolution: Resolution) -> None:
    plan = installer.plan(
        resolution, mode="sync", reinstall=["flask"], allow=Allow(downgrade=False, remove=True)
    )
    assert_type(plan, Plan)
    assert_type(plan.is_empty, bool)
    for change in plan.changes:
        assert_type(change.name, str)
    prepared = installer.prepare(plan)
    installer.install(plan)
    installer.install(prepared, if_outdated="replan", requested=["flask"])
    installer.install(["flask"])
    assert_type(installer.uninstall(["flask"]), InstallReport)


def a_misspelt_name_is_an_error() -> None:
    # The lazy loading must not make every name pass; mypy says so when this comment becomes unneeded.
    puffin_api.Resolvr  # type: ignore[attr-defined]
