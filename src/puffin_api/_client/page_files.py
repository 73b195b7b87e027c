"""Rules for the files on a page, the same for JSON, HTML and find-links."""

from __future__ import annotations

from puffin_api._cache.page_rows import unpack_row
from puffin_api._model.filename import parse_sdist_name
from puffin_api._model.names import is_name, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from puffin_api._cache.page_rows import PackedRow
    from puffin_api._model.file import FileRow

_NOTHING = "\n"
"""What no name begins with."""
_PATH_CHARACTERS = ("/", "\\", "\0")
_WHEEL_DASHES = 4
"""In the name of a wheel without a build tag."""
# Best first: the digest that is worth checking where there are several.
_STRENGTH = ("sha512", "sha384", "sha256", "blake2b", "sha3_512", "sha3_256", "sha224", "sha1", "md5")


UNFIT = (ValueError, TypeError, AttributeError, KeyError)
"""What reading a file out of a page may raise: the file is left out, with the reason."""


def why(error: Exception) -> str:
    """Return the reason that an error stands for."""
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


def strongest(hashes: Mapping[str, str]) -> str:
    """Return the digest to check as ``algorithm:hex``, sha256 first as all have it; empty without any."""
    for name in ("sha256", *_STRENGTH):
        if name in hashes:
            return f"{name}:{hashes[name].lower()}"
    return ""


def is_offerable(url: str, page_url: str) -> bool:
    """Tell whether a page may offer this address: of the web, and local files on local pages only."""
    if url.startswith(("https://", "http://")):
        return True
    return url.startswith("file:") and page_url.startswith("file:")


class FileNames:
    """Takes the file names on one page apart; remembers what it has seen, as most differ little."""

    __slots__ = ("_same", "project")

    def __init__(self, project: str) -> None:
        self.project = project
        self._same: dict[str, bool] = {}

    def version(self, filename: str) -> str:
        """Return the version as written; whether it is one has to be looked at.

        Raises:
            ValueError: It is no wheel and no source distribution of this project; the text says why.
        """
        if "/" in filename or "\\" in filename or "\x00" in filename:
            raise ValueError("its name is the name of a path")
        if filename[-4:] == ".whl":
            return self._wheel(filename)
        if filename[-7:] == ".tar.gz":
            # Where the name ends at the last "-" it can end nowhere else, so this saves trying.
            name, _, version = filename[:-7].rpartition("-")
            if self._is_ours(name):
                return version
        return parse_sdist_name(filename, self.project)

    def versions(self, filenames: Sequence[str], skipped: dict[str, str]) -> tuple[list[str], list[int]]:
        """Return the versions of many files at once, and where each is in the list.

        Args:
            skipped: Takes those that are unfit, with the reason.
        """
        versions: list[str] = []
        positions: list[int] = []
        text = "".join(filenames)
        is_plain = not any(character in text for character in _PATH_CHARACTERS)
        begin, version = _NOTHING, ""
        for position, filename in enumerate(filenames):
            # Most wheels differ from the one before in their tags only.
            is_short = filename.count("-") == _WHEEL_DASHES and filename.endswith(".whl")
            if not is_short or not filename.startswith(begin):
                try:
                    version = self.version(filename)
                except UNFIT as error:
                    begin = _NOTHING
                    skipped[filename] = why(error)
                    continue
                begin = _NOTHING
                if is_short and is_plain:
                    begin = filename[: filename.find("-", filename.find("-") + 1) + 1]
            versions.append(version)
            positions.append(position)
        return versions, positions

    def _wheel(self, filename: str) -> str:
        parts = filename.split("-", 2)
        dashes = filename.count("-")
        if dashes == 5:
            if not parts[2][:1].isdigit():
                build = parts[2].partition("-")[0]
                raise ValueError(f"the build tag {build!r} does not begin with a digit")
        elif dashes != _WHEEL_DASHES:
            raise ValueError("a wheel's name has five or six parts joined by '-'")
        if not self._is_ours(parts[0]):
            raise ValueError(f"it belongs to another project than {self.project}")
        return parts[1].replace("_", "-")

    def _is_ours(self, name: str) -> bool:
        is_same = self._same.get(name)
        if is_same is None:
            is_same = self._same[name] = is_name(name) and normalize(name) == self.project
        return is_same


def rows_of(packed: Iterable[tuple[str, PackedRow]], project: str) -> list[FileRow]:
    """Return the rows of packed files."""
    return [unpack_row(row, project=project, version=version) for version, row in packed]
