"""The library changes itself and all that it needs while it runs: new code of theirs is never imported."""

from __future__ import annotations

import importlib.metadata

import pytest

from puffin_api import Cache, Client, Installer, Interpreter, Resolver
from puffin_api.testing import LoopbackIndex
from tests.integration.job_kit import ONE_TRY, SOURCE, leftovers, tree, versions, wheel
from tests.integration.notebook_kit import run_in

NEEDED = (
    "attrs",
    "cattrs",
    "filelock",
    "packaging",
    "platformdirs",
    "pyproject-hooks",
    "typing-extensions",
    "urllib3",
)
POISON = "raise ImportError('code of the new version was imported: ' + __name__)\n"
"""What each module of the new versions holds: whoever imports one after the change fails."""

HEAD = """
from puffin_api import Cache, Client, Installer, Interpreter, Resolver, Upgrade
from puffin_api import refresh_imports, stale_modules

class Watcher:
    # Sees what is imported, and leaves it to the others to find it.
    def __init__(self):
        self.seen = []

    def find_spec(self, name, path=None, target=None):
        self.seen.append(name)
        return None

watcher = Watcher()
sys.meta_path.insert(0, watcher)
url, cache = sys.argv[1:3]
environment = Interpreter.current().environment()
client = Client(indexes=[url], cache=Cache(cache))
installer = Installer(environment, client)

def told(report):
    # All that there is to know of a report.
    refresh_imports(report)
    stale = stale_modules(report)
    return [report.to_dict(), stale.to_dict(), repr(report)[:0], [str(n) for n in report.notices]]

def done(report, error=None):
    client.close()
    late = [n for n in watcher.seen if n.partition(".")[0] in ROOTS]
    print(json.dumps([report, error, late, environment.fingerprint()]))

ROOTS = {"puffin_api", "attr", "attrs", "cattr", "cattrs", "filelock", "packaging", "platformdirs", "urllib3"}
"""

UPGRADE = """
resolution = Resolver(client).resolve(["puffin-api"], target=environment, upgrade=Upgrade.all())
prepared = installer.prepare(installer.plan(resolution))
watcher.seen.clear()
done(told(installer.install(prepared)))
"""

AND_BACK = """
resolution = Resolver(client).resolve(["puffin-api"], target=environment, upgrade=Upgrade.all())
prepared = installer.prepare(installer.plan(resolution))
report = installer.install(prepared)
problems, ways = environment.check(deep=True), environment.why("attrs")
there = [installer.plan(resolution).is_empty, len(problems), len(ways)]
assert there == [True, 0, 1], there
assert environment.satisfies(resolution) and "attrs==999" in resolution.to_requirements_txt()
done(told(installer.undo(report)))
"""

REMOVE = """
names = [dist.name for dist in environment.installed()]
done(told(installer.uninstall(names)))
"""

FAIL = """
import errno
fail_at, count = int(sys.argv[3]), 0

def failing(event, arguments):
    global count
    if event == "os.rename" and ".puffin-" in f"{arguments[0]}{arguments[1]}":
        count += 1
        if count == fail_at:
            raise OSError(errno.EIO, "the disk is gone", str(arguments[0]))

resolution = Resolver(client).resolve(["puffin-api"], target=environment, upgrade=Upgrade.all())
prepared = installer.prepare(installer.plan(resolution))
sys.addaudithook(failing)
try:
    report = installer.install(prepared)
except Exception as error:
    done(None, [type(error).__name__, error.state, error.to_dict()])
else:
    done(told(report))
"""


def package_files(root):
    return {
        f"puffin_api/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix in {".py", ".typed"}
    }


def library_files(name):
    """The files of an installed distribution that its wheel brought."""
    dist = importlib.metadata.distribution(name)
    return {
        path.as_posix(): path.locate().read_bytes()
        for path in dist.files
        if path.suffix != ".pyc" and ".dist-info" not in path.parts[0] and ".." not in path.parts
    }


def poisoned(files):
    return {path: POISON if path.endswith(".py") else content for path, content in files.items()}


@pytest.fixture(scope="module")
def index():
    """The library and what it needs: as they are, and poisoned as newer ones."""
    own = package_files(SOURCE / "puffin_api")
    served = wheel("puffin-api", "1.0", files=own, requires=NEEDED)
    served |= wheel("puffin-api", "2.0", files=poisoned(own), requires=[f"{name}>=999" for name in NEEDED])
    for name in NEEDED:
        files = library_files(name)
        served |= wheel(name, importlib.metadata.version(name), files=files)
        served |= wheel(name, "999", files=poisoned(files))
    with LoopbackIndex(served) as server:
        yield server


@pytest.fixture
def environment(index, tmp_path):
    """One that has its own copy of the library."""
    environment = Interpreter.current().create_venv(tmp_path / "venv")
    with Client(indexes=[index.url], cache=Cache(tmp_path / "cache"), retries=ONE_TRY) as client:
        resolution = Resolver(client).resolve(
            ["puffin-api<2"], target=environment, constraints=[f"{name}<999" for name in NEEDED]
        )
        Installer(environment, client).install(resolution)
    assert versions(environment)["puffin-api"] == "1.0"
    return environment


def run(environment, program, index, tmp_path, *arguments):
    return run_in(environment, HEAD + program, index.url, tmp_path / "cache", *arguments, library=False)


def test_the_library_upgrades_itself_and_all_that_it_needs(environment, index, tmp_path):
    (report, stale, *_), error, late, fingerprint = run(environment, UPGRADE, index, tmp_path)

    assert error is None
    assert late == [], "imported while or after the change was made"
    assert {change["name"] for change in report["changes"]} == {"puffin-api", *NEEDED}
    assert versions(environment) == {"puffin-api": "2.0"} | dict.fromkeys(NEEDED, "999")
    assert {"puffin_api", "puffin_api._installer.transaction", "urllib3", "attr", "packaging"} <= set(
        stale["stale"]
    )
    assert stale["restart"] in {"advised", "required"}
    assert environment.check(deep=True) == ()
    assert environment.fingerprint() == fingerprint
    assert leftovers(environment) == []


def test_the_library_is_at_work_after_its_upgrade_and_takes_it_back(environment, index, tmp_path):
    before = tree(environment.root)

    (report, *_), error, _, _ = run(environment, AND_BACK, index, tmp_path)

    assert error is None
    assert {change["action"] for change in report["changes"]} == {"downgrade"}
    after = {path: what for path, what in tree(environment.root).items() if "__pycache__" not in path}
    assert after == {path: what for path, what in before.items() if "__pycache__" not in path}
    assert leftovers(environment) == []


def test_the_library_removes_itself_and_all_that_it_needs(environment, index, tmp_path):
    (report, stale, *_), error, _, _ = run(environment, REMOVE, index, tmp_path)

    assert error is None
    assert {change["action"] for change in report["changes"]} == {"remove"}
    assert versions(environment) == {}
    assert "puffin_api._installer.transaction" in stale["stale"]
    assert leftovers(environment) == []


@pytest.mark.parametrize("fail_at", [3, 25])
def test_a_change_of_the_library_that_fails_in_the_middle_is_undone(environment, index, tmp_path, fail_at):
    before = tree(environment.root)

    report, error, _, _ = run(environment, FAIL, index, tmp_path, fail_at)

    assert report is None
    assert error[1] == "rolled-back"
    after = {path: what for path, what in tree(environment.root).items() if "__pycache__" not in path}
    assert after == {path: what for path, what in before.items() if "__pycache__" not in path}
    assert environment.check(deep=True) == ()
    (report, *_), error, _, _ = run(environment, UPGRADE, index, tmp_path)
    assert error is None
    assert report["changed"]
