"""An environment with everything in it that an installer can meet, and the changes that are made to it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from puffin_api import Allow, Cache, Client, Environment, Installer, Resolver, Target
from puffin_api._interpreter.info import Scheme
from puffin_api._testing.wheels import write_wheel
from puffin_api.model import LinkMode

TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")
LOCK_FILE = ".puffin_api.lock"
"""Stays in an environment once it was locked; holds nothing but who did it last."""


class Scenario:
    """One change: what is there before, what is asked for, and how files get there."""

    def __init__(self, name, before, wanted=(), *, remove=(), sync=False, links=LinkMode.AUTO, **extras):
        self.name = name
        self.before = before
        self.wanted = wanted
        self.remove = remove
        self.sync = sync
        self.links = links
        self.clones = extras.pop("clones", False)
        self.other_volume = extras.pop("other_volume", False)
        self.lib64 = extras.pop("lib64", False)
        self.immovable = extras.pop("immovable", False)
        self.undo = extras.pop("undo", False)
        assert not extras


BASE = ("alpha==1", "beta==1", "gamma==2")
MIX = ("alpha==2", "gamma==1", "delta==1")
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("install", BASE[1:], ("delta==1", "alpha==1"), clones=True, links=LinkMode.CLONE),
        Scenario("upgrade", BASE, ("alpha==2", "beta==2"), links=LinkMode.COPY, lib64=True),
        Scenario("downgrade", ("alpha==2", *BASE[1:]), ("alpha==1", "gamma==1"), links=LinkMode.SYMLINK),
        Scenario("uninstall", BASE, remove=("alpha", "legacy"), lib64=True),
        Scenario("sync", BASE, MIX, sync=True),
        Scenario("sync-over-two-volumes", BASE, MIX, sync=True, other_volume=True),
        Scenario("sync-in-an-image", BASE, MIX, sync=True, immovable=True),
        Scenario("undo", BASE, MIX, sync=True, undo=True),
        Scenario("uninstall-many-files", ("alpha==1", "many==1"), remove=("many",)),
    )
}


class Site:
    """Where a scenario takes place: the environment, and beside it what stays as it is."""

    def __init__(self, folder: Path, scenario: Scenario, elsewhere: str = "") -> None:
        self.folder = folder
        self.scenario = scenario
        self.prefix = folder / "env"
        self.site = self.prefix / "lib/python3.12/site-packages"
        self.bin = Path(elsewhere) / "bin" if scenario.other_volume else self.prefix / "bin"
        self.cache = folder / "cache"
        self.kept = self.cache / "undo-v0"

    @property
    def roots(self) -> list[Path]:
        """All folders that belong to the environment, and where an undo finds what it brings back."""
        others = {self.bin: self.scenario.other_volume, self.kept: self.scenario.undo}
        return [self.prefix, *(folder for folder, belongs in others.items() if belongs)]

    def environment(self) -> Environment:
        platlib = self.prefix / "lib64/python3.12/site-packages" if self.scenario.lib64 else self.site
        scheme = Scheme(
            purelib=str(self.site),
            platlib=str(platlib),
            scripts=str(self.bin),
            data=str(self.prefix),
            include=str(self.prefix / "include/site/python3.12"),
        )
        return Environment(None, target=TARGET, scheme=scheme, root=self.prefix)

    def client(self) -> Client:
        cache = Cache(self.cache, link_mode=self.scenario.links)
        return Client(indexes=[], find_links=[self.folder / "wheels"], cache=cache)


def build(site: Site) -> None:
    """Make the wheels, the environment before the change, and the prepared plan or what to undo."""
    wheels = site.folder / "wheels"
    wheels.mkdir(parents=True)
    _write_wheels(wheels)
    site.prefix.mkdir()
    environment = site.environment()
    _add_legacy(site.site)
    with site.client() as client:
        resolver, installer = Resolver(client), Installer(environment, client)
        installer.install(resolver.resolve(site.scenario.before, target=TARGET))
        _add_what_others_leave(site)
        if site.scenario.remove:
            plan = installer.plan_uninstall(site.scenario.remove)
        else:
            resolution = resolver.resolve(site.scenario.wanted, target=TARGET)
            mode = "sync" if site.scenario.sync else "add"
            plan = installer.plan(resolution, mode=mode, allow=Allow(downgrade=True, remove=True))
        assert not plan.is_empty
        prepared = installer.prepare(plan)
        extra = installer.prepare(installer.plan(resolver.resolve(["tiny==1"], target=TARGET)))
        work = installer.install(prepared) if site.scenario.undo else prepared
    (site.folder / "plans").write_bytes(pickle.dumps((work, extra)))


def _write_wheels(folder: Path) -> None:
    for version in ("1", "2"):
        write_wheel(folder, "alpha", version, **_alpha(version))
        write_wheel(folder, "beta", version, files=_beta(version), root_is_purelib=False)
        write_wheel(folder, "gamma", version, files=_gamma(version), data={"data/etc/gamma.conf": version})
    write_wheel(folder, "delta", "1", **_delta())
    write_wheel(folder, "tiny", "1", files={"ns/tiny.py": "", "tiny.py": ""})
    many = {f"many/part{number % 4}/module{number}.py": str(number) for number in range(120)}
    write_wheel(folder, "many", "1", files={**many, "ns/many.py": ""})


def _alpha(version):
    """A distribution with a share in a namespace, and something in every other place."""
    gone = "gone" if version == "1" else "fresh"
    return {
        "files": {
            "ns/alpha/__init__.py": version,
            "ns/alpha/core.py": f"VERSION = {version}",
            f"ns/alpha/{gone}.py": "",
            f"ns/{gone}_module.py": "",
            "ns/deep/er/alpha.py": version,
            "alpha_top.py": version,
            f"alpha_{gone}/__init__.py": "",
            "alpha.pth": f"# {version}",
        },
        "entry_points": {
            "console_scripts": {"alpha-run": "ns.alpha:main", f"alpha-{gone}": "ns.alpha:other"},
            "gui_scripts": {"alpha-window": "ns.alpha:window"},
        },
        "data": {
            "purelib/alpha_pure/module.py": version,
            "platlib/alpha_plat/module.py": version,
            "scripts/alpha-script": f"#!python\nprint({version})\n",
            "scripts/alpha-tool": f"#!/bin/sh\necho {version}\n",
            f"data/share/alpha/{gone}.txt": version,
            "data/share/man/man1/alpha.1": version,
            "headers/alpha.h": f"#define ALPHA {version}",
        },
    }


def _beta(version):
    return {"ns/beta.py": version, "ns/deep/beta.py": "", "beta/__init__.py": version, "beta/sub/x.py": ""}


def _gamma(version):
    return {"ns/gamma.py": version, "ns/deep/er/gamma.py": version, "gamma.py": version}


def _delta():
    return {
        "files": {
            "ns/delta/__init__.py": "",
            "ns/delta/x.py": "x",
            "delta.py": "1",
            "stray_module.py": "delta",
        },
        "entry_points": {"console_scripts": {"delta-run": "delta:main", "stray-tool": "delta:main"}},
        "data": {
            "data/opt/delta/deep/file.txt": "new folders",
            "data/share/delta.txt": "",
            "headers/delta.h": "",
            "purelib/ns/delta_pure.py": "",
            "platlib/delta_plat.py": "",
            "scripts/delta-script": "#!pythonw\n",
        },
    }


def _add_legacy(site: Path) -> None:
    """What setuptools installed before there were wheels: in the namespace as well."""
    info = site / "legacy-0.5.egg-info"
    (site / "legacy").mkdir(parents=True)
    info.mkdir()
    (site / "ns").mkdir()
    (site / "legacy/__init__.py").write_text("")
    (site / "ns/legacy.py").write_text("")
    (info / "PKG-INFO").write_text("Metadata-Version: 1.1\nName: legacy\nVersion: 0.5\n")
    lines = ["../legacy/__init__.py", "../ns/legacy.py", "PKG-INFO", "installed-files.txt"]
    (info / "installed-files.txt").write_text("\n".join(lines))


def _add_what_others_leave(site: Site) -> None:
    """Compiled modules, and files of the user in the worst places, with odd modes."""
    for path in ("ns/alpha/core.py", "ns/gamma.py", "alpha_top.py", "beta/__init__.py", "ns/tool.py"):
        folder = (site.site / path).parent / "__pycache__"
        if folder.parent.is_dir():
            folder.mkdir(exist_ok=True)
            (folder / f"{Path(path).stem}.cpython-312.pyc").write_bytes(b"compiled")
    strays = {
        site.site / "stray_module.py": 0o644,
        site.site / "ns/tool.py": 0o444,
        site.site / "ns/alpha/notes.txt": 0o600,
        site.bin / "stray-tool": 0o755,
        site.prefix / "share/alpha/mine.txt": 0o644,
        site.prefix / "pyvenv.cfg": 0o644,
    }
    for path, mode in strays.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of the user")
        path.chmod(mode)
    private = Path(site.environment().scheme.platlib) / "beta/sub"
    if private.is_dir():
        private.chmod(0o700)
    (site.site / "ns/empty").mkdir(mode=0o750)
    (site.site / "ns/link").symlink_to("empty")
    (site.prefix / "opt").mkdir()


def tree(roots) -> dict[str, tuple]:
    """Everything below some folders: kind, mode and content by path; of the lock only that it is there."""
    found: dict[str, tuple] = {}
    pending = [str(root) for root in roots]
    for folder in pending:
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_symlink():
                    found[entry.path] = ("link", os.readlink(entry.path))
                elif entry.is_dir():
                    found[entry.path] = ("folder", status.st_mode)
                    pending.append(entry.path)
                elif entry.name == LOCK_FILE:
                    found[entry.path] = ("lock",)
                else:
                    found[entry.path] = ("file", status.st_mode, Path(entry.path).read_bytes())
    return found


def exact_tree(roots) -> dict[str, tuple]:
    """The same with identity, times and number of links: shows that nothing was even touched."""
    found = tree(roots)
    for path in [*found, *map(str, roots)]:
        status = os.lstat(path)
        found[path] = (*found.get(path, ()), status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


def difference(expected, found) -> list[str]:
    """Say in a few lines how two trees differ."""
    lines = [f"missing {path}" for path in expected.keys() - found.keys()]
    lines += [f"too much {path}" for path in found.keys() - expected.keys()]
    both = expected.keys() & found.keys()
    lines += [
        f"{path}: {expected[path]} became {found[path]}" for path in both if expected[path] != found[path]
    ]
    return sorted(lines)[:8]
