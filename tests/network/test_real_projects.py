"""Real projects: what is resolved is sound and what others resolve, what is installed works."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from packaging.version import Version

from puffin_api import Installer, Refresh, Resolver
from tests.network.conftest import listing, open_client
from tests.network.other_tools import import_all, pins, pip, uv, uv_compile, uv_finds_none
from tests.network.soundness import Chosen, faults, usable_versions

pytestmark = pytest.mark.network

OTHERS_IMPORTED = 10
"""So many packages are imported besides those that were asked for."""


def test_resolution_is_sound(resolved):
    packages = resolved.resolution.packages.values()
    with ThreadPoolExecutor(16) as threads:
        metadata = list(threads.map(lambda package: resolved.client.metadata(package.file), packages))
    chosen = [
        Chosen(
            name=package.name,
            version=package.version,
            file=package.file,
            others=package.alternatives,
            extras=frozenset(package.extras),
            requires_dist=core.requires_dist,
            requires_python=core.requires_python,
            provides_extra=frozenset(core.provides_extra),
        )
        for package, core in zip(packages, metadata, strict=True)
    ]

    assert [core.invalid for core in metadata if core.invalid] == []
    assert faults(resolved.requirements, chosen, resolved.place, resolved.offered) == []


def test_what_lies_in_the_environment_is_sound(installed):
    """The same, told from the METADATA that was installed and with another parser."""
    chosen = []
    for dist in installed.environment.installed():
        package = installed.resolution.packages[dist.name]
        text = (dist.location / "METADATA").read_text(encoding="utf-8")
        extras = frozenset(package.extras)
        chosen.append(Chosen.of_metadata(text, package.file, others=package.alternatives, extras=extras))

    assert {package.name: package.version for package in chosen} == installed.versions
    assert faults(installed.requirements, chosen, installed.place, installed.offered) == []


def test_versions_are_those_of_uv_from_wheels(resolved, tmp_path):
    start = time.perf_counter()
    theirs = uv_compile(resolved.requirements, resolved.python, tmp_path, "--no-build")
    resolved.row["uv, cold"] = f"{time.perf_counter() - start:.2f} s"
    ours = resolved.versions
    if ours != theirs:  # something may have been released between the two: look again
        with open_client(resolved.client.cache, refresh=Refresh.all()) as client:
            again = Resolver(client).resolve(
                resolved.requirements, target=resolved.environment, only_binary=[":all:"]
            )
        ours = {name: package.version for name, package in again.packages.items()}

    told = differences(ours, theirs)
    resolved.row["uv --no-build"] = told or "equal"
    assert not told or is_trade_off(resolved, ours, theirs, tmp_path), f"ours, uv's: {told}"


def test_where_uv_may_build_it_differs_only_in_what_has_no_wheel(resolved, tmp_path):
    ours, theirs = resolved.versions, uv_compile(resolved.requirements, resolved.python, tmp_path)
    differing = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    without_wheel = {
        name
        for name in differing & theirs.keys()
        if Version(theirs[name]) not in usable_versions(resolved.offered(name), resolved.place)
    }

    told = differences(ours, theirs)
    resolved.row["uv"] = (
        f"{told} (uv's have no wheel: {', '.join(sorted(without_wheel))})" if told else "equal"
    )
    # What else differs follows from these: the test before this one holds it.
    expected = bool(without_wheel) or is_trade_off(resolved, ours, theirs, tmp_path)
    assert expected or not differing, f"ours, uv's: {told}; no wheel of {without_wheel}"


def is_trade_off(resolved, ours: dict[str, str], theirs: dict[str, str], folder) -> bool:
    """Let uv judge whether nobody can have the newer one of each two versions that differ.

    Then either answer has something newer at the price of something else, and which of them a
    resolver meets first is a matter of the order in which it decides. What was asked for stays at
    the versions that both chose.
    """
    both = sorted(ours.keys() & theirs.keys())
    newer = [f"{n}>={max(ours[n], theirs[n], key=Version)}" for n in both if ours[n] != theirs[n]]
    asked = [f"{n}=={ours[n]}" for n in both if ours[n] == theirs[n] and n in resolved.resolution.root_names]
    return bool(newer) and uv_finds_none(resolved.requirements, asked + newer, resolved.python, folder)


def differences(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """Say where two sets of versions differ."""
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name} {ours.get(name, '-')} / {theirs.get(name, '-')}" for name in names)


def test_pip_finds_nothing_broken(installed):
    printed = pip(installed.python, "check", version=installed.place.python)

    if printed is None:
        pytest.skip(f"no pip supports Python {installed.place.python}")
    assert "No broken requirements found" in printed


def test_uv_finds_nothing_broken(installed, tmp_path):
    printed = uv("pip", "check", "-p", installed.python, cache=tmp_path)

    assert "All installed packages are compatible" in printed


def test_we_find_nothing_broken(installed):
    assert installed.environment.check(deep=True) == ()
    assert installed.environment.satisfies(installed.resolution)
    assert installed.environment.satisfies(installed.requirements)


def test_modules_can_be_imported(installed, tmp_path):
    distributions = {dist.name: dist for dist in installed.environment.installed()}
    roots = sorted(installed.resolution.root_names)
    others = [name for name in distributions if name not in roots and _public(distributions[name])]
    # Evenly out of the alphabet, the same ones in each run.
    others = others[:: max(1, len(others) // OTHERS_IMPORTED)]
    modules = [module for name in roots + others for module in _public(distributions[name])]

    failed = import_all(installed.python, modules, tmp_path)

    assert all(_public(distributions[name]) for name in roots)
    assert failed == {}


def _public(distribution) -> list[str]:
    return [module for module in distribution.modules() if not module.startswith("_")]


def test_uv_would_change_nothing_to_get_our_list(installed, tmp_path):
    exported = tmp_path / "exported.txt"
    exported.write_text(installed.resolution.to_requirements_txt(), encoding="utf-8")

    printed = uv("pip", "sync", "--dry-run", "-p", installed.python, exported, cache=tmp_path / "cache")

    assert pins(exported.read_text(encoding="utf-8")) == installed.versions
    assert "Would make no changes" in printed


def test_a_second_plan_is_empty(installed):
    installer = Installer(installed.environment, installed.client)

    assert len(installed.report.changes) == len(installed.resolution.packages)
    assert installer.plan(installed.resolution).is_empty
    assert installer.plan(installed.resolution, mode="sync").is_empty
    assert not installer.install(installed.resolution).changed


def test_uninstalling_everything_leaves_the_environment_as_it_was(installed, tmp_path):
    environment = installed.environment.interpreter.create_venv(tmp_path / "env")
    before = listing(environment.root)
    with open_client(installed.client.cache) as client:
        installer = Installer(environment, client)
        installer.install(installed.resolution)
        modules = [m for dist in environment.installed() for m in _public(dist) if dist.requested]
        assert import_all(environment.interpreter.path, modules, tmp_path) == {}

        report = installer.uninstall([dist.name for dist in environment.installed()])
    # Many files are removed after the call, by the client's threads or by whoever comes next.

    assert len(report.changes) == len(installed.resolution.packages)
    assert listing(environment.root) == before
    shutil.rmtree(environment.root)  # pytest keeps the folders of three runs
