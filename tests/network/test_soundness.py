"""The judge of the network tests finds each kind of fault; this needs no network itself."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.network.soundness import Chosen, Place, faults


@dataclass(frozen=True)
class File:
    filename: str
    version: str = "1.0"
    yanked: str | None = None
    requires_python: str = ""


PLACE = Place(
    markers={"python_full_version": "3.9.18", "python_version": "3.9", "sys_platform": "linux"},
    tags=("cp39-cp39-linux_x86_64", "py3-none-any"),
)


def chosen(name, version="1.0", *requires, file=None, **more):
    file = file or File(f"{name}-{version}-py3-none-any.whl", version)
    return Chosen(name=name, version=version, file=file, requires_dist=requires, **more)


def judge(roots, packages, files=()):
    return faults(roots, packages, PLACE, lambda name: [f for f in files if f.filename.startswith(name)])


def test_what_is_sound_has_no_fault():
    packages = [
        chosen("a", "1.0", "b[fast]>=1 ; python_version < '3.10'", "c ; sys_platform == 'win32'"),
        chosen(
            "b", "1.2", "d ; extra == 'Fast'", extras=frozenset({"fast"}), provides_extra=frozenset({"fast"})
        ),
        chosen("d", "2.0"),
    ]

    assert judge(["a"], packages) == []


def test_an_extra_may_bring_in_another_of_the_same_project():
    extras = frozenset({"all", "x"})
    package = chosen(
        "a", "1.0", "a[x]; extra == 'all'", "b; extra == 'x'", extras=extras, provides_extra=extras
    )

    assert judge(["a[all]"], [package, chosen("b")]) == []
    assert judge(["a[all]"], [package]) == ['a[x] requires b; extra == "x", but b is missing']


@pytest.mark.parametrize(
    ("roots", "packages", "fault"),
    [
        (["a"], [], "the caller requires a, but a is missing"),
        (["a>1"], [chosen("a")], "the caller requires a>1, but a 1.0 was chosen"),
        (["a"], [chosen("a", "1.0", "b<1"), chosen("b")], "a requires b<1, but b 1.0 was chosen"),
        (["a"], [chosen("a"), chosen("b")], "b is superfluous"),
        (["a"], [chosen("a"), chosen("a")], "a is there twice"),
        (
            ["a"],
            [chosen("a", extras=frozenset({"x"}), provides_extra=frozenset({"x"}))],
            "a has the extras ['x']; [] are required",
        ),
        (
            ["a"],
            [chosen("a", requires_python=">=3.10")],
            "a 1.0 requires Python >=3.10 (metadata), not 3.9.18",
        ),
        (
            ["a"],
            [chosen("a", file=File("a-1.0-py3-none-any.whl", requires_python="!=3.9.18"))],
            "a 1.0 requires Python !=3.9.18 (index), not 3.9.18",
        ),
        (
            ["a"],
            [chosen("a", file=File("b-1.0-py3-none-any.whl"))],
            "a 1.0 is to be installed from b-1.0-py3",
        ),
        (
            ["a"],
            [chosen("a", file=File("a-1.1-py3-none-any.whl"))],
            "a 1.0 is to be installed from a-1.1-py3",
        ),
        (
            ["a"],
            [chosen("a", file=File("a-1.0-cp310-abi3-any.whl"))],
            "a-1.0-cp310-abi3-any.whl does not fit",
        ),
        (
            ["a"],
            [chosen("a", others=[File("a-1.0-cp39-cp39-linux_x86_64.whl")])],
            "a-1.0-py3-none-any.whl was chosen, but a-1.0-cp39-cp39-linux_x86_64.whl fits better",
        ),
        (["a"], [chosen("a", file=File("a-1.0-py3-none-any.whl", yanked=""))], "a 1.0 was yanked"),
    ],
)
def test_each_fault_is_found(roots, packages, fault):
    found = judge(roots, packages)

    assert len(found) == 1, found
    assert found[0].startswith(fault)


def test_an_exact_pin_takes_a_yanked_file():
    assert judge(["a==1.0"], [chosen("a", file=File("a-1.0-py3-none-any.whl", yanked="broken"))]) == []


def test_a_pre_release_is_a_fault_where_a_stable_version_would_do():
    stable = File("a-0.9-py3-none-any.whl", "0.9")
    found = judge(["a"], [chosen("a", "1.0b1")], files=[stable])

    assert found == ["a 1.0b1 is a pre-release, but 0.9 would do"]


@pytest.mark.parametrize(
    ("root", "stable"),
    [
        ("a>=1.0b1", File("a-0.9-py3-none-any.whl", "0.9")),
        ("a", File("a-0.9-cp27-cp27m-any.whl", "0.9")),
        ("a", File("a-0.9-py3-none-any.whl", "0.9", yanked="broken")),
        ("a", File("a-0.9-py3-none-any.whl", "0.9", requires_python="<3")),
        ("a", File("a-0.9.tar.gz", "0.9")),
    ],
)
def test_a_pre_release_is_no_fault_where_there_is_nothing_else(root, stable):
    assert judge([root], [chosen("a", "1.0b1")], files=[stable]) == []
