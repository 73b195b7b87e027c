"""Fetcher: whole files, streamed to disk, hashed on the way, resumed where a connection breaks."""

from __future__ import annotations

import errno
import hashlib
import os
import time

from puffin_api._client.http_cache import Policy
from puffin_api._client.retry import Retries
from puffin_api._concurrency import SILENT
from puffin_api._model.events import FetchFinished, FetchProgress, FetchStarted
from puffin_api._model.file import DistFile
from puffin_api._urls import redact, resource
from puffin_api.errors import ConnectFailed, DiskFull, HashMismatch, OfflineMiss, ServerError, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import IO

    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.file import FileRow
    from puffin_api.protocols import PackageSource, Response, Transport

_CHUNK = 262144


class Fetcher:
    """Fetches files for one client. Many threads share it.

    Args:
        transport: Does the exchanges.
        retries: How often a broken transfer is taken up again.
        offline: Fetch local files only.
        source_of: Gives the custom source that a file comes from, None for those from the web.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        retries: Retries | None = None,
        offline: bool = False,
        source_of: Callable[[str], PackageSource | None] = lambda _: None,
    ) -> None:
        self._transport = transport
        self._retries = retries or Retries()
        self._offline = offline
        self._source_of = source_of

    def fetch_file(self, file: DistFile | FileRow, target: Path, *, pump: Pump = SILENT) -> dict[str, str]:
        """Write a file to ``target`` and return its digests by algorithm, always with sha256.

        Every digest and the size that the index gives are checked. On failure nothing is left.

        Raises:
            HashMismatch: The bytes are not those that the index announces.
            NetworkError: They cannot be got.
            DiskFull: They cannot be stored.
        """
        wanted = file if isinstance(file, DistFile) else DistFile.of(file)
        return self._fetch(_Transfer(wanted, target, pump))

    def fetch_newer(
        self, file: DistFile, target: Path, *, known: Policy | None = None, pump: Pump = SILENT
    ) -> tuple[dict[str, str] | None, Policy]:
        """Write a file to ``target``, unless the server says that one is still what it has.

        Args:
            file: The file.
            target: Where to.
            known: The policy of the answer that is known.
            pump: Hears of it.

        Returns:
            The digests, None where nothing was written; and the policy of this answer. Errors as above.
        """
        transfer = _Transfer(file, target, pump, conditions=known.revalidation_headers() if known else {})
        digests = self._fetch(transfer)
        return (None if transfer.is_unchanged else digests), transfer.policy(known)

    def _fetch(self, transfer: _Transfer) -> dict[str, str]:
        wanted, pump = transfer.file, transfer.pump
        pump.check()
        task = pump.begin(
            lambda t: FetchStarted(task=t, kind="file", name=wanted.filename, total=wanted.size),
            lambda t: FetchFinished(task=t, received=transfer.received, error="unfinished"),
        )
        transfer.task = task
        failure = "failed"
        try:
            digests = self._run(transfer)
            failure = ""
        except BaseException as error:
            failure = getattr(error, "code", failure)
            transfer.discard()
            raise
        finally:
            pump.end(task, lambda: transfer.finished(failure))
        return digests

    def _run(self, transfer: _Transfer) -> dict[str, str]:
        file = transfer.file
        source = self._source_of(file.index)
        try:
            if source is not None:
                source.fetch(file, transfer.target)
                transfer.hash_target()
            else:
                self._download(transfer)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DiskFull(
                f"There is no room for {file.filename} at {transfer.target}",
                hint="Free some space, or put the cache on another volume.",
                path=str(transfer.target),
                needed=file.size,
            ) from error
        return {} if transfer.is_unchanged else transfer.verified()

    def _download(self, transfer: _Transfer) -> None:
        url = transfer.file.url
        if self._offline and not url.startswith("file:"):
            name = transfer.file.filename
            raise OfflineMiss(
                f"{name} is not in the cache, and we are offline", url=redact(url), missing=[name]
            )
        cancel: CancelToken | None = transfer.pump.cancel  # type: ignore[assignment]  # the one kind there is
        attempt = 0
        while True:
            attempt += 1
            is_open = False
            try:
                with self._transport.open(url, headers=transfer.headers(), cancel=cancel) as response:
                    is_open = True
                    transfer.receive(response)
                    return
            except (ConnectFailed, TimedOut):
                if not is_open or not self._retries.wait(attempt, cancel=cancel):
                    raise


class _Transfer:
    """One file on its way: how much has come, and the digests so far."""

    def __init__(
        self, file: DistFile, target: Path, pump: Pump, *, conditions: Mapping[str, str] | None = None
    ) -> None:
        self.file = file
        self.target = target
        self.pump = pump
        self.task = 0
        self.received = 0
        self.is_unchanged = False
        """Whether the server said so of the file that is known."""
        self._conditions = conditions or {}
        self._answer: Mapping[str, str] = {}
        self._is_redirected = False
        self._validator = ""
        self._hashers = self._new_hashers()

    def headers(self) -> dict[str, str]:
        """Ask for the bytes as they are, and for the rest only where we know that it is the same file."""
        fields = {"Accept-Encoding": "identity"}
        if not self.received:
            fields |= self._conditions
        elif self._validator:
            fields |= {"Range": f"bytes={self.received}-", "If-Range": self._validator}
        return fields

    def receive(self, response: Response) -> None:
        """Store what comes; starts over unless the server sends just what is missing."""
        url = redact(response.url)
        self._answer = response.headers
        self._is_redirected = resource(response.url) != resource(self.file.url)
        if response.status == 304 and self._conditions and not self.received:
            self.is_unchanged = True
            return
        if response.status not in (200, 206):
            listed = " for a file that the index lists" if self.file.index else ""
            raise ServerError(
                f"{url} answered {response.status}{listed}",
                url=url,
                status=response.status,
            )
        is_rest = response.status == 206 and self.received > 0 and self._fits(response.headers)
        if not is_rest:
            if response.status == 206:
                raise ServerError(f"{url} sent another part than was asked for", url=url, status=206)
            self.received, self._hashers = 0, self._new_hashers()
        self._validator = _validator(response.headers)
        announced = self._announced(response.headers)
        with open(self.target, "r+b" if is_rest else "wb", buffering=0) as output:
            output.seek(self.received)
            self._store(response, output, announced)
        if announced is not None and self.received < announced:
            raise ConnectFailed(f"{url} was cut short at {self.received} of {announced} bytes", url=url)

    def _store(self, response: Response, output: IO[bytes], announced: int | None) -> None:
        limit = self.file.size
        for chunk in response.chunks(_CHUNK):
            self.pump.check()
            view = memoryview(chunk)
            while view:
                view = view[output.write(view) :]
            for hasher in self._hashers.values():
                hasher.update(chunk)
            self.received += len(chunk)
            if limit is not None and self.received > limit:
                raise self._wrong_size(f"more than {limit}")
            self.pump.progress(self.task, self._progress(announced))

    def _progress(self, total: int | None) -> Callable[[], FetchProgress]:
        return lambda: FetchProgress(task=self.task, received=self.received, total=total)

    def _fits(self, headers: Mapping[str, str]) -> bool:
        return headers.get("content-range", "").startswith(f"bytes {self.received}-")

    def _announced(self, headers: Mapping[str, str]) -> int | None:
        """Bytes of the whole file, as far as the answer tells."""
        length = headers.get("content-length", "")
        return self.received + int(length) if length.isascii() and length.isdigit() else self.file.size

    def hash_target(self) -> None:
        """Hash what somebody else has written."""
        with open(self.target, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                self.received += len(chunk)
                for hasher in self._hashers.values():
                    hasher.update(chunk)

    def verified(self) -> dict[str, str]:
        """Check size and digests, and return these."""
        digests = {name: hasher.hexdigest() for name, hasher in self._hashers.items()}
        if self.file.size is not None and self.received != self.file.size:
            raise self._wrong_size(str(self.received))
        for name, digest in digests.items():
            expected = self.file.hashes.get(name)
            if expected is not None and expected.lower() != digest:
                raise HashMismatch(
                    f"{self.file.filename} has the {name} digest {digest}, and {expected} was expected",
                    hint="The file was changed or damaged on its way; do not use it.",
                    name=self.file.name,
                    source=redact(self.file.url),
                    expected=[f"{name}:{expected}"],
                    actual=f"{name}:{digest}",
                )
        self._check_allowed(digests)
        return digests

    def _check_allowed(self, digests: Mapping[str, str]) -> None:
        """Check what the caller asks for, where the index gave nothing to be compared with it."""
        allowed = self.file.allowed
        if allowed and not any(f"{name}:{digest}" in allowed for name, digest in digests.items()):
            raise HashMismatch(
                f"{self.file.filename} has none of the digests that you allow",
                hint="Do not use the file unless you know why it is another one.",
                name=self.file.name,
                source=redact(self.file.url),
                expected=list(allowed),
                actual=f"sha256:{digests['sha256']}",
            )

    def policy(self, known: Policy | None) -> Policy:
        """Return how long the answer may be used, and how to ask again."""
        now = time.time()
        policy = Policy.of(self._answer, now)
        if known is not None and self.is_unchanged:
            policy = known.renewed(self._answer, now)
        if self._is_redirected:
            policy.lifetime = 0.0  # of the place that it led to; tomorrow it may lead elsewhere
        return policy

    def finished(self, failure: str) -> FetchFinished:
        """Return the event for the end."""
        return FetchFinished(task=self.task, received=self.received, cached=self.is_unchanged, error=failure)

    def discard(self) -> None:
        """Leave nothing behind."""
        try:
            os.unlink(self.target)
        except OSError:
            pass  # never begun, or not ours to remove

    def _new_hashers(self) -> dict[str, hashlib._Hash]:
        wanted = {*self.file.hashes, *(text.partition(":")[0] for text in self.file.allowed)}
        names = {name for name in wanted if name in hashlib.algorithms_guaranteed}
        # The SHAKE family has no digest of a fixed length, so an index cannot mean it.
        names = {name for name in names if not name.startswith("shake")} | {"sha256"}
        return {name: hashlib.new(name, usedforsecurity=False) for name in sorted(names)}

    def _wrong_size(self, actual: str) -> HashMismatch:
        return HashMismatch(
            f"{self.file.filename} has {actual} bytes, and {self.file.size} were expected",
            hint="The file was changed or damaged on its way; do not use it.",
            name=self.file.name,
            source=redact(self.file.url),
            expected=[f"size:{self.file.size}"],
            actual=f"size:{actual}",
        )


def _validator(headers: Mapping[str, str]) -> str:
    """Return what proves that a later answer is of the same file; weak tags prove nothing."""
    tag = headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return headers.get("last-modified", "")
