"""Makes virtual environments: the layout of PEP 405, without running the interpreter."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

import attrs

from puffin_api._interpreter.activation import activation_scripts
from puffin_api.errors import EnvironmentProblem, NotWritable, ProbeFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Literal

    from puffin_api._interpreter.info import InterpreterInfo
    from puffin_api._model.cancel import CancelToken
    from puffin_api.protocols import Runner

_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def create_venv(
    path: str | os.PathLike[str],
    info: InterpreterInfo,
    *,
    exists: Literal["error", "reuse", "replace"] = "error",
    system_site_packages: bool = False,
    prompt: str | None = None,
    library_version: str = "",
    runner: Runner | None = None,
    timeout: float | None = 10.0,
    cancel: CancelToken | None = None,
) -> Path:
    """Make a virtual environment, whole or not at all, and return its prefix.

    It belongs to the base of the interpreter, also when that is in a virtual environment itself. It is
    built beside its place and renamed into it. No process is started, except for ``reuse``.

    Args:
        path: Where; folders above are made as needed.
        info: The interpreter.
        exists: What to do where something other than an empty folder is there. ``reuse`` takes a
            virtual environment whose python works and has the same implementation and minor version;
            ``replace`` removes a virtual environment, and nothing else.
        system_site_packages: Whether packages of the base can be imported.
        prompt: What activation shows; None for the name of the folder.
        library_version: Our own version, for ``pyvenv.cfg``.
        runner: How ``reuse`` starts the python that is there.
        timeout: Seconds to wait for it.
        cancel: Ends that wait.

    Raises:
        EnvironmentProblem: Something is in the way.
        NotWritable: The folder cannot be written.
    """
    prefix = Path(path).absolute()
    _check_name(prefix)
    occupied = _is_occupied(prefix)
    if occupied and exists == "reuse":
        _check_reusable(prefix, info, runner=runner, timeout=timeout, cancel=cancel)
        return prefix
    if occupied:
        _check_replaceable(prefix, exists)
    plan = _Plan(prefix, info, prompt, system_site_packages, library_version)
    with _as_our_errors(prefix):
        _build_beside(plan, replace=occupied)
    return prefix


def _check_name(prefix: Path) -> None:
    text = str(prefix)
    if any(character in text for character in "\n\r\0"):
        raise EnvironmentProblem(
            f"{text!r} cannot be the path of a virtual environment: it has a line break or NUL", path=text
        )
    if os.pathsep in text and os.name != "nt":
        raise EnvironmentProblem(
            f"{text!r} cannot be the path of a virtual environment: activating it would break PATH",
            hint=f"Choose a path without {os.pathsep!r}.",
            path=text,
        )


def _is_occupied(prefix: Path) -> bool:
    """True where something is there that a rename would not simply take the place of."""
    try:
        with os.scandir(prefix) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return os.path.islink(prefix)
    except NotADirectoryError:
        return True
    except PermissionError as error:
        raise NotWritable(f"{prefix} cannot be read: {error.strerror}", path=str(prefix)) from error


def _is_venv(prefix: Path) -> bool:
    return (prefix / "pyvenv.cfg").is_file()


def _check_replaceable(prefix: Path, exists: str) -> None:
    if not _is_venv(prefix):
        what = "is a folder with other files" if prefix.is_dir() else "is no folder"
        raise EnvironmentProblem(
            f"{prefix} {what}, not a virtual environment",
            hint="Choose another path, or remove what is there.",
            path=str(prefix),
        )
    if exists == "error":
        raise EnvironmentProblem(
            f"A virtual environment exists at {prefix}",
            hint='Use exists="reuse" to keep it or exists="replace" to make it anew.',
            path=str(prefix),
        )


def _check_reusable(
    prefix: Path,
    info: InterpreterInfo,
    *,
    runner: Runner | None,
    timeout: float | None,
    cancel: CancelToken | None,
) -> None:
    from puffin_api._interpreter.discover import python_in
    from puffin_api._interpreter.probe import probe

    if not _is_venv(prefix):
        _check_replaceable(prefix, "reuse")
    hint = 'Use exists="replace" to make it anew.'
    python = python_in(prefix)
    if python is None:
        raise EnvironmentProblem(
            f"The virtual environment {prefix} has no python", hint=hint, path=str(prefix)
        )
    try:
        found = probe(python, runner=runner, timeout=timeout, cancel=cancel)
    except ProbeFailed as error:
        raise EnvironmentProblem(
            f"The python of the virtual environment {prefix} does not work: {error}",
            hint=hint,
            path=str(prefix),
        ) from error
    if _kind(found) != _kind(info):
        raise EnvironmentProblem(
            f"The virtual environment {prefix} has {_title(found)}, not {_title(info)}",
            hint=hint,
            path=str(prefix),
        )


def _kind(info: InterpreterInfo) -> tuple[str, tuple[int, ...], bool]:
    return info.implementation, info.version_info[:2], info.free_threaded


def _title(info: InterpreterInfo) -> str:
    threads = " (free-threaded)" if info.free_threaded else ""
    return f"{info.markers['platform_python_implementation']} {info.version}{threads}"


@contextlib.contextmanager
def _as_our_errors(prefix: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _REFUSED:
            raise NotWritable(
                f"No virtual environment can be written at {prefix}: {error.strerror} ({error.filename})",
                path=str(prefix),
            ) from error
        if error.errno in _NOT_EMPTY:
            raise EnvironmentProblem(
                f"Something is in the way at {prefix}: {error}", path=str(prefix)
            ) from error
        raise EnvironmentProblem(
            f"The virtual environment at {prefix} could not be made: {error}", path=str(prefix)
        ) from error


@attrs.frozen
class _Plan:
    """What goes into a new environment."""

    prefix: Path
    info: InterpreterInfo
    prompt: str | None
    system_site_packages: bool
    library_version: str


def _build_beside(plan: _Plan, *, replace: bool) -> None:
    """Make the environment in a sibling folder, so that a rename on the same volume publishes it."""
    # A link to a folder stays; what it leads to is changed.
    place = Path(os.path.realpath(plan.prefix))
    os.makedirs(place.parent, exist_ok=True)
    beside = place.with_name(f".{place.name[:40]}-{os.urandom(6).hex()}")
    new, old = Path(f"{beside}.new"), Path(f"{beside}.old")
    try:
        _fill(new, plan)
        if replace:
            _swap_in(new, place, old)
        else:
            _move_in(new, place)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _swap_in(new: Path, place: Path, old: Path) -> None:
    os.rename(place, old)
    try:
        os.rename(new, place)
    except BaseException:
        os.rename(old, place)
        raise


def _move_in(new: Path, place: Path) -> None:
    if os.name == "nt" and place.is_dir():
        place.rmdir()  # Windows renames onto nothing, not even an empty folder
    os.rename(new, place)


def _fill(root: Path, plan: _Plan) -> None:
    info = plan.info
    os.mkdir(root)
    scheme = info.venv_scheme
    scripts = root / scheme.scripts
    os.makedirs(scripts)
    os.mkdir(root / ("Include" if info.is_windows else "include"))
    if _has_lib64(info):
        os.makedirs(root / "lib")
        os.symlink("lib", root / "lib64")
    for library in {scheme.purelib, scheme.platlib}:
        os.makedirs(root / library, exist_ok=True)
    base = base_executable(info)
    if info.is_windows:
        _copy_windows_executables(scripts, info, base)
    else:
        _link_executables(scripts, info, base)
    _write(root / ".gitignore", "*\n")
    _write(root / "pyvenv.cfg", _configuration(plan, base))
    for name, text in activation_scripts(plan.prefix, info, prompt=plan.prompt).items():
        encoding = "utf-8-sig" if name.endswith(".ps1") else "utf-8"  # old PowerShell needs the mark
        _write(scripts / name, text, encoding=encoding)


def _write(path: Path, text: str, *, encoding: str = "utf-8") -> None:
    # Paths that are no text on this system keep their bytes.
    with open(path, "w", encoding=encoding, errors="surrogateescape", newline="") as stream:
        stream.write(text)


def _has_lib64(info: InterpreterInfo) -> bool:
    """Where the standard venv makes the link: 64-bit POSIX, but macOS."""
    markers = info.markers
    return markers["os_name"] == "posix" and markers["sys_platform"] != "darwin" and info.pointer_size == 8


def base_executable(info: InterpreterInfo) -> Path:
    """The executable that environments of this interpreter lead to.

    In the base prefix and with the version in its name where there is one: a link elsewhere may not find
    its standard library, and ``python3`` may be another version tomorrow.
    """
    given = Path(info.base_executable or info.executable)
    real = os.path.realpath(given)
    folder = info.base_prefix if info.is_windows else info.base_prefix / "bin"
    for name in (*_versioned_names(info), given.name):
        candidate = folder / name
        if os.path.realpath(candidate) == real and candidate.is_file():
            return candidate
    return given


def _versioned_names(info: InterpreterInfo) -> tuple[str, ...]:
    """``python3.12``, and for other implementations their own names first."""
    if info.is_windows:
        return ()
    major, minor = info.version_info[:2]
    flags = ("t" if info.free_threaded else "") + ("d" if info.is_debug else "")
    names = [f"python{major}.{minor}{flags}", f"python{major}.{minor}"]
    if info.implementation != "cpython":
        names.insert(0, f"{info.implementation}{major}.{minor}")
    return tuple(dict.fromkeys(names))


def _link_executables(scripts: Path, info: InterpreterInfo, base: Path) -> None:
    """``python`` leads to the base; the longer names lead to it."""
    os.symlink(base, scripts / "python")
    major, minor = info.version_info[:2]
    names = {f"python{major}", f"python{major}.{minor}"}
    if info.free_threaded:
        names.add(f"python{major}.{minor}t")
    if info.implementation in {"pypy", "graalpy"}:
        own = info.implementation
        names |= {own, f"{own}{major}", f"{own}{major}.{minor}"}
    for name in names:
        os.symlink("python", scripts / name)


def _copy_windows_executables(scripts: Path, info: InterpreterInfo, base: Path) -> None:
    """Launchers from the standard library, which start the base; else the base itself with its DLLs."""
    folder = info.stdlib / "venv" / "scripts" / "nt"
    threads = "t" if info.free_threaded else ""
    debug = "_d" if info.is_debug else ""
    copied = False
    for name, launcher in (("python", "venvlauncher"), ("pythonw", "venvwlauncher")):
        # 3.13 and newer; older ones have the launchers under the names they will get.
        for source in (folder / f"{launcher}{threads}{debug}.exe", folder / f"{name}{debug}.exe"):
            if source.is_file():
                shutil.copyfile(source, scripts / f"{name}.exe")
                copied = True
                break
    if not copied:
        _copy_windows_base(scripts, base)


def _copy_windows_base(scripts: Path, base: Path) -> None:
    shutil.copyfile(base, scripts / "python.exe")
    wanted = ("python", "pythonw", "vcruntime", "libpypy", "libffi")
    for entry in sorted(os.listdir(base.parent)):
        lowered = entry.lower()
        is_library = lowered.endswith(".dll") and lowered.startswith(wanted)
        if is_library or lowered in {"pythonw.exe", "pypy.exe", "pypyw.exe"}:
            shutil.copyfile(base.parent / entry, scripts / entry)


def _configuration(plan: _Plan, base: Path) -> str:
    info = plan.info
    lines = {
        "home": str(base.parent),
        "implementation": info.markers["platform_python_implementation"],
        "version_info": ".".join(map(str, info.version_info)),
        "include-system-site-packages": "true" if plan.system_site_packages else "false",
        "base-prefix": str(info.base_prefix),
        "base-exec-prefix": str(info.base_exec_prefix),
        "base-executable": str(base),
        "puffin-api": plan.library_version,
    }
    if plan.prompt is not None:
        lines["prompt"] = " ".join(plan.prompt.split())
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def info_of_venv(prefix: Path, info: InterpreterInfo) -> InterpreterInfo:
    """Return what the python of a fresh environment would say of itself; starts no process.

    Args:
        prefix: The environment, just made.
        info: The interpreter it was made from.
    """
    scheme = info.venv_scheme.under(prefix)
    python = Path(scheme.scripts, "python.exe" if info.is_windows else "python")
    inherited = [place for place in info.sys_path if not place.startswith(str(info.prefix))]
    return attrs.evolve(
        info,
        path=python,
        real_path=Path(os.path.realpath(python)),
        executable=str(python),
        prefix=prefix,
        exec_prefix=prefix,
        sys_path=tuple(dict.fromkeys((*inherited, scheme.purelib, scheme.platlib))),
        scheme=scheme,
        externally_managed=None,
    )
