"""Interpreter: a Python on disk, asked once what it is."""

from __future__ import annotations

import os
from pathlib import Path

from puffin_api._api.wiring import parts_of_cache
from puffin_api._interpreter import discover as discovery
from puffin_api._interpreter import probe as probing
from puffin_api._interpreter import venv
from puffin_api.errors import InterpreterNotFound, ProbeFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    from puffin_api._api.cache import Cache
    from puffin_api._api.environment import Environment
    from puffin_api._interpreter.info import InterpreterInfo, Scheme
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.target import Target
    from puffin_api.protocols import Runner


class Interpreter:
    """A Python interpreter. Make one by ``current``, ``probe`` or ``find``."""

    def __init__(self, info: InterpreterInfo) -> None:
        self.info = info
        """Everything it said of itself."""
        self.target: Target = info.target()
        """What packages for it are resolved for."""

    @classmethod
    def current(cls) -> Interpreter:
        """Return the running interpreter; starts no process.

        Raises:
            ProbeFailed: The process embeds Python and has no interpreter on disk.
        """
        return cls(probing.current_info())

    @classmethod
    def probe(
        cls,
        path: str | os.PathLike[str],
        *,
        cache: Cache | None = None,
        runner: Runner | None = None,
        timeout: float | None = 10.0,
        cancel: CancelToken | None = None,
    ) -> Interpreter:
        """Start an interpreter once and ask it what it is.

        Args:
            path: The executable; kept as given, never dereferenced.
            cache: Where the answer is kept, for as long as the file stays the same.
            runner: How it is started.
            timeout: Seconds; None for ever.
            cancel: Stops it.

        Raises:
            ProbeFailed: It is no Python, too old, or does not answer.
        """
        if cache is None:
            return cls(probing.probe(path, runner=runner, timeout=timeout, cancel=cancel))
        parts = parts_of_cache(cache)
        entries, layout = parts.entries, parts.layout
        info = probing.probe_cached(
            path,
            load=lambda key: entries.read(layout.interpreter(Path(key))),
            save=lambda key, data: _ignore(entries.write(layout.interpreter(Path(key)), data)),
            runner=runner,
            timeout=timeout,
            cancel=cancel,
        )
        return cls(info)

    @classmethod
    def discover(
        cls,
        request: str | os.PathLike[str] = "",
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        cache: Cache | None = None,
        runner: Runner | None = None,
        cancel: CancelToken | None = None,
    ) -> Iterator[Interpreter | ProbeFailed]:
        """Give the interpreters that fit a request, the likeliest first; broken ones as errors.

        Args:
            request: ``3.12``, ``>=3.11,<3.13``, ``pypy``, ``3.13t``, a name or a path; empty for any.
            environ: Where ``PATH`` and ``VIRTUAL_ENV`` are looked up; None for the running one only.
            cwd: Where ``.venv`` is looked for, there and above; None for nowhere.
            cache: Where answers are kept.
            runner: How they are started.
            cancel: Stops it.

        Raises:
            InterpreterNotFound: The request itself does not parse.
        """
        parsed = discovery.parse_request(request)
        for candidate in discovery.discover(parsed, environ=environ, cwd=cwd):
            try:
                found = cls.probe(candidate.path, cache=cache, runner=runner, cancel=cancel)
            except ProbeFailed as failed:
                yield failed
            else:
                if discovery.accepts(parsed, found.info):
                    yield found

    @classmethod
    def find(
        cls,
        request: str | os.PathLike[str] = "",
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        cache: Cache | None = None,
        runner: Runner | None = None,
        cancel: CancelToken | None = None,
    ) -> Interpreter:
        """Return the first interpreter that fits; see ``discover``.

        Raises:
            InterpreterNotFound: None does; the error lists all that were tried.
        """
        tried: list[str] = []
        for found in cls.discover(
            request, environ=environ, cwd=cwd, cache=cache, runner=runner, cancel=cancel
        ):
            if isinstance(found, Interpreter):
                return found
            tried.append(str(found))
        wanted = os.fspath(request) or "any Python"
        raise InterpreterNotFound(
            f"No interpreter fits {wanted}",
            hint="Name one by its path, or give an environ in which it is on the PATH.",
            request=os.fspath(request),
            tried=tuple(tried),
        )

    @property
    def path(self) -> Path:
        """The executable, as given."""
        return self.info.path

    @property
    def real_path(self) -> Path:
        """The file behind the links."""
        return self.info.real_path

    @property
    def version(self) -> str:
        """Full version, such as ``3.13.0``."""
        return self.info.version

    @property
    def implementation(self) -> str:
        """``cpython``, ``pypy``, ..."""
        return self.info.implementation

    @property
    def scheme(self) -> Scheme:
        """Where packages go, as absolute paths."""
        return self.info.scheme

    @property
    def is_virtual(self) -> bool:
        """True inside a virtual environment."""
        return self.info.is_virtual

    @property
    def externally_managed(self) -> bool:
        """True where a system's package manager owns the packages (PEP 668)."""
        return self.info.externally_managed is not None

    @property
    def free_threaded(self) -> bool:
        """True for builds without the global interpreter lock."""
        return self.info.free_threaded

    def create_venv(
        self,
        path: str | os.PathLike[str],
        *,
        exists: Literal["error", "reuse", "replace"] = "error",
        system_site_packages: bool = False,
        prompt: str | None = None,
        runner: Runner | None = None,
        cancel: CancelToken | None = None,
    ) -> Environment:
        """Create a virtual environment; it is there whole or not at all.

        Args:
            path: Where.
            exists: What to do when something is there already.
            system_site_packages: Whether the packages of the base can be imported.
            prompt: What activation shows; None for the name of the folder.
            runner: How an existing environment's python is started.
            cancel: Stops it.

        Raises:
            EnvironmentProblem: Something is in the way.
            NotWritable: The place cannot be written.
            ProbeFailed: The new interpreter does not work.
        """
        from puffin_api._api.environment import Environment

        prefix = venv.create_venv(
            path,
            self.info,
            exists=exists,
            system_site_packages=system_site_packages,
            prompt=prompt,
            library_version=_version(),
            runner=runner,
            cancel=cancel,
        )
        if exists == "reuse":
            return Environment.at(prefix, runner=runner, cancel=cancel)
        return Environment(Interpreter(venv.info_of_venv(prefix, self.info)))

    def environment(self) -> Environment:
        """Return the place that this interpreter imports its packages from."""
        from puffin_api._api.environment import Environment

        return Environment(self)

    def __repr__(self) -> str:
        return f"<Interpreter {self.path}: {self.implementation} {self.version}>"


def _ignore(_: object) -> None:
    """Take a result that does not matter."""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("puffin-api")
    except PackageNotFoundError:
        return "0"
