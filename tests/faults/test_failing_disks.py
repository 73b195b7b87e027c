"""Disks that fail: one operation, or all from some moment on, with every error that disks have."""

from __future__ import annotations

import pytest

from tests.faults.conftest import EVERYTHING
from tests.faults.test_killed_processes import SCENARIOS

pytestmark = pytest.mark.faults


# Where an error of the system is not handled yet: the function that does the operation, and what goes wrong.
@pytest.mark.parametrize("scenario", SCENARIOS if EVERYTHING else ("sync", "upgrade"))
def test_a_failing_operation_is_done_without_or_undone_and_told_as_what_it_is(campaign, scenario):
    options = {"offset": SCENARIOS.index(scenario) * 7, "turns": scenario != "sync" or not EVERYTHING}

    report = campaign("fail-commit", scenario, sample=61, **options)

    assert {"failed DiskFull untouched", "failed NotWritable untouched"} & report["outcomes"].keys()


@pytest.mark.parametrize(
    ("scenario", "function", "sample"),
    [
        ("sync", "placing._merge", 1),
        ("sync", "placing._exists", 1),
        ("sync", "locks._release", 1),
        ("sync", "site_packages.look", 1),
        ("undo", "site_packages.look", 3),
        ("undo", "undo.read", 9),
    ],
)
def test_a_failing_operation_of_these_functions_is_too(campaign, scenario, function, sample):
    campaign("fail-commit", scenario, sample=sample, errors=["EACCES"], only=function)


@pytest.mark.parametrize("broken", ["full", "over-quota", "read-only", "gone"])
@pytest.mark.parametrize("scenario", ("sync", "upgrade", "uninstall") if EVERYTHING else ("sync",))
def test_a_disk_that_breaks_for_good_is_recovered_from_once_it_is_mended(campaign, scenario, broken):
    full = 1 if scenario == "sync" else 4
    report = campaign("break-disk", scenario, sample=67, full=full, offset=50, broken=broken)

    needs_recovery = any("needs-recovery" in outcome for outcome in report["outcomes"])
    assert needs_recovery == (broken != "full")
