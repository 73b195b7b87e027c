"""Whatever is broken in an environment: the rest is listed, and what cannot be known is a problem."""

from __future__ import annotations

import json
import os

import pytest

from puffin_api import Environment, Interpreter
from tests.integration.broken_trees import develop, dist_info, egg_archive, headers, put, unpack
from tests.integration.job_kit import as_plain_user, can_be_plain_user

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and odd names")

LONGEST = "b" * 230


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    unpack(folder, "good", requires=["other"])
    unpack(folder, "other", "2.0")
    return folder


@pytest.fixture
def environment(site):
    return Environment.directory(site, target=Interpreter.current())


def listed(environment):
    """What is listed beside the two that are whole; everything that there is to ask has an answer."""
    installed = environment.installed()
    assert installed.get("good").requires == ("other",)
    assert installed.get("other").version == "2.0"
    for dist in installed:
        assert dist.entry_points is not None
        assert isinstance(dist.modules(), tuple)
        assert dist.module_files() is not None
        environment.why(dist.name)
        environment.satisfies([dist.name])
    assert environment.satisfies(["good"])
    json.dumps(installed.to_dict())
    assert environment.fingerprint() == installed.fingerprint
    return [(d.name, d.version) for d in installed if d.name not in {"good", "other"}]


def reasons(environment, **options):
    """What the problems say; each can be shown on any terminal."""
    problems = environment.check(**options)
    for problem in problems:
        assert problem.message.encode()
        assert problem.message.isprintable()
        json.dumps(problem.to_dict())
    return [getattr(problem, "reason", problem.code) for problem in problems]


def a_folder(site):
    dist_info(site, "bad").joinpath("METADATA").unlink()
    (site / "bad-1.0.dist-info/METADATA").mkdir()


def a_dangling_link(site):
    dist_info(site, "bad").joinpath("METADATA").unlink()
    (site / "bad-1.0.dist-info/METADATA").symlink_to("nowhere")


def a_pipe(site):
    dist_info(site, "bad").joinpath("METADATA").unlink()
    os.mkfifo(site / "bad-1.0.dist-info/METADATA")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda site: dist_info(site, "bad").joinpath("METADATA").unlink(), "METADATA is missing"),
        (lambda site: dist_info(site, "bad", metadata=b""), "METADATA is invalid"),
        (lambda site: dist_info(site, "bad", metadata=b"\0\x01\xff\xfe" * 90), "METADATA is invalid"),
        (
            lambda site: dist_info(site, "bad", metadata=headers("bad").encode("utf-16")),
            "METADATA is invalid",
        ),
        (lambda site: dist_info(site, "bad", metadata=b"Name: bad\n"), "METADATA is invalid"),
        (a_folder, "METADATA cannot be read"),
        (a_dangling_link, "METADATA cannot be read"),
        (a_pipe, "METADATA is invalid"),
        (lambda site: dist_info(site, "bad", metadata=headers("x")), "METADATA is of another project, x"),
        (
            lambda site: dist_info(site, "bad", metadata=headers("bad", "9")),
            "METADATA is of another version, 9",
        ),
        (
            lambda site: dist_info(site, "bad", metadata=headers("bad") + "Requires-Dist: ?\n"),
            "'?' is not a valid requirement",
        ),
        (
            lambda site: dist_info(site, "bad", metadata=headers("bad") + "Requires-Python: snake\n"),
            "'snake' is not a set of versions of Python",
        ),
        (lambda site: dist_info(site, "bad").joinpath("RECORD").unlink(), "RECORD is missing"),
        (lambda site: dist_info(site, "bad", record=b""), "RECORD names no file of bad-1.0.dist-info"),
        (lambda site: dist_info(site, "bad", record=b"\0\xff,\n" * 9), "RECORD names no file of bad-1.0"),
        (
            lambda site: dist_info(site, "bad", record=b'bad-1.0.dist-info/RECORD,,\n"' + b"x" * 200_000),
            "RECORD is invalid",
        ),
        (
            lambda site: dist_info(site, "bad", entry_points__txt=b"[console_scripts]\n\xff\xfe\0"),
            "entry_points.txt has a line that makes no sense",
        ),
        (lambda site: dist_info(site, "bad", entry_points__txt="a = b\n"), "entry_points.txt has a line"),
        (lambda site: dist_info(site, "bad", direct_url__json=b"\xff{"), "direct_url.json is invalid"),
        (lambda site: dist_info(site, "bad", direct_url__json="[" * 200_000), "direct_url.json is invalid"),
        (
            lambda site: dist_info(site, "bad").joinpath("REQUESTED").symlink_to("x"),
            "REQUESTED cannot be read",
        ),
    ],
)
def test_what_is_lost_of_a_distribution_is_a_problem(site, environment, make, reason):
    make(site)

    assert listed(environment) == [("bad", "1.0")]
    found = reasons(environment)
    assert len(found) == 1
    assert found[0].startswith(reason)
    assert reasons(environment, deep=True)[0] == found[0]


@pytest.mark.parametrize(
    "metadata",
    [
        b"\xef\xbb\xbf" + headers("bad").encode(),
        headers("bad").replace("\n", "\r\n").encode(),
        headers("bad").replace("\n", "\r").encode(),
        headers("bad").encode() + b"Author: \xe9\n",
        headers("bad").encode() + b"X: \0\nName: second\n",
        headers("bad").encode() + b"\n" + b"x" * 5_000_000,
        headers("bad", "1.0.0").encode(),
    ],
    ids=["BOM", "CRLF", "CR", "Latin-1", "NUL", "huge", "other spelling"],
)
def test_odd_metadata_that_can_be_read_are_no_problem(site, environment, metadata):
    dist_info(site, "bad", metadata=metadata)

    assert listed(environment) == [("bad", "1.0")]
    assert reasons(environment, deep=True) == []


def test_bytes_that_are_no_text_do_not_get_out(site, environment):
    dist_info(site, "bad", metadata=headers("bad").encode() + b"Summary: caf\xe9\n")

    assert environment.installed().get("bad").metadata.summary == "caf\xe9"


@pytest.mark.parametrize(
    "name",
    [
        "~ad-1.0.dist-info",
        "-1.0.dist-info",
        ".dist-info",
        "b\xe4d-1.0.dist-info",
        "ba\nd-1.0.dist-info",
        os.fsdecode(b"b\xffd-1.0.dist-info"),
        "bad name-1.0.dist-info",
        ".bad-1.0.dist-info",
        "~ad-1.0.egg-info",
        "~ad.egg-link",
    ],
)
def test_what_has_no_valid_name_is_a_problem_and_not_listed(site, environment, name):
    put(site, f"{name}/METADATA", headers("bad"))

    assert listed(environment) == []
    assert reasons(environment, deep=True) == ["the name is not that of a distribution"]
    assert environment.check()[0].name == name


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("Bad.Name_X-1.0.dist-info", ("bad-name-x", "1.0")),
        (f"{LONGEST}-1.0.dist-info", (LONGEST, "1.0")),
        ("bad-1.0-1.dist-info", ("bad", "1.0-1")),
        ("bad-name-1.0.dist-info", ("bad-name", "1.0")),
        (f"bad-{'1' * 200}.dist-info", ("bad", "1" * 200)),
    ],
)
def test_odd_names_are_understood(site, environment, folder, expected):
    dist_info(site, *expected, folder=folder)

    assert listed(environment) == [expected]
    assert reasons(environment, deep=True) == []


def test_what_is_no_version_is_a_problem(site, environment):
    dist_info(site, "bad", "banana")

    assert listed(environment) == [("bad", "banana")]
    assert reasons(environment) == ["banana is not a version"]


@pytest.mark.parametrize("folder", ["bad.dist-info", "bad-.dist-info"])
def test_a_version_that_only_the_metadata_know_is_listed_and_a_problem(site, environment, folder):
    dist_info(site, "bad", "3.0", folder=folder)

    assert listed(environment) == [("bad", "3.0")]
    assert reasons(environment) == ["the name is not that of a distribution"]


def a_loop(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("x"), lambda path: path.symlink_to("nowhere"), a_loop]
)
def test_a_dist_info_that_is_no_folder_is_no_distribution(site, environment, make):
    make(site / "bad-1.0.dist-info")

    assert listed(environment) == []
    assert reasons(environment, deep=True) == ["it is not a folder"]


def test_one_project_in_several_spellings_is_one_project(site, environment):
    dist_info(site, "Bad_Name", "1.0", folder="Bad_Name-1.0.dist-info", metadata=headers("Bad-Name"))
    dist_info(site, "bad.name", "2.0")

    assert listed(environment) == [("bad-name", "1.0"), ("bad-name", "2.0")]
    assert reasons(environment, deep=True) == ["duplicate-distribution"]


def test_old_formats_are_read(site, environment, tmp_path):
    put(site, "one-1.0-py3.11.egg-info", headers("one"))
    put(site, "two.egg-info/PKG-INFO", headers("two", "2.0"))
    put(
        site,
        "two.egg-info/requires.txt",
        "a>=1\n\n[X_y]\nb\n\n[:os_name == 'nt']\nc\n\n[z:os_name != 'nt']\nd[e]\n",
    )
    put(site, "two.egg-info/installed-files.txt", "../two.py\nPKG-INFO\n")
    put(site, "three-3.0-py3.11.egg/EGG-INFO/PKG-INFO", headers("three", "3.0"))
    egg_archive(site, "four", "4.0")
    develop(site, tmp_path / "src", "five", "5.0", "aaa")

    installed = environment.installed()

    assert [(d.name, d.version, d.kind, d.editable) for d in installed if d.kind != "dist-info"] == [
        ("five", "5.0", "egg-link", True),
        ("four", "4.0", "egg", False),
        ("one", "1.0", "egg-info", False),
        ("three", "3.0", "egg", False),
        ("two", "2.0", "egg-info", False),
    ]
    two = installed.get("two")
    assert two.requires == (
        "a>=1",
        'b ; extra == "X_y"',
        "c ; os_name == 'nt'",
        "d[e] ; (os_name != 'nt') and extra == \"z\"",
    )
    assert two.extras == ("x-y", "z")
    assert two.modules() == ("two",)
    assert installed.get("four").requires == ("needed>=1",)
    assert installed.get("five").modules() == ("five_module",)
    listed(environment)
    assert [problem.requirement for problem in environment.check()] == ["needed>=1", "a>=1"]


@pytest.mark.parametrize(
    "make",
    [
        lambda site: put(site, "bad-1.0-py3.11.egg-info"),
        lambda site: (site / "bad-1.0.egg-info").mkdir(),
        lambda site: put(site, "bad-1.0-py3.11.egg", "no archive"),
        lambda site: (site / "bad-1.0-py3.11.egg").mkdir(),
        lambda site: put(site, "bad.egg-link", "/nowhere/at/all\n."),
        lambda site: put(site, "bad.egg-link", ""),
        lambda site: put(site, "bad.egg-link", b"\0\n"),
        lambda site: (site / "bad.egg-link").mkdir(),
        lambda site: put(site, "bad.egg-link", f"{site}\n."),
    ],
)
def test_old_formats_may_be_broken(site, environment, make):
    make(site)

    assert [name for name, _ in listed(environment)] == ["bad"]
    assert len(reasons(environment, deep=True)) == 1
    assert not environment.satisfies(["bad"])


def test_a_version_too_long_to_be_a_number_is_none(site, environment):
    number = "1" * 5000
    put(site, "bad.egg-info/PKG-INFO", headers("bad", number))
    dist_info(
        site, "user", metadata=headers("user") + f"Requires-Dist: bad>=1\nRequires-Python: >={number}\n"
    )

    assert listed(environment) == [("bad", ""), ("user", "1.0")]
    assert reasons(environment) == [
        f"PKG-INFO is of another version, {'1' * 100}",
        f"'>={'1' * 98}' is not a set of versions of Python",
        "version-conflict",
    ]


def test_metadata_of_another_project_do_not_tell_the_version(site, environment):
    put(site, "bad.egg-info/PKG-INFO", headers("another", "9"))

    assert listed(environment) == [("bad", "")]
    assert reasons(environment) == ["PKG-INFO is of another project, another"]


# -- folders


def test_a_missing_folder_is_empty(tmp_path):
    environment = Environment.directory(tmp_path / "missing", target=Interpreter.current())

    assert len(environment.installed()) == 0
    assert environment.check(deep=True) == ()
    assert environment.why("x") == ()
    assert environment.recover() is None


def test_a_folder_that_is_a_file_is_a_problem(tmp_path):
    put(tmp_path, "site")
    environment = Environment.directory(tmp_path / "site", target=Interpreter.current())

    assert len(environment.installed()) == 0
    assert [problem.location for problem in environment.check()] == [str(tmp_path / "site")]


@pytest.mark.skipif(not can_be_plain_user(), reason="modes of folders do not count here")
def test_what_may_not_be_read_is_a_problem(site, environment):
    for name in ("folder", "metadata", "record", "origin", "module"):
        dist_info(site, name, direct_url__json='{"url": "file:///x", "dir_info": {}}')
    locked = [
        site / "folder-1.0.dist-info",
        site / "metadata-1.0.dist-info/METADATA",
        site / "record-1.0.dist-info/RECORD",
        site / "origin-1.0.dist-info/direct_url.json",
        site / "module.py",
    ]
    for path in locked:
        path.chmod(0)
    try:
        found = as_plain_user(lambda: environment.check(deep=True))
        names = as_plain_user(lambda: [dist.name for dist in environment.installed()])
        site.chmod(0)
        nothing = as_plain_user(environment.check)
    finally:
        site.chmod(0o755)
        for path in locked:
            path.chmod(0o755)

    assert names == ["folder", "good", "metadata", "module", "origin", "other", "record"]
    told = [(problem.name, getattr(problem, "reason", problem.code)) for problem in found]
    assert ("metadata", "METADATA cannot be read") in told
    assert ("record", "RECORD cannot be read") in told
    assert ("origin", "direct_url.json cannot be read") in told
    assert ("module", "modified-file") in told
    assert {name for name, _ in told} == {"folder", "metadata", "record", "origin", "module"}
    assert [problem.location for problem in nothing] == [str(site)]


# -- what is inside


def test_compiled_files_may_be_missing_and_links_are_followed(site, environment):
    folder = dist_info(site, "linked", record=b"")
    rows = "linked.py,,\n__pycache__/linked.cpython-311.pyc,,\ngone.py,,\nlinked-1.0.dist-info/RECORD,,\n"
    put(site, "linked-1.0.dist-info/RECORD", rows)
    (site / "linked.py").rename(site / "elsewhere.py")
    (site / "linked.py").symlink_to("elsewhere.py")
    assert folder.is_dir()

    assert [(p.code, p.path) for p in environment.check(deep=True)] == [("missing-file", "gone.py")]


def test_a_digest_of_an_unknown_kind_is_not_compared(site, environment):
    rows = "odd.py,shake_128=AAAA,0\nodd-1.0.dist-info/RECORD,sm3=x,\n"
    dist_info(site, "odd", record=rows)

    assert reasons(environment, deep=True) == []


def test_a_large_file_is_read_in_pieces_that_can_be_stopped(site, environment):
    from puffin_api.errors import Cancelled
    from puffin_api.model import CancelToken

    class Counting(CancelToken):
        asked = 0

        def check(self):
            type(self).asked += 1
            if self.asked == 30:
                self.cancel("enough")
            super().check()

    dist_info(site, "big", record="big.bin,sha256=x,9\nbig-1.0.dist-info/RECORD,,\n")
    with open(site / "big.bin", "wb") as file:
        file.truncate(100 << 20)

    with pytest.raises(Cancelled):
        environment.check(deep=True, cancel=Counting())


def test_a_change_that_was_made_but_not_cleaned_up_is_no_problem(site, environment):
    put(site, ".puffin-done/.puffin-committed", "{}")
    put(site, ".puffin-half/.puffin-journal.json", "{}")
    (site / ".puffin-half.part").mkdir()

    assert [problem.path for problem in environment.check()] == [str(site / ".puffin-half")]
