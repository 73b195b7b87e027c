"""Where everything lies in the cache; the only module that knows names of folders and files."""

from __future__ import annotations

import enum
import functools
import os
import re
from pathlib import Path

import attrs

from puffin_api._cache.keys import digest, repository_key, url_key
from puffin_api._cache.mending import make_folder
from puffin_api._fs import write_atomic
from puffin_api._model.options import Index
from puffin_api._urls import repository, split_fragment
from puffin_api.errors import CacheUnavailable

_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This file marks the folder as a cache: backups may leave it out (https://bford.info/cachedir/).
"""
_IGNORE = b"*\n"
# What any file system takes for a name, also beside a suffix.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]{0,149}").fullmatch

PYPI = "pypi"
"""The kind of what comes from PyPI; all other kinds come from functions of this module."""


class Bucket(enum.Enum):
    """The folders below the root. The number goes up with every change of format: the old one is ignored."""

    SIMPLE = "simple-v0"
    """What indexes say of projects."""
    WHEELS = "wheels-v0"
    """Links to unpacked wheels, and their metadata."""
    BUILT_WHEELS = "built-wheels-v0"
    """The same for wheels that were built here."""
    ARCHIVE = "archive-v0"
    """Unpacked wheels, each under a unique id, never changed."""
    FLAT_INDEX = "flat-index-v0"
    """What pages and folders of ``find_links`` list."""
    GIT = "git-v0"
    """Clones and checkouts."""
    INTERPRETER = "interpreter-v0"
    """What interpreters said of themselves."""
    UNDO = "undo-v0"
    """What the last change of each environment has put aside."""


def user_cache_folder() -> Path:
    """Return the place that the platform has for this user's caches."""
    import platformdirs

    return platformdirs.user_cache_path("puffin-api")


@functools.lru_cache(maxsize=64)
def index_kind(url: str) -> str:
    """Return the folder for what comes from this index; for PyPI itself it is `PYPI`."""
    return PYPI if url_key(url) == url_key(Index.pypi().url) else f"index/{url_key(url)}"


def url_kind(url: str) -> str:
    """Return the folder for what comes from one direct URL."""
    return f"url/{url_key(url)}"


def path_kind(path: Path) -> str:
    """Return the folder for what comes from one local path; the path should be canonical."""
    return f"path/{digest('path', os.fspath(path))}"


def git_kind(url: str, commit: str) -> str:
    """Return the folder for what comes from one commit of a repository, or a subdirectory of it."""
    subdirectory = split_fragment(url)[1].get("subdirectory", "")
    return f"git/{digest('git', repository(url), subdirectory)}/{_name(commit[:16])}"


def _root(path: Path | str) -> Path:
    return Path(os.path.realpath(path))


@attrs.frozen
class CacheLayout:
    """The paths in one cache. Only `initialize` touches the disk."""

    root: Path = attrs.field(converter=_root)
    """Canonical: resolved once, so that paths below it can be compared as text."""

    def initialize(self) -> None:
        """Create the root and mark it as a cache, for backups and for git.

        Raises:
            CacheUnavailable: That is not possible here.
        """
        try:
            for folder in (self.temporary, self.root / ".locks"):
                make_folder(self.root, folder)
            for name, content in (("CACHEDIR.TAG", _TAG), (".gitignore", _IGNORE)):
                if not (self.root / name).exists():
                    write_atomic(self.root / name, content)
        except OSError as error:
            raise CacheUnavailable(
                f"The cache folder {self.root} cannot be used: {error.strerror}",
                hint="Give a folder that can be written, or open the cache read-only.",
                path=str(self.root),
            ) from error

    @property
    def temporary(self) -> Path:
        """For what is being made: on the volume of the cache, so that a rename finishes it."""
        return self.root / ".tmp"

    @property
    def leases(self) -> Path:
        """For what says which operations are under way."""
        return self.root / ".leases"

    @property
    def environments(self) -> Path:
        """For what says into which environments files were linked symbolically."""
        return self.root / ".environments"

    def bucket(self, bucket: Bucket) -> Path:
        """Return the folder of a bucket."""
        return self.root / bucket.value

    def lock(self, *parts: str) -> Path:
        """Return the lock file for whatever these texts name."""
        return self.root / ".locks" / f"{digest(*parts)}.lock"

    def simple(self, kind: str, project: str) -> Path:
        """Return the file for what an index says of a project."""
        return self._below(Bucket.SIMPLE, kind, _name(project))

    def flat_index(self, location: str) -> Path:
        """Return the file for what a ``find_links`` page or folder lists."""
        return self.bucket(Bucket.FLAT_INDEX) / url_key(location)

    def wheel(self, kind: str, project: str, stem: str) -> Path:
        """Return the link to an unpacked wheel; ``stem`` is its file name without ``.whl``."""
        return self._below(Bucket.WHEELS, kind, _name(project), _name(stem))

    def wheel_metadata(self, kind: str, project: str, stem: str) -> Path:
        """Return the file for the metadata of a wheel that need not be unpacked."""
        return self._below(Bucket.WHEELS, kind, _name(project), f"{_name(stem)}.metadata")

    def wheel_pointer(self, kind: str, project: str, stem: str) -> Path:
        """Return the file for what is known of a wheel's download: HTTP policy, digests."""
        return self._below(Bucket.WHEELS, kind, _name(project), f"{_name(stem)}.http")

    def built(self, kind: str, project: str, version: str = "") -> Path:
        """Return the folder for what was built from one source."""
        folder = self.bucket(Bucket.BUILT_WHEELS) / kind / _name(project)
        return folder / _name(version) if version else folder

    def archive(self, name: str) -> Path:
        """Return the folder of the archive with this unique id."""
        return self._below(Bucket.ARCHIVE, name)

    def git_database(self, url: str) -> Path:
        """Return the folder of the clone that serves all revisions of a repository."""
        return self.bucket(Bucket.GIT) / "db" / repository_key(url)

    def git_checkout(self, url: str, commit: str) -> Path:
        """Return the folder of one checkout."""
        return self.bucket(Bucket.GIT) / "checkouts" / repository_key(url) / _name(commit[:16])

    def interpreter(self, path: Path) -> Path:
        """Return the file for what the interpreter at this path said of itself."""
        return self.bucket(Bucket.INTERPRETER) / digest("interpreter", os.fspath(path))

    @property
    def build_logs(self) -> Path:
        """For the logs of builds that failed."""
        return self.root / ".logs"

    def undo(self, site_packages: str) -> Path:
        """Return the folder for what changes of one environment have put aside."""
        return self.bucket(Bucket.UNDO) / digest("undo", site_packages)

    def _below(self, bucket: Bucket, *names: str) -> Path:
        # One text: joining a Path name by name takes three times as long, and plans ask for hundreds.
        return Path("/".join((str(self.root), bucket.value, *names)))


def _name(text: str) -> str:
    """Return the text as a file name: as it is where that is safe, else its key."""
    return text if _PLAIN_NAME(text) and not text.endswith(".") else digest("name", text)
