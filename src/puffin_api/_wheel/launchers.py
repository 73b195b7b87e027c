"""Launchers of Windows: a program, a line that names the interpreter, and a zip archive with the script."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._model.target import Target

_ENDINGS = {"win32": "32.exe", "win_amd64": "64.exe", "win_arm64": "64-arm.exe"}
_MACHINES = {"x86": "win32", "i386": "win32", "i686": "win32", "amd64": "win_amd64", "arm64": "win_arm64"}
_NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The same script has to give the same bytes, or no two installations would agree on a digest."""


def windows_platform(target: Target) -> str:
    """Return the platform tag of a target that runs Windows, nothing for any other target.

    Builds with tags of their own, as those of MinGW, are told by the machine; a machine without a
    launcher gives ``win``.
    """
    if target.markers["os_name"] != "nt":
        return ""
    for tag in target.tag_strings:
        platform = tag.rpartition("-")[2]
        if platform in _ENDINGS:
            return platform
    return _MACHINES.get(target.markers["platform_machine"].lower(), "win")


@functools.lru_cache(maxsize=8)
def read_launcher(platform: str, *, gui: bool) -> bytes | None:
    """Return the program that starts a script, from the package that ships it.

    Args:
        platform: As `windows_platform` gives it.
        gui: For programs without a console.

    Returns:
        The program, or None where the package is not installed or has none for the platform.
    """
    from importlib.resources import files

    ending = _ENDINGS.get(platform)
    if ending is None:
        return None
    try:
        return files("distlib").joinpath(f"{'w' if gui else 't'}{ending}").read_bytes()
    except (ImportError, OSError):  # an extra: `pip install puffin-api[windows]`
        return None


def windows_program(launcher: bytes, first_line: bytes, script: bytes) -> bytes:
    """Return an ``.exe`` that runs a script: launcher, first line and a zip archive with the script.

    The launcher looks for the line behind its own end, and Python takes the whole file for the archive.
    """
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("__main__.py", _NO_TIME)
        entry.create_system = 0  # by default, it tells the system that runs here
        archive.writestr(entry, script)
    return launcher + first_line + packed.getvalue()
