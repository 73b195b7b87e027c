"""Candidates: which versions of a project can be used, by which file, and in what order."""

from __future__ import annotations

from puffin_api._model.filename import expand_tags
from puffin_api._model.options import PrereleaseMode
from puffin_api._model.rejection import Rejection
from puffin_api._model.requirement import lenient_specifier
from puffin_api._resolver.snapshot import Findings
from puffin_api._resolver.version_set import ABSENT, bits, lowest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from typing_extensions import TypeIs

    from puffin_api._model.file import FileRow
    from puffin_api._model.target import Target
    from puffin_api._resolver.digests import Digests
    from puffin_api._resolver.snapshot import View

    Choice = FileRow | Mapping[str, Rejection]
    """The file to be used, or why each file cannot be."""

ALL = ":all:"

PRERELEASE = Rejection("prerelease", "is a pre-release, and pre-releases are not allowed here")
_NO_FILES = Rejection("no-files", "has no files")
_NO_WHEELS = Rejection("no-binary", "is a wheel, and wheels are not allowed")
_NO_SOURCES = Rejection("only-binary", "is a source distribution, and only wheels are allowed")
_NEEDS_BUILD = Rejection("needs-build", "is a source distribution, which would have to be built")
_NO_TIME = Rejection("no-upload-time", "has no upload time, and files uploaded too late are left out")


class Policy:
    """Which files a resolution may use; the same for all projects.

    Args:
        cutoff: Files uploaded at this time (seconds since the epoch) or later do not count; by
            project, the empty name for all others.
        sources: On which terms source distributions may be used, as a text that is equal for equal terms;
            empty where they may not.
        digests: What files must have; None where they need none.
    """

    __slots__ = (
        "_cutoff",
        "_digests",
        "_foreign",
        "_known_ranks",
        "_no_binary",
        "_only_binary",
        "_other_platforms",
        "_platforms",
        "_ranks",
        "key",
        "sources",
        "target",
    )

    def __init__(
        self,
        target: Target,
        *,
        cutoff: Mapping[str, float | None] | None = None,
        only_binary: Collection[str] = (),
        no_binary: Collection[str] = (),
        sources: str = "",
        digests: Digests | None = None,
    ) -> None:
        self.target = target
        self._ranks = target.ranks
        # The same few hundred sets of tags stand in all file names: remembered with the target.
        memo = target.memo.get(Policy)
        if memo is None:
            memo = target.memo[Policy] = {}, frozenset(tag.rpartition("-")[2] for tag in self._ranks), set()
        self._known_ranks: dict[tuple[str, str, str], int | None]
        self._platforms: frozenset[str]
        self._other_platforms: set[str]
        """Ends of the names of wheels that are for none of the target's platforms."""
        self._known_ranks, self._platforms, self._other_platforms = memo  # type: ignore[misc]  # only we use this key
        self._foreign = Rejection("incompatible-tags", f"is not for {target}")
        self._cutoff = dict(cutoff or {})
        self._only_binary = frozenset(only_binary)
        self._no_binary = frozenset(no_binary)
        self.sources = sources
        self._digests = digests
        parts = (sorted(self._cutoff.items()), sorted(self._only_binary), sorted(self._no_binary))
        self.key = f"{target.digest} {parts} {sources} {digests.key if digests else ''}"
        """Equal for policies that choose alike."""

    def changed(
        self,
        *,
        target: Target | None = None,
        cutoff: Mapping[str, float | None] | None = None,
        only_binary: Collection[str] | None = None,
        no_binary: Collection[str] | None = None,
        digests: Digests | None = None,
    ) -> Policy:
        """Return the same policy with something else in the place of what is given here."""
        return Policy(
            target or self.target,
            cutoff=self._cutoff if cutoff is None else cutoff,
            only_binary=self._only_binary if only_binary is None else only_binary,
            no_binary=self._no_binary if no_binary is None else no_binary,
            sources=self.sources,
            digests=self._digests if digests is None else digests,
        )

    def choose(self, files: Sequence[FileRow], *, yanked: bool) -> Choice:
        """Return the best file of one version, or why each of them cannot be used.

        Args:
            yanked: Whether yanked files may be used.
        """
        best: FileRow | None = None
        best_rank = -1
        source: FileRow | None = None
        others = self._other_platforms
        for position, filename in enumerate(_names(files)):
            # A release may have a hundred wheels for other platforms: those are told by the end alone.
            if filename[filename.rfind("-") :] in others:
                continue
            rank = self._rank(filename) if filename.endswith(".whl") else -1
            if rank is None:
                continue
            file = files[position]
            if self._objection(file, yanked=yanked):
                pass
            elif rank < 0:
                source = source or file
            elif best is None or rank < best_rank:
                best, best_rank = file, rank
            elif rank == best_rank and file.wheel.build > best.wheel.build:
                best = file
        best = best or source
        if best is None:
            return self._reasons(files, yanked=yanked)
        return self._digests.bound(best) if self._digests else best

    def _reasons(self, files: Sequence[FileRow], *, yanked: bool) -> Mapping[str, Rejection]:
        reasons = {}
        for position, filename in enumerate(_names(files)):
            is_foreign = filename.endswith(".whl") and self._rank(filename) is None
            reason = self._foreign if is_foreign else self._objection(files[position], yanked=yanked)
            assert reason is not None, "no file can be used"
            reasons[filename] = reason
        return reasons

    def _rank(self, filename: str) -> int | None:
        """Place of a wheel's best tag among those of the target."""
        _, python, abi, platform = filename.rsplit("-", 3)
        known = self._known_ranks
        try:
            return known[python, abi, platform]
        except KeyError:
            tags = f"{python}-{abi}-{platform[:-4]}".lower()
            found = [r for tag in expand_tags(tags) if (r := self._ranks.get(tag)) is not None]
            rank = known[python, abi, platform] = min(found, default=None)
            if rank is None and self._platforms.isdisjoint(platform[:-4].lower().split(".")):
                self._other_platforms.add(f"-{platform}")
            return rank

    def _objection(self, file: FileRow, *, yanked: bool) -> Rejection | None:
        """Return what speaks against the file whatever its tags are."""
        if file.yanked is not None and not yanked:
            text = f"was yanked ({file.yanked})" if file.yanked else "was yanked"
            return Rejection("yanked", text, file.yanked)
        if file.requires_python and not admits_python(file.requires_python, self.target):
            return python_rejection(file.requires_python)
        cutoff = self._cutoff.get(file.project, self._cutoff.get(""))
        # A file that somebody names by its URL is meant, however new it is.
        if cutoff is not None and file.index and (file.upload_time is None or file.upload_time >= cutoff):
            return _NO_TIME if file.upload_time is None else _too_new(file.upload_time)
        return (self._digests.objection(file) if self._digests else None) or self._kind_objection(file)

    def _kind_objection(self, file: FileRow) -> Rejection | None:
        if file.is_wheel:
            barred = file.project in self._no_binary or ALL in self._no_binary
            return _NO_WHEELS if barred else None
        if file.project in self._only_binary or ALL in self._only_binary:
            return _NO_SOURCES
        return None if self.sources else _NEEDS_BUILD


def python_rejection(requires_python: str) -> Rejection:
    """Return the reason for a Requires-Python that does not admit the target's version."""
    return Rejection("requires-python", f"requires Python {requires_python}", requires_python)


def _too_new(seconds: float) -> Rejection:
    from datetime import UTC, datetime

    when = datetime.fromtimestamp(seconds, UTC)
    day, clock = when.strftime("%Y-%m-%d"), when.strftime("%H:%M")
    return Rejection("too-new", f"was uploaded too late (on {day} at {clock} UTC)", when.isoformat())


def _names(files: Sequence[FileRow]) -> Sequence[str]:
    """Return the names of files, without making those that are made only when looked at."""
    names: Sequence[str] | None = getattr(files, "filenames", None)
    return [file.filename for file in files] if names is None else names


def admits_python(requires_python: str, target: Target) -> bool:
    """Judge a Requires-Python exactly for the target; one that cannot be parsed does not bar it."""
    memo = target.memo
    known = memo.get(requires_python)
    if known is None:
        specifier = lenient_specifier(requires_python)
        # A pre-release of Python counts as its release: 3.15.0rc1 runs what asks for >=3.15.
        version = target.python.base_version if target.python.is_prerelease else target.python
        known = specifier is None or specifier.contains(version, prereleases=True)
        memo[requires_python] = known
    return bool(known)


class Candidates:
    """The versions of one project, for one resolution, best first."""

    __slots__ = (
        "_is_plain",
        "_lowest",
        "_preferred",
        "_prereleases",
        "_shown",
        "_tiers",
        "_visible",
        "_withdrawn",
        "_yanked",
        "findings",
        "view",
    )

    def __init__(
        self,
        view: View,
        *,
        shown: bool | None = None,
        lowest_first: bool = False,
        preferred: int = 0,
        yanked: int = 0,
    ) -> None:
        self.view = view
        self._prereleases = view.releases.prereleases
        self._tiers = view.releases.tiers
        self._shown = shown
        """Pre-releases beside stable versions (True), never (False), or after them (None)."""
        self._lowest = lowest_first
        self._preferred = preferred
        """Mask of versions to be kept where possible."""
        self._yanked = yanked
        """Mask of versions that are admitted although yanked."""
        self._withdrawn = -1
        self._visible = ~ABSENT if shown else ~ABSENT & ~self._prereleases
        """Mask of what comes first: what is there at all, and as a rule stable."""
        self._is_plain = not (lowest_first or preferred or yanked or self._tiers)
        self.findings = Findings() if yanked else view.findings
        """Not shared where other files may be chosen."""

    def best(self, mask: int) -> int:
        """Return the bit number of the version to try first, 0 where none may be tried."""
        if self._is_plain and (stable := mask & self._visible):
            return stable.bit_length() - 1
        preferred = mask & self._preferred
        if preferred:
            return preferred.bit_length() - 1
        mask &= ~ABSENT
        if self._yanked & mask:
            mask = mask & ~self._only_yanked() or mask
        shown = self._shown
        stable = mask & self._visible
        if not stable and shown is None:
            stable = mask  # nothing stable is left: pre-releases become visible
        if not stable:
            return 0
        if self._tiers:
            stable = next((found for tier in self._tiers if (found := stable & tier)), stable)
        return (lowest(stable) if self._lowest else stable).bit_length() - 1

    def _only_yanked(self) -> int:
        """Return the admitted versions that are really yanked: they come after all others (PEP 592)."""
        if self._withdrawn < 0:
            self._withdrawn = 0
            for bit in bits(self._yanked):
                if not is_file(self.view.choose(bit, yanked=False)):
                    self._withdrawn |= 1 << bit
        return self._withdrawn

    def ordered(self, mask: int, count: int) -> list[int]:
        """Return the bit numbers of up to ``count`` versions, best first."""
        result: list[int] = []
        while len(result) < count and (bit := self.best(mask)):
            result.append(bit)
            mask &= ~(1 << bit)
        return result

    def after(self, mask: int, bit: int) -> int:
        """Return the versions of the mask that come after one: later in its tier, or in later tiers."""
        mask &= ~ABSENT
        after = -(2 << bit) if self._lowest else (1 << bit) - 1
        for number, tier in enumerate(self._tiers):
            if tier >> bit & 1:
                later = sum(self._tiers[number + 1 :])  # tiers have no version in common
                return mask & (tier & after | later)
        return mask & after

    def hidden(self, mask: int) -> int:
        """Return the versions of the mask that are left out for being pre-releases."""
        return mask & self._prereleases & ~self._preferred if self._shown is False else 0

    def choose(self, bit: int) -> Choice:
        """Return the file for a version, or why each of its files cannot be used."""
        return self.view.choose(bit, yanked=bool(self._yanked >> bit & 1))


def visibility(mode: PrereleaseMode, *, explicit: bool) -> bool | None:
    """Pre-releases beside stable versions (True), never (False), or after them (None)."""
    match mode:
        case PrereleaseMode.ALLOW:
            return True
        case PrereleaseMode.DISALLOW:
            return False
        case PrereleaseMode.IF_NECESSARY:
            return None
        case PrereleaseMode.EXPLICIT:
            return explicit
        case PrereleaseMode.IF_NECESSARY_OR_EXPLICIT:
            return True if explicit else None


def is_file(choice: Choice) -> TypeIs[FileRow]:
    """Tell a file from reasons."""
    return not isinstance(choice, dict)


_SUMMARIES: Mapping[str, str] = {
    "no-binary": "has only wheels, and wheels are not allowed",
    "only-binary": "has only source distributions, and only wheels are allowed",
    "needs-build": "has only source distributions, which would have to be built",
}


def summary(reasons: Mapping[str, Rejection]) -> Rejection:
    """Say for a whole version why none of its files can be used.

    What speaks against the wheels counts; a source distribution beside them is mentioned.
    """
    if not reasons:
        return _NO_FILES
    wheels = [reason for name, reason in reasons.items() if name.endswith(".whl")]
    found = wheels or list(reasons.values())
    # The one that says most: a wheel for this target that is too new tells more than one for another.
    first = min(found, key=lambda reason: reason.code == "incompatible-tags")
    text = _version_text(first, found)
    if wheels and len(wheels) < len(reasons) and first.code == "incompatible-tags":
        text += ", and its source distribution would have to be built"
    return Rejection(first.code, text, first.value, dict(reasons))


def _version_text(first: Rejection, found: Sequence[Rejection]) -> str:
    if first.code == "incompatible-tags":
        return f"has no wheel for {first.text.removeprefix('is not for ')}"
    if len({reason.code for reason in found if reason.code != "incompatible-tags"}) == 1:
        return _SUMMARIES.get(first.code, first.text)
    return "; ".join(list(dict.fromkeys(reason.text for reason in found))[:3])
