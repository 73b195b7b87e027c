"""uv as a judge and a pace-maker: resolutions by `uv pip compile`, and what its log tells of them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import attrs
from packaging.utils import canonicalize_name
from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_SELECTED = re.compile(r"Selecting: (\S+?)==(\S+) \[")
_NO_SOLUTION = "No solution found"


@attrs.frozen
class UvRun:
    """One run of uv."""

    pins: dict[str, str] | None
    """None where it found that there is no solution."""
    seconds: float
    log: str = ""

    @property
    def selections(self) -> int:
        """How often it selected a candidate; one that it comes back to counts again."""
        return len(_SELECTED.findall(self.log))

    @property
    def candidates(self) -> int:
        """How many different candidates it selected."""
        return len(set(_SELECTED.findall(self.log)))


@attrs.frozen(kw_only=True)
class Uv:
    """uv with wheels alone, over one index, for one Python."""

    index: str
    folder: Path
    exclude_newer: str
    python: str = sys.executable

    def resolve(
        self, requirements: Sequence[str], cache: Path, *options: str, constraints: Iterable[str] = ()
    ) -> UvRun:
        """Resolve; `-v` among the options for a log."""
        asked, limits = self.folder / "asked.in", self.folder / "constraints.txt"
        asked.write_text("\n".join(requirements), encoding="utf-8")
        limits.write_text("\n".join(constraints), encoding="utf-8")
        command = [find_uv_bin(), "pip", "compile", str(asked), "-c", str(limits), "--no-build"]
        command += ["-p", self.python, "--no-header", "--no-annotate"]
        command += ["--exclude-newer", self.exclude_newer, *options]
        begun = time.perf_counter()
        done = subprocess.run(command, env=self._environ(cache), capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if done.returncode and _NO_SOLUTION not in done.stderr:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return UvRun(None if done.returncode else pins_in(done.stdout), seconds, done.stderr)

    def _environ(self, cache: Path) -> dict[str, str]:
        return {
            "PATH": "",
            "HOME": str(self.folder),
            "UV_NO_CONFIG": "1",
            "UV_CACHE_DIR": str(cache),
            "UV_DEFAULT_INDEX": self.index,
            "UV_PYTHON_DOWNLOADS": "never",
        }


def pins_in(text: str) -> dict[str, str]:
    """Return name and version of each line of a compiled list."""
    pairs = (line.partition("==")[::2] for line in text.split() if "==" in line)
    return {canonicalize_name(name.partition("[")[0]): version for name, version in pairs}
