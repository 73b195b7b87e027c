"""Listing looks at folders and at nothing in them; counted as the interpreter itself reports it."""

from __future__ import annotations

from pathlib import Path

import pytest

from puffin_api import Environment, Interpreter
from tests.integration.broken_trees import dist_info, put
from tests.integration.job_kit import run_program

COUNT = """
import json, sys
from puffin_api import Environment, Interpreter
environment = Environment.directory(sys.argv[1], target=Interpreter.current())
ask = {
    "installed": lambda: [(dist.name, dist.version) for dist in environment.installed()],
    "fingerprint": environment.fingerprint,
}[sys.argv[2]]
ask()  # imports
touched = []
watched = {"open", "os.listdir", "os.scandir"}
sys.addaudithook(lambda event, arguments: event in watched and touched.append((event, str(arguments[0]))))
answer = ask()
print(json.dumps([touched, len(answer)]))
"""


def crowd(site, count, *, ballast):
    for number in range(count):
        folder = dist_info(site, f"p{number}")
        for extra in range(ballast):
            put(folder, f"licenses/{extra}.txt", "x" * 1000)
            put(site, f"p{number}_data/{extra}/x.py")


@pytest.mark.parametrize("question", ["installed", "fingerprint"])
def test_one_look_at_each_folder_however_much_is_in_them(tmp_path, question):
    crowd(tmp_path / "few", 3, ballast=0)
    crowd(tmp_path / "many", 40, ballast=5)

    for folder in ("few", "many"):
        touched, _ = run_program(COUNT, tmp_path / folder, question)
        assert touched == [["os.scandir", str(tmp_path / folder)]]


def test_the_fingerprint_is_of_what_is_installed_not_of_what_is_in_it(tmp_path):
    crowd(tmp_path, 3, ballast=1)
    environment = Environment.directory(tmp_path, target=Interpreter.current())
    before = environment.fingerprint()

    Path(tmp_path, "p0_data/0/x.py").write_text("changed")
    Path(tmp_path, "p1-1.0.dist-info/licenses/0.txt").write_text("changed")
    same = environment.fingerprint()
    Path(tmp_path, "p2-1.0.dist-info/RECORD").unlink()

    assert same == before
    assert environment.fingerprint() != before
