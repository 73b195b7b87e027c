"""Links the unpacked files of a wheel into place: clone, hard link, copy or symbolic link."""

from __future__ import annotations

import errno
import os

from puffin_api._fs import LINKERS
from puffin_api._model.options import LinkMode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from puffin_api._fs import LinkKind

    Way = Callable[[str, str], None]

_CHAINS: Mapping[LinkMode, tuple[LinkKind, ...]] = {
    LinkMode.AUTO: ("clone", "hardlink", "copy"),
    LinkMode.CLONE: ("clone", "copy"),
    LinkMode.HARDLINK: ("hardlink", "copy"),
    LinkMode.COPY: ("copy",),
    LinkMode.SYMLINK: ("symlink", "copy"),
}
# What a file system answers that cannot do it: the next way is tried.
_UNSUPPORTED = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES",
        "EINVAL",
        "EMLINK",
        "ENOSYS",
        "ENOTSUP",
        "ENOTTY",
        "EOPNOTSUPP",
        "EPERM",
        "ETXTBSY",
        "EXDEV",
    )
    if hasattr(errno, name)
)

STANDARD_WAYS: Mapping[LinkKind, Way] = {**LINKERS, "hardlink": os.link, "symlink": os.symlink}


class Linker:
    """Chooses how files get from a cache into an environment, once for each pair of volumes.

    One linker belongs to one cache and may be used by many threads: two that choose at the same
    time come to the same answer.
    """

    def __init__(self, mode: LinkMode = LinkMode.AUTO) -> None:
        self.mode = mode
        self._chosen: dict[tuple[int, int], LinkKind] = {}

    def known(self, volumes: tuple[int, int]) -> LinkKind | None:
        """Return the way for a pair of volumes (device numbers of source and target), where it is known."""
        return self._chosen.get(volumes)

    def choose(
        self,
        volumes: tuple[int, int],
        source: str,
        target: str,
        *,
        ways: Mapping[LinkKind, Way] = STANDARD_WAYS,
        on_fallback: Callable[[LinkKind, str], None] | None = None,
    ) -> LinkKind:
        """Place a file in the first way that works, and remember that for the pair of volumes.

        Args:
            volumes: Device numbers of the source's and the target's volume.
            source: A file to be placed.
            target: Where it goes.
            ways: What can be done.
            on_fallback: Called where it had to be a copy although that was not asked for.

        Raises:
            OSError: The file could not be placed in any way.
        """
        chain = _CHAINS[self.mode]
        reason = ""
        for kind in chain:
            try:
                ways[kind](source, target)
            except OSError as error:
                if kind == chain[-1] or error.errno not in _UNSUPPORTED:
                    raise
                reason = error.strerror or str(error)
            else:
                self._chosen[volumes] = kind
                if kind == "copy" and len(chain) > 1 and on_fallback is not None:
                    on_fallback(kind, reason)
                return kind
        raise AssertionError("every chain ends in a way that raises")


def link_files(
    paths: Iterable[tuple[str, str]],
    source: str,
    target: str,
    way: Way,
    copy: Way = STANDARD_WAYS["copy"],
) -> None:
    """Place files, each given by where it lies below ``source`` and where it goes below ``target``.

    The directories exist. A single file that cannot be linked (too many links to it, a mount inside
    the tree) is copied.

    Raises:
        OSError: A file could not be placed.
    """
    for old, new in paths:
        try:
            way(f"{source}/{old}", f"{target}/{new}")
        except OSError as error:
            if way is copy or error.errno not in _UNSUPPORTED:
                raise
            copy(f"{source}/{old}", f"{target}/{new}")
