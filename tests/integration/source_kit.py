"""Sources with a build backend of their own that writes down what it is asked, and with what."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from puffin_api import Resolver
from puffin_api.testing import make_sdist

# Needs the standard library only, of Python 3.8 and newer. Tests add to it, or replace its hooks.
BACKEND = """
import base64, hashlib, json, os, sys, zipfile

JOURNAL, NAME, VERSION, REQUIRES, EXTRAS, TAG, MODULE = json.loads({constants!r})
STEM = NAME.replace("-", "_") + "-" + VERSION
INFO = STEM + ".dist-info"


def note(hook, config, **more):
    line = dict(hook=hook, name=NAME, version=VERSION, config=config, python=list(sys.version_info[:2]),
                isolated=bool(os.environ.get("VIRTUAL_ENV")), flag=os.environ.get("MADE_FLAG"), **more)
    with open(JOURNAL, "a") as file:
        file.write(json.dumps(line) + chr(10))


def metadata():
    lines = ["Metadata-Version: 2.1", "Name: " + NAME, "Version: " + VERSION]
    lines += ["Requires-Dist: " + text for text in REQUIRES]
    for extra, texts in EXTRAS.items():
        lines.append("Provides-Extra: " + extra)
        lines += ["Requires-Dist: " + text + " ; extra == '" + extra + "'" for text in texts]
    return chr(10).join(lines) + chr(10)


def write_wheel(folder, files, tag=None, name=None):
    tag = tag or TAG
    name = name or STEM + "-" + tag + ".whl"
    files = dict(files)
    files[INFO + "/METADATA"] = metadata()
    fields = ["Wheel-Version: 1.0", "Generator: made", "Root-Is-Purelib: true", "Tag: " + tag, ""]
    files[INFO + "/WHEEL"] = chr(10).join(fields)
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(path + ",sha256=" + digest + "," + str(len(text.encode())))
    files[INFO + "/RECORD"] = chr(10).join(rows + [INFO + "/RECORD,,"]) + chr(10)
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    note("metadata", config_settings)
    os.mkdir(os.path.join(metadata_directory, INFO))
    with open(os.path.join(metadata_directory, INFO, "METADATA"), "w") as file:
        file.write(metadata())
    return INFO


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    note("wheel", config_settings)
    with open(MODULE + ".py") as file:
        return write_wheel(wheel_directory, {MODULE + ".py": file.read()})


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    note("editable", config_settings)
    return write_wheel(wheel_directory, {"__editable__" + MODULE + ".pth": os.getcwd() + chr(10)})
"""


class Journal:
    """What backends have written down, in order."""

    def __init__(self, path):
        self.path = Path(path)

    @property
    def rows(self):
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    @property
    def hooks(self):
        """Hook and project of each call."""
        return [f"{row['hook']} {row['name']}" for row in self.rows]

    def take(self):
        """Return what was written, and forget it."""
        hooks = self.hooks
        self.path.unlink(missing_ok=True)
        return hooks


def project(
    journal,
    name="demo",
    version="1.0",
    *,
    requires=(),
    extras=None,
    build_requires=(),
    static=False,
    code="",
    tag="py3-none-any",
    text="value = 1\n",
    build_system=None,
):
    """Return the files of a project by path.

    Args:
        journal: Where its backend writes what it is asked.
        requires: What its metadata says.
        extras: Requirements by extra.
        build_requires: What its backend needs.
        static: Whether its ``pyproject.toml`` tells the metadata.
        code: Added to the backend.
        tag: Of the wheels that are built.
        text: The one module.
        build_system: More of that table.
    """
    module = name.replace("-", "_")
    constants = [str(journal.path), name, version, list(requires), extras or {}, tag, module]
    table = {"requires": list(build_requires), "build-backend": "made", "backend-path": ["_backend"]}
    lines = ["[build-system]", *_toml({**table, **(build_system or {})})]
    if static:
        lines += ["[project]", *_toml({"name": name, "version": version, "dependencies": list(requires)})]
        lines += ["[project.optional-dependencies]", *_toml({k: list(v) for k, v in (extras or {}).items()})]
    backend = BACKEND.replace("{constants!r}", repr(json.dumps(constants))) + code
    return {
        "pyproject.toml": "\n".join(lines) + "\n",
        "_backend/made.py": backend,
        f"{module}.py": text,
    }


def _toml(table):
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


def write_tree(folder, files):
    """Write files below a folder."""
    for path, text in files.items():
        place = Path(folder) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return Path(folder)


def sdist(files, name="demo", version="1.0", *, kind="tar.gz", **options):
    """Return one entry of an index, whose PKG-INFO promises nothing unless told otherwise."""
    options.setdefault("metadata_headers", {"Metadata-Version": "2.1"})
    pyproject = files["pyproject.toml"]
    rest = {path: text for path, text in files.items() if path != "pyproject.toml"}
    data = make_sdist(name, version, files=rest, pyproject=pyproject, kind=kind, **options)
    return {f"{name.replace('-', '_')}-{version}.{kind}": data}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def resolve(client, environment, *requirements, **options):
    return Resolver(client).resolve(requirements, target=environment, **options)


def cache_leftovers(cache):
    """What builds would leave in the folder for what is being made."""
    return sorted(path.name for path in (cache.path / ".tmp").iterdir())
