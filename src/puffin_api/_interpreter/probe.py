"""Asks an interpreter what it is: the running one directly, another by running one script in it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

from puffin_api._concurrency import Lock
from puffin_api._interpreter import probe_script
from puffin_api._interpreter.info import InterpreterInfo, from_answer
from puffin_api.errors import ProbeFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from puffin_api._model.cancel import CancelToken
    from puffin_api.protocols import Completed, Runner

_CACHE_SCHEMA = 1
_OUTPUT_TAIL = 4000
_collecting = Lock()
"""What sysconfig reads at its first use, it shows to other threads when it has half of it."""


def current_info() -> InterpreterInfo:
    """Return the facts of the running interpreter; starts no process.

    Raises:
        ProbeFailed: The process embeds Python and has no interpreter on disk.
    """
    if not sys.executable:
        raise _failed(
            "",
            "not-found",
            "The running process has no Python executable",
            hint="An embedding program must set sys.executable, or probe the Python it ships by its path.",
        )
    path = Path(sys.executable)
    with _collecting:
        answer = probe_script.collect(allow_subprocess=False)
    return from_answer(answer, path=path, real_path=Path(os.path.realpath(path)))


def probe(
    path: str | os.PathLike[str],
    *,
    runner: Runner | None = None,
    timeout: float | None = 10.0,
    cancel: CancelToken | None = None,
    scratch: Path | None = None,
) -> InterpreterInfo:
    """Start an interpreter and return its facts.

    Args:
        path: The executable; kept as it is given, links are not followed.
        runner: How to start it; None for a child process with next to no environment.
        timeout: Seconds to wait for the answer.
        cancel: Ends the wait.
        scratch: Folder for the script and its answer; None for the system's temporary folder.

    Raises:
        ProbeFailed: ``reason`` is ``not-found``, ``not-executable``, ``too-old``, ``timed-out``,
            ``crashed`` or ``garbage-output``.
        Cancelled: The token was cancelled.
    """
    import tempfile

    path = Path(path).absolute()
    _check_startable(path)
    with tempfile.TemporaryDirectory(prefix="puffin-probe-", dir=scratch) as folder:
        answer = Path(folder, "answer.json")
        command = [*_write_scripts(path, Path(folder)), str(answer)]
        completed = _run(path, command, Path(folder), runner=runner, timeout=timeout, cancel=cancel)
        facts = _read_answer(path, answer, completed)
    try:
        return from_answer(facts, path=path, real_path=Path(os.path.realpath(path)))
    except ValueError as error:
        raise _failed(
            path, "garbage-output", f"{path} gave an answer that makes no sense: {error}"
        ) from error


def _check_startable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        what = "is a link that leads nowhere" if path.is_symlink() else "does not exist"
        if isinstance(error, PermissionError):
            what = "is in a folder that cannot be read"
        raise _failed(path, "not-found", f"The interpreter {path} {what}") from error
    if not stat.S_ISREG(mode):
        hint = "Name its interpreter, such as bin/python in it." if stat.S_ISDIR(mode) else ""
        raise _failed(path, "not-executable", f"{path} is not a file", hint=hint)
    if not os.access(path, os.X_OK):
        raise _failed(path, "not-executable", f"{path} is a file that may not be executed")


def _write_scripts(path: Path, folder: Path) -> list[str]:
    """Put the scripts into the folder, which holds nothing else that could be imported."""
    gate, script = folder / "gate.py", folder / "probe.py"
    gate.write_text(probe_script.GATE, encoding="ascii")
    script.write_bytes(_script_source())
    # Like -I, which Python 2 does not know: no PYTHON* variables, no user site; and no bytecode is left.
    return [str(path), "-E", "-s", "-B", str(gate), str(script)]


def _script_source() -> bytes:
    """The probe script's own text, also from a zip file."""
    import pkgutil

    source = pkgutil.get_data("puffin_api._interpreter", "probe_script.py")
    assert source is not None, "the package has lost its probe script"
    return source


def _run(
    path: Path,
    command: list[str],
    folder: Path,
    *,
    runner: Runner | None,
    timeout: float | None,
    cancel: CancelToken | None,
) -> Completed:
    if runner is None:
        from puffin_api._interpreter.host import SubprocessRunner

        runner = SubprocessRunner()
    try:
        return runner.run(command, cwd=folder, env=None, timeout=timeout, cancel=cancel)
    except TimeoutError as error:
        text = f"{path} gave no answer within {timeout:g} seconds" if timeout else f"{path} gave no answer"
        raise _failed(path, "timed-out", text) from error
    except OSError as error:
        text = f"{path} could not be started: {error.strerror or error}"
        raise _failed(path, "not-executable", text) from error


def _read_answer(path: Path, answer: Path, completed: Completed) -> Mapping[str, object]:
    output = completed.stderr + completed.stdout
    try:
        facts: object = json.loads(answer.read_bytes())
    except FileNotFoundError:
        if completed.returncode == 0:
            text = f"{path} ran without giving an answer; it does not seem to be Python"
            raise _failed(path, "garbage-output", text, output=output) from None
        text = f"{path} failed with exit code {completed.returncode} when asked what it is"
        hint = "If it needs variables such as LD_LIBRARY_PATH, give a runner that sets them."
        raise _failed(path, "crashed", text, hint=hint, output=output) from None
    except ValueError as error:
        text = f"{path} gave an answer that is not JSON"
        raise _failed(path, "garbage-output", text, output=output) from error
    if not isinstance(facts, dict):
        raise _failed(path, "garbage-output", f"{path} gave an answer that is no object", output=output)
    if facts.get("error") == "too-old":
        text = f"{path} is Python {facts.get('version')}; 3.8 is the oldest that is supported"
        raise _failed(path, "too-old", text, hint="Choose a newer interpreter.")
    return facts


def _failed(
    path: Path | str, reason: str, message: str, *, hint: str = "", output: bytes = b""
) -> ProbeFailed:
    tail = output[-_OUTPUT_TAIL:].decode("utf-8", "replace")
    return ProbeFailed(message, hint=hint, path=str(path), reason=reason, output=tail)


def probe_cached(
    path: str | os.PathLike[str],
    *,
    load: Callable[[str], bytes | None],
    save: Callable[[str, bytes], None],
    runner: Runner | None = None,
    timeout: float | None = 10.0,
    cancel: CancelToken | None = None,
    scratch: Path | None = None,
) -> InterpreterInfo:
    """Return the facts of an interpreter, from an earlier probe where nothing has changed since.

    The entry holds a fingerprint of the executable (as given, and behind its links), of the virtual
    environment and of the host; it is used only while all of them are the same. Shims and failures are
    not stored.

    Args:
        path: The executable; kept as it is given.
        load: Gives the stored bytes for a key of 16 hex digits, None where there are none.
        save: Stores bytes under such a key.
        runner: See ``probe``.
        timeout: See ``probe``.
        cancel: See ``probe``.
        scratch: See ``probe``.

    Raises:
        ProbeFailed: See ``probe``.
    """
    path = Path(path).absolute()
    _check_startable(path)
    key = cache_key(path)
    fingerprint = _fingerprint(path)
    stored = load(key)
    known = _decode(stored, fingerprint) if stored is not None else None
    if known is not None and known.path == path:
        return known
    info = probe(path, runner=runner, timeout=timeout, cancel=cancel, scratch=scratch)
    if not info.is_shim and _fingerprint(path) == fingerprint:
        save(key, _encode(info, fingerprint))
    return info


def cache_key(path: Path) -> str:
    """The key of an interpreter's entry: 16 hex digits of its path as given."""
    return hashlib.sha256(os.fsencode(os.path.normcase(path))).hexdigest()[:16]


def _fingerprint(path: Path) -> list[object]:
    from puffin_api._interpreter.host import host_fingerprint

    real = os.path.realpath(path)
    config = os.path.join(os.path.dirname(os.path.dirname(path)), "pyvenv.cfg")
    return [_stat(path, follow=False), real, _stat(real), _stat(config), host_fingerprint()]


def _stat(path: str | Path, *, follow: bool = True) -> list[int]:
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError:
        return []  # absent is a state too
    return [status.st_mtime_ns, status.st_ino, status.st_size]


def _encode(info: InterpreterInfo, fingerprint: list[object]) -> bytes:
    entry = {"schema": _CACHE_SCHEMA, "fingerprint": fingerprint, "info": info.to_dict()}
    return json.dumps(entry, separators=(",", ":")).encode("ascii")


def _decode(data: bytes, fingerprint: list[object]) -> InterpreterInfo | None:
    """The stored facts; None when they are of another state, format, or damaged."""
    try:
        entry: object = json.loads(data)
        if not isinstance(entry, dict) or entry.get("schema") != _CACHE_SCHEMA:
            return None
        if entry.get("fingerprint") != fingerprint:
            return None
        info = InterpreterInfo.from_dict(entry["info"])
    except (ValueError, KeyError, AttributeError):
        return None
    return info if _is_managed_as_before(info) else None


def _is_managed_as_before(info: InterpreterInfo) -> bool:
    """Distributors may add or drop EXTERNALLY-MANAGED without touching the executable."""
    marker = os.path.join(info.stdlib, "EXTERNALLY-MANAGED")
    return info.is_virtual or os.path.isfile(marker) == (info.externally_managed is not None)
