"""Project pages and find-links pages in HTML (PEP 503, 592, 629, 658, 714, 792)."""

from __future__ import annotations

import hashlib
from html.parser import HTMLParser

from puffin_api._client.page_files import FileNames, is_offerable, rows_of, strongest
from puffin_api._urls import filename as filename_of
from puffin_api._urls import join, redact, split_credentials, split_fragment
from puffin_api.errors import MetadataInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from puffin_api._cache.page_rows import PackedRow
    from puffin_api._client.simple_json import Packed
    from puffin_api._model.file import FileRow


class Link:
    """One link on a page that may lead to a file."""

    __slots__ = ("filename", "hashes", "metadata", "requires_python", "url", "yanked")

    def __init__(self, url: str, attributes: dict[str, str | None]) -> None:
        address, pairs = split_fragment(url)
        digests = {k.lower(): v for k, v in pairs.items() if k.lower() in hashlib.algorithms_available and v}
        self.url = split_credentials(address)[0]
        self.filename = filename_of(address)
        self.hashes = tuple(f"{name}:{digest.lower()}" for name, digest in digests.items())
        self.requires_python = attributes.get("data-requires-python") or ""
        # The attribute alone is what counts, its value is only the reason.
        self.yanked = (attributes["data-yanked"] or "") if "data-yanked" in attributes else None
        self.metadata = _metadata(attributes)

    def pack(self) -> PackedRow:
        """Return the packed row of the file that it leads to."""
        name, url = self.filename, self.url
        address = url[: -len(name)] if url.endswith("/" + name) else url
        hashes = " ".join(self.hashes)
        return (name, address, hashes, None, None, self.requires_python, self.yanked, self.metadata)


class Page:
    """What a page says: links in order, those left out with the reason, the project's status."""

    __slots__ = ("links", "skipped", "status")

    def __init__(self, links: list[Link], skipped: dict[str, str], status: str) -> None:
        self.links = links
        self.skipped = skipped
        self.status = status


def parse(body: bytes, url: str, project: str) -> tuple[Sequence[FileRow], dict[str, str], str]:
    """Read a page; arguments, result and errors are those of `simple_json.parse`."""
    packed, skipped, status = pack(body, url, project)
    return rows_of(packed, project), skipped, status


def pack(body: bytes, url: str, project: str) -> Packed:
    """Read a page; arguments, result and errors are those of `simple_json.pack`."""
    page = read_page(body, url, project)
    names = FileNames(project)
    packed: list[tuple[str, PackedRow]] = []
    for link in page.links:
        try:
            packed.append((names.version(link.filename), link.pack()))
        except ValueError as error:
            page.skipped[link.filename] = str(error)
    return packed, page.skipped, page.status


def read_page(body: bytes, url: str, project: str = "") -> Page:
    """Read the links of any page; one without a body has none.

    Raises:
        MetadataInvalid: It is no HTML, or of a version of the simple API that we do not know.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    reader = _Reader(url)
    reader.feed(text)
    reader.close()
    reason = ""
    if not reader.has_tags and body.strip():
        # Taken for an empty page, it would say "no versions" for an index that is out of order.
        reason = "it is neither HTML nor JSON"
    elif reader.version.partition(".")[0] != "1":
        reason = f"version {reader.version} of the simple API is not known"
    if reason:
        source = redact(url)
        raise MetadataInvalid(
            f"The page {source} cannot be used: {reason}", name=project, source=source, reason=reason
        )
    return Page(reader.links, reader.skipped, reader.status)


class _Reader(HTMLParser):
    """Collects what matters of a page; entities in attributes are decoded by the base class."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._page_url = url
        self._base: str | None = None
        self.links: list[Link] = []
        self.skipped: dict[str, str] = {}
        self.status = "active"
        self.version = "1.0"
        self.has_tags = False

    def handle_decl(self, decl: str) -> None:
        self.has_tags = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.has_tags = True
        if tag == "a":
            self._link(dict(reversed(attrs)))  # the first of equal attributes counts
        elif tag == "base" and self._base is None:
            self._set_base(dict(reversed(attrs)).get("href"))
        elif tag == "meta":
            self._meta(dict(reversed(attrs)))

    def _link(self, attributes: dict[str, str | None]) -> None:
        href = (attributes.get("href") or "").strip()
        if not href or href.startswith("#"):
            return
        try:
            link = Link(join(self._base or self._page_url, href), attributes)
        except ValueError as error:
            self.skipped[href] = str(error)
            return
        if not link.filename:
            return  # a folder, or a page
        if is_offerable(link.url, self._page_url):
            self.links.append(link)
        else:
            self.skipped[link.filename] = f"its address {redact(link.url)} is none that we would fetch"

    def _set_base(self, href: str | None) -> None:
        if href is None:
            return
        try:
            self._base = join(self._page_url, href.strip())
        except ValueError:
            self._base = self._page_url

    def _meta(self, attributes: dict[str, str | None]) -> None:
        name, content = attributes.get("name"), (attributes.get("content") or "").strip()
        if name == "pypi:project-status" and content:
            self.status = content
        elif name == "pypi:repository-version" and content:
            self.version = content


def _metadata(attributes: dict[str, str | None]) -> str | bool | None:
    for name in ("data-core-metadata", "data-dist-info-metadata"):
        if name in attributes:
            value = (attributes[name] or "true").strip()
            algorithm, _, digest = value.partition("=")
            if digest and algorithm.lower() in hashlib.algorithms_available:
                return strongest({algorithm.lower(): digest}) or True
            return value.lower() != "false"
    return None
