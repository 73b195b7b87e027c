"""Sources that a builder of the caller's turns into metadata and wheels."""

from __future__ import annotations

import attrs

from puffin_api._fs import unique_name
from puffin_api._model.file import DistFile, FileRow
from puffin_api._model.filename import parse_wheel_name
from puffin_api._model.metadata import dist_metadata
from puffin_api._model.names import normalize
from puffin_api._model.options import BuildPolicy
from puffin_api._model.version_key import sort_version
from puffin_api._preparer.git_repositories import GitTerms
from puffin_api._wheel.unpack import unpack_wheel
from puffin_api.errors import BuildFailed, BuildForbidden, RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._api.wiring import ClientParts
    from puffin_api._concurrency import Pump
    from puffin_api._model.cached import CachedWheel
    from puffin_api._model.git_url import GitUrl, Login
    from puffin_api._model.metadata import CoreMetadata, DistMetadata
    from puffin_api.protocols import Runner, SourceBuilder


class GivenSources:
    """Answers as `Sources` does, by asking the caller's builder each time: what it keeps is its own affair.

    Args:
        parts: Those of the client.
        builder: The caller's.
        policy: What it may be asked for.
        pump: That of the call.
        runner: Starts git; None for the standard one.
    """

    def __init__(
        self,
        parts: ClientParts,
        builder: SourceBuilder,
        policy: BuildPolicy,
        pump: Pump,
        *,
        runner: Runner | None = None,
    ) -> None:
        self._parts = parts
        self._builder = builder
        self._policy = policy
        self._pump = pump
        self._runner = runner

    @property
    def may_build(self) -> bool:
        """Whether wheels may be built."""
        return self._policy is BuildPolicy.ALLOW

    def commit(self, url: GitUrl, login: Login | None) -> str:
        """Return the commit that a revision stands for."""
        repositories = self._parts.repositories
        if login is not None:
            repositories.add_login(url, login)
        telling = self._parts.telling(self._pump)
        repositories.agree(telling, GitTerms(self._runner, self._policy is not BuildPolicy.NEVER))
        with self._parts.cache.leases.lease():
            return repositories.resolve(url, self._pump, telling=telling)

    def complete(self, file: FileRow) -> FileRow:
        """Return a file with name and version, which its metadata tells."""
        core = self._core(file)
        order = sort_version(core.version)
        if order is None:
            raise RequirementInvalid(
                f"{file.url} cannot be used: {core.version!r} is not a valid version", text=file.url
            )
        given = DistFile.of(file)
        name = file.filename or f"{core.name}-{order[1]}"
        return attrs.evolve(given, name=normalize(core.name), version=order[1], filename=name).row()

    def metadata(self, file: FileRow) -> DistMetadata:
        """Return the metadata of sources."""
        return dist_metadata(self._core(file), origin="build")

    def wheel(self, file: DistFile) -> CachedWheel:
        """Return the unpacked wheel of sources, built anew."""
        if not self.may_build:
            raise BuildForbidden(f"{file.filename} would have to be built", package=file.name)
        store = self._parts.cache.archives
        with store.scratch() as scratch:
            folder = scratch / "wheels"
            folder.mkdir()
            made = self._builder.build(file, folder, cancel=self._pump.cancel)  # type: ignore[arg-type]  # ours
            if parse_wheel_name(made.name).name != file.name:
                raise BuildFailed(
                    f"{file.name}: the builder gave {made.name}",
                    package=file.name,
                    phase="check",
                    exit_code=None,
                    log_tail=(),
                    log_path=None,
                )
            archive = scratch / "archive"
            manifest = unpack_wheel(
                made, archive, filename=made.name, pump=self._pump, source_hashes=file.hashes
            )
            link = self._parts.cache.layout.built("given", file.name, unique_name()) / made.stem
            canonical = store.persist(archive, link)
        return self._parts.wheels.remember(canonical, manifest, file.hashes)

    def lookup(self, file: DistFile) -> CachedWheel | None:
        """Return None: only the builder knows what it has built before."""
        del file
        return None

    def _core(self, file: FileRow) -> CoreMetadata:
        if self._policy is BuildPolicy.NEVER:
            raise BuildForbidden(f"{file.filename or file.url} would have to be built", package=file.project)
        return self._builder.metadata(DistFile.of(file), cancel=self._pump.cancel)  # type: ignore[arg-type]  # ours
