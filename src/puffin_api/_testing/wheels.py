"""Makers of wheels and source distributions for tests: valid ones, and broken ones on purpose."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Content = str | bytes
    Files = Mapping[str, Content]
    _Member = tuple[str, bytes, int]
    """Path, content or target of the link, and the mode with its type."""

_WHEN = (2020, 1, 1, 0, 0, 0)
_WHEN_SECONDS = 1577836800


def make_wheel(
    name: str,
    version: str,
    *,
    files: Files | None = None,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str = "",
    entry_points: Mapping[str, Mapping[str, str]] | None = None,
    data: Files | None = None,
    executables: Sequence[str] = (),
    tags: str = "py3-none-any",
    build: str = "",
    root_is_purelib: bool = True,
    dist_info: str | None = None,
    metadata_headers: Mapping[str, str | None] | None = None,
    wheel_headers: Mapping[str, str | None] | None = None,
    record: Mapping[str, str | None] | None = None,
    dist_info_files: Mapping[str, Content | None] | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """Return the bytes of a wheel; equal arguments give equal bytes.

    Args:
        name: The project, as it stands in METADATA.
        version: The version, as it stands in METADATA and the file name.
        files: Content by path; None for a package with an empty ``__init__.py``.
        requires: What ``Requires-Dist`` says.
        extras: Requirements by extra; each is declared, and its requirements get the marker.
        requires_python: What ``Requires-Python`` says.
        entry_points: ``name`` to ``module:function`` by group, such as ``console_scripts``.
        data: Content of the ``.data`` folder by path, such as ``scripts/run``.
        executables: Paths in the archive that get the executable bit.
        tags: Python, ABI and platform tag, joined by dashes.
        build: The build tag.
        root_is_purelib: What WHEEL says.
        dist_info: Name of the ``.dist-info`` folder, where it should be another than the right one.
        metadata_headers: Headers of METADATA to replace or add, or with None to leave out.
        wheel_headers: The same for WHEEL.
        record: Rows of RECORD to replace or add by path, each as ``digest,size``; None to leave out.
        dist_info_files: Further files of the ``.dist-info`` folder; None to leave a standard one out.
        compression: The method of `zipfile`.
    """
    stem = f"{_escaped(name)}-{_escaped_version(version)}"
    folder = dist_info or f"{stem}.dist-info"
    contents: dict[str, bytes] = {}
    if files is None:
        files = {f"{_escaped(name).lower()}/__init__.py": ""}
    for path, content in files.items():
        contents[path] = _bytes(content)
    for path, content in (data or {}).items():
        contents[f"{stem}.data/{path}"] = _bytes(content)
    described: dict[str, Content | None] = {
        "METADATA": metadata_text(
            name,
            version,
            requires=requires,
            extras=extras,
            requires_python=requires_python,
            headers=metadata_headers,
        ),
        "WHEEL": _wheel_text(tags, build, wheel_headers, root_is_purelib=root_is_purelib),
        "entry_points.txt": _entry_points_text(entry_points) if entry_points else None,
    }
    for part, text in {**described, **(dist_info_files or {})}.items():
        if text is not None:
            contents[f"{folder}/{part}"] = _bytes(text)
    record_path = f"{folder}/RECORD"
    if record_path not in contents and "RECORD" not in (dist_info_files or {}):
        contents[record_path] = _record_text(contents, record_path, record or {}).encode()
    return zip_bytes(contents, executables=executables, compression=compression)


def wheel_filename(name: str, version: str, *, tags: str = "py3-none-any", build: str = "") -> str:
    """Return the file name of a wheel."""
    parts = [_escaped(name), _escaped_version(version), *([build] if build else []), tags]
    return "-".join(parts) + ".whl"


def write_wheel(
    folder: Path | str,
    name: str,
    version: str,
    *,
    tags: str = "py3-none-any",
    build: str = "",
    **options: object,
) -> Path:
    """Write a wheel under its right name into a folder; further options are those of `make_wheel`."""
    path = Path(folder) / wheel_filename(name, version, tags=tags, build=build)
    path.write_bytes(make_wheel(name, version, tags=tags, build=build, **options))  # type: ignore[arg-type]  # handed on as they are
    return path


def make_sdist(
    name: str,
    version: str,
    *,
    files: Files | None = None,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str = "",
    pyproject: str | None = None,
    metadata_headers: Mapping[str, str | None] | None = None,
    top: str | None = None,
    dynamic: Sequence[str] = (),
    backend: str | None = None,
    modes: Mapping[str, int] | None = None,
    links: Mapping[str, str] | None = None,
    kind: str = "tar.gz",
) -> bytes:
    """Return the bytes of a source distribution; equal arguments give equal bytes.

    Args:
        name: The project.
        version: The version.
        files: Content by path below the top folder; None for a package with an empty ``__init__.py``.
        requires: What ``Requires-Dist`` of PKG-INFO says.
        extras: Requirements by extra.
        requires_python: What ``Requires-Python`` says.
        pyproject: Text of ``pyproject.toml``; None for one without build requirements, "" for no file.
        metadata_headers: Headers of PKG-INFO to replace or add, or with None to leave out.
            ``{"Metadata-Version": "2.1"}`` makes one that promises nothing.
        top: Name of the top folder, empty for none.
        dynamic: The fields that PKG-INFO declares as dynamic.
        backend: Source of a build backend, put into the tree as ``_backend/backend.py``; a
            ``pyproject`` of None names it.
        modes: Permissions by path below the top folder; 0o644 for the others.
        links: Targets of symbolic links, as written, by path below the top folder.
        kind: ``tar.gz``, ``tar.bz2``, ``tar.xz``, ``tar`` or ``zip``.
    """
    contents: dict[str, Content] = {
        "PKG-INFO": metadata_text(
            name,
            version,
            requires=requires,
            extras=extras,
            requires_python=requires_python,
            headers=metadata_headers,
            dynamic=dynamic,
        ),
        "pyproject.toml": _pyproject_text(name, version, backend) if pyproject is None else pyproject,
        **({"_backend/backend.py": backend} if backend is not None else {}),
        **({f"{_escaped(name).lower()}/__init__.py": ""} if files is None else files),
    }
    if not contents["pyproject.toml"]:
        del contents["pyproject.toml"]
    folder = f"{_escaped(name).lower()}-{version}" if top is None else top
    prefix = f"{folder}/" if folder else ""
    members: list[_Member] = [
        (prefix + path, _bytes(content), stat.S_IFREG | (modes or {}).get(path, 0o644))
        for path, content in contents.items()
    ]
    members += [
        (prefix + path, target.encode(), stat.S_IFLNK | 0o777) for path, target in (links or {}).items()
    ]
    return _zip_members(members) if kind == "zip" else _COMPRESS[kind](_tar_members(members))


def _tar_members(members: Iterable[_Member]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content, mode in members:
            info = tarfile.TarInfo(path)
            info.mode = stat.S_IMODE(mode)
            info.mtime = _WHEN_SECONDS
            if stat.S_ISLNK(mode):
                info.type, info.linkname = tarfile.SYMTYPE, content.decode()
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def _zip_members(members: Iterable[_Member]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content, mode in members:
            info = zipfile.ZipInfo(path, _WHEN)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return packed.getvalue()


_COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "tar": lambda data: data,
    "tar.gz": lambda data: gzip.compress(data, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


def sdist_filename(name: str, version: str) -> str:
    """Return the file name of a source distribution."""
    return f"{_escaped(name).lower()}-{version}.tar.gz"


def metadata_text(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] | None = None,
    requires_python: str = "",
    headers: Mapping[str, str | None] | None = None,
    dynamic: Sequence[str] = (),
) -> str:
    """Return a METADATA file; arguments as for `make_wheel` and `make_sdist`."""
    fields: dict[str, str | None] = {"Metadata-Version": "2.3", "Name": name, "Version": version}
    if requires_python:
        fields["Requires-Python"] = requires_python
    lines = [*_header_lines(fields, headers), *(f"Dynamic: {field}" for field in dynamic)]
    lines += [f"Requires-Dist: {text}" for text in requires]
    for extra, texts in (extras or {}).items():
        lines.append(f"Provides-Extra: {extra}")
        for text in texts:
            requirement, _, marker = (part.strip() for part in text.partition(";"))
            joined = f"({marker}) and extra == '{extra}'" if marker else f"extra == '{extra}'"
            lines.append(f"Requires-Dist: {requirement} ; {joined}")
    return "\n".join(lines) + "\n\nMade for a test.\n"


def zip_bytes(
    contents: Files, *, executables: Sequence[str] = (), compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """Return a zip archive of these files, in this order; a path that ends in ``/`` is a directory."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in contents.items():
            info = zipfile.ZipInfo(path, _WHEN)
            info.compress_type = compression
            info.create_system = 3
            info.external_attr = (0o100755 if path in executables else 0o100644) << 16
            if path.endswith("/"):
                info.external_attr = 0o40755 << 16 | 0x10
            archive.writestr(info, _bytes(content))
    return packed.getvalue()


def record_digest(content: Content) -> str:
    """Return the digest of a file's content as RECORD has it."""
    digest = hashlib.sha256(_bytes(content)).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _escaped(name: str) -> str:
    return "_".join(part for part in name.replace("-", "_").replace(".", "_").split("_") if part)


def _escaped_version(version: str) -> str:
    return version.replace("-", "_")


def _header_lines(fields: Mapping[str, str | None], changes: Mapping[str, str | None] | None) -> list[str]:
    merged = {**fields, **(changes or {})}
    return [f"{key}: {value}" for key, value in merged.items() if value is not None]


def _wheel_text(
    tags: str, build: str, headers: Mapping[str, str | None] | None, *, root_is_purelib: bool
) -> str:
    fields: dict[str, str | None] = {
        "Wheel-Version": "1.0",
        "Generator": "puffin-api",
        "Root-Is-Purelib": "true" if root_is_purelib else "false",
    }
    if build:
        fields["Build"] = build
    pythons, abis, platforms = tags.split("-")
    lines = _header_lines(fields, headers)
    lines += [
        f"Tag: {python}-{abi}-{platform}"
        for python in pythons.split(".")
        for abi in abis.split(".")
        for platform in platforms.split(".")
    ]
    return "\n".join(lines) + "\n"


def _entry_points_text(groups: Mapping[str, Mapping[str, str]]) -> str:
    blocks = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in groups.items()
    )
    return "\n".join(blocks)


def _record_text(contents: Mapping[str, bytes], record_path: str, changes: Mapping[str, str | None]) -> str:
    rows: dict[str, str | None] = {
        path: f"{record_digest(content)},{len(content)}"
        for path, content in contents.items()
        if not path.endswith("/")
    }
    rows[record_path] = ","
    rows.update(changes)
    return "".join(f"{_quoted(path)},{row}\n" for path, row in rows.items() if row is not None)


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"' if any(c in path for c in ',"\r\n') else path


def _pyproject_text(name: str, version: str, backend: str | None) -> str:
    in_tree = 'build-backend = "backend"\nbackend-path = ["_backend"]\n' if backend is not None else ""
    return f'[build-system]\nrequires = []\n{in_tree}\n[project]\nname = "{name}"\nversion = "{version}"\n'
