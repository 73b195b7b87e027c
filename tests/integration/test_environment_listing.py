"""The same broken trees, listed by `importlib.metadata`, pip, uv and this library."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.integration.broken_trees import develop, dist_info, egg_archive, headers, put, unpack
from tests.integration.job_kit import versions

UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
PIP = [sys.executable, "-m", "pip"]
has_pip = subprocess.run([*PIP, "--version"], capture_output=True, check=False).returncode == 0
pytestmark = pytest.mark.skipif(UV is None or not has_pip, reason="needs pip and uv")


@pytest.fixture
def environment(make_venv):
    return make_venv()


@pytest.fixture
def site(environment):
    folder = Path(environment.scheme.purelib)
    unpack(folder, "good", requires=["other"])
    unpack(folder, "other", "2.0")
    return folder


def listed(command, environment):
    """Version by name as another tool lists it; None where it gives up."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "", "HOME": str(environment.root)}
    )
    if done.returncode:
        return None
    return {canonicalize_name(dist["name"]): dist["version"] for dist in json.loads(done.stdout)}


def by_pip(environment):
    python = str(environment.interpreter.path)
    return listed(
        [*PIP, "--python", python, "--disable-pip-version-check", "list", "--format=json"], environment
    )


def by_uv(environment):
    python, cache = str(environment.interpreter.path), str(environment.root / "uv-cache")
    return listed([UV, "pip", "list", "--format=json", "-p", python, "--cache-dir", cache], environment)


def by_standard_library(environment):
    found = importlib.metadata.distributions(path=[environment.scheme.purelib])
    try:
        # It lists folders without a name as well.
        named = [(dist.metadata["Name"], dist.version) for dist in found]
    except (UnicodeDecodeError, OSError):
        return None
    return {canonicalize_name(name): version for name, version in named if name}


def test_what_all_tools_understand_is_listed_alike(environment, site, tmp_path):
    dist_info(site, "Non.Normal_Name", "1.0+local.1")
    dist_info(site, "with_cr", metadata=headers("with-cr").replace("\n", "\r\n"))
    dist_info(site, "huge", metadata=headers("huge") + "\n" + "x" * 1_000_000)
    dist_info(site, "no_record").joinpath("RECORD").unlink()
    dist_info(site, "no_installer").joinpath("INSTALLER").unlink()
    dist_info(site, "noise_record", record=b"\0\xff\xfe,,\n")
    dist_info(site, "noise_points", entry_points__txt=b"\xff\xfe")
    dist_info(site, "bad_requirement", metadata=headers("bad-requirement") + "Requires-Dist: ?\n")
    put(site, "egg_file-1.0-py3.11.egg-info", headers("egg-file"))
    put(site, "egg_folder-1.0-py3.11.egg-info/PKG-INFO", headers("egg-folder"))
    put(site, "egg_inside.egg-info/PKG-INFO", headers("egg-inside", "3.0"))
    (site / "~eft_over-1.0.dist-info").mkdir()

    ours = versions(environment)

    assert len(ours) == 13
    assert by_pip(environment) == ours
    assert by_uv(environment) == ours
    assert by_standard_library(environment) == ours


def test_metadata_that_cannot_be_read_leave_name_and_version_of_the_folder(environment, site):
    for name, metadata in [
        ("empty", b""),
        ("noise", b"\0\1Name"),
        ("bom", b"\xef\xbb\xbf" + headers("bom").encode()),
    ]:
        dist_info(site, name, metadata=metadata)
    dist_info(site, "missing").joinpath("METADATA").unlink()
    dist_info(site, "other_version", metadata=headers("other-version", "9"))

    ours = versions(environment)

    assert set(ours) == {"bom", "empty", "good", "missing", "noise", "other", "other-version"}
    assert by_pip(environment) == ours
    assert by_uv(environment) == ours


@pytest.mark.parametrize("kind", ["develop", "link to nowhere"])
def test_projects_in_development(environment, site, tmp_path, kind):
    develop(site, tmp_path / "src", "mine", "2.0", "another")
    put(site, "easy-install.pth", f"{tmp_path / 'src'}\n")
    if kind == "link to nowhere":
        shutil.rmtree(tmp_path / "src")

    ours = versions(environment)

    # Where the folder is gone, others forget the link; here it stays in sight, and can be removed.
    assert ours == {"good": "1.0", "other": "2.0", "mine": "2.0" if kind == "develop" else ""}
    assert by_uv(environment).get("mine", "") == ours["mine"]
    assert by_pip(environment).get("mine", "") == ours["mine"]


def test_a_zipped_egg_is_listed_as_pip_does(environment, site):
    egg_archive(site, "zipped", "4.0")
    put(site, "easy-install.pth", "./zipped-4.0-py3.11.egg\n")

    assert versions(environment) == {"good": "1.0", "other": "2.0", "zipped": "4.0"}
    assert by_pip(environment) == versions(environment)


@pytest.mark.parametrize(
    "harm",
    [
        lambda site: dist_info(site, "bad", metadata=headers("bad").encode() + b"Author: \xe9\n"),
        lambda site: dist_info(site, "bad", direct_url__json="{"),
        lambda site: dist_info(site, "bad", "banana"),
        lambda site: dist_info(site, "b\xe4d"),
        lambda site: (site / "bad-1.0.dist-info").symlink_to("bad-1.0.dist-info"),
        lambda site: (site / "bad.egg-link").mkdir(),
    ],
)
def test_where_another_tool_gives_up_the_rest_is_listed(environment, site, harm):
    harm(site)

    ours = versions(environment)

    assert ours["good"] == "1.0"
    assert ours["other"] == "2.0"
    others = [by_pip(environment), by_uv(environment), by_standard_library(environment)]
    assert None in others, "no tool gives up any more: this belongs to another test"
    for theirs in others:
        if theirs is not None:
            assert {"good": "1.0", "other": "2.0"}.items() <= theirs.items()


def test_one_project_twice(environment, site):
    dist_info(site, "Bad_Name", "1.0", metadata=headers("Bad-Name"))
    dist_info(site, "bad_name", "2.0")

    assert [dist.version for dist in environment.installed().all("bad-name")] == ["1.0", "2.0"]
    assert by_uv(environment)["bad-name"] in {"1.0", "2.0"}
    assert by_pip(environment)["bad-name"] in {"1.0", "2.0"}
    assert [problem.code for problem in environment.check()] == ["duplicate-distribution"]
