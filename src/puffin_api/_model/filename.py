"""File names of wheels and source distributions, taken apart by hand for speed."""

from __future__ import annotations

import re

from packaging.version import InvalidVersion, Version

from puffin_api._model.names import is_name, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_BUILD = re.compile(r"(\d+)(.*)", re.ASCII | re.DOTALL)
_SDIST_ENDINGS = (".tar.gz", ".zip")
"""What source distributions of an index may be; others there are no candidates."""
SOURCE_ENDINGS: Mapping[str, str] = {
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".zip": "zip",
    ".tar.bz2": "tar.bz2",
    ".tbz": "tar.bz2",
    ".tar.xz": "tar.xz",
    ".txz": "tar.xz",
    ".tar": "tar",
}
"""The kind of archive by the ending of its name, for archives that are named by URL or path."""


class WheelName:
    """The parts of a wheel's file name (binary distribution format).

    ``tags`` stays compressed as written; ``build`` sorts as the specification says (no build tag
    below every build tag, the number before the rest).
    """

    __slots__ = ("build", "name", "stem", "tags", "version")

    def __init__(self, stem: str, name: str, version: str, build: str, tags: str) -> None:
        self.stem: str = stem
        self.name: str = name
        """Normalised project name."""
        self.version: str = version
        """Version as written."""
        self.build: tuple[int, str] | tuple[()] = _build_key(build)
        self.tags: str = tags
        """``python-abi-platform``, each part perhaps several joined by dots."""

    def expanded_tags(self) -> Iterator[str]:
        """Give each single ``python-abi-platform`` tag that the wheel supports."""
        return expand_tags(self.tags)


def expand_tags(tags: str) -> Iterator[str]:
    """Give the single tags of a compressed tag set (PEP 425)."""
    pythons, abis, platforms = tags.split("-")
    for python in pythons.split("."):
        for abi in abis.split("."):
            for platform in platforms.split("."):
                yield f"{python}-{abi}-{platform}"


def _build_key(build: str) -> tuple[int, str] | tuple[()]:
    match = _BUILD.fullmatch(build)
    return (int(match[1]), match[2]) if match else ()


def parse_wheel_name(filename: str) -> WheelName:
    """Take the file name of a wheel apart.

    Raises:
        ValueError: The name does not follow the specification; the text says how.
    """
    stem = filename[:-4]
    parts = stem.split("-")
    if not filename.endswith(".whl") or len(parts) not in (5, 6):
        raise ValueError("a wheel's name has five or six parts joined by '-' and ends in '.whl'")
    build = parts[2] if len(parts) == 6 else ""
    if build and not build[0].isdigit():
        raise ValueError(f"the build tag {build!r} does not begin with a digit")
    if not is_name(parts[0]):
        raise ValueError(f"{parts[0]!r} is not a valid project name")
    version = parts[1].replace("_", "-")
    return WheelName(stem, normalize(parts[0]), version, build, "-".join(parts[-3:]).lower())


class SdistName:
    """What the file name of a source archive seems to say, until its metadata tells."""

    __slots__ = ("name", "version")

    def __init__(self, name: str, version: str) -> None:
        self.name: str = name
        """Normalised project name."""
        self.version: str = version
        """Version as written."""

    def __repr__(self) -> str:
        return f"SdistName({self.name!r}, {self.version!r})"


def parse_sdist_name(filename: str, project: str, *, endings: Iterable[str] = _SDIST_ENDINGS) -> str:
    """Return the version in the file name of a source distribution of ``project``.

    Old names do not tell where the project's name ends, so every ``-`` is tried.

    Args:
        filename: The name.
        project: The normalised name of the project.
        endings: Which endings may be; `SOURCE_ENDINGS` for an archive that is no index's.

    Raises:
        ValueError: It is not the name of a source distribution of this project.
    """
    ending = next((e for e in endings if filename.endswith(e)), None)
    if ending is None:
        raise ValueError("neither a wheel nor a .tar.gz or .zip source distribution")
    for name, version in _cuts(filename[: -len(ending)]):
        if normalize(name) == project:
            return version
    raise ValueError(f"not the name of a source distribution of {project}")


def guess_sdist_name(filename: str) -> SdistName | None:
    """Guess project and version from the file name of a source archive whose project is not known.

    Names by PEP 625 have one ``-`` only. Older ones may be read in several ways: the first one whose
    right side is a version is taken. None where there is no such reading, as in ``main.zip``.
    """
    ending = source_ending(filename)
    cut = next(_cuts(filename[: -len(ending)]), None) if ending else None
    return SdistName(normalize(cut[0]), cut[1]) if cut else None


def source_ending(filename: str) -> str:
    """Return the ending of `SOURCE_ENDINGS` that a file name has, in any case; empty for none."""
    lower = filename.lower()
    return next((ending for ending in SOURCE_ENDINGS if lower.endswith(ending)), "")


def _cuts(stem: str) -> Iterator[tuple[str, str]]:
    """Give each way to read it as a name, ``-`` and a version."""
    at = stem.find("-")
    while at > 0:
        name, version = stem[:at], stem[at + 1 :]
        if is_name(name) and _is_version(version):
            yield name, version
        at = stem.find("-", at + 1)


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
