"""The crawler: reads ahead in the worker pool, and serves one call of the public API at a time.

::

    hint(names) ---> for each name not begun, in a worker:
                       page -> scout.pick -> metadata -> scout.follow -> more names
    releases(name), metadata(files)  <--- the solver, through its pump

Three rules keep it free of deadlocks. Work is claimed (in the registry's once-maps) by the thread that
does it at once, or by a call that puts it at the front of the queue. A worker never waits for work that
another has claimed: it leaves a note to go on when that is done. Whoever finishes work first puts the
result into memory, then wakes the others, then gives up the claim.
"""

from __future__ import annotations

from puffin_api._concurrency import SILENT
from puffin_api.errors import BuildForbidden, Cancelled, NetworkError, OfflineMiss, PackageError, PuffinError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self, TypeVar

    from puffin_api._client.file_metadata import Result
    from puffin_api._client.registry import Registry
    from puffin_api._concurrency import OnceMap, Pump, Task, WorkerPool
    from puffin_api._model.file import FileRow
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.releases import Releases
    from puffin_api.protocols import Scout

    T = TypeVar("T")
    Build = Callable[[FileRow], DistMetadata]


class CallSource:
    """The `ReleaseSource` of one call: the same question has the same answer until it is over.

    A context manager; leaving it ends the reading ahead and stores what was learned. Methods are for
    the thread of the call, but for `hint`, which the crawl itself calls from workers.
    """

    def __init__(
        self, registry: Registry, pool: WorkerPool, pump: Pump = SILENT, *, build: Build | None = None
    ) -> None:
        """Begin a call.

        Args:
            registry: What is known, shared by all calls of a client.
            pool: Where to read.
            pump: Of the call: its events and its cancel token.
            build: Gives the metadata of a source distribution; None where nothing may be built.
        """
        self._registry = registry
        self._pool = pool
        self._pump = pump
        self._build = build
        self._began = registry.clock()
        self._stamp = registry.flat.stamp()
        self._seen: dict[str, Releases] = {}
        self._built: dict[tuple[str, str, str], DistMetadata | PuffinError] = {}
        self._hinted: set[str] = set()
        self._touched: set[str] = set()
        self._asked: set[str] = set()
        """URLs of files whose metadata this call has asked for."""
        self._scout: Scout | None = None
        self._over = False
        self._may_build = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the reading ahead, and have stored what was learned: later, in the pool."""
        self._over = True
        self._registry.metadata.forget_failures()
        if not self._registry.has_unsaved:
            return
        try:
            self._pool.submit(self._registry.flush)
        except RuntimeError:  # the client was closed
            self._registry.flush()

    def end_builds(self) -> None:
        """From now on, raise BuildForbidden where only a builder could tell the metadata of sources."""
        self._may_build = False

    # -- asked by the solver --------------------------------------------------------------------

    def releases(self, name: str) -> Releases:
        """Return all versions of a project; waits for them. A dictionary look-up the second time."""
        found = self._seen.get(name)
        if found is None:
            found = self._seen[name] = self._find(name)
        return found

    def metadata(self, files: Sequence[FileRow]) -> Sequence[DistMetadata | PuffinError]:
        """Return the metadata of files, in order; fetches what is missing in parallel."""
        known = self._registry.metadata.known
        results: list[DistMetadata | PuffinError | None] = [
            known(file) if file.is_wheel else self._built.get(file.source) for file in files
        ]
        if None in results:
            self._fill(files, results)
        return [result for result in results if result is not None]

    def hint(self, names: Iterable[str], scout: Scout) -> None:
        """Read ahead from these projects. What needs no network is read here, at once."""
        self._scout = scout
        seen, hinted, ready = self._seen, self._hinted, self._registry.ready
        for name in names:
            if name in seen or name in hinted or self._over:
                continue
            try:
                found = ready(name, since=self._began, stamp=self._stamp)
                if found is not None:
                    seen[name] = found
                    continue
                hinted.add(name)
                self._pump.check()
                found = self._registry.from_disk(name, stamp=self._stamp)
                if found is not None:
                    seen[name] = found
                else:
                    self._submit(lambda name=name: self._crawl(name, scout))  # type: ignore[misc]  # bound now
            except PuffinError:
                pass  # kept in memory, for the one who asks

    def touch(self, files: Sequence[FileRow]) -> None:
        """Read the metadata of these files ahead, and on from there."""
        for file in files:
            if file.url in self._touched or self._over or not file.is_wheel:
                continue
            self._touched.add(file.url)
            if self._registry.metadata.known(file) is None:
                self._submit(lambda file=file: self._crawl_file(file, self._scout))  # type: ignore[misc]  # likewise

    # -- on the thread of the call ----------------------------------------------------------------

    def _find(self, name: str) -> Releases:
        registry = self._registry
        while True:
            found = self._without_network(name)
            if found is not None:
                return found
            task, is_mine = registry.loading_pages.claim(name)
            if is_mine:
                self._finish_in_pool(registry.loading_pages, name, task, lambda: self._load(name))
            try:
                return self._pump.wait(task)
            except Cancelled as cancelled:
                self._pass_on(cancelled)

    def _fill(self, files: Sequence[FileRow], results: list[DistMetadata | PuffinError | None]) -> None:
        """Put what is missing into the results."""
        missing = [number for number, result in enumerate(results) if result is None]
        if self._registry.offline:
            for number in missing:
                if files[number].is_wheel and not files[number].url.startswith("file:"):
                    results[number] = _not_cached(files[number])
            missing = [number for number in missing if results[number] is None]
        wheels = [files[number] for number in missing if files[number].is_wheel]
        # From the last to the first: each goes to the front of the queue.
        for file in reversed(wheels):
            self._begin_metadata(file)
        for number in missing:
            file = files[number]
            results[number] = self._wait_metadata(file) if file.is_wheel else self._build_metadata(file)

    def _begin_metadata(self, file: FileRow) -> Task[Result]:
        loading = self._registry.metadata.loading
        task, is_mine = loading.claim(file.url)
        if is_mine:
            self._asked.add(file.url)
            self._finish_in_pool(loading, file.url, task, lambda: self._load_metadata(file))
        return task

    def _wait_metadata(self, file: FileRow) -> Result:
        while True:
            known = self._registry.metadata.known(file)
            if known is not None:
                return known
            task = self._begin_metadata(file)
            try:
                return self._pump.wait(task)
            except Cancelled as cancelled:
                self._pass_on(cancelled)
            except NetworkError:
                # Another call may have asked before it was known what is known now: a login, for one.
                if file.url in self._asked:
                    raise

    def _build_metadata(self, file: FileRow) -> DistMetadata | PuffinError:
        """Ask the builder, on this thread: it may well need the pool, and this source, itself."""
        if not self._may_build:
            raise BuildForbidden(f"{file.filename} is not built for a trial", package=file.project)
        result: DistMetadata | PuffinError
        try:
            if self._build is None:
                raise BuildForbidden(
                    f"{file.filename} has to be built to know its dependencies, and nothing may be built",
                    package=file.project,
                )
            result = self._build(file)
        except (BuildForbidden, PackageError) as error:
            result = error  # all else says nothing against this version: another time it may well be used
        self._built[file.source] = result
        return result

    def _pass_on(self, cancelled: Cancelled) -> None:
        """Raise a cancel that is ours; return where it was that of another call which did our work."""
        self._pump.check()
        if cancelled.reason == "closed":
            raise cancelled

    def _finish_in_pool(
        self, loading: OnceMap[str, T], key: str, task: Task[T], work: Callable[[], T]
    ) -> None:
        """Have claimed work done before everything else that is queued."""
        try:
            queued = self._pool.submit(lambda: _finish(loading, key, task, work), urgent=True)
        except RuntimeError:
            error = Cancelled("The client is closed", reason="closed")
            loading.forget(key, task)
            task.fail(error)
            return
        # The pool may be closed before the work begins.
        queued.on_done(lambda: _abandon(loading, key, task))

    # -- in workers ---------------------------------------------------------------------------------

    def _without_network(self, name: str) -> Releases | None:
        registry, stamp = self._registry, self._stamp
        found = registry.ready(name, since=self._began, stamp=stamp)
        return registry.from_disk(name, stamp=stamp) if found is None else found

    def _load(self, name: str) -> Releases:
        self._pump.check()
        # Somebody may have finished between the question and the claim.
        found = self._registry.ready(name, since=self._began, stamp=self._stamp)
        return found or self._registry.load(name, stamp=self._stamp, pump=self._pump)

    def _load_metadata(self, file: FileRow) -> Result:
        self._pump.check()
        known = self._registry.metadata.known(file)
        return known or self._registry.metadata.load(file, pump=self._pump)

    def _submit(self, work: Callable[[], None]) -> None:
        if self._over:
            return
        try:
            self._pool.submit(work)
        except RuntimeError:
            self._over = True  # the client was closed

    def _crawl(self, name: str, scout: Scout) -> None:
        """Read a page, and go on from there."""
        if self._over:
            return
        loading = self._registry.loading_pages
        task, is_mine = loading.claim(name)
        if not is_mine:
            task.on_done(lambda: self._submit(lambda: self._go_on(name, scout)))
            return
        if _finish(loading, name, task, lambda: self._load(name)):
            self._go_on(name, scout)

    def _go_on(self, name: str, scout: Scout) -> None:
        """Read the metadata of the most likely file of a project whose page has come."""
        try:
            releases = self._registry.ready(name, since=self._began, stamp=self._stamp)
            file = None if releases is None or self._over else scout.pick(releases)
        except PuffinError:
            return  # kept in memory, for the one who asks
        if file is not None and file.is_wheel:
            self._touched.add(file.url)
            self._crawl_file(file, scout)

    def _crawl_file(self, file: FileRow, scout: Scout | None) -> None:
        """Read the metadata of a file, and go on with its dependencies."""
        if self._over:
            return
        if self._registry.metadata.known(file) is None:
            loading = self._registry.metadata.loading
            task, is_mine = loading.claim(file.url)
            if not is_mine:
                task.on_done(lambda: self._submit(lambda: self._follow(file, scout)))
                return
            self._asked.add(file.url)
            if not _finish(loading, file.url, task, lambda: self._load_metadata(file)):
                return
        self._follow(file, scout)

    def _follow(self, file: FileRow, scout: Scout | None) -> None:
        known = self._registry.metadata.known(file)
        if scout is not None and known is not None and not isinstance(known, PackageError):
            self.hint(scout.follow(file, known), scout)


def _not_cached(file: FileRow) -> OfflineMiss:
    return OfflineMiss(
        f"The metadata of {file.filename} is not in the cache, and we are offline",
        hint="Resolve once while connected, or choose versions that are cached.",
        url=file.url,
        missing=[file.filename],
    )


def _finish(loading: OnceMap[str, T], key: str, task: Task[T], work: Callable[[], T]) -> bool:
    """Do claimed work; its failure is for whoever waits. True where it succeeded."""
    if task.done:
        return False
    error: PuffinError
    try:
        value = work()
    except PuffinError as failure:
        error = failure
    except BaseException as failure:
        loading.forget(key, task)
        task.fail(failure)
        raise
    else:
        task.succeed(value)
        loading.forget(key, task)
        return True
    loading.forget(key, task)
    task.fail(error)
    return False


def _abandon(loading: OnceMap[str, T], key: str, task: Task[T]) -> None:
    """Fail work that its queue has dropped."""
    if not task.done:
        loading.forget(key, task)
        task.fail(Cancelled("The client was closed", reason="closed"))
