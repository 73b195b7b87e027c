"""The whole job through the public API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puffin_api import (
    Allow,
    BuildPolicy,
    Cache,
    Client,
    Environment,
    Installer,
    Interpreter,
    Pin,
    Resolver,
    Upgrade,
)
from puffin_api.errors import (
    InstallFailed,
    PlanOutdated,
    PolicyDenied,
    ProtectedPackage,
    ResolutionFailed,
)
from puffin_api.testing import FailingRunner, FakeIndex, make_sdist
from tests.integration.job_kit import (
    check_error,
    find_error,
    graph_files,
    install,
    leftovers,
    tree,
    versions,
    wheel,
)
from tests.integration.rich_wheels import RICH, python, run

NEW = {"app": "2.0", "web": "1.5", "log": "1.1", "net": "3.0"}

# -- the flow of the README


def test_the_flow_of_the_readme(serve, tmp_path):
    index = serve(graph_files())

    environment = Interpreter.current().create_venv(tmp_path / "demo-env")
    with Client(indexes=[index.url], cache=Cache(tmp_path / "cache")) as client:
        resolution = Resolver(client).resolve(["app>=1"], target=environment)
        report = Installer(environment, client).install(resolution)

    assert {(c.action, c.name, c.old, c.new) for c in report.changes} == {
        ("install", name, None, version) for name, version in NEW.items()
    }
    assert {package.name: str(package.version) for package in resolution.packages.values()} == NEW
    assert [str(path) for path in resolution.why("net")] == ["app>=1 -> web>=1 -> net"]
    assert {str(path) for path in resolution.why("log")} >= {"app>=1 -> log"}
    with Client(indexes=[index.url], cache=Cache(tmp_path / "cache")) as client:
        plan = Installer(environment, client).plan(resolution)
    assert plan.is_empty
    assert environment.satisfies(resolution)
    assert environment.satisfies(["app", "net==3.0"])
    assert not environment.satisfies(["app>2"])
    assert environment.check(deep=True) == ()
    assert python(environment, "import app, web, log, net; print(app.version, net.version)") == "2.0 3.0"
    for value in (resolution, report, plan):
        assert json.loads(json.dumps(value.to_dict()))["schema"] == 1


def test_the_same_with_an_index_in_memory(make_venv, make_client):
    index = FakeIndex()
    index.add("app", "1.0", requires=["dep>=2"], entry_points={"console_scripts": {"app": "app:main"}})
    index.add("dep", "2.0")
    index.add("dep", "1.0")
    environment = make_venv()

    report = install(make_client(index), environment, "app")

    assert versions(environment) == {"app": "1.0", "dep": "2.0"}
    assert report.changed
    assert index.asked.count("dep-2.0-py3-none-any.whl") == 2, "its metadata and its bytes, once each"
    assert "dep-1.0-py3-none-any.whl" not in index.asked


def test_everything_a_wheel_can_bring(serve, make_client, make_venv):
    environment = make_venv()
    before = tree(environment.root)

    install(make_client(serve(RICH)), environment, "tool[fast]", "native")

    scripts = Path(environment.scheme.scripts)
    for name in ("tool", "tool-script", "tool-window"):
        assert run(scripts / name).startswith("tool ")
    root = Path(environment.root)
    assert (root / "share/tool/manual.txt").read_text() == "read me\n"
    assert [path.name for path in root.rglob("tool.h")] == ["tool.h"]
    program = """
import space.one, space.two, space.deep.er, tool_pure, tool_plat, tool, log, native
from importlib.metadata import distribution, entry_points
plugins = entry_points(group="tool.plugins")
print(space.one.value + space.two.value, len(plugins), distribution("tool").version)
"""
    assert python(environment, program) == "3 1 1.0"
    dist = next(dist for dist in environment.installed() if dist.name == "tool")
    assert (dist.installer, dist.requested, dist.editable) == ("puffin-api", True, False)
    assert environment.check(deep=True) == ()
    Installer(environment, make_client(serve())).uninstall(["tool", "ns-one", "ns-two", "log", "native"])
    after = {path: what for path, what in tree(environment.root).items() if "__pycache__" not in path}
    # The folder of headers is made by the first package that brings some.
    assert {path for path in after.keys() - before.keys() if after[path][0] != "folder"} == set()
    assert before.items() <= after.items()


def test_requested_is_what_the_caller_asked_for(serve, make_client, make_venv):
    index, environment = serve(graph_files()), make_venv()
    client = make_client(index)
    installer = Installer(environment, client)
    resolution = Resolver(client).resolve(["app", "log"], target=environment)

    installer.install(resolution)
    asked = {dist.name for dist in environment.installed() if dist.requested}
    installer.uninstall(["app", "web", "net", "log"])
    installer.install(resolution, requested=["web"])

    assert asked == {"app", "log"}
    assert {dist.name for dist in environment.installed() if dist.requested} == {"web"}


def test_orphans_go_with_what_they_came_for(serve, make_client, make_venv):
    environment = make_venv()
    client = make_client(serve(graph_files()))
    installer = Installer(environment, client)
    installer.install(Resolver(client).resolve(["app", "net"], target=environment))

    plan = installer.plan_uninstall(["app"], orphans=True)
    assert [change.name for change in plan.changes] == ["app", "web"]
    installer.uninstall(plan)

    assert versions(environment) == {"log": "1.1", "net": "3.0"}


# -- changes of what is there


@pytest.fixture
def index(serve):
    """Two generations of everything."""
    old = {"app": ("1.0", ["web<1"]), "web": ("0.9", ["log"]), "log": ("0.5", []), "gone": ("1.0", [])}
    return serve(graph_files() | graph_files(old))


@pytest.fixture
def environment(make_venv):
    return make_venv()


def test_upgrade_downgrade_reinstall_and_uninstall(environment, index, make_client):
    client = make_client(index)
    installer, resolver = Installer(environment, client), Resolver(client)
    install(client, environment, "app==1.0", "log==0.5")
    site = Path(environment.scheme.purelib)

    up = install(client, environment, "app")
    assert {(c.action, c.name, c.old, c.new) for c in up.changes} == {
        ("upgrade", "app", "1.0", "2.0"),
        ("upgrade", "web", "0.9", "1.5"),
        ("upgrade", "log", "0.5", "1.1"),
        ("install", "net", None, "3.0"),
    }
    assert sorted(path.name for path in site.glob("*.dist-info")) == [
        "app-2.0.dist-info", "log-1.1.dist-info", "net-3.0.dist-info", "web-1.5.dist-info"
    ]  # fmt: skip
    assert python(environment, "import app, log; print(app.version, log.version)") == "2.0 1.1"

    down = install(client, environment, "app<2", "log<1")
    assert {c.action for c in down.changes} == {"downgrade"}
    assert versions(environment) == {"app": "1.0", "web": "0.9", "log": "0.5", "net": "3.0"}

    resolution = resolver.resolve(["log<1"], target=environment)
    again = installer.install(installer.plan(resolution, reinstall=["log"]))
    assert [(c.action, c.name) for c in again.changes] == [("reinstall", "log")]

    error = find_error(lambda: installer.uninstall(["log"]))
    check_error(error, ProtectedPackage, "protected-package", name="log", requested_by=("net", "web"))
    gone = installer.uninstall(["app", "web", "net"])
    assert {c.action for c in gone.changes} == {"remove"}
    assert versions(environment) == {"log": "0.5"}
    assert installer.uninstall(["app"]).changed is False
    assert environment.check(deep=True) == ()


def test_what_is_installed_is_kept_where_it_still_fits(environment, index, make_client):
    client = make_client(index)
    install(client, environment, "log==0.5")
    installed = environment.installed()
    resolver = Resolver(client)

    kept = resolver.resolve(["web<1"], target=environment, installed=installed)
    moved = resolver.resolve(
        ["web<1"], target=environment, installed=installed, upgrade=Upgrade.only(["log"])
    )
    locked = resolver.resolve(["web<1"], target=environment, locked=[Pin("log", "0.5")])

    assert str(kept.packages["log"].version) == str(locked.packages["log"].version) == "0.5"
    assert str(moved.packages["log"].version) == "1.1"
    error = find_error(
        lambda: resolver.resolve(["app==2.0"], target=environment, installed=installed, protect=["log"])
    )
    check_error(error, ProtectedPackage, "protected-package", name="log")


def test_sync_removes_what_was_not_resolved(environment, index, make_client):
    client = make_client(index)
    install(client, environment, "gone", "app==1.0")
    resolution = Resolver(client).resolve(["web"], target=environment)
    installer = Installer(environment, client)

    plan = installer.plan(resolution, mode="sync")
    assert {(c.action, c.name) for c in plan.changes} == {
        ("remove", "app"), ("remove", "gone"), ("upgrade", "web"), ("install", "net")
    } | ({("upgrade", "log")} if versions(environment)["log"] != "1.1" else set())  # fmt: skip
    installer.sync(resolution)

    assert versions(environment) == {"web": "1.5", "net": "3.0", "log": "1.1"}
    assert not installer.sync(resolution).changed


def test_what_a_plan_may_not_do_stops_it_before_any_download(environment, index, make_client):
    client = make_client(index)
    install(client, environment, "app==2.0", "gone")
    resolution = Resolver(client).resolve(["app==1.0"], target=environment)
    installer = Installer(environment, client)
    before = tree(environment.root)
    index.forget()

    plan = installer.plan(resolution, mode="sync", allow=Allow(downgrade=False, remove=False))
    error = find_error(lambda: installer.install(plan))

    assert {(b.code, b.name) for b in plan.blockers} >= {
        ("downgrade-not-allowed", "app"), ("remove-not-allowed", "gone"), ("downgrade-not-allowed", "web")
    }  # fmt: skip
    check_error(error, InstallFailed, "install-failed", state="untouched")
    assert "app 2.0 would go back to 1.0" in str(error)
    assert index.requests == []
    assert tree(environment.root) == before


# -- plans that are overtaken, and plans that are refused


def overtaken(environment, index, client):
    """A plan, and an environment that somebody changed since."""
    installer = Installer(environment, client)
    resolution = Resolver(client).resolve(["app"], target=environment)
    plan = installer.plan(resolution)
    install(client, environment, "log==0.5")
    return installer, plan


def test_a_plan_that_was_overtaken_is_refused(environment, index, make_client):
    installer, plan = overtaken(environment, index, make_client(index))
    before = tree(environment.root)

    for what in (plan, installer.prepare(plan)):
        error = find_error(lambda what=what: installer.install(what))
        check_error(error, PlanOutdated, "plan-outdated", state="untouched", retryable=True)
        assert error.diff == ["log: planned for none, found 0.5"]
    assert tree(environment.root) == before
    assert leftovers(environment) == []


def test_a_plan_that_was_overtaken_is_made_anew_where_that_is_wanted(environment, index, make_client):
    installer, plan = overtaken(environment, index, make_client(index))

    report = installer.install(plan, if_outdated="replan")

    assert ("upgrade", "log", "0.5") in {(c.action, c.name, c.old) for c in report.changes}
    assert versions(environment) == NEW


def test_replanning_keeps_to_what_the_first_plan_was_allowed(environment, index, make_client):
    """Somebody installs a newer version meanwhile: going back was never allowed."""
    client = make_client(index)
    installer = Installer(environment, client)
    resolution = Resolver(client).resolve(["app==1.0"], target=environment)
    plan = installer.plan(resolution, allow=Allow(downgrade=False))
    install(client, environment, "app==2.0")

    error = find_error(lambda: installer.install(plan, if_outdated="replan"))

    check_error(error, InstallFailed, "install-failed", state="untouched")
    assert versions(environment)["app"] == "2.0"


def test_replanning_keeps_protected_what_the_first_plan_protected(environment, index, make_client):
    client = make_client(index)
    installer = Installer(environment, client)
    resolution = Resolver(client).resolve(["app==1.0"], target=environment)
    plan = installer.plan(resolution, protect=["web"])
    install(client, environment, "web==1.5")

    error = find_error(lambda: installer.install(plan, if_outdated="replan"))

    check_error(error, ProtectedPackage, "protected-package", name="web", state="untouched")
    assert versions(environment)["web"] == "1.5"


def test_a_prepared_plan_that_was_overtaken_is_made_anew_where_that_is_wanted(
    environment, index, make_client
):
    installer, plan = overtaken(environment, index, make_client(index))

    installer.install(installer.prepare(plan), if_outdated="replan")

    assert versions(environment) == NEW


def test_replanning_a_removal_does_not_break_what_came_meanwhile(environment, index, make_client):
    client = make_client(index)
    installer = Installer(environment, client)
    install(client, environment, "log")
    plan = installer.plan_uninstall(["log"])
    install(client, environment, "net")

    error = find_error(lambda: installer.install(plan, if_outdated="replan"))

    check_error(error, ProtectedPackage, "protected-package", name="log", requested_by=("net",))
    assert versions(environment) == {"log": "1.1", "net": "3.0"}


class Review:
    """Lets nothing pass that has a certain name."""

    def __init__(self, name):
        self.name = name
        self.plans = []

    def review(self, plan):
        self.plans.append(plan)
        return [f"{c.name} {c.new} is not allowed" for c in plan.changes if c.name == self.name]


def test_a_refused_plan_downloads_nothing_and_leaves_all_as_it_is(environment, index, make_client):
    client = make_client(index)
    install(client, environment, "log==0.5")
    resolution = Resolver(client).resolve(["app"], target=environment)
    before = tree(environment.root)
    index.forget()
    review = Review("net")
    installer = Installer(environment, client, review=review)
    plan = installer.plan(resolution)

    for call in (
        lambda: installer.install(resolution),
        lambda: installer.install(plan),
        lambda: installer.prepare(plan),
        lambda: installer.sync(resolution),
    ):
        error = find_error(call)
        check_error(error, PolicyDenied, "policy-denied", violations=("net 3.0 is not allowed",))
        assert error.state == "untouched"
    assert index.requests == []
    assert tree(environment.root) == before
    assert len(review.plans) == 4
    prepared = Installer(environment, client).prepare(plan)
    error = find_error(lambda: installer.install(prepared))
    check_error(error, PolicyDenied, "policy-denied", state="untouched")
    assert Installer(environment, client, review=Review("other")).install(resolution).changed


def test_a_review_also_judges_what_is_removed(environment, index, make_client):
    client = make_client(index)
    install(client, environment, "gone")

    error = find_error(lambda: Installer(environment, client, review=Review("gone")).uninstall(["gone"]))

    check_error(error, PolicyDenied, "policy-denied", state="untouched")
    assert versions(environment) == {"gone": "1.0"}


def test_nothing_is_built_where_there_is_a_wheel_to_be_had(environment, serve, make_client):
    dynamic = make_sdist("app", "2.0", dynamic=["Requires-Dist"])
    index = serve(wheel("app", "1.0") | {"app-2.0.tar.gz": dynamic})

    never = {"build_policy": BuildPolicy.NEVER, "runner": FailingRunner()}
    Installer(environment, make_client(index), **never).install(["app"])

    assert versions(environment) == {"app": "1.0"}
    error = find_error(lambda: Installer(environment, make_client(index), **never).install(["app>1"]))
    assert type(error) is ResolutionFailed


# -- plain folders


def test_a_plain_folder_for_another_platform(serve, make_client, tmp_path):
    from puffin_api import Target

    target = Target.for_platform("3.10", "manylinux_2_28_aarch64")
    files = wheel("fast", "1.0", tags="cp310-cp310-manylinux_2_17_aarch64", files={"fast.py": ""})
    files |= wheel("fast", "1.0", tags="cp310-cp310-win_amd64", files={"fast.py": ""})
    folder = Environment.directory(tmp_path / "folder", target=target)

    report = install(make_client(serve(files)), folder, "fast")

    assert report.changes[0].file.filename == "fast-1.0-cp310-cp310-manylinux_2_17_aarch64.whl"
    assert (tmp_path / "folder/fast.py").exists()
    assert versions(folder) == {"fast": "1.0"}
