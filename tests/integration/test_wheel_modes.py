"""Permissions of what is installed: the umask decides, also for what is linked out of a shared cache."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager

import pytest

from puffin_api._model.options import LinkMode
from puffin_api._wheel.link import Linker
from tests._installer.environment_kit import Place

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask to speak of")

EVERYTHING = {
    "files": {"pkg/__init__.py": "", "pkg/run.sh": "#!/bin/sh\n", "pkg/deep/x.txt": ""},
    "executables": ["pkg/run.sh", "pkg-1.0.data/data/share/run.sh"],
    "data": {
        "scripts/tool": "#!python\n",
        "data/share/run.sh": "#!/bin/sh\n",
        "data/share/x.txt": "",
        "headers/x.h": "",
    },
    "entry_points": {"console_scripts": {"run": "pkg:f"}},
}
EXECUTABLES = {"run.sh", "tool", "run"}
UMASKS = [0o022, 0o077, 0o002]


@contextmanager
def umask(value):
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def installed_modes(tmp_path, *, cache, install, mode=LinkMode.AUTO):
    """Permissions by path of all that installing added, and those of the cache before and after."""
    with umask(0o022):
        place = Place(tmp_path)
    before = place.tree().keys()
    with umask(cache):
        wheel = place.wheel("pkg", **EVERYTHING)
    cached = modes_below(wheel.archive)
    with umask(install):
        place.change(wheel, requested=["pkg"], linker=Linker(mode))
    assert modes_below(wheel.archive) == cached, "the cache is not ours to change"
    return {path: found for path, found in modes_below(place.prefix).items() if path not in before}


def modes_below(top):
    found = {}
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            found[os.path.relpath(path, top)] = stat.S_IMODE(os.stat(path).st_mode)
    return found


def check_modes(modes, mask):
    for path, found in modes.items():
        is_file = "." in os.path.basename(path) and not path.endswith(("-info", "3.12"))
        is_file = is_file or os.path.basename(path) in {
            "RECORD",
            "WHEEL",
            "METADATA",
            "INSTALLER",
            "REQUESTED",
        }
        plain = is_file and os.path.basename(path) not in EXECUTABLES
        assert found == (0o666 if plain else 0o777) & ~mask, path


@pytest.mark.parametrize("mask", UMASKS)
def test_the_umask_decides(tmp_path, mask):
    check_modes(installed_modes(tmp_path, cache=mask, install=mask), mask)


@pytest.mark.parametrize("mode", [LinkMode.COPY, LinkMode.CLONE])
@pytest.mark.parametrize("install", UMASKS)
@pytest.mark.parametrize("cache", UMASKS)
def test_the_umask_of_the_cache_does_not_matter_for_copies(tmp_path, cache, install, mode):
    check_modes(installed_modes(tmp_path, cache=cache, install=install, mode=mode), install)


@pytest.mark.parametrize(
    ("cache", "install"), [(cache, install) for cache in UMASKS for install in UMASKS if cache != install]
)
def test_the_umask_of_the_cache_does_not_matter_for_links(tmp_path, cache, install):
    check_modes(installed_modes(tmp_path, cache=cache, install=install, mode=LinkMode.HARDLINK), install)
