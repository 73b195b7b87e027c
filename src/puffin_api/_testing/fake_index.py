"""FakeIndex: a package source in memory, whose wheels are made when they are added."""

from __future__ import annotations

from puffin_api._model.file import DistFile
from puffin_api._model.metadata import parse_metadata
from puffin_api._model.names import normalize
from puffin_api._model.project import Project
from puffin_api._testing.wheels import make_wheel, metadata_text, wheel_filename

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from puffin_api._model.metadata import CoreMetadata


class FakeIndex:
    """A ``PackageSource`` that says what a test has told it, and notes what it was asked.

    >>> index = FakeIndex()
    >>> index.add("flask", "3.0", requires=["werkzeug>=3"])
    >>> index.add("werkzeug", "3.1")
    """

    def __init__(self) -> None:
        self._files: dict[str, dict[str, tuple[DistFile, bytes, str]]] = {}
        self.asked: list[str] = []
        """Projects, and names of files whose metadata or bytes were asked for, in order."""

    def add(
        self,
        name: str,
        version: str,
        *,
        requires: Sequence[str] = (),
        extras: Mapping[str, Sequence[str]] | None = None,
        files: Mapping[str, str | bytes] | None = None,
        entry_points: Mapping[str, Mapping[str, str]] | None = None,
        tags: str = "py3-none-any",
        requires_python: str = "",
        yanked: str | None = None,
    ) -> DistFile:
        """Add a wheel of a release; returns the file as the index offers it.

        Args:
            extras: The requirements of each extra.
            files: Contents by path; by default one module with the name of the project.
            entry_points: ``name`` to ``module:function`` by group, such as ``console_scripts``.
        """
        project = normalize(name)
        content = files if files is not None else {f"{project.replace('-', '_')}.py": ""}
        metadata = metadata_text(
            name, version, requires=requires, extras=extras, requires_python=requires_python
        )
        data = make_wheel(
            name,
            version,
            files=content,
            requires=requires,
            extras=extras,
            requires_python=requires_python,
            entry_points=entry_points,
            tags=tags,
        )
        filename = wheel_filename(name, version, tags=tags)
        file = DistFile(
            name=project,
            version=version,
            filename=filename,
            url=f"fake://index/{filename}",
            hashes={"sha256": _sha256(data)},
            size=len(data),
            requires_python=requires_python,
            yanked=yanked,
            index="fake://index/",
        )
        self._files.setdefault(project, {})[filename] = (file, data, metadata)
        return file

    def project(self, name: str) -> Project | None:
        """Return what was added."""
        self.asked.append(name)
        known = self._files.get(name)
        if known is None:
            return None
        files = tuple(file for file, _, _ in known.values())
        versions = tuple(dict.fromkeys(file.version for file in files))
        return Project(name=name, versions=versions, files=files, index="fake://index/")

    def metadata(self, file: DistFile) -> CoreMetadata:
        """Return the metadata of a wheel that was added."""
        self.asked.append(file.filename)
        _, _, text = self._files[file.name][file.filename]
        return parse_metadata(text, source=file.filename)

    def fetch(self, file: DistFile, target: Path) -> None:
        """Write a wheel that was added."""
        self.asked.append(file.filename)
        _, data, _ = self._files[file.name][file.filename]
        target.write_bytes(data)


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
