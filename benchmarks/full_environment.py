"""An environment in which much is installed: metadata as real projects have them, without their modules."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from puffin_api import Environment

PINS = Path(__file__).parent / "pins"
DISTRIBUTIONS = 300
_DESCRIPTIONS = (1_000, 6_000, 30_000)
_REQUIREMENTS = (0, 1, 3, 6, 12)
_EXTRAS = {"test": ["pytest", "coverage; python_version >= '3.9'"], "docs": ["sphinx>=3"]}


def fill(environment: Environment) -> None:
    """Write the metadata folders of 300 projects that require each other; the same ones each time."""
    site = Path(environment.scheme.purelib)
    names, chance = project_names(), random.Random(1)
    for number, name in enumerate(names):
        folder = site / f"{name.replace('-', '_').replace('.', '_')}-1.{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(metadata(name, number, names, chance))
        (folder / "RECORD").write_text(record(folder.name, chance))
        (folder / "INSTALLER").write_text("uv\n")
        (folder / "WHEEL").write_text("Wheel-Version: 1.0\n")


def project_names() -> list[str]:
    """Return the names of real projects, and some more where there are too few."""
    lines = (PINS / "home.txt").read_text().split() + (PINS / "application.txt").read_text().split()
    names = list(dict.fromkeys(line.partition("==")[0] for line in lines))
    return (names + [f"further-{number}" for number in range(DISTRIBUTIONS)])[:DISTRIBUTIONS]


def metadata(name: str, number: int, names: list[str], chance: random.Random) -> str:
    """Return METADATA with some requirements, a few extras, and a description."""
    some = chance.sample(names[:number], min(number, chance.choice(_REQUIREMENTS)))
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.{number}\nRequires-Python: >=3.8"]
    for other in some:
        marker = "; python_version >= '3.8'" if chance.random() < 0.4 else ""
        lines.append(f"Requires-Dist: {other}>=1{marker}")
    for extra, requires in _EXTRAS.items() if number % 2 else ():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f"Requires-Dist: {text.partition(';')[0]}; extra == '{extra}'" for text in requires]
    return "\n".join(lines) + "\n\n" + "word " * (chance.choice(_DESCRIPTIONS) // 5)


def record(folder: str, chance: random.Random) -> str:
    """Return RECORD: most projects have few files, a few have thousands."""
    files = min(5_000, int(chance.paretovariate(0.8) * 12))
    package = folder.partition("-")[0]
    rows = [f"{package}/part/module_{number}.py,sha256={'x' * 43},1234" for number in range(files)]
    return "\n".join((*rows, f"{folder}/METADATA,sha256={'x' * 43},1", f"{folder}/RECORD,,", ""))
