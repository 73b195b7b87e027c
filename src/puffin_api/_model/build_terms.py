"""BuildTerms: how the sources of a resolution are built, for whoever installs it."""

from __future__ import annotations

from types import MappingProxyType

import attrs

from puffin_api._model.build_settings import BuildSettings, strings, without_login
from puffin_api._model.options import BuildPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def _read_only(given: Mapping[str, float | None]) -> Mapping[str, float | None]:
    return MappingProxyType(dict(given))


@attrs.frozen(kw_only=True)
class BuildTerms:
    """On which terms a resolution was made, as far as they concern builds.

    A resolution keeps them, as data and pickled too, so that it is built in the same way elsewhere.
    """

    policy: BuildPolicy = BuildPolicy.ALLOW
    settings: BuildSettings | None = None
    """None for the standard ones."""
    constraints: tuple[str, ...] = ()
    """On build requirements."""
    cutoff: Mapping[str, float | None] = attrs.field(factory=dict, converter=_read_only, hash=False)
    """By project, with the empty name for all others: files of build requirements that were uploaded at this
    time (seconds since the epoch) or later do not count."""
    cutoff_key: str = ""
    """Equal for limits that were given alike: an age is the same from day to day. What was built earlier with
    the same age has used nothing that is too new now."""
    skip_failed: bool = False
    """Whether versions that could not be built were passed over."""
    needs: frozenset[str] = frozenset()
    """What it was made with that is no data: ``builder``, ``runner``. Another process has to give its
    installer the like; without, nothing of the resolution is built there."""
    _live: object = attrs.field(default=None, eq=False, repr=False, alias="live")

    @property
    def live(self) -> object:
        """What is no data, in the process that the terms were made in; None elsewhere."""
        return self._live

    def to_dict(self) -> dict[str, object]:
        """Return the terms as JSON-able data that ``from_dict`` takes; no secret is in them."""
        return {
            "schema": 1,
            "policy": self.policy.value,
            "settings": None if self.settings is None else self.settings.to_dict(),
            "constraints": [without_login(text) for text in self.constraints],
            "cutoff": dict(self.cutoff),
            "cutoff_key": self.cutoff_key,
            "skip_failed": self.skip_failed,
            "needs": sorted(self.needs),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BuildTerms:
        """Make the terms of what ``to_dict`` gave.

        Raises:
            ValueError: The data are of another schema, or damaged.
        """
        if data.get("schema") != 1:
            raise ValueError(f"build terms of schema {data.get('schema')!r} cannot be read")
        settings = data.get("settings")
        return cls(
            policy=BuildPolicy(data["policy"]),
            settings=None if settings is None else BuildSettings.from_dict(settings),
            constraints=strings(data["constraints"]),
            cutoff=dict(data["cutoff"]),
            cutoff_key=str(data["cutoff_key"]),
            skip_failed=data["skip_failed"] is True,
            needs=frozenset(strings(data["needs"])),
        )

    def __reduce__(self) -> tuple[object, ...]:
        # What is alive belongs to this process, and may not even be picklable.
        parts = (
            self.policy,
            self.settings,
            self.constraints,
            dict(self.cutoff),
            self.cutoff_key,
            self.skip_failed,
            self.needs,
        )
        return _restored, parts


def _restored(
    policy: BuildPolicy,
    settings: BuildSettings | None,
    constraints: tuple[str, ...],
    cutoff: dict[str, float | None],
    cutoff_key: str,
    skip_failed: bool,  # noqa: FBT001  # what pickle gives has no names
    needs: frozenset[str],
) -> BuildTerms:
    return BuildTerms(
        policy=policy,
        settings=settings,
        constraints=constraints,
        cutoff=cutoff,
        cutoff_key=cutoff_key,
        skip_failed=skip_failed,
        needs=needs,
    )
