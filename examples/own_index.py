"""An index of your own: the projects of a monorepo, whose wheels are made when they are wanted.

Run it with ``python examples/own_index.py``; it needs no network. A database or an artefact store is put in
in the same way: three methods, called from many threads at once.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from puffin_api import Cache, Client, Environment, Installer, Interpreter, Resolver
from puffin_api.model import CoreMetadata, DistFile, Project
from puffin_api.testing import make_wheel

REQUIRES = {"shop": ("billing>=1", "accounts"), "billing": ("accounts",), "accounts": ()}
"""The projects of the monorepo, and what each one requires."""


class Monorepo:
    """A `PackageSource`: every project is there in one version, that of the commit."""

    def __init__(self, version: str) -> None:
        self._version = version

    def project(self, name: str) -> Project | None:
        """Return what there is of a project, None for those that are not ours."""
        if name not in REQUIRES:
            return None
        filename = f"{name}-{self._version}-py3-none-any.whl"
        wheel = self._build(name)
        file = DistFile(
            name=name,
            version=self._version,
            filename=filename,
            url=f"monorepo:{filename}",
            hashes={"sha256": hashlib.sha256(wheel).hexdigest()},
            size=len(wheel),
        )
        return Project(name=name, versions=(self._version,), files=(file,))

    def metadata(self, file: DistFile) -> CoreMetadata:
        """Return what the file requires, without building it."""
        return CoreMetadata(name=file.name, version=file.version, requires_dist=REQUIRES[file.name])

    def fetch(self, file: DistFile, target: Path) -> None:
        """Write the wheel; its digest is compared with the one that was promised."""
        target.write_bytes(self._build(file.name))

    def _build(self, name: str) -> bytes:
        code = f"VERSION = {self._version!r}\n"
        return make_wheel(name, self._version, files={f"{name}.py": code}, requires=REQUIRES[name])


def main() -> None:
    """Install the shop from the monorepo into a folder."""
    with tempfile.TemporaryDirectory(prefix="puffin-monorepo-") as folder, Cache.temporary() as cache:
        place = Environment.directory(Path(folder, "packages"), target=Interpreter.current())
        with Client(indexes=[Monorepo("2026.1")], cache=cache) as client:
            resolution = Resolver(client).resolve(["shop"], target=place)
            Installer(place, client).install(resolution)
        for path in resolution.why("accounts"):
            print(path)
        print(sorted(path.name for path in place.root.glob("*.py")))


if __name__ == "__main__":
    main()
