"""Ends interrupted transactions: finishes those that had committed, undoes the others."""

from __future__ import annotations

import os
from contextlib import suppress

from puffin_api._installer.journal import (
    JOURNAL,
    MARK,
    OS_FILES,
    PARTS,
    PREFIX,
    is_there,
    needs_recovery,
    read_journal,
    undo_steps,
)
from puffin_api._installer.os_errors import typed_error
from puffin_api._model.plan import Recovered, RecoveryReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from puffin_api._installer.journal import Files

PART_SUFFIX = ".part"
"""Ends the name of a transaction's further folders; they are found through its first one."""


def find_interrupted(site_packages: Path | str) -> list[str]:
    """Return the folders of transactions that did not end, by one look at site-packages.

    Raises:
        PuffinError: The folder cannot be read; one that is missing has none.
    """
    try:
        names = os.listdir(site_packages)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise typed_error(error, doing="look for interrupted changes", place=str(site_packages)) from error
    return [os.path.join(site_packages, name) for name in sorted(names) if is_transaction(name)]


def is_transaction(name: str) -> bool:
    """Tell whether an entry of site-packages is the folder of a transaction."""
    return name.startswith(PREFIX) and not name.endswith(PART_SUFFIX)


def recover(roots: Iterable[Path | str], *, files: Files = OS_FILES) -> RecoveryReport | None:
    """End all interrupted transactions in these folders; None where there is none.

    The caller holds the lock of the environment: nobody else is in the middle of one.

    Raises:
        RollbackFailed: A transaction can neither be finished nor undone now.
    """
    done: list[Recovered] = []
    for root in dict.fromkeys(os.path.realpath(root) for root in roots):
        done += [recover_one(folder, files) for folder in find_interrupted(root)]
    return RecoveryReport(transactions=tuple(done)) if done else None


def recover_one(folder: str, files: Files = OS_FILES) -> Recovered:
    """End one interrupted transaction.

    Raises:
        RollbackFailed: It can neither be finished nor undone now.
    """
    transaction = os.path.basename(folder).removeprefix(PREFIX)
    try:
        if is_there(f"{folder}/{MARK}"):
            with suppress(OSError):  # such as a library that a program still runs; the next one tries again
                clean(folder, files)
            return Recovered(transaction, "finished")
        steps = read_journal(folder)
        if steps is None:
            clean(folder, files)
            return Recovered(transaction, "discarded")
        undo_steps(os.path.dirname(folder), steps, files)
        clean(folder, files)
    except OSError as error:
        raise needs_recovery(folder, error.strerror or str(error)) from error
    return Recovered(transaction, "rolled-back")


def clean(folder: str, files: Files) -> None:
    """Remove the folders of a transaction that has nothing left to do.

    Raises:
        OSError: Something could not be removed; it may be tried again.
    """
    parts = _parts(folder)
    # The journal goes first: half removed, the folders must not be taken for ones with renames to undo.
    # The mark goes last: what cannot be removed yet must not be taken for an interrupted change.
    _unlink(f"{folder}/{JOURNAL}", files)
    # The parts go before the list of them: without it nobody finds them any more.
    for part in parts:
        files.remove_tree(part)
    for name in _names(folder):
        files.remove_tree(f"{folder}/{name}")
    _unlink(f"{folder}/{MARK}", files)
    with suppress(FileNotFoundError):
        files.rmdir(folder)


def _unlink(path: str, files: Files) -> None:
    with suppress(FileNotFoundError):  # two rounds
        files.unlink(path)


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name != MARK]
    except FileNotFoundError:
        return []


def _parts(folder: str) -> list[str]:
    try:
        with open(f"{folder}/{PARTS}", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return []
    # Only names that a transaction gives: a damaged list must not remove anything else.
    base = os.path.dirname(folder)
    name = os.path.basename(folder) + PART_SUFFIX
    return [os.path.join(base, line) for line in lines if os.path.basename(line) == name]
