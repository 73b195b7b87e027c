"""A local project is installed anew when it has changed, and only then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from puffin_api import Editable, Installer
from tests.integration.job_kit import versions

BACKEND = """
import os, zipfile

NAME, VERSION = "proj", open("version.txt").read().strip()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {"proj.py": open("proj.py").read()})


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {"proj.pth": os.getcwd()})


def _wheel(folder, files):
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "proj"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "version.txt").write_text("1.0")
    (folder / "proj.py").write_text("said = 'one'\n")
    return folder


@pytest.fixture
def environment(make_venv):
    return make_venv()


@pytest.fixture
def installer(serve, make_client, environment):
    return Installer(environment, make_client(serve()))


def write(path, text):
    path.write_text(text)
    later = time.time() + 5  # whatever the clock of the file system is like
    os.utime(path, (later, later))


def said(environment):
    return (Path(environment.scheme.purelib) / "proj.py").read_text()


def test_a_tree_that_has_changed_is_installed_anew(installer, environment, project):
    assert installer.install([project]).changed
    assert not installer.install([project]).changed, "nothing has changed"

    write(project / "proj.py", "said = 'two'\n")
    report = installer.install([project])

    assert [(change.action, change.cause) for change in report.changes] == [("reinstall", "origin")]
    assert "two" in said(environment)
    assert not installer.install([project]).changed
    assert environment.check(deep=True) == ()


def test_what_another_tool_has_installed_is_not_known_to_be_the_same(installer, environment, project):
    installer.install([project])
    info = next(Path(environment.scheme.purelib).glob("proj-1.0.dist-info"))
    (info / "puffin-source.json").unlink()
    assert installer.install([project]).changed


def test_an_editable_is_installed_anew_for_its_project_only(installer, environment, project):
    editable = Editable(path=project)
    assert installer.install([editable]).changed
    write(project / "proj.py", "said = 'two'\n")
    assert not installer.install([editable]).changed, "its modules are where they are"
    (dist,) = environment.installed()
    assert dist.editable
    assert dist.direct_url.to_dict() == {"url": project.as_uri(), "dir_info": {"editable": True}}

    write(project / "pyproject.toml", PYPROJECT + "# changed\n")
    assert installer.install([editable]).changed

    assert installer.install([project]).changed, "no editable any more"
    assert "two" in said(environment)


def test_a_new_version_of_a_tree_is_an_upgrade(installer, environment, project):
    installer.install([project])
    write(project / "version.txt", "2.0")

    report = installer.install([project])

    assert [(change.action, change.old, change.new) for change in report.changes] == [
        ("upgrade", "1.0", "2.0")
    ]
    assert versions(environment) == {"proj": "2.0"}
    installer.undo(report)
    assert versions(environment) == {"proj": "1.0"}


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_folder_and_the_same_one_in_development_mode_the_latter_counts(
    installer, environment, project, turned
):
    both = [project, Editable(path=project)]
    installer.install(both[::-1] if turned else both)
    (dist,) = environment.installed()
    assert dist.editable
