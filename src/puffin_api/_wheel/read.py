"""What a wheel says of itself: its .dist-info folder, METADATA, WHEEL, entry points and .data files."""

from __future__ import annotations

import re

from packaging.version import InvalidVersion, Version

from puffin_api._model.cached import EntryPoint
from puffin_api._model.filename import parse_wheel_name
from puffin_api._model.metadata import parse_metadata
from puffin_api._model.names import is_name, normalize
from puffin_api._wheel.rules import Limits, check_script_name, refused
from puffin_api._wheel.zip_directory import open_zip
from puffin_api.errors import MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from puffin_api._model.filename import WheelName
    from puffin_api._model.metadata import CoreMetadata
    from puffin_api._wheel.zip_directory import ZipFile

_DIST_INFO = ".dist-info"
_SCHEMES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_SCRIPT_GROUPS = {"console_scripts": False, "gui_scripts": True}
_HEADER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_ENTRY = re.compile(r"([^\s:\[\]]+)\s*:\s*([^\s:\[\]]+)\s*(?:\[.*\])?").fullmatch


def wheel_name(filename: str) -> WheelName:
    """Take the file name of a wheel apart.

    Raises:
        MetadataInvalid: It does not follow the specification, or has no valid version.
    """
    try:
        name = parse_wheel_name(filename)
        Version(name.version)
    except ValueError as error:
        raise MetadataInvalid(
            f"{filename!r} is no valid name for a wheel: {error}", name="", source=filename, reason=str(error)
        ) from error
    return name


def read_wheel_metadata(path: Path) -> CoreMetadata:
    """Read METADATA out of a wheel on disk without unpacking it.

    Raises:
        MetadataInvalid: There is none, or it contradicts the file name.
        UnsafeArchive: The archive is damaged or ambiguous.
    """
    name = wheel_name(path.name)
    with open_zip(path, path.name) as archive:
        dist_info = find_dist_info((entry.name for entry in archive.entries), name, path.name)
        return check_metadata(read_text_file(archive, f"{dist_info}/METADATA", name), name, path.name)


def read_text_file(
    archive: ZipFile, path: str, name: WheelName, *, limits: Limits | None = None, required: bool = True
) -> bytes:
    """Read one of the files that describe the wheel; nothing where it may be missing and is.

    Raises:
        MetadataInvalid: There is no such file.
        UnsafeArchive: It is too large to be what it says, damaged, or there are two.
    """
    found = [entry for entry in archive.entries if entry.name == path]
    if not found:
        if not required:
            return b""
        raise invalid(name, archive.archive, f"it has no file {path}")
    if len(found) > 1:
        raise refused(archive.archive, "duplicate-entry", path)
    if found[0].size > (limits or Limits()).max_metadata_bytes:
        raise refused(archive.archive, "too-large", path)
    return archive.read(found[0])


def find_dist_info(paths: Iterable[str], name: WheelName, filename: str) -> str:
    """Return the one ``.dist-info`` folder, which has to be that of the wheel.

    Raises:
        MetadataInvalid: There is none, more than one, or it names another project or version.
    """
    tops = {path.partition("/")[0] for path in paths if "/" in path}
    # Where case does not count, another spelling would be another one for readers of that system.
    found = sorted(top for top in tops if top.lower().endswith(_DIST_INFO))
    if len(found) != 1 or not found[0].endswith(_DIST_INFO):
        what = ", ".join(found) or "none"
        raise invalid(name, filename, f"there has to be one .dist-info folder, there is {what}")
    if not _is_of(found[0].removesuffix(_DIST_INFO), name):
        raise invalid(name, filename, f"its folder {found[0]} is that of another project or version")
    return found[0]


def find_data_folder(paths: Iterable[str], name: WheelName, filename: str) -> str:
    """Return the ``.data`` folder of the wheel, nothing where there is none.

    Raises:
        MetadataInvalid: There is more than one.
    """
    tops = {path.partition("/")[0] for path in paths if "/" in path}
    found = sorted(top for top in tops if top.endswith(".data") and _is_of(top.removesuffix(".data"), name))
    if len(found) > 1:
        raise invalid(name, filename, f"there are several .data folders: {', '.join(found)}")
    return found[0] if found else ""


def data_location(path: str, data_folder: str, name: WheelName, filename: str) -> tuple[str, str]:
    """Return scheme and path inside the scheme of a file in the ``.data`` folder.

    Raises:
        MetadataInvalid: It is in no scheme, or in one that does not exist.
        UnsafeArchive: It is a script that would replace the interpreter.
    """
    scheme, _, inner = path.removeprefix(f"{data_folder}/").partition("/")
    if scheme not in _SCHEMES or not inner:
        raise invalid(name, filename, f"its file {path} is in no scheme that is known")
    if scheme == "scripts" and "/" not in inner:
        check_script_name(inner, filename)
    return scheme, inner


def check_metadata(text: bytes, name: WheelName, filename: str) -> CoreMetadata:
    """Parse METADATA; name and version have to be those of the file name.

    Raises:
        MetadataInvalid: They are not, or there are none.
    """
    core = parse_metadata(text, source=filename)
    if normalize(core.name) != name.name:
        raise invalid(name, filename, f"its metadata is that of a project {core.name}")
    if not _same_version(core.version, name.version):
        raise invalid(name, filename, f"its metadata is that of version {core.version}")
    return core


def parse_wheel_file(text: bytes, name: WheelName, filename: str) -> bool:
    """Parse WHEEL; whether the wheel's root belongs into purelib.

    Raises:
        MetadataInvalid: The format of the wheel is missing or of a major version we do not know.
    """
    fields = {key.lower(): value for key, value in _HEADER.findall(_decode(text))}
    version = fields.get("wheel-version", "")
    if version.partition(".")[0] != "1":
        raise invalid(name, filename, f"it has version {version or '(none)'} of the wheel format, we know 1")
    return str(fields.get("root-is-purelib", "")).lower() == "true"


def parse_entry_points(text: bytes, name: WheelName, filename: str) -> tuple[EntryPoint, ...]:
    """Parse the scripts of entry_points.txt, names as written; of two with one name the last counts.

    Raises:
        MetadataInvalid: A script has no module or no function. Whether Python can import them shows when
            the script is made.
        UnsafeArchive: The name of a script leads out of the scripts folder.
    """
    scripts: dict[tuple[bool, str], EntryPoint] = {}
    gui: bool | None = None
    for raw in _decode(text).split("\n"):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            gui = _SCRIPT_GROUPS.get(line[1:-1].strip())
        elif gui is not None:
            script = _entry_point(line, name, filename, gui=gui)
            scripts[gui, script.name] = script
    return tuple(scripts.values())


def invalid(name: WheelName, filename: str, reason: str) -> MetadataInvalid:
    """Make the error for a wheel that does not follow its specification."""
    return MetadataInvalid(
        f"{filename} is not a valid wheel: {reason}", name=name.name, source=filename, reason=reason
    )


def _entry_point(line: str, name: WheelName, filename: str, *, gui: bool) -> EntryPoint:
    script, _, value = line.partition("=")
    match = _ENTRY(value.strip())
    if match is None:
        raise invalid(name, filename, f"its entry point {line!r} is not 'name = module:function'")
    script = script.strip()
    check_script_name(script, filename)
    return EntryPoint(script, match[1], match[2], gui)


def _is_of(stem: str, name: WheelName) -> bool:
    """Tell whether the first part of a folder's name is that of the wheel, however it is escaped."""
    # Old tools leave dashes as they are, so any of them may be the one between name and version.
    dashes = [at for at, character in enumerate(stem) if character == "-"]
    return any(
        is_name(stem[:at])
        and normalize(stem[:at]) == name.name
        and _same_version(stem[at + 1 :], name.version)
        for at in dashes
    )


def _same_version(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return Version(one.replace("_", "-")) == Version(other)
    except InvalidVersion:
        return False


def _decode(text: bytes) -> str:
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        decoded = text.decode("latin-1")
    return decoded.replace("\r\n", "\n").replace("\r", "\n")
