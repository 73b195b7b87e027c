"""What a caller says about builds, and the way to sources, which is imported when it is taken."""

from __future__ import annotations

import functools

import attrs

from puffin_api._model.build_settings import BuildSettings
from puffin_api._model.build_terms import BuildTerms
from puffin_api._model.options import BuildPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from puffin_api._api.environment import Environment
    from puffin_api._api.given_builder import GivenSources
    from puffin_api._api.interpreter import Interpreter
    from puffin_api._api.sources import Sources
    from puffin_api._api.wiring import ClientParts
    from puffin_api._concurrency import Pump
    from puffin_api._interpreter.info import InterpreterInfo
    from puffin_api._model.file import FileRow
    from puffin_api._model.git_url import GitUrl, Login
    from puffin_api._model.metadata import DistMetadata
    from puffin_api._model.target import Target
    from puffin_api.protocols import Runner, SourceBuilder

    For = Target | Interpreter | Environment


@attrs.frozen(kw_only=True)
class BuildOptions:
    """What a caller says about builds."""

    policy: BuildPolicy = BuildPolicy.ALLOW
    settings: BuildSettings | None = None
    """None for the standard ones."""
    constraints: tuple[str, ...] = ()
    """On build requirements."""
    cutoff: Mapping[str, float | None] = attrs.field(factory=dict, hash=False)
    """On the upload times of their files; see `BuildTerms`."""
    cutoff_key: str = ""
    skip_failed: bool = False
    """Whether a version that cannot be built is passed over, instead of ending the resolution."""
    runner: Runner | None = None
    builder: SourceBuilder | None = None
    """Builds in place of the standard way; nothing else here is for it, but the policy."""
    lacking: frozenset[str] = frozenset()
    """What a resolution was made with that is not here: ``builder``, ``runner``."""

    @property
    def in_full(self) -> BuildSettings:
        """The settings, whether or not somebody has said them."""
        return self.settings or BuildSettings()

    @property
    def terms(self) -> BuildTerms:
        """The same for a resolution to keep."""
        given = {"builder": self.builder, "runner": self.runner}
        return BuildTerms(
            policy=self.policy,
            settings=self.settings,
            constraints=self.constraints,
            cutoff=self.cutoff,
            cutoff_key=self.cutoff_key,
            skip_failed=self.skip_failed,
            needs=frozenset(name for name, part in given.items() if part is not None),
            live=self,
        )

    def over(self, terms: BuildTerms | None) -> BuildOptions:
        """Return what holds for sources that were resolved on some terms.

        What was resolved is what is built, and of policies the stricter one holds. A runner of our own is
        used all the same: it says how processes may be started here.
        """
        if terms is None:
            return self
        other = terms.live if isinstance(terms.live, BuildOptions) else _revived(terms)
        strictest = max(self.policy, other.policy, key=list(BuildPolicy).index)
        here = {"builder": self.builder, "runner": self.runner}
        return attrs.evolve(
            other,
            policy=strictest,
            settings=self.settings if other.settings is None else other.settings.with_env_of(self.settings),
            runner=self.runner or other.runner,
            builder=other.builder or self.builder,
            lacking=frozenset(name for name in other.lacking if here.get(name) is None),
        )

    def key(self, target: For) -> str:
        """Return a text that is equal for calls that build alike."""
        parts = (self.policy.value, self.skip_failed, self.settings and self.settings.key, id(self.builder))
        return " ".join(map(str, (*parts, *self.about_requirements, _python_of(target))))

    @property
    def about_requirements(self) -> tuple[str, ...]:
        """What is said about the choice of build requirements, as texts."""
        return (*self.constraints, self.cutoff_key) if self.cutoff_key else self.constraints


def _revived(terms: BuildTerms) -> BuildOptions:
    """Return the options of terms that were data: what is none is lacking."""
    return BuildOptions(
        policy=terms.policy,
        settings=terms.settings,
        constraints=terms.constraints,
        cutoff=terms.cutoff,
        cutoff_key=terms.cutoff_key,
        skip_failed=terms.skip_failed,
        lacking=terms.needs,
    )


def interpreter_for(target: For) -> InterpreterInfo:
    """Return the interpreter that builds for a target: its own, or else the running one."""
    from puffin_api._api.environment import Environment
    from puffin_api._api.interpreter import Interpreter

    if isinstance(target, Environment):
        return (target.interpreter if target.has_interpreter else Interpreter.current()).info
    return (target if isinstance(target, Interpreter) else Interpreter.current()).info


def _python_of(target: For) -> str:
    """Name the interpreter that builds for a target; a plain target does not say which that is."""
    from puffin_api._model.target import Target

    return "" if isinstance(target, Target) else python_key(interpreter_for(target))


def python_key(info: InterpreterInfo) -> str:
    """Name an interpreter by what matters for what it builds: kind, version and platform."""
    markers = info.markers
    parts = (markers["implementation_name"], markers["python_full_version"], info.abiflags, info.soabi)
    return "-".join((*parts, markers["sys_platform"], markers["platform_machine"]))


def sources_of(parts: ClientParts, target: For, options: BuildOptions, pump: Pump) -> Sources | GivenSources:
    """Return what answers for sources in one call. What builds need is imported here, and not before."""
    if options.builder is not None:
        from puffin_api._api.given_builder import GivenSources

        return GivenSources(parts, options.builder, options.policy, pump, runner=options.runner)
    from puffin_api._api.sources import Sources

    standard = Sources(parts, target, options, pump)
    if options.lacking:
        from puffin_api._api.lacking_parts import UnbuildableSources

        return UnbuildableSources(parts, standard, options, pump)
    return standard


class SourcesOnDemand:
    """Answers as `Sources` does, which is made when the first question comes: most calls have none."""

    def __init__(self, parts: ClientParts, target: For, options: BuildOptions, pump: Pump) -> None:
        self._arguments = parts, target, options, pump
        self._completed: dict[tuple[str, str, object], FileRow] = {}
        """What has been found out of files by others than the thread of the call."""

    def beside(self, pump: Pump) -> SourcesOnDemand:
        """Return one for another thread, which lets this one know what it finds out.

        Args:
            pump: That of the thread.
        """
        parts, target, options, _ = self._arguments
        other = SourcesOnDemand(parts, target, options, pump)
        other._completed = self._completed  # another of its kind
        return other

    @functools.cached_property
    def _sources(self) -> Sources | GivenSources:
        return sources_of(*self._arguments)

    def commit(self, url: GitUrl, login: Login | None) -> str:
        """Return the commit that a revision stands for."""
        return self._sources.commit(url, login)

    def complete(self, file: FileRow) -> FileRow:
        """Return a file with name, version and digests, which its metadata tells."""
        key = file.project, file.url, file.origin
        if key not in self._completed:
            self._completed[key] = self._sources.complete(file)
        return self._completed[key]

    def metadata(self, file: FileRow) -> DistMetadata:
        """Return the metadata of sources."""
        return self._sources.metadata(file)
