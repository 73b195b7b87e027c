"""What a repository promises of its metadata is what a folder does, not what an archive does."""

from __future__ import annotations

import os
import shutil

import pytest

from puffin_api import Interpreter, Resolver
from tests.integration.job_kit import wheel
from tests.small_sources import commit_all, write_project


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_committed_rest_of_a_build_is_not_believed(serve, make_client, tmp_path):
    project = write_project(tmp_path / "demo", "demo", "2.0", ("kiwi",), static=False)
    (project / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: demo\nVersion: 1.0\n")
    commit_all(project)
    client = make_client(serve(wheel("kiwi", "1.0")), env=os.environ)
    target = Interpreter.current()

    for what in (project, f"demo @ git+{project.as_uri()}"):
        found = Resolver(client).resolve([what], target=target).packages
        assert {name: package.version for name, package in found.items()} == {"demo": "2.0", "kiwi": "1.0"}
