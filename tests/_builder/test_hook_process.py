"""Files of a call that a backend has replaced: none of them may hold this process up."""

from __future__ import annotations

import os

import pytest

from puffin_api.errors import BuildFailed

HOOK = """
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    folder = sys.argv[2]
    write_wheel(wheel_directory)
    {}
"""


def failure(workshop, *lines):
    with pytest.raises(BuildFailed) as caught:
        workshop.wheel(workshop.tree(HOOK.format("\n    ".join(lines))))
    return caught.value


def test_a_pipe_in_place_of_the_result(workshop):
    error = failure(workshop, "os.mkfifo(os.path.join(folder, 'output.json'))", "os._exit(0)")

    assert "is no regular file" in str(error)


def test_a_folder_in_place_of_the_result(workshop):
    error = failure(workshop, "os.mkdir(os.path.join(folder, 'output.json'))", "os._exit(0)")

    assert "the result of the build backend is no JSON" in str(error)


@pytest.mark.parametrize("make", ["os.mkfifo", "os.mkdir"])
def test_something_in_place_of_the_status(workshop, make):
    """The script cannot write it; its own exit code is taken."""
    error = failure(workshop, f"{make}(os.path.join(folder, 'status'))", "os._exit(3)")

    assert error.exit_code == 3


def test_the_result_of_an_earlier_hook_is_not_taken_for_a_later_one(workshop):
    """Each call has a folder of its own."""
    tree = workshop.tree(
        "def get_requires_for_build_wheel(config_settings=None): return []\n" + HOOK.format("os._exit(0)")
    )

    with pytest.raises(BuildFailed, match="ended without a result"):
        workshop.wheel(tree)


def test_a_log_that_was_removed_leaves_an_error_without_output(workshop):
    error = failure(workshop, "print('lost')", "os.unlink(os.readlink('/proc/self/fd/1'))", "raise OSError")

    assert error.exit_code == 1
    assert error.log_tail == ()
    assert os.listdir(workshop.logs) == []
