"""BuildSettings: what a caller may say about how packages are built."""

from __future__ import annotations

import hashlib
import json
from types import MappingProxyType
from typing import Any

import attrs

from puffin_api._model.names import is_name, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeVar

    Setting = str | tuple[str, ...]
    V = TypeVar("V")


def _by_name(given: Mapping[str, V]) -> Mapping[str, V]:
    return MappingProxyType({normalize(name): value for name, value in given.items()})


def _frozen(given: Mapping[str, str | Iterable[str]]) -> Mapping[str, Setting]:
    pairs = {key: value if isinstance(value, str) else tuple(value) for key, value in given.items()}
    return MappingProxyType(pairs)


def _settings_by_name(
    given: Mapping[str, Mapping[str, str | Iterable[str]]],
) -> Mapping[str, Mapping[str, Setting]]:
    return _by_name({name: _frozen(settings) for name, settings in given.items()})


def _requires_by_name(given: Mapping[str, Iterable[str]]) -> Mapping[str, tuple[str, ...]]:
    return _by_name({name: tuple(requires) for name, requires in given.items()})


def _names(given: bool | Iterable[str]) -> bool | frozenset[str]:  # noqa: FBT001  # the option itself
    return given if isinstance(given, bool) else frozenset(normalize(name) for name in given)


def _read_only(given: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(given))


def _variables_by_name(given: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    return _by_name({name: _read_only(variables) for name, variables in given.items()})


@attrs.frozen(kw_only=True)
class BuildSettings:
    """How source trees are built. Names of packages may be given in any form."""

    config_settings: Mapping[str, Setting] = attrs.field(factory=dict, converter=_frozen, hash=False)
    """For the backend of every package (PEP 517): text, or several texts under one key."""
    package_config_settings: Mapping[str, Mapping[str, Setting]] = attrs.field(
        factory=dict, converter=_settings_by_name, hash=False
    )
    """By package; a key here takes the place of the same key above."""
    extra_requires: Mapping[str, tuple[str, ...]] = attrs.field(
        factory=dict, converter=_requires_by_name, hash=False
    )
    """By package, build requirements that it forgets to declare."""
    isolation: bool | frozenset[str] = attrs.field(default=True, converter=_names)
    """True to build everything in environments made for it; False to build everything in the given
    interpreter as it is; or the names of the packages that are built so, all others being isolated."""
    env: Mapping[str, Mapping[str, str]] = attrs.field(
        factory=dict, converter=_variables_by_name, hash=False, repr=False
    )
    """By package, environment variables for its backend; whatever they are, they are passed on."""
    timeout: float | None = None
    """Seconds for each call of a backend."""
    keep_logs: bool = False
    """Keep also the logs of builds that succeed."""

    def __reduce__(self) -> tuple[object, ...]:
        # Views of mappings cannot be pickled or copied.
        given = {field.name: _plain(getattr(self, field.name)) for field in attrs.fields(type(self))}
        return _from_fields, (given,)

    def is_isolated(self, package: str) -> bool:
        """Tell whether the package is built in an environment of its own."""
        if isinstance(self.isolation, bool):
            return self.isolation
        return _key(package) not in self.isolation

    def config_for(self, package: str) -> dict[str, str | list[str]]:
        """Return what the backend of the package is told."""
        merged = {**self.config_settings, **self.package_config_settings.get(_key(package), {})}
        return {key: value if isinstance(value, str) else list(value) for key, value in merged.items()}

    def requires_for(self, package: str) -> tuple[str, ...]:
        """Return the extra build requirements of the package."""
        return self.extra_requires.get(_key(package), ())

    def env_for(self, package: str) -> Mapping[str, str]:
        """Return the variables for the backend of the package."""
        return self.env.get(_key(package), {})

    def digest(self, package: str) -> str:
        """Return 16 hex digits that change with whatever may change what is built of the package.

        It gives no secret away that a variable may hold.
        """
        parts = [
            self.config_for(package),
            self.requires_for(package),
            dict(self.env_for(package)),
            self.is_isolated(package),
        ]
        data = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
        return hashlib.sha256(data).hexdigest()[:16]

    @property
    def key(self) -> str:
        """A text that is equal for settings that are equal for all packages; it gives no secret away."""
        special = {*self.package_config_settings, *self.extra_requires, *self.env}
        if not isinstance(self.isolation, bool):
            special |= self.isolation
        return " ".join(self.digest(name) for name in ("", *sorted(special)))


def _plain(value: object) -> object:
    if isinstance(value, MappingProxyType):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _from_fields(given: dict[str, Any]) -> BuildSettings:
    return BuildSettings(**given)


def _key(package: str) -> str:
    """The normal form of a name; what is no name (a path) is that of no package."""
    return normalize(package) if is_name(package) else ""
