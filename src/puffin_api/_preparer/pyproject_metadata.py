"""The table ``[project]`` of pyproject.toml as core metadata, where no field of a resolution is dynamic.

Strict: what is not exactly to the specification is left to the build backend, which may mean something
else by it.
"""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from puffin_api._model.metadata import CoreMetadata
from puffin_api._model.names import is_name, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NEEDED = ("dependencies", "optional-dependencies", "requires-python")


class NotPromised(Exception):
    """A file makes no promise; the text says why."""


def project_metadata(pyproject: Mapping[str, object], *, version: str | None) -> CoreMetadata:
    """Return what the table ``[project]`` says.

    Args:
        pyproject: The whole file.
        version: The version, where the file name gives it, for a project that leaves it open.

    Raises:
        NotPromised: There is no such table, or it leaves something open, or is not valid.
    """
    project = _table(pyproject, "project", "there is no [project]")
    dynamic = _texts(project, "dynamic")
    for field in _NEEDED:
        if field in dynamic:
            raise NotPromised(f"{field} is dynamic")
    _check_poetry(pyproject, project)
    extras = _extras(project)
    return CoreMetadata(
        name=_name(project),
        version=_version(project, dynamic, version),
        summary=_text(project, "description"),
        requires_dist=(*_requirements(project, "dependencies"), *_gated(extras)),
        requires_python=_requires_python(project),
        provides_extra=tuple(extras),
    )


def _check_poetry(pyproject: Mapping[str, object], project: Mapping[str, object]) -> None:
    tool = pyproject.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    if not isinstance(poetry, dict):
        return
    if "dependencies" not in project:
        raise NotPromised("the dependencies are Poetry's")
    if "extras" in poetry and "optional-dependencies" not in project:
        raise NotPromised("the extras are Poetry's")
    if "requires-python" not in project and "python" in _mapping(poetry.get("dependencies")):
        raise NotPromised("the range of Pythons is Poetry's")


def _name(project: Mapping[str, object]) -> str:
    name = project.get("name")
    if not isinstance(name, str) or not is_name(name):
        raise NotPromised("there is no valid name")
    return name


def _version(project: Mapping[str, object], dynamic: tuple[str, ...], known: str | None) -> str:
    if "version" in project and "version" in dynamic:
        raise NotPromised("the version is both given and dynamic")
    version = known if "version" in dynamic else project.get("version")
    if not isinstance(version, str):
        raise NotPromised("the version is dynamic" if "version" in dynamic else "there is no version")
    try:
        return str(Version(version))
    except InvalidVersion as error:
        raise NotPromised(str(error)) from error


def _requires_python(project: Mapping[str, object]) -> str:
    text = _text(project, "requires-python")
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise NotPromised(str(error)) from error
    return text


def _extras(project: Mapping[str, object]) -> dict[str, tuple[Requirement, ...]]:
    """Return the requirements by normalised extra."""
    table = project.get("optional-dependencies", {})
    if not isinstance(table, dict):
        raise NotPromised("optional-dependencies is no table")
    extras: dict[str, tuple[Requirement, ...]] = {}
    for name in table:
        if not is_name(name):
            raise NotPromised(f"{name!r} is no valid name for an extra")
        if normalize(name) in extras:
            raise NotPromised(f"there are two extras {normalize(name)}")
        extras[normalize(name)] = tuple(_parsed(table, name))
    return extras


def _gated(extras: Mapping[str, tuple[Requirement, ...]]) -> Iterator[str]:
    """Give the requirements of extras as core metadata has them."""
    for extra, requirements in extras.items():
        for requirement in requirements:
            marker = str(requirement.marker) if requirement.marker else ""
            # "and" binds more tightly. A quoted "or" gets parentheses that do no harm.
            if " or " in marker:
                marker = f"({marker})"
            requirement.marker = None
            joined = f"{marker} and extra == '{extra}'" if marker else f"extra == '{extra}'"
            yield f"{requirement} ; {joined}"


def _requirements(project: Mapping[str, object], field: str) -> Iterator[str]:
    return (str(requirement) for requirement in _parsed(project, field))


def _parsed(table: Mapping[str, object], field: str) -> Iterator[Requirement]:
    for text in _texts(table, field):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise NotPromised(f"{field}: {str(error).splitlines()[0]}") from error
        if "{" in (requirement.url or ""):
            # Hatchling puts the folder of the project there.
            raise NotPromised(f"{field}: the URL of {requirement.name} is to be filled in")
        yield requirement


def _texts(table: Mapping[str, object], field: str) -> tuple[str, ...]:
    value = table.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise NotPromised(f"{field} is no list of texts")
    return tuple(value)


def _text(table: Mapping[str, object], field: str) -> str:
    value = table.get(field, "")
    if not isinstance(value, str):
        raise NotPromised(f"{field} is no text")
    return value


def _table(table: Mapping[str, object], field: str, missing: str) -> Mapping[str, object]:
    value = table.get(field)
    if not isinstance(value, dict):
        raise NotPromised(missing if value is None else f"{field} is no table")
    return value


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
