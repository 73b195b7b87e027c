"""Environments made from sources by us and by uv, each with caches of its own."""

from __future__ import annotations

import os
import tarfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from puffin_api import Cache, Environment, Index, Installer, Resolution, Resolver
from puffin_api._testing.doubles import RecordingReporter
from puffin_api.model import BuildStarted, InstallReport
from puffin_api.protocols import Runner
from tests.network.conftest import open_client
from tests.network.interop_kit import Difference, Tree
from tests.network.other_tools import uv

OWN_WORDS = {"INSTALLER", "RECORD", "direct_url.json", "puffin-source.json", "uv_build.json", "uv_cache.json"}
"""Files that an installer writes in its own words, or that it alone writes about its builds."""
WIDER_WORDS = {*OWN_WORDS, "REQUESTED"}
"""For sets: uv marks each package as requested, we those that somebody has asked for."""
COMPILED = (".so", ".cyclonedx.json")
"""Ends of the names of files that no two builds make alike; the latter has a serial number and a time."""


class Phases:
    """The phases of the builds that a reporter has heard of, by package."""

    def __init__(self) -> None:
        self.reporter = RecordingReporter()

    @property
    def of(self) -> dict[str, list[str]]:
        phases: dict[str, list[str]] = {}
        for event in self.reporter.events:
            if isinstance(event, BuildStarted):
                phases.setdefault(event.name, []).append(event.phase)
        return phases


def install_from_sources(
    environment: Environment,
    requirements: Iterable[str],
    no_binary: Iterable[str],
    *,
    cache: Cache,
    runner: Runner | None = None,
    reporter: RecordingReporter | None = None,
    **options,
) -> tuple[Resolution, InstallReport]:
    """Resolve and install with a client of its own, which forgets at its end what is not in the cache."""
    with open_client(cache) as client:
        resolution = Resolver(client, runner=runner).resolve(
            list(requirements), target=environment, no_binary=list(no_binary), reporter=reporter, **options
        )
        installer = Installer(environment, client, runner=runner)
        return resolution, installer.install(resolution, reporter=reporter)


def uv_install_from_sources(
    environment: Environment, requirements: Iterable[str | Path], no_binary: Iterable[str], *, cache: Path
) -> None:
    """Let uv do the same."""
    barred = [part for name in no_binary for part in ("--no-binary", name)]
    index = ("--default-index", Index.pypi().url)
    uv("pip", "install", *requirements, *barred, "-p", environment.interpreter.path, *index, cache=cache)


def unpack_sdist(name: str, version: str, folder: Path) -> Path:
    """Unpack an sdist from the index into a folder, by other means than ours; returns the tree."""
    with open_client() as client:
        files = client.project(name).files
    [file] = [file for file in files if file.version == version and file.filename.endswith(".tar.gz")]
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / file.filename
    with urllib.request.urlopen(file.url) as answer:
        archive.write_bytes(answer.read())
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / file.filename.removesuffix(".tar.gz")


def unexplained(ours: Tree, theirs: Tree) -> dict[str, Difference]:
    """Return what differs but for the words of each installer, and the content of what is compiled.

    What a compiler writes holds the path of the folder that it ran in; that both are files with the
    same mode is compared nevertheless.
    """
    return {
        path: (mine, other)
        for path, (mine, other) in ours.differences(theirs, besides=WIDER_WORDS).items()
        if not (
            path.endswith(COMPILED)
            and mine is not None
            and other is not None
            and (mine.kind, mine.mode) == (other.kind, other.mode)
        )
    }


def recorded(tree: Tree) -> dict[str, set[str]]:
    """Return the files that each RECORD names, but for those in an installer's own words."""
    return {
        folder: {path for path in rows if os.path.basename(path) not in WIDER_WORDS}
        for folder, rows in tree.records.items()
    }
