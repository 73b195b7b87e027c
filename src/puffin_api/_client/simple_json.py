"""Project pages in JSON (PEP 691, 700, 714, 792)."""

from __future__ import annotations

import json
from datetime import datetime

from puffin_api._client.page_files import FileNames, is_offerable, strongest
from puffin_api._model.file import FileRow
from puffin_api._urls import join, redact, split_credentials
from puffin_api.errors import MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Parsed = tuple[Sequence[FileRow], dict[str, str], str]


def parse(body: bytes, url: str, project: str) -> Parsed:
    """Read a page: its files, those that were left out with the reason, and the project's status.

    One bad file is left out; it never hides the others.

    Args:
        body: The page.
        url: Where it came from at last; links are relative to it.
        project: The normalised name that was asked for; files of another are left out.

    Raises:
        MetadataInvalid: It is no such page, or of a version that we do not know.
    """
    page = _load(body, url, project)
    files = page.get("files", [])
    if not isinstance(files, list):
        raise _invalid(url, project, "'files' is no list")
    names = FileNames(project)
    rows: list[FileRow] = []
    skipped: dict[str, str] = {}
    for file in files:
        try:
            rows.append(_row(file, url, names))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            label = file.get("filename") if isinstance(file, dict) else None
            skipped[label if isinstance(label, str) else f"file {len(rows) + len(skipped)}"] = _why(error)
    return rows, skipped, _status(page)


def _load(body: bytes, url: str, project: str) -> dict[str, object]:
    try:
        page = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _invalid(url, project, f"not JSON: {error}") from error
    if not isinstance(page, dict):
        raise _invalid(url, project, "not a JSON object")
    meta = page.get("meta")
    version = str(meta.get("api-version", "1.0")) if isinstance(meta, dict) else "1.0"
    if version.partition(".")[0] != "1":
        raise _invalid(url, project, f"version {version} of the simple API is not known")
    return page


def _row(file: Mapping[str, object], page_url: str, names: FileNames) -> FileRow:
    filename, url = file["filename"], file["url"]
    if not isinstance(filename, str) or not isinstance(url, str):
        raise ValueError("its name or its address is no text")
    version = names.version(filename)
    hashes = file.get("hashes") or {}
    requires_python = file.get("requires-python") or ""
    size = file.get("size")
    if not isinstance(requires_python, str) or not isinstance(hashes, dict):
        raise ValueError("its requires-python or its hashes are of the wrong kind")
    return FileRow(
        project=names.project,
        version=version,
        filename=filename,
        url=_absolute(page_url, url),
        hashes=tuple([f"{name}:{_digest(digest)}" for name, digest in hashes.items()]),
        size=size if isinstance(size, int) and size >= 0 else None,
        upload_time=_time(file.get("upload-time")),
        requires_python=requires_python,
        yanked=_yanked(file.get("yanked")),
        metadata=_metadata(file),
    )


def _absolute(page_url: str, href: str) -> str:
    """Return the full address, without fragment and login."""
    url = join(page_url, href)
    if "#" in url:
        url = url.partition("#")[0]
    if "@" in url:
        url = split_credentials(url)[0]
    if not is_offerable(url, page_url):
        raise ValueError(f"its address {redact(url)} is none that we would fetch")
    return url


def _digest(digest: object) -> str:
    if not isinstance(digest, str):
        raise ValueError("one of its hashes is no text")
    return digest.lower()


def _time(text: object) -> float | None:
    if not isinstance(text, str):
        return None
    try:
        when = datetime.fromisoformat(text)
        # Naive times would be read in the zone of this machine.
        return when.timestamp() if when.tzinfo is not None else datetime.fromisoformat(text + "Z").timestamp()
    except (ValueError, OverflowError):
        return None


def _yanked(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return "" if value is True else None


def _metadata(file: Mapping[str, object]) -> str | bool | None:
    """What the page says of separate metadata; the name that PEP 714 introduced counts first."""
    for name in ("core-metadata", "data-dist-info-metadata", "dist-info-metadata"):
        value = file.get(name)
        if isinstance(value, bool):
            return value
        if isinstance(value, dict):
            return strongest({k: v for k, v in value.items() if isinstance(v, str)}) or True
    return None


def _status(page: Mapping[str, object]) -> str:
    status = page.get("project-status")
    if isinstance(status, dict):
        status = status.get("status")
    return status if isinstance(status, str) and status else "active"


def _why(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


def _invalid(url: str, project: str, reason: str) -> MetadataInvalid:
    source = redact(url)
    return MetadataInvalid(
        f"The page of {project} at {source} cannot be used: {reason}",
        name=project,
        source=source,
        reason=reason,
    )
