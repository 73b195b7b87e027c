"""An unpacked wheel in the cache, and its manifest: all that installing needs to know of it."""

from __future__ import annotations

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST_FORMAT = 2


class DataFile:
    """A file of the wheel's ``.data`` folder that is installed into another scheme."""

    __slots__ = ("digest", "executable", "path", "scheme", "size", "source")

    def __init__(  # one parameter for each column
        self,
        scheme: str,
        path: str,
        source: str,
        digest: str,
        size: int,
        executable: bool,  # noqa: FBT001  # a column
    ) -> None:
        self.scheme = scheme
        """``purelib``, ``platlib``, ``scripts``, ``data`` or ``headers``."""
        self.path = path
        """Where it goes, relative to the scheme's folder, with ``/``."""
        self.source = source
        """Where it lies, relative to the archive's ``files`` folder."""
        self.digest = digest
        """As in RECORD: ``sha256=<urlsafe base64, no padding>``."""
        self.size = size
        self.executable = executable


class EntryPoint:
    """A console or GUI script that the wheel declares (entry points specification)."""

    __slots__ = ("attribute", "gui", "module", "name")

    def __init__(self, name: str, module: str, attribute: str, gui: bool) -> None:  # noqa: FBT001  # a column
        self.name = name
        self.module = module
        self.attribute = attribute
        """Dotted path of the function inside the module."""
        self.gui = gui


class WheelManifest:
    """What the unpacker learned of a wheel; written once beside the unpacked files.

    Paths are relative to the folder the wheel is installed into (purelib or platlib), with ``/``.
    """

    __slots__ = (
        "data",
        "directories",
        "dist_info",
        "entry_points",
        "executables",
        "files",
        "has_record",
        "installed_size",
        "name",
        "record",
        "root_is_purelib",
        "top_level",
        "version",
    )

    def __init__(  # one parameter for each column
        self,
        *,
        name: str,
        version: str,
        dist_info: str,
        root_is_purelib: bool,
        directories: tuple[str, ...],
        files: tuple[str, ...],
        executables: frozenset[str],
        record: str,
        top_level: tuple[str, ...],
        data: tuple[DataFile, ...],
        entry_points: tuple[EntryPoint, ...],
        installed_size: int,
        has_record: bool = False,
    ) -> None:
        self.name: str = name
        """Normalised."""
        self.version: str = version
        self.dist_info: str = dist_info
        """Name of the ``.dist-info`` folder as it stands in the wheel."""
        self.root_is_purelib: bool = root_is_purelib
        self.directories: tuple[str, ...] = directories
        """Every directory, parents before children, ``.data`` left out."""
        self.files: tuple[str, ...] = files
        """Every file to be linked, in archive order; RECORD, its signatures and ``.data`` left out."""
        self.executables: frozenset[str] = executables
        self.record: str = record
        """RECORD rows of ``files``, ready to be written: CSV lines that end in a newline."""
        self.top_level: tuple[str, ...] = top_level
        """First path segments of ``files``, each once, sorted."""
        self.data: tuple[DataFile, ...] = data
        self.entry_points: tuple[EntryPoint, ...] = entry_points
        self.has_record: bool = has_record
        """True where INSTALLER is among ``files``, and a RECORD that lists just ``files`` lies beside
        them: it can be linked where nothing else is installed."""
        self.installed_size: int = installed_size
        """Bytes of all files together."""


@attrs.frozen(kw_only=True)
class CachedWheel:
    """A wheel that lies unpacked in the cache.

    ``archive`` is canonical (no link in it) and its content never changes; the unpacked files are
    in ``archive / "files"``, the manifest in ``archive / "manifest.json"``.
    """

    archive: Path
    manifest: WheelManifest = attrs.field(eq=False, repr=False)
    hashes: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)
    """Digests of the file that it was unpacked from, by algorithm, in lower-case hex."""

    @property
    def name(self) -> str:
        """Normalised project name."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """Version as the wheel gives it."""
        return self.manifest.version
