"""Install into the running interpreter: no pip, no other program, an empty PATH."""

from __future__ import annotations

import pytest

from tests.integration.job_kit import versions, wheel
from tests.integration.notebook_kit import run_in

HEAD = """
import importlib, importlib.metadata
from puffin_api import Cache, Client, Installer, Interpreter, Resolver
from puffin_api import refresh_imports, stale_modules

url, cache = sys.argv[1:3]
environment = Interpreter.current().environment()
client = Client(indexes=[url], cache=Cache(cache))

def install(*requirements, **options):
    resolution = Resolver(client).resolve(requirements, target=environment, **options)
    installer = Installer(environment, client)
    plan = installer.plan(resolution)
    before = stale_modules(plan)
    report = installer.install(plan)
    refresh_imports(report)
    return plan, before, report
"""

JOB = """
with client:
    _, before, report = install("Paint-Kit", "py-notes", constraints=["notes-core<2"])
    first = [before.to_dict(), stale_modules(report).to_dict()]
    import paint, notes, notes_core, notes_core._speed_free as free
    from notes_core.text import shout
    holder = type(sys)("holder")
    holder.shout = shout
    sys.modules["holder"] = holder
    loaded = [paint.version, notes.version, notes_core.version, shout()]
    _, before, report = install("notes-core>=2")
    second = [before.to_dict(), stale_modules(report).to_dict()]
    import notes_extra
    found = importlib.metadata.version("notes-core")
    points = [point.name for point in importlib.metadata.entry_points(group="paint.kit")]
    old = notes_core.version
    for name in ("notes_core.text", "notes_core"):
        importlib.reload(sys.modules[name])
    new = [notes_core.version, sys.modules["notes_core.text"].shout()]
print(json.dumps([first, loaded, second, found, points, old, new, sys.prefix]))
"""


def files(version, **more):
    return {
        "notes_core/__init__.py": f"version = {version!r}\n",
        "notes_core/text.py": f"def shout():\n    return 'NOTES {version}'\n",
        "notes_core/_speed_free.py": "",
    } | more


@pytest.fixture
def index(serve):
    return serve(
        wheel("Paint-Kit", "1.0", files={"paint/__init__.py": "version = '1.0'\n"})
        | wheel(
            "py-notes",
            "1.0",
            files={"notes.py": "import notes_core\nversion = '1.0'\n"},
            requires=["notes-core"],
        )
        | wheel("notes-core", "1.0", files=files("1.0"))
        | wheel(
            "notes-core",
            "2.0",
            files=files("2.0", **{"notes_extra.py": ""}),
            entry_points={"paint.kit": {"stamp": "notes_core.text:shout"}},
        )
    )


@pytest.fixture(params=["as it is", "by a link"])
def answer(request, index, make_venv, tmp_path):
    environment = make_venv()
    assert not list(environment.root.glob("**/pip*"))
    root = environment.root
    if request.param == "by a link":
        root = tmp_path / "link"
        root.symlink_to(environment.root)
    python = root / environment.interpreter.path.relative_to(environment.root)
    answer = run_in(environment, HEAD + JOB, index.url, tmp_path / "cache", python=python)
    assert answer.pop() == str(root)
    return environment, answer


def test_a_notebook_installs_imports_and_upgrades(answer):
    environment, (first, loaded, second, found, points, old, new) = answer

    before, after = first
    assert before == {"schema": 1, "stale": [], "importers": [], "now_importable": [], "restart": "no"}
    assert after["now_importable"] == ["notes", "notes_core", "paint"]
    assert after["restart"] == "no"
    assert loaded == ["1.0", "1.0", "1.0", "NOTES 1.0"]
    before, after = second
    assert {"notes_core", "notes_core.text"} <= set(after["stale"])
    assert set(after["importers"]) >= {"holder", "notes"}
    assert after["now_importable"] == ["notes_extra"]
    assert after["restart"] == "advised"
    assert set(after["stale"]) == set(before["stale"]) - {"notes_core._speed_free"}, "which has not changed"
    assert found == "2.0"
    assert points == ["stamp"]
    assert old == "1.0", "loaded modules stay as they are"
    assert new == ["2.0", "NOTES 2.0"]
    assert versions(environment) == {"paint-kit": "1.0", "py-notes": "1.0", "notes-core": "2.0"}


def test_the_guard_sees_every_way_to_start_a_program(make_venv):
    environment = make_venv()
    for program in ("import subprocess; subprocess.run(['true'])", "os.fork()", "os.system('true')"):
        done = run_in(environment, program, check=False)
        assert done.returncode != 0
        assert "a program was started" in done.stderr
