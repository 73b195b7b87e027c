"""BuildSettings: what a caller may say about how packages are built."""

from __future__ import annotations

import hashlib
import json
import re
from types import MappingProxyType
from typing import Any

import attrs

from puffin_api._model.names import is_name, normalize
from puffin_api.errors import BuildForbidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    Setting = str | tuple[str, ...]
    V = TypeVar("V")

_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")


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
    """By package, environment variables for its backend; whatever they are, they are passed on. As they may
    be secrets, ``to_dict`` gives their names alone."""
    missing_env: Mapping[str, tuple[str, ...]] = attrs.field(
        factory=dict, converter=_requires_by_name, hash=False
    )
    """By package, the names of variables that it was built with and whose values are not known here: those of
    settings that were data. As long as one is missing, the package is not built."""
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
        """Return the variables for the backend of the package.

        Raises:
            BuildForbidden: The values of some are not known here.
        """
        missing = self.missing_env.get(_key(package))
        if missing:
            raise BuildForbidden(
                f"{package} cannot be built here: the values of {', '.join(missing)} are not known",
                hint="Data hold the names alone: give the installer build_settings with the values in env.",
                package=package,
            )
        return self.env.get(_key(package), {})

    def with_env_of(self, other: BuildSettings | None) -> BuildSettings:
        """Return the same settings with the missing variables that the others have."""
        if other is None or not self.missing_env:
            return self
        env, missing = dict(self.env), {}
        for package, names in self.missing_env.items():
            given = other.env.get(package, {})
            found = {name: given[name] for name in names if name in given}
            env[package] = {**env.get(package, {}), **found}
            rest = tuple(name for name in names if name not in given)
            if rest:
                missing[package] = rest
        return attrs.evolve(self, env=env, missing_env=missing)

    def digest(self, package: str) -> str:
        """Return 16 hex digits that change with whatever may change what is built of the package.

        It gives no secret away that a variable may hold.
        """
        parts: list[object] = [
            self.config_for(package),
            self.requires_for(package),
            dict(self.env.get(_key(package), {})),
            self.is_isolated(package),
        ]
        # Nothing was ever built without them: what is looked for is not found.
        parts += filter(None, [self.missing_env.get(_key(package))])
        data = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
        return hashlib.sha256(data).hexdigest()[:16]

    @property
    def key(self) -> str:
        """A text that is equal for settings that are equal for all packages; it gives no secret away."""
        special = {*self.package_config_settings, *self.extra_requires, *self.env, *self.missing_env}
        if not isinstance(self.isolation, bool):
            special |= self.isolation
        return " ".join(self.digest(name) for name in ("", *sorted(special)))

    def to_dict(self) -> dict[str, object]:
        """Return the settings as JSON-able data that ``from_dict`` takes; of variables, the names alone."""
        variables = {
            n: {*self.env.get(n, ()), *self.missing_env.get(n, ())} for n in (*self.env, *self.missing_env)
        }
        return {
            "schema": 1,
            "config_settings": _listed(self.config_settings),
            "package_config_settings": {n: _listed(s) for n, s in self.package_config_settings.items()},
            "extra_requires": {n: [*map(without_login, texts)] for n, texts in self.extra_requires.items()},
            "isolation": self.isolation if isinstance(self.isolation, bool) else sorted(self.isolation),
            "env": {n: sorted(names) for n, names in variables.items() if names},
            "timeout": self.timeout,
            "keep_logs": self.keep_logs,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BuildSettings:
        """Make the settings of what ``to_dict`` gave; variables are in ``missing_env`` then.

        Raises:
            ValueError: The data are of another schema, or damaged.
        """
        if data.get("schema") != 1:
            raise ValueError(f"build settings of schema {data.get('schema')!r} cannot be read")
        isolation = data["isolation"]
        return cls(
            config_settings=_settings(data["config_settings"]),
            package_config_settings=_each(data["package_config_settings"], _settings),
            extra_requires=_each(data["extra_requires"], strings),
            isolation=isolation if isinstance(isolation, bool) else strings(isolation),
            missing_env=_each(data["env"], strings),
            timeout=data["timeout"],
            keep_logs=data["keep_logs"] is True,
        )


def without_login(requirement: str) -> str:
    """Return a requirement without the user name and password of its URL."""
    return _LOGIN.sub("", requirement)


def strings(value: object) -> tuple[str, ...]:
    """Return an array of texts, as data have it."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected an array of texts, found {value!r}")  # bad data, not a bad call
    return tuple(value)


def _each(value: object, read: Callable[[object], V]) -> dict[str, V]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {type(value).__name__}")  # bad data, not a bad call
    return {str(key): read(item) for key, item in value.items()}


def _settings(value: object) -> dict[str, Setting]:
    return _each(value, lambda item: item if isinstance(item, str) else strings(item))


def _listed(settings: Mapping[str, Setting]) -> dict[str, object]:
    return {key: value if isinstance(value, str) else list(value) for key, value in settings.items()}


def _plain(value: object) -> object:
    if isinstance(value, MappingProxyType):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _from_fields(given: dict[str, Any]) -> BuildSettings:
    return BuildSettings(**given)


def _key(package: str) -> str:
    """The normal form of a name; what is no name (a path) is that of no package."""
    return normalize(package) if is_name(package) else ""
