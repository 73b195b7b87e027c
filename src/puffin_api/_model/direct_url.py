"""Where a distribution came from when it was not an index: the content of direct_url.json (PEP 610)."""

from __future__ import annotations

import json
import re

import attrs

from puffin_api._urls import resource, split_fragment, url_to_path
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_USER = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#]*)@")
_VARIABLES = re.compile(r"\$\{[A-Za-z0-9_-]+\}(?::\$\{[A-Za-z0-9_-]+\})?").fullmatch


@attrs.frozen(kw_only=True)
class ArchiveInfo:
    """A wheel or source archive. ``hashes`` by algorithm, in lower-case hex."""

    hashes: Mapping[str, str] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class VcsInfo:
    """A checkout from version control."""

    vcs: str
    commit_id: str
    requested_revision: str = ""


@attrs.frozen(kw_only=True)
class DirInfo:
    """A local folder."""

    editable: bool = False
    stamp: str = attrs.field(default="", eq=False)
    """Changes with what a build may depend on; empty where nobody has looked. Not part of direct_url.json."""


@attrs.frozen(kw_only=True)
class DirectUrl:
    """The origin of a distribution that was asked for by URL or path.

    ``to_dict`` and ``from_dict`` give and take the very content of direct_url.json, so they carry no
    ``schema`` number of ours.
    """

    url: str
    info: ArchiveInfo | VcsInfo | DirInfo
    subdirectory: str = ""

    @property
    def editable(self) -> bool:
        """True for a project in development mode."""
        return isinstance(self.info, DirInfo) and self.info.editable

    def same_origin(self, other: DirectUrl) -> bool:
        """Tell whether both lead to the same content, as far as they say."""
        if _plain_url(self.url) != _plain_url(other.url):
            return False
        if plain_folder(self.subdirectory) != plain_folder(other.subdirectory):
            return False
        match self.info, other.info:
            case VcsInfo(), VcsInfo():
                return self.info.commit_id == other.info.commit_id
            case DirInfo(), DirInfo():
                return self.info.editable == other.info.editable
            case ArchiveInfo(hashes=mine), ArchiveInfo(hashes=theirs):
                return all(theirs.get(name, digest) == digest for name, digest in mine.items())
            case _:
                return False

    @property
    def stamp(self) -> str:
        """Of a local tree, a text that changes with what a build may depend on; empty if unknown."""
        return self.info.stamp if isinstance(self.info, DirInfo) else ""

    def with_stamp(self, stamp: str) -> DirectUrl:
        """Return the origin of this state of a local tree; any other origin as it is."""
        if not isinstance(self.info, DirInfo):
            return self
        return attrs.evolve(self, info=attrs.evolve(self.info, stamp=stamp))

    def with_digest(self, hashes: Mapping[str, str]) -> DirectUrl:
        """Return the same origin with the sha256 digest of its archive, where that is known only now."""
        if not isinstance(self.info, ArchiveInfo) or self.info.hashes or "sha256" not in hashes:
            return self
        return attrs.evolve(self, info=ArchiveInfo(hashes={"sha256": hashes["sha256"]}))

    def to_dict(self) -> dict[str, object]:
        """Return the content of direct_url.json, without credentials."""
        data: dict[str, object] = {"url": without_credentials(self.url)}
        match self.info:
            case ArchiveInfo(hashes=hashes):
                archive: dict[str, object] = {"hashes": dict(hashes)} if hashes else {}
                if hashes:  # the older key, for readers that do not know the newer one
                    name = "sha256" if "sha256" in hashes else next(iter(hashes))
                    archive["hash"] = f"{name}={hashes[name]}"
                data["archive_info"] = archive
            case VcsInfo(vcs=vcs, commit_id=commit, requested_revision=revision):
                asked = {"requested_revision": revision} if revision else {}
                data["vcs_info"] = {"vcs": vcs, **asked, "commit_id": commit}
            case DirInfo(editable=editable):
                data["dir_info"] = {"editable": True} if editable else {}
        if self.subdirectory:
            data["subdirectory"] = self.subdirectory
        return data

    def to_json(self) -> str:
        """Return the text of direct_url.json."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_dict(cls, data: object) -> DirectUrl:
        """Read the content of direct_url.json; what is not understood is left out.

        Raises:
            ValueError: There is no URL, or nothing that says of what kind it is.
        """
        if not isinstance(data, dict):
            raise ValueError(f"direct_url: expected an object, got {type(data).__name__}")
        url = data.get("url")
        if not isinstance(url, str) or not url:
            raise ValueError(f"direct_url.url: expected a string, got {url!r}")
        return cls(url=url, info=_read_info(data), subdirectory=_text(data, "subdirectory"))

    @classmethod
    def from_json(cls, text: str) -> DirectUrl:
        """Read the text of direct_url.json.

        Raises:
            ValueError: It is not JSON, or not what PEP 610 describes.
        """
        try:
            return cls.from_dict(json.loads(text))
        except RecursionError as error:
            raise ValueError("direct_url: nested too deep") from error


def source_url(url: str) -> str:
    """Return what the URL of a requirement stands for: one for all spellings, and one for each folder.

    >>> source_url("https://Host/all.zip#sha256=ab&subdirectory=./libs%2Fone/")
    'https://host/all.zip#subdirectory=libs/one'
    """
    place = resource(url)
    folder = subdirectory_of(url)
    return f"{place}#subdirectory={folder}" if folder and not place.endswith(".whl") else place


def subdirectory_of(url: str) -> str:
    """Return the folder that the fragment of a URL names, in its plain form; empty where it names none."""
    return plain_folder(split_fragment(url)[1].get("subdirectory", ""))


def plain_folder(folder: str) -> str:
    """Return the one form of a relative folder; what leads out stays as it is, to be refused."""
    if folder.startswith("/"):
        return folder
    return "/".join(part for part in folder.split("/") if part not in ("", "."))


def developed_tree(origin: DirectUrl | None) -> str:
    """Return the folder of a project in development mode; "" for any other, and where it names no folder."""
    if origin is None or not origin.editable:
        return ""
    try:
        tree = str(url_to_path(origin.url) / origin.subdirectory)
    except RequirementInvalid:
        return ""
    return "" if "\0" in tree else tree


def without_credentials(url: str) -> str:
    """Take user and password out of a URL; ``git@`` and ``${VARIABLES}`` stay, as PEP 610 says."""
    match = _USER.match(url)
    if match is None or match["user"] == "git" or _VARIABLES(match["user"]):
        return url
    return match["scheme"] + url[match.end() :]


def _read_info(data: Mapping[str, object]) -> ArchiveInfo | VcsInfo | DirInfo:
    vcs, folder, archive = data.get("vcs_info"), data.get("dir_info"), data.get("archive_info")
    if isinstance(vcs, dict):
        return VcsInfo(
            vcs=_text(vcs, "vcs"),
            commit_id=_text(vcs, "commit_id"),
            requested_revision=_text(vcs, "requested_revision"),
        )
    if isinstance(folder, dict):
        return DirInfo(editable=folder.get("editable") is True)
    if isinstance(archive, dict):
        return ArchiveInfo(hashes=_read_hashes(archive))
    raise ValueError("direct_url: expected one of archive_info, vcs_info and dir_info")


def _read_hashes(archive: Mapping[str, object]) -> dict[str, str]:
    hashes = archive.get("hashes")
    if isinstance(hashes, dict):
        return {str(name): digest.lower() for name, digest in hashes.items() if isinstance(digest, str)}
    name, _, digest = _text(archive, "hash").partition("=")
    return {name: digest.lower()} if digest else {}


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _plain_url(url: str) -> str:
    """Return the URL in the form in which two of them are compared."""
    return without_credentials(url).partition("#")[0].rstrip("/").removesuffix(".git")
