"""The target of a resolve: marker values, ranked tags and the version of Python."""

from __future__ import annotations

import functools
import types

import attrs

from puffin_api._model.target_platform import PlatformTag, PythonRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.tags import Tag
    from packaging.version import Version

MARKER_NAMES = (
    "implementation_name",
    "implementation_version",
    "os_name",
    "platform_machine",
    "platform_python_implementation",
    "platform_release",
    "platform_system",
    "platform_version",
    "python_full_version",
    "python_version",
    "sys_platform",
)
"""The environment markers of PEP 508, without ``extra``."""


def _freeze_markers(markers: Mapping[str, str]) -> Mapping[str, str]:
    return types.MappingProxyType({name: markers[name] for name in MARKER_NAMES})


def _freeze_tags(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(tags)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Target:
    """What packages are resolved for: an interpreter on a platform, as a value.

    Equal by content, hashable and picklable. Making one is cheap: objects for tags and the version are
    made when they are first asked for.

    Args:
        markers: A value for each environment marker of PEP 508.
        tag_strings: Wheel tags such as ``cp312-cp312-linux_x86_64``, best first.
    """

    markers: Mapping[str, str] = attrs.field(converter=_freeze_markers)
    tag_strings: tuple[str, ...] = attrs.field(converter=_freeze_tags)
    memo: dict[object, object] = attrs.field(factory=dict, init=False)
    """Where the resolver remembers what it derived from this target; no part of the value."""

    @classmethod
    def for_platform(
        cls,
        python: str = "3.12",
        platform: str = "manylinux_2_28_x86_64",
        *,
        implementation: str = "cp",
        abi: str | None = None,
    ) -> Target:
        """Make the target of an interpreter that need not exist here.

        Args:
            python: ``3.12``, ``3.12.4``, ``3.15.0rc1`` or, free-threaded, ``3.13t``. Without a patch
                release: patch release 0.
            platform: Any platform tag of a machine. A manylinux, musllinux, macosx, ios or android tag
                stands for a system of that very version, which takes wheels for all older ones too.
            implementation: ``cp`` or ``pp``, or a name such as ``graalpy``.
            abi: An ABI tag, where it is not the usual one: ``cp313t``, ``cp312d``, ``pypy310_pp73``.
                GraalPy has no usual one.

        Raises:
            ValueError: An argument does not name a version, platform or ABI, or they do not go together;
                the text says what does.

        >>> Target.for_platform("3.12", "manylinux_2_28_x86_64").tag_strings[0]
        'cp312-cp312-linux_x86_64'
        """
        request = PythonRequest.parse(python, implementation, abi)
        place = PlatformTag.parse(platform)
        place.check_python(request.version)
        return cls(
            markers={**request.markers(), **place.markers()},
            tag_strings=request.tags(place.platforms()),
        )

    @property
    def free_threaded(self) -> bool:
        """True for builds without the global interpreter lock."""
        from puffin_api._model.tags import is_free_threaded

        return is_free_threaded(self.tag_strings[0].split("-")[1])

    @functools.cached_property
    def python(self) -> Version:
        """The full version of Python, without the ``+`` of an untagged build."""
        from packaging.version import Version

        return Version(self.markers["python_full_version"].removesuffix("+"))

    @functools.cached_property
    def tags(self) -> Sequence[Tag]:
        """The wheel tags as objects, best first."""
        from packaging.tags import Tag

        return tuple(Tag(*tag.split("-")) for tag in self.tag_strings)

    @functools.cached_property
    def ranks(self) -> Mapping[str, int]:
        """The place of each tag, 0 for the best."""
        ranks: dict[str, int] = {}
        for rank, tag in enumerate(self.tag_strings):
            ranks.setdefault(tag, rank)
        return ranks

    def tag_rank(self, tag: str) -> int | None:
        """The place of a tag, 0 for the best; None when the target does not take it."""
        return self.ranks.get(tag)

    @functools.cached_property
    def digest(self) -> str:
        """Digest of the content, the same in every process."""
        import hashlib

        lines = [f"{name}={value}" for name, value in self.markers.items()]
        return hashlib.sha256("\n".join([*lines, "", *self.tag_strings]).encode()).hexdigest()[:32]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Target):
            return NotImplemented
        return self is other or (self.tag_strings == other.tag_strings and self.markers == other.markers)

    def __hash__(self) -> int:
        return int(self.digest[:15], 16)

    def __str__(self) -> str:
        name = self.markers["platform_python_implementation"]
        system, machine = self.markers["platform_system"], self.markers["platform_machine"]
        return f"{name} {self.markers['python_full_version']} on {system} {machine}"

    def __repr__(self) -> str:
        return f"<Target {self}, {len(self.tag_strings)} tags>"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (dict(self.markers), self.tag_strings)

    def to_dict(self) -> dict[str, object]:
        """Return the target as JSON-able data, with a ``schema`` number."""
        return {"schema": 1, "markers": dict(self.markers), "tags": list(self.tag_strings)}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Target:
        """Make a target from what ``to_dict`` gave, or from markers and tags of another tool.

        Raises:
            ValueError: A value is missing or of the wrong kind; the text names its place.
        """
        if data.get("schema", 1) != 1:
            raise ValueError(f"target.schema: {data['schema']!r} is unknown; this version reads schema 1")
        return cls(markers=_read_markers(data.get("markers")), tag_strings=_read_tags(data.get("tags")))


def _restore(markers: dict[str, str], tags: tuple[str, ...]) -> Target:
    """Make a pickled target again, with an empty memo."""
    return Target(markers=markers, tag_strings=tags)


def _read_markers(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"target.markers: expected an object, got {type(value).__name__}")
    markers: dict[str, str] = {}
    for name in MARKER_NAMES:
        text: object = value.get(name)
        if not isinstance(text, str):
            raise ValueError(f"target.markers.{name}: expected a string, got {text!r}")
        markers[name] = text
    return markers


def _read_tags(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("target.tags: expected a list of wheel tags, best first")
    items: Iterable[object] = value
    tags: list[str] = []
    for index, tag in enumerate(items):
        if not isinstance(tag, str) or tag.count("-") != 2:
            raise ValueError(f"target.tags[{index}]: expected a tag such as 'py3-none-any', got {tag!r}")
        tags.append(tag)
    return tags
