"""Makes the error of a failed build: which step, what the backend last said, and what may help."""

from __future__ import annotations

import contextlib

from puffin_api._builder.hints import hint_for
from puffin_api.errors import BuildFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from typing import Literal

    Phase = Literal[
        "read",
        "requires",
        "install-requires",
        "get-requires",
        "prepare-metadata",
        "build-wheel",
        "build-editable",
        "check",
    ]

_TITLES: Mapping[Phase, str] = {
    "read": "Reading what {} needs to be built",
    "requires": "Resolving what {} needs to be built",
    "install-requires": "Installing what {} needs to be built",
    "get-requires": "Asking the build backend of {} what it needs",
    "prepare-metadata": "Preparing the metadata of {}",
    "build-wheel": "Building the wheel of {}",
    "build-editable": "Building the editable wheel of {}",
    "check": "Checking what was built of {}",
}


def failed(
    package: str,
    phase: Phase,
    reason: str,
    *,
    hint: str = "",
    exit_code: int | None = None,
    log_tail: Sequence[str] = (),
    log_path: str | None = None,
) -> BuildFailed:
    """Return the error; where no hint is given, one is looked for in the output."""
    return BuildFailed(
        f"{_TITLES[phase].format(package)} failed: {reason}",
        hint=hint or hint_for(log_tail),
        package=package,
        phase=phase,
        exit_code=exit_code,
        log_tail=tuple(log_tail),
        log_path=log_path,
    )


@contextlib.contextmanager
def disk_trouble(package: str, phase: Phase) -> Generator[None]:
    """Turn what the system says of our own files, such as that the disk is full, into a failed build."""
    try:
        yield
    except OSError as error:
        raise failed(package, phase, str(error), hint=hint_for([str(error)])) from error


def ending(exit_code: int) -> str:
    """Put the way a child ended into words.

    >>> ending(-9)
    'was killed by signal 9 (SIGKILL), perhaps because memory ran out'
    """
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    import signal

    try:
        name = f" ({signal.Signals(-exit_code).name})"
    except ValueError:
        name = ""
    memory = ", perhaps because memory ran out" if exit_code == -9 else ""
    return f"was killed by signal {-exit_code}{name}{memory}"
