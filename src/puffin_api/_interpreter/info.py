"""What is known of an interpreter: a frozen value, read from the answer of the probe script."""

from __future__ import annotations

import ntpath
import os
from pathlib import Path

import attrs

from puffin_api._model.tags import TagFacts, compatible_tags
from puffin_api._model.target import MARKER_NAMES, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1


@attrs.frozen(kw_only=True)
class Scheme:
    """Where the parts of a wheel go: absolute for an interpreter, relative for one of its venvs."""

    purelib: str
    platlib: str
    scripts: str
    data: str
    include: str
    """The parent of the folders with the headers of each package."""

    def under(self, prefix: str | Path) -> Scheme:
        """The scheme with each relative place put under a prefix."""
        places = {key: os.path.normpath(os.path.join(prefix, place)) for key, place in self.to_dict().items()}
        return Scheme(**places)

    def to_dict(self) -> dict[str, str]:
        """Return the places by key."""
        return {
            "purelib": self.purelib,
            "platlib": self.platlib,
            "scripts": self.scripts,
            "data": self.data,
            "include": self.include,
        }


@attrs.frozen(kw_only=True)
class ExternalManagement:
    """The EXTERNALLY-MANAGED marker of PEP 668: where it is and what it tells the user."""

    path: Path
    message: str


@attrs.frozen(kw_only=True)
class InterpreterInfo:
    """Everything the library needs to know of an interpreter, as data.

    ``path`` is as it was given and never dereferenced: the python of a virtual environment is a link
    to its base, and only under its own name is it the environment's.
    """

    path: Path
    real_path: Path
    markers: Mapping[str, str] = attrs.field(hash=False)
    version_info: tuple[int, int, int, str, int]
    executable: str
    """``sys.executable`` as the interpreter reported it; differs from ``path`` behind a shim."""
    base_executable: str
    prefix: Path
    base_prefix: Path
    exec_prefix: Path
    base_exec_prefix: Path
    stdlib: Path
    sys_path: tuple[str, ...]
    abiflags: str
    soabi: str
    scheme: Scheme
    venv_scheme: Scheme
    externally_managed: ExternalManagement | None
    tag_facts: TagFacts

    @property
    def implementation(self) -> str:
        """``cpython``, ``pypy``, ``graalpy``."""
        return self.markers["implementation_name"]

    @property
    def version(self) -> str:
        """The full version as text, such as ``3.13.0rc1``."""
        return self.markers["python_full_version"]

    @property
    def is_virtual(self) -> bool:
        """True inside a virtual environment."""
        return self.prefix != self.base_prefix

    @property
    def is_windows(self) -> bool:
        """True for a Python made for Windows."""
        return self.markers["os_name"] == "nt"

    @property
    def free_threaded(self) -> bool:
        """True for builds without the global interpreter lock."""
        return self.tag_facts.free_threaded

    @property
    def is_debug(self) -> bool:
        """True for debug builds."""
        return self.tag_facts.debug

    @property
    def pointer_size(self) -> int:
        """4 or 8 bytes."""
        return self.tag_facts.pointer_size

    @property
    def is_shim(self) -> bool:
        """True where ``path`` started another file, so that what it is may change unseen."""
        return os.path.normcase(self.executable) != os.path.normcase(self.path) and (
            os.path.realpath(self.executable) != str(self.real_path)
        )

    def target(self) -> Target:
        """Make the target for which packages of this interpreter are resolved."""
        return Target(markers=self.markers, tag_strings=compatible_tags(self.tag_facts))

    def to_dict(self) -> dict[str, object]:
        """Return the facts as JSON-able data, with a ``schema`` number."""
        managed = self.externally_managed
        return {
            "schema": SCHEMA,
            "path": str(self.path),
            "real_path": str(self.real_path),
            "markers": dict(self.markers),
            "version_info": list(self.version_info),
            "executable": self.executable,
            "base_executable": self.base_executable,
            "prefix": str(self.prefix),
            "base_prefix": str(self.base_prefix),
            "exec_prefix": str(self.exec_prefix),
            "base_exec_prefix": str(self.base_exec_prefix),
            "stdlib": str(self.stdlib),
            "sys_path": list(self.sys_path),
            "abiflags": self.abiflags,
            "soabi": self.soabi,
            "scheme": self.scheme.to_dict(),
            "venv_scheme": self.venv_scheme.to_dict(),
            "externally_managed": managed and {"path": str(managed.path), "message": managed.message},
            "tags": _facts_to_dict(self.tag_facts),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> InterpreterInfo:
        """Make the value from what ``to_dict`` gave.

        Raises:
            ValueError: A fact is missing or of the wrong kind; the text names its place.
        """
        path = _Reader(data, "interpreter")
        return from_answer(data, path=Path(path.text("path")), real_path=Path(path.text("real_path")))


def from_answer(answer: Mapping[str, object], *, path: Path, real_path: Path) -> InterpreterInfo:
    """Make the value from the answer of the probe script.

    Raises:
        ValueError: A fact is missing or of the wrong kind; the text names its place.
    """
    reader = _Reader(answer, "interpreter")
    if answer.get("schema") != SCHEMA:
        raise reader.bad("schema", f"the number {SCHEMA}")
    version_info = reader.version_info("version_info")
    return InterpreterInfo(
        path=path,
        real_path=real_path,
        markers={name: reader.inside("markers").text(name) for name in MARKER_NAMES},
        version_info=version_info,
        executable=reader.text("executable"),
        base_executable=reader.text("base_executable"),
        prefix=Path(reader.text("prefix")),
        base_prefix=Path(reader.text("base_prefix")),
        exec_prefix=Path(reader.text("exec_prefix")),
        base_exec_prefix=Path(reader.text("base_exec_prefix")),
        stdlib=Path(reader.text("stdlib")),
        sys_path=tuple(reader.texts("sys_path")),
        abiflags=reader.text("abiflags"),
        soabi=reader.text("soabi"),
        scheme=_read_scheme(reader.inside("scheme")),
        venv_scheme=_read_venv_scheme(reader.inside("venv_scheme")),
        externally_managed=_read_managed(reader),
        tag_facts=_read_facts(reader.inside("tags"), version_info[:2]),
    )


def _read_scheme(reader: _Reader) -> Scheme:
    return Scheme(**{field.name: reader.text(field.name) for field in attrs.fields(Scheme)})


def _read_venv_scheme(reader: _Reader) -> Scheme:
    """A relative scheme; one that leads out of the environment would write anywhere."""
    scheme = _read_scheme(reader)
    for key, place in scheme.to_dict().items():
        parts = place.replace("\\", "/").split("/")
        if os.path.isabs(place) or ntpath.splitdrive(place)[0] or ".." in parts:
            raise reader.bad(key, "a place inside the environment")
    return scheme


def _read_managed(reader: _Reader) -> ExternalManagement | None:
    if reader.get("externally_managed") is None:
        return None
    inner = reader.inside("externally_managed")
    return ExternalManagement(path=Path(inner.text("path")), message=inner.text("message"))


def _read_facts(reader: _Reader, version: tuple[int, int]) -> TagFacts:
    return TagFacts(
        implementation=reader.text("implementation"),
        version=version,
        version_nodot=reader.text("version_nodot"),
        ext_suffix=reader.text("ext_suffix"),
        debug=reader.flag("debug"),
        free_threaded=reader.flag("free_threaded"),
        pointer_size=reader.number("pointer_size"),
        system=reader.text("system"),
        platform=reader.text("platform"),
        glibc=reader.pair("glibc"),
        musl=reader.pair("musl"),
        elf=reader.text("elf"),
        manylinux_vetoes=frozenset(reader.vetoes("manylinux_vetoes")),
        macos=reader.pair("macos"),
        mac_arch=reader.text("mac_arch"),
        ios=reader.pair("ios"),
        multiarch=reader.text("multiarch"),
        android_api=None if reader.get("android_api") is None else reader.number("android_api"),
        pyemscripten=reader.text("pyemscripten"),
    )


def _facts_to_dict(facts: TagFacts) -> dict[str, object]:
    plain = {field.name: getattr(facts, field.name) for field in attrs.fields(TagFacts)}
    del plain["version"]  # stands in version_info
    for name in ("glibc", "musl", "macos", "ios"):
        plain[name] = plain[name] and list(plain[name])
    plain["manylinux_vetoes"] = [list(veto) for veto in sorted(facts.manylinux_vetoes)]
    return plain


class _Reader:
    """Reads a JSON object strictly, naming the place of what is wrong."""

    __slots__ = ("_data", "_place")

    def __init__(self, data: Mapping[str, object], place: str) -> None:
        self._data = data
        self._place = place

    def bad(self, key: str, expected: str) -> ValueError:
        return ValueError(f"{self._place}.{key}: expected {expected}, got {self._data.get(key)!r}")

    def get(self, key: str) -> object:
        return self._data.get(key)

    def text(self, key: str) -> str:
        value = self._data.get(key)
        if not isinstance(value, str):
            raise self.bad(key, "a string")
        return value

    def flag(self, key: str) -> bool:
        value = self._data.get(key)
        if not isinstance(value, bool):
            raise self.bad(key, "true or false")
        return value

    def number(self, key: str) -> int:
        value = self._data.get(key)
        if not isinstance(value, int):
            raise self.bad(key, "a number")
        return value

    def items(self, key: str) -> list[object]:
        value = self._data.get(key)
        if not isinstance(value, list | tuple):
            raise self.bad(key, "a list")
        return list(value)

    def texts(self, key: str) -> list[str]:
        texts = [item for item in self.items(key) if isinstance(item, str)]
        if len(texts) != len(self.items(key)):
            raise self.bad(key, "a list of strings")
        return texts

    def pair(self, key: str) -> tuple[int, int] | None:
        if self._data.get(key) is None:
            return None
        match self.items(key):
            case [int(major), int(minor)]:
                return major, minor
            case _:
                raise self.bad(key, "two numbers or null")

    def version_info(self, key: str) -> tuple[int, int, int, str, int]:
        match self.items(key):
            case [int(major), int(minor), int(micro), str(level), int(serial)]:
                return major, minor, micro, level, serial
            case _:
                raise self.bad(key, "the five items of sys.version_info")

    def vetoes(self, key: str) -> list[tuple[int, int, str]]:
        vetoes: list[tuple[int, int, str]] = []
        for item in self.items(key):
            match item:
                case [int(major), int(minor), str(arch)]:
                    vetoes.append((major, minor, arch))
                case _:
                    raise self.bad(key, "a list of [major, minor, architecture]")
        return vetoes

    def inside(self, key: str) -> _Reader:
        value = self._data.get(key)
        if not isinstance(value, dict):
            raise self.bad(key, "an object")
        return _Reader(value, f"{self._place}.{key}")
