"""Project pages in JSON (PEP 691, 700, 714, 792)."""

from __future__ import annotations

import json

from puffin_api._client.page_files import UNFIT, FileNames, is_offerable, rows_of, strongest, why
from puffin_api._urls import join, redact, split_credentials
from puffin_api.errors import MetadataInvalid

_VALUE = json.JSONDecoder().raw_decode
_NAME = b'"filename"'
# What follows it, and what divides files, as pages are usually written.
_STYLES = ((b': "', b"}, {"), (b':"', b"},{"))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from puffin_api._cache.page_rows import PackedRow
    from puffin_api._model.file import FileRow

    RawFile = Mapping[str, object] | tuple[str, bytes]
    """A file as the page has it: a JSON object, or its name and the text of one without its braces."""
    Packed = tuple[list[tuple[str, PackedRow]], dict[str, str], str]


def parse(body: bytes, url: str, project: str) -> tuple[Sequence[FileRow], dict[str, str], str]:
    """Read a page: its files, those that were left out with the reason, and the project's status.

    Arguments and errors are those of `pack`.
    """
    packed, skipped, status = pack(body, url, project)
    return rows_of(packed, project), skipped, status


class JsonPage:
    """A page read as far as versions go; of most files nothing else will be looked at."""

    __slots__ = ("_raw", "positions", "skipped", "status", "versions")

    def __init__(self, raw: CutFiles | Sequence[RawFile], status: str) -> None:
        self._raw = raw
        self.status = status
        self.versions: list[str] = []
        """As written, of each file that has one."""
        self.positions: list[int] = []
        """Where the page has these files."""
        self.skipped: dict[str, str] = {}
        """Files that were left out, with the reason."""

    def files(self) -> Iterator[tuple[str, int]]:
        """Give version and position of each file."""
        return zip(self.versions, self.positions, strict=True)

    def name(self, position: int) -> str:
        """Return the name of a file."""
        return filename_of(self._raw[position])

    def pack(self, position: int, page_url: str) -> PackedRow:
        """Check one file and pack it; raises one of `UNFIT`."""
        return pack_file(self._raw[position], page_url)


class CutFiles:
    """The files of a page whose names were found: each is cut out of the page when it is looked at."""

    __slots__ = ("_body", "_end", "_separator", "_starts", "names")

    def __init__(self, names: list[str], starts: list[int], body: bytes, end: int, separator: bytes) -> None:
        self.names = names
        self._starts = starts
        """Where the names begin; the first number is where the first file does."""
        self._body = body
        self._end = end
        self._separator = separator

    def __getitem__(self, position: int) -> tuple[str, bytes]:
        body, starts, separator = self._body, self._starts, self._separator
        before, name = starts[position], starts[position + 1]
        after = starts[position + 2] if position + 2 < len(starts) else self._end
        if position:
            before = body.find(separator, before, name) + len(separator)
        if position < len(self.names) - 1:
            after = body.find(separator, name, after)
        return self.names[position], body[before:after]

    def __len__(self) -> int:
        return len(self.names)


def pack(body: bytes, url: str, project: str) -> Packed:
    """Read a page into version and packed row of each file, what was left out and why, and the status.

    One bad file is left out; it never hides the others. Arguments and errors are those of `read`.
    """
    page = read(body, url, project)
    packed: list[tuple[str, PackedRow]] = []
    for version, position in page.files():
        try:
            packed.append((version, page.pack(position, url)))
        except UNFIT as error:
            page.skipped[page.name(position)] = why(error)
    return packed, page.skipped, page.status


def read(body: bytes, url: str, project: str) -> JsonPage:
    """Read a page as far as versions go.

    Args:
        body: The page.
        url: Where it came from at last; links are relative to it.
        project: The normalised name that was asked for; files of another are left out.

    Raises:
        MetadataInvalid: It is no such page, or of a version that we do not know.
    """
    raw, fields = _cut(body) or _parsed(body, url, project)
    _check_version(fields, url, project)
    page = JsonPage(raw, _status(fields))
    names = FileNames(project)
    if isinstance(raw, CutFiles):
        page.versions, page.positions = names.versions(raw.names, page.skipped)
        return page
    for position, file in enumerate(raw):
        try:
            page.versions.append(names.version(filename_of(file)))
        except UNFIT as error:
            page.skipped[_label(file) or f"file {position}"] = why(error)
        else:
            page.positions.append(position)
    return page


def filename_of(file: RawFile) -> str:
    """Return the name of a file that nobody has looked at yet; it may be of any kind where that is wrong.

    Raises:
        KeyError: It has none.
        TypeError: The file is no object.
    """
    if isinstance(file, tuple):
        return file[0]
    name: str = file["filename"]  # type: ignore[assignment]  # FileNames finds out
    return name


def _label(file: object) -> str:
    name = file.get("filename") if isinstance(file, dict) else None
    return name if isinstance(name, str) else ""


def _cut(body: bytes) -> tuple[CutFiles, dict[str, object]] | None:
    """Find the files of a page without parsing them.

    Works for pages as they usually are, and returns None for all others: names and what divides files must be
    written in one style, and what is left of the page without its files must be a page. That what is cut out
    for a name is a file of that name is checked when it is looked at.
    """
    begin, end = body.find(b"[{", body.find(b'"files"')), body.rfind(b"}]")
    if not 0 < begin < end:
        return None
    try:
        page = json.loads(body[: begin + 1] + body[end + 1 :])
    except ValueError:
        return None
    if not isinstance(page, dict) or page.get("files") != []:
        return None
    first = body.find(_NAME, begin, end) + len(_NAME)
    colon, separator = _STYLES[not body.startswith(_STYLES[0][0], first)]
    found = _find_names(body, begin + 2, end, colon)
    if found is None or body.count(separator, begin, end) != len(found[0]) - 1:
        return None
    names = b"\n".join(found[0])
    if b"\\" in names or names.count(b"\n") != len(found[0]) - 1:
        return None  # names that would have to be parsed
    return CutFiles(names.decode("utf-8", "replace").split("\n"), found[1], body, end, separator), page


def _find_names(body: bytes, begin: int, end: int, colon: bytes) -> tuple[list[bytes], list[int]] | None:
    """Return all names, and where they begin; None where one is written in another style."""
    find, skip = body.find, len(_NAME) + len(colon)
    names: list[bytes] = []
    starts = [begin]
    place = find(_NAME, begin, end)
    while place >= 0:
        start = place + skip
        stop = find(b'"', start, end)
        if stop < 0 or not body.startswith(colon, place + len(_NAME)):
            return None
        names.append(body[start:stop])
        starts.append(start)
        place = find(_NAME, stop, end)
    return names, starts


def _parsed(body: bytes, url: str, project: str) -> tuple[list[RawFile], dict[str, object]]:
    page = _load(body, url, project)
    files = page.get("files", [])
    if not isinstance(files, list):
        raise _invalid(url, project, "'files' is no list")
    return files, page


def _load(body: bytes, url: str, project: str) -> dict[str, object]:
    try:
        page = json.loads(body, object_hook=_breathe)
    except (ValueError, RecursionError) as error:
        raise _invalid(url, project, f"not JSON: {error}") from error
    if not isinstance(page, dict):
        raise _invalid(url, project, "not a JSON object")
    return page


def _breathe(value: dict[str, object]) -> dict[str, object]:
    """Let other threads have a turn after each object: else a large page holds all of them up to its end."""
    return value


def _check_version(page: Mapping[str, object], url: str, project: str) -> None:
    meta = page.get("meta")
    version = str(meta.get("api-version", "1.0")) if isinstance(meta, dict) else "1.0"
    if version.partition(".")[0] != "1":
        raise _invalid(url, project, f"version {version} of the simple API is not known")


def pack_file(file: RawFile, page_url: str) -> PackedRow:
    """Check one file and pack it. There are millions of them, so the usual case comes first."""
    if isinstance(file, tuple):
        file = _parsed_piece(*file)
    get = file.get
    filename, url = file["filename"], file["url"]
    if not isinstance(filename, str) or not isinstance(url, str):
        raise ValueError("its name or its address is no text")
    if not url.startswith("https://") or "#" in url or "@" in url:
        url = _absolute(page_url, url)
    requires_python, hashes, size = get("requires-python"), get("hashes"), get("size")
    if requires_python is None:
        requires_python = ""
    if not isinstance(requires_python, str) or not isinstance(hashes, dict | None):
        raise ValueError("its requires-python or its hashes are of the wrong kind")
    yanked, upload_time = get("yanked"), get("upload-time")
    metadata = get("core-metadata")
    if not isinstance(metadata, bool):
        metadata = _metadata(file)
    return (
        filename,
        url.removesuffix(filename),
        _hashes(hashes) if hashes else "",
        size if isinstance(size, int) and size >= 0 else None,
        upload_time if isinstance(upload_time, str) else None,
        requires_python,
        None if yanked is False else _yanked(yanked),
        metadata,
    )


def _parsed_piece(name: str, content: bytes) -> Mapping[str, object]:
    text = f"{{{content.decode()}}}"
    file, end = _VALUE(text)
    if end != len(text) or not isinstance(file, dict) or file.get("filename") != name:
        raise ValueError("its entry on the page cannot be read")
    return file


def _absolute(page_url: str, href: str) -> str:
    """Return the full address, without fragment and login."""
    url = split_credentials(join(page_url, href).partition("#")[0])[0]
    if not is_offerable(url, page_url):
        raise ValueError(f"its address {redact(url)} is none that we would fetch")
    return url


def _hashes(hashes: Mapping[str, object]) -> str:
    digests = [f"{name}:{digest}" for name, digest in hashes.items() if isinstance(digest, str)]
    if len(digests) != len(hashes):
        raise ValueError("one of its hashes is no text")
    return " ".join(digests).lower()


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


def _invalid(url: str, project: str, reason: str) -> MetadataInvalid:
    source = redact(url)
    return MetadataInvalid(
        f"The page of {project} at {source} cannot be used: {reason}",
        name=project,
        source=source,
        reason=reason,
    )
