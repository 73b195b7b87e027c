"""Which archive of sources is behind a URL: asked as seldom as the server allows, noticed when it changes.

What stands at a URL without a digest may be another file tomorrow. So each client asks once, with the
conditions that the last answer allows (RFC 9110, RFC 9111), unless that answer says that it is still good::

    wheels-v0/url/<key>/unnamed/source.http      the digest of the archive, and the policy of the answer
"""

from __future__ import annotations

import hashlib
import time

import attrs

from puffin_api._cache.layout import url_kind
from puffin_api._client.http_cache import Policy
from puffin_api._concurrency import OnceMap
from puffin_api.errors import OfflineMiss

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol

    from puffin_api._cache.layout import CacheLayout
    from puffin_api._cache.store import EntryStore
    from puffin_api._concurrency import Pump
    from puffin_api._model.file import DistFile

    class FetchNewer(Protocol):
        """Downloads an archive unless the one that is known still holds."""

        def __call__(
            self, file: DistFile, target: Path, /, *, known: Policy | None, pump: Pump
        ) -> tuple[Mapping[str, str] | None, Policy]:
            """Return the digests, None where nothing was written; and what was said of the answer."""
            ...


ARCHIVE = "source.archive"
"""The name of an archive in the folder for what was learned of it."""
_UNNAMED, _NOTE = "unnamed", "source"
_VERSION = "1"


@attrs.frozen
class _Note:
    """What a server had at a URL, and for how long it said that this would hold."""

    sha256: str
    policy: Policy


class UrlArchives:
    """Finds the archives behind URLs, and brings them here. Many threads may ask.

    Args:
        layout: Where notes are.
        entries: Keeps them.
        scratch: Gives an empty folder of the cache that is removed at the end.
        fetch: Downloads what is new.
        folder: Gives the folder for what was learned of the archive with this digest.
        last_kept: Gives the last whole archive that was kept of a URL, for when nobody can be asked.
        move: Puts an archive into its place.
        must_ask: Tells for a project whether the server is to be asked, however good its last answer is.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        layout: CacheLayout,
        entries: EntryStore,
        scratch: Callable[[], AbstractContextManager[Path]],
        fetch: FetchNewer,
        folder: Callable[[DistFile, Mapping[str, str]], Path],
        last_kept: Callable[[DistFile], Path | None],
        move: Callable[[Path, Path], None],
        must_ask: Callable[[str], bool] = lambda _: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._layout = layout
        self._entries = entries
        self._scratch = scratch
        self._fetch = fetch
        self._folder = folder
        self._last_kept = last_kept
        self._move = move
        self._must_ask = must_ask
        self._clock = clock
        self._found: OnceMap[tuple[str, ...], Mapping[str, str]] = OnceMap()

    def digests(self, file: DistFile, pump: Pump) -> Mapping[str, str]:
        """Return the digests of the archive that is at the file's URL, with sha256; it is kept by then.

        Raises:
            NetworkError: It cannot be had.
            HashMismatch: It does not have those that the file names.
        """
        key = (file.url, *(f"{name}:{digest}" for name, digest in sorted(file.hashes.items())))
        try:
            return self._found.run(key, lambda: self._find(file, pump))
        except BaseException:
            self._found.forget(key)
            raise

    def _find(self, file: DistFile, pump: Pump) -> Mapping[str, str]:
        note = self._known(file)
        if note is not None and self._holds(file, note.policy):
            return {"sha256": note.sha256}
        known = None if note is None else note.policy
        with self._scratch() as scratch:
            archive = scratch / ARCHIVE
            try:
                found, policy = self._fetch(file, archive, known=known, pump=pump)
            except OfflineMiss:
                return self._offline(file, note)
            digests = {"sha256": note.sha256} if found is None and note is not None else dict(found or {})
            if found is not None:
                self._move(archive, self._folder(file, digests) / ARCHIVE)
        self._write(file, _Note(digests["sha256"], policy))
        return digests

    def _offline(self, file: DistFile, note: _Note | None) -> Mapping[str, str]:
        if note is not None:
            return {"sha256": note.sha256}
        kept = self._last_kept(file)
        if kept is None:
            raise OfflineMiss(
                f"{file.filename} is not in the cache, and we are offline",
                url=file.url,
                missing=[file.filename],
            )
        return {"sha256": sha256(kept)}

    def _known(self, file: DistFile) -> _Note | None:
        """Return what is known of a URL, if the archive is still here, whole."""
        if file.hashes or file.allowed:
            return None  # these can only be compared with what comes
        note = _decode(self._entries.read(self._note(file)) or b"")
        if note is None:
            return None
        kept = self._folder(file, {"sha256": note.sha256}) / ARCHIVE
        return note if sha256(kept) == note.sha256 else None

    def _holds(self, file: DistFile, policy: Policy) -> bool:
        """Tell whether nobody needs to be asked; where nothing was said of it, that is never so."""
        return policy.is_said and policy.is_fresh(self._clock()) and not self._must_ask(file.name)

    def _write(self, file: DistFile, note: _Note) -> None:
        if note.policy.storable:
            self._entries.write(self._note(file), _encode(note))
        else:
            self._entries.remove(self._note(file))

    def _note(self, file: DistFile) -> Path:
        return self._layout.wheel_pointer(url_kind(file.url), _UNNAMED, _NOTE)


def sha256(path: Path) -> str:
    """Return the digest of a file, empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _encode(note: _Note) -> bytes:
    # No field of HTTP can hold a line break.
    rows = (_VERSION, note.sha256, repr(note.policy.stored_at), *note.policy.to_row())
    return "\n".join(rows).encode("utf-8", "surrogateescape")


def _decode(payload: bytes) -> _Note | None:
    version, *rest = payload.decode("utf-8", "surrogateescape").split("\n")
    if version != _VERSION:
        return None
    try:
        digest, stored_at, *row = rest
        return _Note(digest, Policy.from_row(row, float(stored_at)))
    except ValueError:
        return None
