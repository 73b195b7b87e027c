"""Which build backend a source tree asks for, and what that needs (PEP 517, PEP 518)."""

from __future__ import annotations

import codecs
import os
import re
import tomllib

import attrs

from puffin_api._builder.failure import failed
from puffin_api._fs import is_inside, resolves_inside
from puffin_api._model.requirement import parse_requirement
from puffin_api.errors import RequirementInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
"""What stands in for ``python setup.py``: setuptools with the tree itself on ``sys.path``."""
LEGACY_REQUIRES = ("setuptools>=40.8.0",)
"""The first version with that backend."""

_OBJECT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?").fullmatch


@attrs.frozen(kw_only=True)
class Backend:
    """The build backend of a source tree."""

    requires: tuple[str, ...] = LEGACY_REQUIRES
    """Requirements (PEP 508) that must be installed before any hook is called."""
    build_backend: str = LEGACY_BACKEND
    """``module`` or ``module:object`` with the hooks."""
    backend_path: tuple[str, ...] = ()
    """Folders of the tree, relative to it, that the backend itself is imported from."""

    @classmethod
    def read(cls, tree: Path, *, package: str = "") -> Backend:
        """Read ``pyproject.toml``, or find out that there is none; runs nothing.

        Args:
            tree: The source tree.
            package: Its name for errors; empty where it is not known.

        Raises:
            BuildFailed: The tree is no Python project, or what it says is wrong; the phase is ``read``.
        """
        reader = _Reader(tree, package or str(tree))
        table = reader.build_system()
        return reader.legacy() if table is None else reader.declared(table)


@attrs.frozen
class _Reader:
    """Reads one tree, and says which one where something is wrong."""

    tree: Path
    package: str

    def build_system(self) -> Mapping[str, object] | None:
        """The table ``[build-system]``, None where the tree leaves it out."""
        document = self._document()
        if document is None:
            return None
        table = document.get("build-system")
        if table is None and not document.get("project") and not self._has("setup.py", "setup.cfg"):
            raise self._bad(
                "pyproject.toml has neither [build-system] nor [project], and there is no setup.py",
                hint="A file that only configures tools describes no project to be built.",
            )
        if table is not None and not isinstance(table, dict):
            raise self._bad("'build-system' in pyproject.toml is no table")
        return table

    def legacy(self) -> Backend:
        if not self._has("pyproject.toml", "setup.py"):
            raise self._bad("there is neither a pyproject.toml nor a setup.py", hint=self._elsewhere())
        return Backend()

    def declared(self, table: Mapping[str, object]) -> Backend:
        if "requires" not in table:
            raise self._bad(
                "[build-system] in pyproject.toml has no 'requires'",
                hint="PEP 518 demands it; 'requires = []' says that nothing is needed.",
            )
        requires = self._texts(table, "requires")
        for requirement in requires:
            self._check_requirement(requirement)
        backend_path = self._texts(table, "backend-path") if "backend-path" in table else ()
        for folder in backend_path:
            self._check_folder(folder)
        return Backend(
            requires=requires, build_backend=self._named(table, backend_path), backend_path=backend_path
        )

    def _named(self, table: Mapping[str, object], backend_path: tuple[str, ...]) -> str:
        if "build-backend" not in table:
            if backend_path:
                raise self._bad("[build-system] in pyproject.toml has 'backend-path' but no 'build-backend'")
            return LEGACY_BACKEND
        named = table["build-backend"]
        if not isinstance(named, str) or not _OBJECT(named):
            raise self._bad(
                f"'build-backend' in pyproject.toml is {named!r}, not 'module' or 'module:object'"
            )
        return named

    def _document(self) -> Mapping[str, object] | None:
        try:
            data = (self.tree / "pyproject.toml").read_bytes()
            self._check_start(data)
            return tomllib.loads(data.decode("utf-8").replace("\r\n", "\n"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._bad(f"pyproject.toml cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError, TOMLDecodeError
            raise self._bad(f"pyproject.toml is not valid TOML: {error}") from error

    def _check_start(self, data: bytes) -> None:
        if data.startswith(codecs.BOM_UTF8):
            raise self._bad(
                "pyproject.toml begins with a byte order mark, which TOML does not know",
                hint="Save it as UTF-8 without a signature.",
            )

    def _texts(self, table: Mapping[str, object], key: str) -> tuple[str, ...]:
        value = table[key]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._bad(f"'{key}' in pyproject.toml is {value!r}, not a list of strings")
        return tuple(value)

    def _check_requirement(self, text: str) -> None:
        try:
            parse_requirement(text)
        except RequirementInvalid as error:
            raise self._bad(f"'requires' in pyproject.toml is wrong: {error}", hint=error.hint) from error

    def _check_folder(self, folder: str) -> None:
        """PEP 517: relative, and inside the tree also when links are followed."""
        absolute = os.path.isabs(folder) or folder.startswith(("/", "\\"))
        if absolute or not is_inside(self.tree, folder) or not resolves_inside(self.tree, folder):
            raise self._bad(f"'backend-path' in pyproject.toml leads out of the project: {folder!r}")
        if not (self.tree / folder).is_dir():
            raise self._bad(f"'backend-path' in pyproject.toml is not a folder of the project: {folder!r}")

    def _has(self, *names: str) -> bool:
        return any((self.tree / name).is_file() for name in names)

    def _elsewhere(self) -> str:
        """Advice for the likely mistake: the project is a folder further down."""
        if not self.tree.is_dir():
            return ""
        found = sorted(
            entry.name
            for entry in self.tree.iterdir()
            if (entry / "pyproject.toml").is_file() or (entry / "setup.py").is_file()
        )
        return f"Did you mean the subdirectory {found[0]!r}?" if found else "It is no Python project."

    def _bad(self, reason: str, *, hint: str = "") -> Exception:
        return failed(self.package, "read", reason, hint=hint)
