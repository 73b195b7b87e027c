"""The documents keep their word: paths exist, links lead somewhere, code compiles, lists are complete."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from puffin_api import errors

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


def test_the_security_page_lists_every_rule_for_source_archives():
    rules = import_module("puffin_api._preparer.source_rules").SOURCE_RULES
    table = rows(section(read(DOCS / "explanation/security.md"), "Source archives"))

    assert {cells[0].strip("`"): cells[1] for cells in table} == rules


def test_the_pages_list_every_phase_of_builds():
    phases = set(import_module("puffin_api._builder.failure")._TITLES)
    page = read(DOCS / "how-to/build-from-source.md")
    table = rows(page[page.index("| phase |") :].partition("\n\n")[0])
    sentence = read(DOCS / "reference/errors.md").partition("`BuildFailed.phase` is one of")[2]

    assert {cells[0].strip("`") for cells in table} == phases
    assert set(re.findall(r"`([a-z-]+)`", sentence.partition(":")[0])) == phases


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


# ---------------------------------------------------------------------------------------------
# Sources


def spellings() -> list[str]:
    page = read(DOCS / "how-to/git-and-local-projects.md")
    table = rows(section(page, "What can be named"))
    return [text for cells in table for text in re.findall(r'`"(.*)"`', cells[0])]


def test_every_spelling_of_the_page_on_sources_is_read():
    row = import_module("puffin_api._model.requirement").requirement_row
    parse_git_url = import_module("puffin_api._model.git_url").parse_git_url
    git = [row(text).url for text in spellings() if "git+" in text]
    parsed = [parse_git_url(url.replace("0123abc...", "0123abc"))[0] for url in git]

    assert {row(text).name for text in spellings()} == {"name"}
    assert len(git) == 7
    assert {url.repository for url in parsed[:4]} == {"git+https://host/project"}
    assert [url.revision.kind.value for url in parsed[:4]] == [
        "branch or tag",
        "short commit",
        "ref",
        "default branch",
    ]
    assert parsed[3].subdirectory == "python"
    assert parsed[4].repository == parsed[5].repository == "git+ssh://host/team/project"


def test_the_page_on_sources_lists_every_kind_of_archive():
    endings = import_module("puffin_api._model.filename").SOURCE_ENDINGS
    page = read(DOCS / "how-to/git-and-local-projects.md")
    listed = re.findall(r"`(\.[a-z0-9.]+)`", rows(section(page, "What can be named"))[0][1])

    assert set(listed) == set(endings)


def test_every_key_of_the_page_on_sources_is_understood(tmp_path):
    freshness = import_module("puffin_api._preparer.freshness_keys")
    page = section(read(DOCS / "how-to/git-and-local-projects.md"), "When something has changed")
    keys = [key for cells in rows(page) for key in re.findall(r"`([^`]+)`", cells[0])]
    example = re.search(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    texts = [*(f"[tool.puffin-api]\ncache-keys = [{key}]" for key in keys), example and example[1]]

    assert len(texts) == 7
    for text in texts:
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        found = freshness.freshness_keys(tmp_path)
        assert found[0] == freshness.FileKey("pyproject.toml")
        assert len(found) > 1
        assert freshness.FileKey("**") not in found, text


def test_the_page_on_builds_lists_every_setting():
    settings = import_module("puffin_api.model").BuildSettings
    page = read(DOCS / "how-to/build-from-source.md")
    table = rows(page[page.index("| field of `BuildSettings` |") :].partition("\n\n")[0])

    assert [cells[0].strip("`") for cells in table] == [field.name for field in settings.__attrs_attrs__]
