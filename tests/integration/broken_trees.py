"""Site-packages as real machines have them: whole distributions, and every kind of broken one."""

from __future__ import annotations

import os
import zipfile

from puffin_api.testing import make_wheel

HEADERS = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def headers(name, version="1.0"):
    return HEADERS.format(name=name, version=version)


def put(site, path, content=""):
    """Write a file below site-packages, with the folders above it."""
    file = site / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def dist_info(site, name, version="1.0", *, folder=None, metadata=None, record=None, **files):
    """Write the metadata of a distribution with one module; returns the folder."""
    folder = folder or f"{name}-{version}.dist-info"
    put(site, f"{folder}/METADATA", headers(name, version) if metadata is None else metadata)
    rows = f"{name}.py,,\n{folder}/METADATA,,\n{folder}/RECORD,,\n"
    put(site, f"{folder}/RECORD", os.fsencode(rows) if record is None else record)
    put(site, f"{folder}/INSTALLER", "pip\n")
    put(site, f"{name}.py")
    for file, content in files.items():
        put(site, f"{folder}/{file.replace('__', '.')}", content)
    return site / folder


def unpack(site, name, version="1.0", **options):
    """Lay a made wheel out as an installer would."""
    path = put(site, "wheel.zip", make_wheel(name, version, **options))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(site)
    path.unlink()


def egg_archive(site, name, version="1.0"):
    with zipfile.ZipFile(site / f"{name}-{version}-py3.11.egg", "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", headers(name, version))
        archive.writestr("EGG-INFO/requires.txt", "needed>=1\n")
        archive.writestr(f"{name}.py", "")


def develop(site, place, name, version="1.0", *others):
    """Leave what ``setup.py develop`` left, for a project in ``place``."""
    for project in (name, *others):
        put(place, f"{project}.egg-info/PKG-INFO", headers(project, version))
        put(place, f"{project}.egg-info/top_level.txt", f"{project}_module\n")
    put(site, f"{name}.egg-link", f"{place}\n.")
