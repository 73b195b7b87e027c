"""Client: where packages come from."""

from __future__ import annotations

import functools
import random

from puffin_api._api.operation import operation
from puffin_api._api.wiring import ClientParts
from puffin_api._client.auth import Credentials
from puffin_api._client.index_pins import pin_indexes
from puffin_api._client.registry import Registry
from puffin_api._client.retry import Retries
from puffin_api._client.transport import Urllib3Transport
from puffin_api._concurrency import WorkerPool
from puffin_api._model.names import normalize
from puffin_api._model.options import (
    BuildPolicy,
    Index,
    IndexStrategy,
    Refresh,
    RetryPolicy,
    Timeouts,
    Tls,
)
from puffin_api.errors import BuildForbidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from puffin_api._api.cache import Cache
    from puffin_api._api.wiring import CacheParts
    from puffin_api._concurrency import Pump
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.file import DistFile
    from puffin_api._model.metadata import CoreMetadata
    from puffin_api._model.project import Project
    from puffin_api.protocols import (
        CredentialProvider,
        PackageSource,
        Reporter,
        Transport,
    )


class Client:
    """Indexes, a cache, and the connections to them. Threads may share one; close it at the end.

    What indexes say stays in memory for the life of the client.

    Args:
        indexes: In order of preference: URLs, ``Index`` values or sources of your own.
        find_links: Folders and pages whose files stand beside those of the indexes.
        cache: Where things are kept on disk; None for a temporary one that is removed on closing.
        transport: Does the HTTP exchanges.
        credentials: Asked for user names and passwords, once for each origin.
        tls: Whom to trust.
        proxy: URL of the proxy for everything.
        retries: How often to try again.
        timeouts: How long to wait.
        offline: Use what is cached, however old, and local files.
        index_strategy: Which index answers where several know a project.
        index_pins: For some projects, the one index that they come from, whoever depends on them: its
            name, its URL, or the index itself, which then need not be among the others. Neither
            another index nor find-links are asked for them.
        refresh: What to revalidate once, however fresh.
        concurrency: Exchanges at once.
        user_agent: How to introduce ourselves.
        env: Variables for child processes, which are build backends and git: ``PATH``, ``HOME``, ``CC``,
            proxies. Nothing of this process's environment reaches them otherwise.

    Raises:
        ValueError: A pin leads to none of the indexes.
    """

    def __init__(
        self,
        *,
        indexes: Sequence[Index | PackageSource | str] | None = None,
        find_links: Sequence[str | os.PathLike[str]] = (),
        cache: Cache | None = None,
        transport: Transport | None = None,
        credentials: CredentialProvider | None = None,
        tls: Tls | None = None,
        proxy: str | None = None,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        offline: bool = False,
        index_strategy: IndexStrategy = IndexStrategy.FIRST_INDEX,
        index_pins: Mapping[str, str | Index] | None = None,
        refresh: Refresh | None = None,
        concurrency: int = 50,
        user_agent: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        given = (Index.pypi(),) if indexes is None else tuple(indexes)
        listed = [Index(item) if isinstance(item, str) else item for item in given]
        self._indexes, self._pins = pin_indexes(listed, index_pins or {})
        self._cache = cache
        self._owns_cache = cache is None
        self._find_links = tuple(str(place) for place in find_links)
        places: list[Index | str] = [i for i in self._indexes if isinstance(i, Index)]
        places += self._find_links
        # Chance of its own: the numbers of the process's are somebody's.
        self._retries = Retries(retries, chance=random.Random().random)  # noqa: S311  # to spread load
        logins = Credentials.of(places, credentials)
        self._transport = transport or Urllib3Transport(
            credentials=logins,
            tls=tls,
            proxy=proxy,
            retries=self._retries,
            timeouts=timeouts,
            user_agent=user_agent or "puffin-api",
            connections=concurrency,
        )
        self._offline = offline
        self._strategy = index_strategy
        self._refresh = refresh
        self._parts = ClientParts(
            lambda: self.cache,
            WorkerPool(concurrency),
            self._make_registry,
            logins.add,
            env=env,
            credentials=credentials,
            offline=offline,
            must_ask=(refresh or Refresh.none()).covers,
        )

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str],
        *,
        config_files: Sequence[str | os.PathLike[str]] | None = None,
        **overrides: Any,
    ) -> Client:
        """Make a client as the user's pip is configured.

        The only place where an environment and configuration are read. Extra indexes stand before
        the main one: with the first-index strategy, a project of theirs cannot be replaced by a
        stranger's of the same name.

        Args:
            environ: ``PIP_*``, ``SSL_CERT_FILE``, proxies; also where configuration files are.
            config_files: Read these instead of those in pip's usual places.
            overrides: Arguments of the constructor, which win.
        """
        from puffin_api._api.pip_settings import client_options, read_settings

        options = client_options(read_settings(environ, config_files))
        options["env"] = environ
        return cls(**{**options, **overrides})

    # --- what indexes say -----------------------------------------------------------------------

    def project(
        self, name: str, *, reporter: Reporter | None = None, cancel: CancelToken | None = None
    ) -> Project:
        """Return what the indexes say of a project.

        Raises:
            PackageNotFound: No index knows it.
            NetworkError: It cannot be found out.
        """
        name = normalize(name)
        with operation("fetch", reporter, cancel) as pump, self._parts.view(pump) as source:
            return self._parts.registry.project(name, source.releases(name))

    def metadata(
        self,
        file: DistFile,
        *,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> CoreMetadata:
        """Return the metadata of a file.

        Of a wheel: by itself, else from the end of the file, else from all of it. Of sources: what they
        promise without running code; ask a resolver where that is not enough.

        Raises:
            MetadataInvalid: It does not follow the specification.
            BuildForbidden: Only a build could tell it.
            NetworkError: It cannot be read.
        """
        with operation("fetch", reporter, cancel) as pump:
            if not (file.is_wheel or self._parts.registry.metadata.is_given(file.index)):
                return self._promised(file, pump)
            row = file.row()
            work = functools.partial(self._parts.registry.metadata.core, row, pump=pump)
            return pump.wait(self._parts.pool.submit(work))

    def fetch(
        self,
        file: DistFile,
        *,
        reporter: Reporter | None = None,
        cancel: CancelToken | None = None,
    ) -> CachedWheel:
        """Return a wheel unpacked in the cache, fetching and verifying it where it is missing.

        Raises:
            NetworkError: It cannot be had.
            HashMismatch: It is not the expected file.
            UnsafeArchive: It breaks a safety rule.
            MetadataInvalid: It is no valid wheel.
            BuildForbidden: It is no wheel: an installer builds one.
        """
        if not file.is_wheel:
            raise BuildForbidden(
                f"{file.filename} is no wheel: it would have to be built",
                hint="Resolve it and let an Installer prepare it.",
                package=file.name,
            )
        with operation("fetch", reporter, cancel) as pump:
            return self._parts.prepare([file], pump)[0][file.name]

    def _promised(self, file: DistFile, pump: Pump) -> CoreMetadata:
        from puffin_api._api.build_options import BuildOptions
        from puffin_api._api.interpreter import Interpreter
        from puffin_api._api.sources import Sources

        options = BuildOptions(policy=BuildPolicy.NEVER)
        return Sources(self._parts, Interpreter.current(), options, pump).core(file)

    @property
    def cache(self) -> Cache:
        """The cache; a temporary one where none was given."""
        if self._cache is None:
            import tempfile

            from puffin_api._api.cache import Cache

            self._cache = Cache(tempfile.mkdtemp(prefix="puffin-"))
        return self._cache

    def _make_registry(self, cache: CacheParts) -> Registry:
        return Registry(
            self._indexes,
            transport=self._transport,
            find_links=self._find_links,
            layout=cache.layout,
            layers=cache.layers,
            read_only=cache.read_only,
            store=cache.entries,
            refresh=self._refresh,
            offline=self._offline,
            strategy=self._strategy,
            pins=self._pins,
            retries=self._retries,
        )

    def close(self) -> None:
        """Close connections, end threads and kept builds, and remove the cache if it was a temporary one."""
        self._transport.close()
        self._parts.pool.close()
        self._parts.end_builds()
        self._parts.flush()
        if self._owns_cache and self._cache is not None:
            from puffin_api._fs import remove_tree

            remove_tree(self._cache.path)
            self._cache = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
