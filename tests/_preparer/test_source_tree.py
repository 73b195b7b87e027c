from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._concurrency import Pump
from puffin_api._preparer.freshness_keys import (
    ALL_FILES,
    PROJECT_FILES,
    DirectoryKey,
    EnvironmentKey,
    FileKey,
    GitKey,
    freshness_keys,
)
from puffin_api._preparer.git_state import current_commit, current_tags
from puffin_api._preparer.source_tree import fits, local_kind, tree_stamp
from puffin_api._testing.wheels import make_sdist, make_wheel
from puffin_api.errors import Cancelled

PROJECT = '[project]\nname = "demo"\nversion = "1.0"\n'


def put(path, text="x", when=1_600_000_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (when, when))


@pytest.fixture
def project(tmp_path):
    tree = tmp_path / "project"
    for name in (
        "setup.py",
        "src/demo/__init__.py",
        "src/demo/build/deep.py",
        "src/c/a.c",
        "data.bin",
        ".hidden",
    ):
        put(tree / name)
    put(tree / "pyproject.toml", PROJECT)
    return tree


def declare(tree, text, table="puffin-api"):
    put(tree / "pyproject.toml", f"{PROJECT}[tool.{table}]\n{text}\n")


# -- what is at a path


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("demo-1.0-py3-none-any.whl", make_wheel("demo", "1.0"), "wheel"),
        ("demo.WHL", b"damaged", "wheel"),
        ("demo-1.0.tar.gz", make_sdist("demo", "1.0"), "archive"),
        ("demo-1.0.zip", b"damaged", "archive"),
        ("download", make_sdist("demo", "1.0", kind="tar.bz2"), "archive"),
        ("demo.tar.zst", b"(\xb5/\xfd", None),
        ("README", b"text", None),
        ("requirements.txt", b"", None),
    ],
)
def test_files_are_what_their_name_says_or_else_their_content(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)

    assert local_kind(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["pyproject.toml"], "tree"),
        (["setup.py"], "tree"),
        (["setup.cfg"], None),
        (["setup.py/x"], None),
        (["src/setup.py"], None),
    ],
)
def test_folders_are_trees_where_something_can_build_them(tmp_path, files, kind):
    for name in files:
        put(tmp_path / "demo.zip" / name)

    assert local_kind(tmp_path / "demo.zip") == kind


def test_nothing_is_nothing(tmp_path):
    assert local_kind(tmp_path / "none.whl") is None
    assert local_kind(tmp_path) is None


# -- stamps


def test_a_tree_that_is_left_alone_keeps_its_stamp(project):
    assert tree_stamp(project) == tree_stamp(project)
    assert tree_stamp(project).startswith("1-")


def test_a_copy_with_its_times_has_the_same_stamp(project, tmp_path):
    shutil.copytree(project, tmp_path / "copy")

    assert tree_stamp(tmp_path / "copy") == tree_stamp(project)


CHANGES = {
    "content": lambda tree: put(tree / "data.bin", "longer"),
    "time": lambda tree: put(tree / "data.bin", when=1_600_000_001),
    "part of a second": lambda tree: os.utime(tree / "data.bin", ns=(0, 1_600_000_000 * 10**9 + 1)),
    "new file": lambda tree: put(tree / "src/demo/new.py"),
    "removed": lambda tree: (tree / "src/c/a.c").unlink(),
    "renamed": lambda tree: (tree / "src/c/a.c").rename(tree / "src/c/b.c"),
    "moved": lambda tree: (tree / "src/c/a.c").rename(tree / "src/demo/a.c"),
    "hidden file": lambda tree: put(tree / ".hidden", "longer"),
    "package called build": lambda tree: put(tree / "src/demo/build/deep.py", "longer"),
    "project called build": lambda tree: [put(tree / "build/__init__.py"), put(tree / "build/x.py")],
    "link to a file": lambda tree: (tree / "link").symlink_to("data.bin"),
    "link to a folder": lambda tree: (tree / "link").symlink_to("src"),
    "link to nothing": lambda tree: (tree / "link").symlink_to("nothing"),
    "settings of the same size and time": lambda tree: put(tree / "setup.py", "y"),
    "new settings": lambda tree: put(tree / "setup.cfg"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_source_changes_the_stamp(project, change):
    before = tree_stamp(project)

    CHANGES[change](project)

    assert tree_stamp(project) != before


@pytest.mark.parametrize(
    "name",
    [
        ".git/HEAD",
        ".tox/x/y.py",
        ".venv/lib/x.py",
        "build/lib/demo.py",
        "dist/demo-1.0.tar.gz",
        "src/demo.egg-info/PKG-INFO",
        "src/demo/__pycache__/x.pyc",
        "js/node_modules/x/index.js",
    ],
)
def test_what_is_made_from_the_sources_does_not_change_the_stamp(project, name):
    before = tree_stamp(project)

    put(project / name)

    assert tree_stamp(project) == before


def test_virtual_environments_of_any_name_do_not_change_the_stamp(project):
    before = tree_stamp(project)

    put(project / "sub/env/pyvenv.cfg")
    put(project / "sub/env/lib/x.py")

    assert tree_stamp(project) == before


def test_links_that_lead_in_a_circle_are_not_followed(project):
    (project / "src" / "up").symlink_to("..")

    assert tree_stamp(project) == tree_stamp(project)


def test_a_link_to_another_folder_of_the_same_looks_is_another_link(project):
    for name in ("one", "two"):
        put(project / name / "file")
        os.utime(project / name, (1, 1))
    (project / "link").symlink_to("one")
    before = tree_stamp(project)

    (project / "link").unlink()
    (project / "link").symlink_to("two")

    assert tree_stamp(project) != before


def test_the_order_in_which_the_system_lists_files_does_not_matter(project, monkeypatch):
    before = tree_stamp(project)
    scandir = os.scandir

    @contextlib.contextmanager
    def backwards(folder):
        with scandir(folder) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=True)

    monkeypatch.setattr(os, "scandir", backwards)

    assert tree_stamp(project) == before


def test_other_keys_are_another_stamp_even_where_nothing_is_found(project):
    assert tree_stamp(project, [FileKey("a")]) != tree_stamp(project, [FileKey("b")])
    assert tree_stamp(project, [FileKey("a")]) == tree_stamp(project, [FileKey("a"), FileKey("a")])


def test_a_tree_that_is_not_there_has_a_stamp_too(tmp_path, project):
    assert tree_stamp(tmp_path / "none") != tree_stamp(project)


def test_with_too_many_files_only_folders_are_looked_at(project):
    for i in range(30):
        put(project / f"many/{i}")
    before = tree_stamp(project, most_files=20)

    put(project / "many/7", "longer")
    assert tree_stamp(project, most_files=20) == before

    put(project / "many/new", "x")
    changed = tree_stamp(project, most_files=20)
    assert changed != before

    put(project / "setup.py", "longer")
    assert tree_stamp(project, most_files=20) != changed


def test_a_pattern_that_fits_little_is_not_searched_for_without_end(project):
    for i in range(30):
        put(project / f"many/{i}")
    keys = [FileKey("**/*.c")]
    put(project / "src/c/a.c", "longer")
    before = tree_stamp(project, keys, most_files=2)

    put(project / "src/c/a.c", "longer again")

    assert tree_stamp(project, keys, most_files=2) == before
    assert tree_stamp(project, keys, most_files=20) != tree_stamp(project, keys, most_files=2)


def test_a_cancel_is_seen_while_a_tree_is_searched(project):
    class Cancelling(Pump):
        def check(self):
            raise Cancelled("enough", reason="enough")

    with pytest.raises(Cancelled):
        tree_stamp(project, pump=Cancelling())


# -- what is declared


def test_without_a_declaration_everything_matters_or_for_editables_the_settings(project):
    assert freshness_keys(project) == ALL_FILES
    assert freshness_keys(project, editable=True) == PROJECT_FILES
    before = tree_stamp(project, PROJECT_FILES)
    put(project / "src/demo/__init__.py", "longer")
    assert tree_stamp(project, PROJECT_FILES) == before
    put(project / "setup.cfg")
    assert tree_stamp(project, PROJECT_FILES) != before


@pytest.mark.parametrize("table", ["puffin-api", "uv"])
@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("[]", ()),
        ('["x.txt"]', (FileKey("x.txt"),)),
        ('[{ file = "src/**/*.c" }]', (FileKey("src/**/*.c"),)),
        ('[{ dir = "src" }]', (DirectoryKey("src"),)),
        ("[{ git = { commit = true } }]", (GitKey(commit=True),)),
        ("[{ git = { commit = true, tags = true } }]", (GitKey(commit=True, tags=True),)),
        ("[{ git = true }]", (GitKey(commit=True),)),
        ('[{ env = "CFLAGS" }, "x"]', (EnvironmentKey("CFLAGS"), FileKey("x"))),
    ],
)
@pytest.mark.parametrize("editable", [True, False])
def test_what_a_project_declares_takes_the_place_of_all(project, table, text, keys, editable):
    declare(project, f"cache-keys = {text}", table)

    assert freshness_keys(project, editable=editable) == (FileKey("pyproject.toml"), *keys)


def test_our_own_declaration_goes_first(project):
    declare(project, 'cache-keys = ["a"]\n[tool.uv]\ncache-keys = ["b"]')

    assert freshness_keys(project) == (FileKey("pyproject.toml"), FileKey("a"))


@pytest.mark.parametrize(
    "item",
    [
        "1",
        "{}",
        '{ file = "a", dir = "b" }',
        "{ file = 1 }",
        '{ other = "x" }',
        "{ git = false }",
        "{ git = { branch = true } }",
        "{ git = { commit = 1 } }",
        '"src/{a,b}.c"',
        '"!src/a.c"',
    ],
)
def test_what_is_not_understood_makes_everything_matter(project, item):
    declare(project, f'cache-keys = ["a", {item}]')

    assert freshness_keys(project) == (FileKey("pyproject.toml"), FileKey("a"), *ALL_FILES)


@pytest.mark.parametrize("text", ['cache-keys = "a"', "cache-keys = { file = 'a' }"])
def test_one_key_may_stand_alone(project, text):
    declare(project, text)

    assert freshness_keys(project) == (FileKey("pyproject.toml"), FileKey("a"))


@pytest.mark.parametrize("text", ["[tool", "tool = 1", "[tool]\nuv = 1", "x = " + "[" * 5000, ""])
def test_a_pyproject_that_declares_nothing_is_as_good_as_none(project, text):
    put(project / "pyproject.toml", text)

    assert freshness_keys(project) == ALL_FILES


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("src/**/*.c", "src/c/a.c", "data.bin"),
        ("src/c/?.c", "src/c/a.c", "data.bin"),
        ("./src//c/[ab].c", "src/c/a.c", "data.bin"),
        ("**", "src/demo/__init__.py", ".git/x"),
        ("data.bin", "data.bin", "setup.py"),
        ("src/demo/build/*", "src/demo/build/deep.py", "src/demo/__init__.py"),
        ("src/demo/**", "src/demo/build/deep.py", "src/c/a.c"),
        ("new.txt", "new.txt", "setup.py"),
        ("../beside/*.toml", "../beside/x.toml", "data.bin"),
    ],
)
def test_only_the_files_of_a_pattern_matter(project, pattern, inside, outside):
    keys = [FileKey(pattern)]
    before = tree_stamp(project, keys)

    put(project / outside, "longer")
    assert tree_stamp(project, keys) == before

    put(project / inside, "longer")
    assert tree_stamp(project, keys) != before


def test_large_files_that_are_named_are_compared_by_size_and_time(project):
    put(project / "big", "x" * ((1 << 20) + 1))
    before = tree_stamp(project, [FileKey("big")])

    put(project / "big", "y" * ((1 << 20) + 1))
    assert tree_stamp(project, [FileKey("big")]) == before
    put(project / "big", "y" * ((1 << 20) + 2))
    assert tree_stamp(project, [FileKey("big")]) != before


def test_a_folder_changes_when_something_is_added_to_it(project):
    keys = [DirectoryKey("src/c")]
    os.utime(project / "src/c", (1, 1))
    before = tree_stamp(project, keys)

    put(project / "src/demo/__init__.py", "longer")
    assert tree_stamp(project, keys) == before
    put(project / "src/c/b.c")
    changed = tree_stamp(project, keys)
    shutil.rmtree(project / "src/c")
    assert len({before, changed, tree_stamp(project, keys)}) == 3


def test_variables_are_those_of_the_caller(project, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O2")
    keys = [EnvironmentKey("CFLAGS")]

    stamps = [
        tree_stamp(project, keys, env=env) for env in (None, {"A": "b"}, {"CFLAGS": ""}, {"CFLAGS": "-O3"})
    ]

    assert stamps[0] == stamps[1]
    assert len(set(stamps)) == 3


PARTS = st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*"])


@given(
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5),
    st.lists(PARTS, min_size=1, max_size=4),
)
def test_patterns_fit_as_the_definition_says(path, pattern):
    def by_definition(path, pattern):
        if not pattern:
            return not path
        if pattern[0] == "**":
            return any(by_definition(path[at:], pattern[1:]) for at in range(len(path) + 1))
        return bool(path) and fits_part(path[0], pattern[0]) and by_definition(path[1:], pattern[1:])

    assert fits(path, pattern) is by_definition(path, pattern)


def fits_part(part, pattern):
    return {"*": True, "?": len(part) == 1, "a*": part[0] == "a"}.get(pattern, part == pattern)


# -- git, by files alone

FIRST, SECOND = "a" * 40, "b" * 64


def repository(tree, **files):
    for name, text in files.items():
        put(tree / ".git" / name.replace("__", "/"), text)


def test_the_commit_of_a_branch(project):
    repository(project, HEAD="ref: refs/heads/main\n", refs__heads__main=f"{FIRST}\n")

    assert current_commit(project) == FIRST
    assert current_commit(project / "src") == FIRST


def test_the_commit_of_a_packed_branch(project):
    packed = f"# pack-refs with: peeled\n{SECOND} refs/heads/main\n{FIRST} refs/tags/v1\n^{SECOND}\n"
    repository(project, **{"HEAD": "ref: refs/heads/main", "packed-refs": packed})

    assert current_commit(project) == SECOND
    assert current_tags(project) == (f"{FIRST} refs/tags/v1",)


def test_a_reference_of_its_own_goes_before_the_packed_one(project):
    packed = f"{SECOND} refs/heads/main\n{SECOND} refs/tags/v1\n"
    repository(
        project,
        **{"HEAD": "ref: refs/heads/main", "packed-refs": packed},
        refs__heads__main=FIRST,
        refs__tags__v1=FIRST,
        refs__tags__sub__v2=SECOND,
    )

    assert current_commit(project) == FIRST
    assert current_tags(project) == (f"{FIRST} refs/tags/v1", f"{SECOND} refs/tags/sub/v2")


@pytest.mark.parametrize(
    "head",
    ["", "garbage", "ref: refs/heads/none", "ref: /etc/passwd", "ref: refs/../../secret", "ref: refs/loop"],
)
def test_where_there_is_no_commit_there_is_none(project, head):
    put(project / "secret", FIRST)
    repository(project, HEAD=head, refs__loop="ref: refs/loop")

    assert current_commit(project) == ""


def test_without_a_repository_there_is_no_commit(tmp_path):
    assert current_commit(tmp_path / "not" / "there") == ""
    assert current_tags(tmp_path) == ()


def test_the_commit_is_part_of_the_stamp_where_it_is_asked_for(project):
    repository(project, HEAD=FIRST)
    before = [tree_stamp(project, [key]) for key in (GitKey(commit=True), GitKey(tags=True), GitKey())]

    repository(project, HEAD=SECOND)
    after = [tree_stamp(project, [key]) for key in (GitKey(commit=True), GitKey(tags=True), GitKey())]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]

    repository(project, refs__tags__v1=FIRST)
    assert tree_stamp(project, [GitKey(tags=True)]) != after[1]


def git(folder, *arguments):
    settings = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always"]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *settings, *arguments]
    return subprocess.run(
        command, cwd=folder, env=env, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_itself_says_the_same(project, tmp_path):
    git(project, "init", "-q", "-b", "main")
    assert current_commit(project) == ""
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "first")
    git(project, "tag", "v1")
    first = git(project, "rev-parse", "HEAD")
    assert current_commit(project) == first
    assert current_tags(project) == (f"{first} refs/tags/v1",)

    git(project, "pack-refs", "--all")
    assert current_commit(project) == first
    assert current_tags(project) == (f"{first} refs/tags/v1",)

    git(project, "worktree", "add", "-q", "-b", "other", str(tmp_path / "worktree"))
    put(tmp_path / "worktree" / "x")
    git(tmp_path / "worktree", "add", ".")
    git(tmp_path / "worktree", "commit", "-q", "-m", "second")
    second = git(tmp_path / "worktree", "rev-parse", "HEAD")
    assert current_commit(tmp_path / "worktree") == second != first
    assert current_tags(tmp_path / "worktree") == (f"{first} refs/tags/v1",)

    git(project, "checkout", "-q", "--detach", second)
    assert current_commit(project) == second
    git(project, "submodule", "--quiet", "add", str(tmp_path / "worktree"), "sub")
    assert current_commit(project / "sub") == git(project / "sub", "rev-parse", "HEAD")


def test_references_in_tables_change_with_every_commit(project):
    repository(project, HEAD="ref: refs/heads/.invalid")
    put(project / ".git/reftable/tables.list", "0x1-0x1-a.ref\n")
    before = current_commit(project), current_tags(project)

    put(project / ".git/reftable/tables.list", "0x1-0x2-b.ref\n")

    assert before[0] not in {"", current_commit(project)}
    assert before[1] != current_tags(project)


def test_a_folder_that_calls_itself_a_cache_is_left_out(tmp_path):
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "target").mkdir()
    (tmp_path / "target/CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    before = tree_stamp(tmp_path)
    (tmp_path / "target/made").write_text("by a build")
    assert tree_stamp(tmp_path) == before
    (tmp_path / "source").write_text("by hand")
    assert tree_stamp(tmp_path) != before
