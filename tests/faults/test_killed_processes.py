"""Processes that die by SIGKILL at one file system operation after the other, and what is left behind."""

from __future__ import annotations

import pytest

from tests.faults.conftest import EVERYTHING

pytestmark = pytest.mark.faults

SCENARIOS = (
    "install",
    "upgrade",
    "downgrade",
    "uninstall",
    "sync",
    "sync-over-two-volumes",
    "sync-in-an-image",
    "undo",
    "uninstall-many-files",
)
OPERATIONS = {
    "mkdir",
    "replace",
    "link",
    "symlink",
    "ioctl",
    "open-write",
    "write",
    "ftruncate",
    "utime",
    "unlink",
    "rmdir",
}
"""Every kind of operation that changes a disk and that the installer uses."""


def test_all_kinds_of_operations_occur(laboratory):
    kinds = {kind for scenario in SCENARIOS for kind in laboratory.run("list", scenario)["kinds"]}

    assert kinds == OPERATIONS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_process_killed_at_any_operation_leaves_the_old_environment_or_the_new_one(campaign, scenario):
    sample = 31 if scenario == "sync" else 1000

    report = campaign("kill-commit", scenario, sample=sample, offset=SCENARIOS.index(scenario) * 5)

    found = {outcome.partition(",")[0] for outcome in report["outcomes"]}
    assert found == {"old", "new"}
    if EVERYTHING:
        assert report["cases"] == 2 * report["operations"]  # recovered by call, and by the next change


@pytest.mark.parametrize("scenario", SCENARIOS if EVERYTHING else ("sync",))
def test_a_process_killed_in_the_middle_of_writing_a_file_leaves_the_old_environment(campaign, scenario):
    report = campaign("kill-commit", scenario, sample=60, torn=True)

    assert {outcome.partition(",")[0] for outcome in report["outcomes"]} == {"old"}


@pytest.mark.parametrize(
    "scenario",
    ("sync", "sync-over-two-volumes", "sync-in-an-image", "uninstall", "undo")
    if EVERYTHING
    else ("sync-over-two-volumes",),
)
def test_recovering_may_be_killed_at_any_operation_and_so_may_recovering_from_that(campaign, scenario):
    again = 9 if EVERYTHING else 37

    report = campaign("kill-recovery", scenario, sample=1000, full=4, offset=90, again=again, deep=4)

    assert {"level 1", "level 2"} <= report["outcomes"].keys()
    assert {"replace", "unlink", "rmdir"} <= report["kinds"].keys()
