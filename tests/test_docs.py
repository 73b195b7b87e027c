"""The documents keep their word: paths exist, links lead somewhere, code compiles, lists are complete."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from puffin_api import (
    Cache,
    CancelToken,
    Client,
    Environment,
    Installer,
    Interpreter,
    Resolver,
    Target,
    errors,
)
from puffin_api.testing import FakeIndex, LoopbackIndex
from tests.test_examples import index_environ, wheels

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", *ROOT.glob("changelog.d/README.md")])
EXAMPLES = sorted([*DOCS.glob("examples/*.py"), *ROOT.glob("examples/*.py")])
QUOTATION = re.compile(r"^<!-- (\S+\.py): (\S+) -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the body rows of the first table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# ---------------------------------------------------------------------------------------------
# The map


def where_is() -> list[tuple[str, str]]:
    table = rows(section(read(DOCS / "explanation/architecture.md"), "Where is ...?"))
    return [(question, path) for question, cell in table for path in re.findall(r"`([^`]+)`", cell)]


def test_the_architecture_page_opens_with_twenty_questions():
    page = read(DOCS / "explanation/architecture.md")
    questions = {question for question, _ in where_is()}

    assert re.findall(r"^## .*", page, re.MULTILINE)[0] == "## Where is ...?"
    assert len(questions) >= 20


@pytest.mark.parametrize(("question", "path"), where_is())
def test_the_file_that_answers_exists(question, path):
    assert (ROOT / path).is_file(), question


# ---------------------------------------------------------------------------------------------
# Links and code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file(page):
    prose = re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
    targets = [urlsplit(target) for target in re.findall(r"\]\(([^)\s]+)\)", prose)]
    missing = [t.path for t in targets if not t.scheme and t.path and not (page.parent / t.path).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_compiles(page):
    for block in python_blocks(read(page)):
        ast.parse(block)


def part(path: str, name: str) -> str:
    """The lines between the marks `[start:name]` and `[end:name]` of an example."""
    _, start, rest = read(ROOT / path).partition(f"# [start:{name}]\n")
    text, end, _ = rest.partition(f"# [end:{name}]")
    assert start
    assert end
    return text.strip()


@pytest.mark.parametrize(
    ("page", "path", "name", "code"),
    [(name_of(page), *quotation) for page in PAGES for quotation in QUOTATION.findall(read(page))],
)
def test_every_quoted_program_is_the_one_that_is_run(page, path, name, code):
    assert code.strip() == part(path, name), page


def test_programs_are_quoted_at_all():
    assert sum(len(QUOTATION.findall(read(page))) for page in PAGES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_every_example_uses_only_public_names(path):
    tree = ast.parse(read(path))
    wanted = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "puffin_api"
        for alias in node.names
    }
    private = [(module, name) for module, name in wanted if "._" in module]
    unknown = [
        (module, name)
        for module, name in wanted
        if not private
        and name not in {*import_module(module).__all__, "errors", "model", "protocols", "testing"}
    ]

    assert private == unknown == []


# ---------------------------------------------------------------------------------------------
# The programs of the pages run


def run(name: str, environ: dict[str, str], folder: Path) -> list[str]:
    """Run an example of the documentation in a folder; return the lines that it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(DOCS / "examples" / name)],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def example(monkeypatch):
    """Import an example by name."""
    monkeypatch.syspath_prepend(DOCS / "examples")
    return import_module


@pytest.fixture
def environ(tmp_path):
    with LoopbackIndex(wheels()) as server:
        yield index_environ(server.url, tmp_path)


TARGET = Target.for_platform("3.12", "manylinux_2_28_x86_64")


@pytest.fixture
def index():
    index = FakeIndex()
    index.add("app", "1.0", requires=["library>=1"])
    index.add("plugin", "1.0", requires=["library>=2", "other"])
    for version in ("1.0", "1.1", "2.0"):
        index.add("library", version)
        index.add("other", version)
    return index


@pytest.fixture
def client(index):
    with Client(indexes=[index]) as client:
        yield client


@pytest.fixture
def environment(tmp_path, client):
    """A folder in which old versions are installed."""
    environment = Environment.directory(tmp_path / "packages", target=TARGET)
    Installer(environment, client).install(["app", "library==1.0", "other==1.0"])
    return environment


def versions(resolution) -> dict[str, str]:
    return {name: package.version for name, package in resolution.packages.items()}


def test_the_program_of_the_tutorial_runs(environ, tmp_path):
    lines = run("first_install.py", environ, tmp_path)

    assert lines[1:3] == ["5 packages", "flask 3.1.0"]
    assert "    markupsafe 3.0.2" in lines
    assert "install werkzeug 3.1.3" in lines
    assert "imported flask" in lines
    assert "flask>=3 -> jinja2>=3.1.2 -> markupsafe>=2.0" in lines
    assert [line for line in lines if line.startswith("changed")] == ["changed: True", "changed: False"]
    assert lines[-2:] == ["[('remove', 'flask')]", "['click', 'jinja2', 'markupsafe', 'werkzeug']"]


def test_the_program_of_the_readme_runs(environ, tmp_path):
    first = run("readme.py", environ, tmp_path)
    second = run("readme.py", environ, tmp_path)

    assert first[1] == "install flask 3.1.0"
    assert second == []


def test_the_tests_of_the_page_on_fakes_pass():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs/examples/fakes_in_tests.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


def test_progress_and_cancel(example, client):
    progress = example("progress")

    def resolve(button: CancelToken, seconds: float = 60) -> str:
        return progress.resolve_within(seconds, client, ["app"], TARGET, button)

    assert resolve(CancelToken()).startswith("2 packages")
    assert resolve(CancelToken(), seconds=0) == "gave up after 0 s"
    pressed = CancelToken()
    pressed.cancel("enough")
    assert resolve(pressed) == "stopped: enough; the environment is untouched"


def test_the_advice_follows_the_fields(example):
    advice = example("errors_as_data").advice

    assert advice(errors.RateLimited(url="https://index.invalid/", retry_after=3)) == "wait 3 s, then again"
    assert advice(errors.RateLimited(url="https://index.invalid/")) == "again later"
    assert "flsk" in advice(errors.PackageNotFound(name="flsk", indexes=["https://index.invalid/"]))
    assert advice(errors.BuildForbidden(package="x", hint="allow builds")) == "allow builds"


def test_only_what_may_succeed_later_is_tried_again(example):
    patiently = example("errors_as_data").patiently
    waits: list[float] = []

    def failing(*problems: Exception):
        left = list(problems)

        def call() -> str:
            if left:
                raise left.pop(0)
            return "done"

        return call

    busy = errors.RateLimited(url="https://index.invalid/", retry_after=7)
    assert patiently(failing(busy, errors.ServerError(status=500)), sleep=waits.append) == "done"
    assert waits == [7, 4.0]
    for problem in (errors.HashMismatch(name="x"), errors.Cancelled()):
        with pytest.raises(type(problem)):
            patiently(failing(problem), sleep=waits.append)
    with pytest.raises(errors.ConnectFailed):
        patiently(failing(*[errors.ConnectFailed()] * 5), sleep=waits.append)
    assert len(waits) == 4


def test_a_foreign_target_is_locked_and_listed(example, client):
    foreign = example("foreign_target")

    lock = foreign.lock(client, ["app"], foreign.target)
    assert re.findall(r"^\S+==\S+", lock, re.MULTILINE) == ["app==1.0", "library==2.0"]
    assert lock.count("--hash=sha256:") >= 2
    assert ("app", "1.0", "app-1.0-py3-none-any.whl") in foreign.inventory(client, ["app"], foreign.target)


def test_versions_are_kept_and_one_is_upgraded(example, client, environment):
    page = example("keep_and_upgrade")

    assert versions(page.add(client, environment, ["app", "other"])) == {
        "app": "1.0",
        "library": "1.0",
        "other": "1.0",
    }
    upgraded = page.upgrade_one(client, environment, ["app", "other"], "other")
    assert versions(upgraded) == {"app": "1.0", "library": "1.0", "other": "2.0"}
    assert page.relock(client, ["app", "other"], upgraded) == upgraded


def test_protected_packages_are_not_changed(example, client, environment):
    page = example("keep_and_upgrade")

    assert versions(page.add_plugin(client, environment, "plugin", ["app"]))["library"] == "2.0"
    refused = page.add_plugin(client, environment, "plugin", ["library"])
    assert refused == "plugin would change library: plugin -> library>=2"


def test_a_policy_refuses_before_anything_is_fetched(example, client, index, environment):
    page = example("review")
    resolution = Resolver(client).resolve(["plugin"], target=TARGET)
    del index.asked[:]

    refused = page.install_reviewed(environment, client, resolution, page.HousePolicy(["plugin", "library"]))
    assert refused == ("other is not approved: plugin -> other",)
    assert index.asked == []
    passed = page.HousePolicy(["plugin", "library", "other"])
    assert page.install_reviewed(environment, client, resolution, passed).changed


def test_several_indexes(example, tmp_path):
    page = example("indexes")
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, data in wheels().items():
        (folder / name).write_bytes(data)
    with (
        Cache.temporary() as cache,
        LoopbackIndex({"flask-9.0-py3-none-any.whl": wheels()["flask-3.1.0-py3-none-any.whl"]}) as newer,
        LoopbackIndex(folder) as older,
        page.company_client(cache, older.url, newer.url) as first,
        page.best_of_both(cache, older.url, newer.url) as best,
        page.from_folder(cache, folder) as local,
    ):
        assert first.project("flask").versions == ("3.1.0",)
        assert best.project("flask").versions == ("3.1.0", "9.0")
        assert len(Resolver(local).resolve(["flask"], target=TARGET).packages) == 5


def test_connections(example, environ, tmp_path, monkeypatch):
    page = example("connections")
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, environ[name])

    with Cache.temporary() as cache, page.as_pip_is_configured(cache) as client:
        assert client.project("flask").versions == ("3.1.0",)
    with Cache.temporary() as cache:
        page.behind_a_proxy(cache, "https://index.invalid/simple/", tmp_path).close()
    with LoopbackIndex(wheels(), login=("me", "secret")) as server:
        vault = page.Vault({server.origin: ("me", "secret")})
        with Client(indexes=[server.url], credentials=vault) as client:
            assert client.project("flask").versions == ("3.1.0",)


def test_a_cache_is_shared_in_layers(example, tmp_path):
    page = example("shared_cache")
    with LoopbackIndex(wheels(), cache_control="max-age=600") as server:
        with Client(indexes=[server.url], cache=Cache(tmp_path / "site")) as client:
            resolution = Resolver(client).resolve(["flask"], target=TARGET)
            Installer(Environment.directory(tmp_path / "a", target=TARGET), client).install(resolution)
        del server.requests[:]
        layered = page.with_site_cache(tmp_path / "mine", tmp_path / "site")
        with Client(indexes=[server.url], cache=layered) as client:
            Installer(Environment.directory(tmp_path / "b", target=TARGET), client).install(["flask"])
        assert server.requests == []

    assert (tmp_path / "b/flask").is_dir()
    assert page.offline_client(tmp_path / "site").cache.read_only
    assert page.tidy(layered).startswith("freed 0 bytes")


def test_a_notebook_is_told_what_is_stale(example, client, tmp_path, monkeypatch):
    page = example("notebook")
    environment = Environment.directory(tmp_path / "packages", target=Interpreter.current())
    installer, resolver = Installer(environment, client), Resolver(client)
    installer.install(resolver.resolve(["library==1.0"], target=environment))
    monkeypatch.syspath_prepend(environment.root)
    monkeypatch.setitem(sys.modules, "library", import_module("library"))
    other = resolver.resolve(["other"], target=environment)
    newer = resolver.resolve(["library"], target=environment)

    assert page.here().interpreter.path == Interpreter.current().path
    assert page.warn(environment, client, other) == "can be used at once"
    assert page.warn(environment, client, newer).startswith("a restart is advised: library")
    assert page.install_here(environment, client, newer) == ["library"]


# ---------------------------------------------------------------------------------------------
# Reference pages


def test_the_reference_lists_every_error_with_its_code_and_fields():
    documented = {
        cells[0].replace("&emsp;", "").strip("`"): (cells[1].strip("`"), cells[2], cells[3])
        for cells in rows(read(DOCS / "reference/errors.md"))
    }
    actual = {
        name: (
            kind.code,
            ", ".join(f"`{field}`" for field in kind._fields) or "-",
            "yes" if kind.retryable else "no",
        )
        for name in errors.__all__
        if (kind := getattr(errors, name))
    }

    assert documented == actual


def test_every_error_has_a_code_of_its_own():
    codes = [getattr(errors, name).code for name in errors.__all__]

    assert len(set(codes)) == len(codes)


def test_the_reference_lists_every_event_with_its_fields():
    event = import_module("puffin_api.model").Event
    documented = {cells[0].strip("`"): cells[1] for cells in rows(read(DOCS / "reference/events.md"))}
    actual = {
        kind.__name__: ", ".join(f"`{field.name}`" for field in kind.__attrs_attrs__)
        for kind in event.__args__
    }

    assert documented == actual


def test_the_page_on_fakes_lists_every_fake():
    table = rows(read(DOCS / "how-to/fakes-in-tests.md"))
    documented = {name for cells in table for name in re.findall(r"`([^`]+)`", cells[0])}

    assert documented == set(import_module("puffin_api.testing").__all__)


def test_the_api_page_covers_every_public_name():
    shown = set(re.findall(r"^::: (\S+)$", read(DOCS / "reference/api.md"), re.MULTILINE))
    package = import_module("puffin_api")
    elsewhere = {
        name
        for module in ("errors", "model", "protocols", "testing")
        for name in import_module(f"puffin_api.{module}").__all__
    }

    assert {"puffin_api.model", "puffin_api.protocols", "puffin_api.testing"} <= shown
    assert {name for name in package.__all__ if f"puffin_api.{name}" not in shown} <= elsewhere


def test_there_is_advice_for_every_error_code():
    table = rows(section(read(DOCS / "how-to/errors-as-data.md"), "What to do about each code"))

    assert sorted(cells[0].strip("`") for cells in table) == sorted(
        getattr(errors, name).code for name in errors.__all__
    )


def test_the_security_page_lists_every_rule_for_archives():
    rules = import_module("puffin_api._wheel.rules").RULES
    table = rows(section(read(DOCS / "explanation/security.md"), "Unpacking"))

    assert {cells[0].strip("`"): cells[1] for cells in table} == rules


def test_the_cache_page_lists_every_bucket():
    buckets = import_module("puffin_api._cache.layout").Bucket
    documented = {cells[0].strip("`/") for cells in rows(read(DOCS / "reference/cache-layout.md"))}

    assert {bucket.value for bucket in buckets} <= documented


def test_the_masks_of_the_resolver_page_are_right():
    snapshot = import_module("puffin_api._resolver.snapshot").Snapshot
    source = import_module("puffin_api.testing").FakeReleaseSource()
    row = import_module("puffin_api._model.requirement").requirement_row
    for version in ("1.0", "1.1", "2.0b1", "2.0"):
        source.serve("project", version)
    versions = snapshot.of(source.releases("project"))
    table = rows(section(read(DOCS / "explanation/resolver.md"), "Version sets are integers"))
    special = {"absent": 1, "everything": versions.full, "any version": versions.mask(row("project"))}

    assert len(table) == 7
    for states, mask, binary in table:
        text = states.strip("`")
        expected = special[text] if text in special else versions.mask(row(f"project{text}"))
        assert (int(mask), int(binary.strip("`"), 2)) == (expected, expected), states


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"- (\S+\.md)$", read(ROOT / "mkdocs.yml"), re.MULTILINE))

    assert listed == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


# ---------------------------------------------------------------------------------------------
# README and tools


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))


def test_every_command_of_the_readme_is_a_target_of_the_makefile():
    commands = set(re.findall(r"make ([a-z-]+)", read(ROOT / "README.md")))

    assert {"demo", "test", "check", "test-network", "bench", "docs", "api"} <= commands
    assert commands <= make_targets()


def test_the_readme_opens_with_two_commands():
    first_block = re.search(r"^```console\n(.*?)^```$", read(ROOT / "README.md"), re.DOTALL | re.MULTILINE)

    assert first_block
    assert [line.split("#")[0].strip() for line in first_block[1].splitlines()] == ["make demo", "make test"]
    assert first_block.start() < 50


def test_the_first_program_is_the_same_everywhere():
    program = part("docs/examples/readme.py", "program")

    assert python_blocks(read(ROOT / "README.md"))[0].strip() == program
    assert python_blocks(read(DOCS / "index.md"))[0].strip() == program


def test_each_changelog_fragment_has_a_known_kind():
    names = [path.name for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]

    assert [
        n for n in names if not re.fullmatch(r"[a-z0-9-]+\.(breaking|deprecation|feature|fix)\.md", n)
    ] == []
