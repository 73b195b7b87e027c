"""Whatever is broken in an environment: nothing raises, nothing whole is hidden, what is lost is told."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puffin_api import Environment, Interpreter
from puffin_api.errors import RequirementInvalid
from tests.integration.broken_trees import dist_info, headers, put

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and odd names")

TARGET = Interpreter.current()
NAMES = [f"p{number}" for number in range(7)]
NOISE = st.binary(max_size=120)
FILES = [
    "METADATA",
    "RECORD",
    "INSTALLER",
    "REQUESTED",
    "WHEEL",
    "direct_url.json",
    "entry_points.txt",
    "top_level.txt",
]
HEADERS = [
    b"Requires-Dist: ",
    b"Requires-Python: ",
    b"Provides-Extra: ",
    b"Name: ",
    b"Version: ",
    b"Dynamic: ",
]


def remove(path, _):
    if path.exists():
        path.unlink()


def become_folder(path, _):
    remove(path, _)
    path.mkdir()


def become_dangling(path, _):
    remove(path, _)
    path.symlink_to("nowhere")


def become_pipe(path, _):
    remove(path, _)
    os.mkfifo(path)


def become_noise(path, noise):
    path.write_bytes(noise)


def grow_noise(path, noise):
    with open(path, "ab") as file:
        file.write(b"\n" + noise)


def gain_header(path, noise):
    with open(path, "ab") as file:
        file.write(HEADERS[len(noise) % len(HEADERS)] + noise + b"\n")


HARMS = [remove, become_folder, become_dangling, become_pipe, become_noise, grow_noise, gain_header]
HARM = st.tuples(st.sampled_from(NAMES[:4]), st.sampled_from(FILES), st.sampled_from(HARMS), NOISE)
# A folder's name may be anything but NUL and the separator.
STRAY = st.tuples(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.sampled_from([".dist-info", ".egg-info", ".egg", ".egg-link", "-1.0.dist-info"]),
    st.booleans(),
    NOISE,
)


def build(site):
    for number, name in enumerate(NAMES):
        needed = "".join(f"Requires-Dist: {other}>=1\n" for other in NAMES[number + 1 :])
        dist_info(site, name, metadata=headers(name) + needed)


def questions(environment):
    """Ask everything there is to ask."""
    installed = environment.installed()
    assert environment.fingerprint() == installed.fingerprint
    json.dumps(installed.to_dict())
    problems = environment.check(deep=True)
    for problem in problems:
        json.dumps(problem.to_dict())
        assert problem.message.isprintable()
    for dist in installed:
        assert repr(dist)
        assert dist.location.name
        assert all((point.group, point.name, point.value) for point in dist.entry_points)
        json.dumps([dist.modules(), dist.module_files(), dist.files, dist.installer, dist.requires_python])
        environment.why(dist.name)
        environment.satisfies([dist.name, f"{dist.name}[x]>=1"])
    return installed, problems


@settings(max_examples=60)
@given(harms=st.lists(HARM, min_size=1, max_size=4), strays=st.lists(STRAY, max_size=3))
def test_nothing_raises_and_nothing_whole_is_hidden(harms, strays):
    with tempfile.TemporaryDirectory() as place:
        site = Path(place)
        build(site)
        for name, file, harm, noise in harms:
            path = site / f"{name}-1.0.dist-info" / file
            if path.is_dir() or path.is_symlink() or path.is_fifo():
                continue  # harmed before
            harm(path, noise)
        for stem, suffix, is_folder, noise in strays:
            stray = site / f"{stem}{suffix}"
            if not stray.exists() and len(os.fsencode(stray.name)) < 250:
                put(site, f"{stray.name}/METADATA" if is_folder else stray.name, noise)

        installed, _ = questions(Environment.directory(site, target=TARGET))

        harmed = {name for name, *_ in harms}
        for name in NAMES:
            found = installed.all(name)
            assert "1.0" in [dist.version for dist in found]
            if name not in harmed and len(found) == 1:
                assert found[0].metadata.name == name
                assert len(found[0].requires) == len(NAMES) - 1 - NAMES.index(name)


LOSSES = {
    "METADATA": [remove, become_folder, become_dangling, become_pipe],
    "RECORD": [remove, become_folder, become_dangling, become_pipe],
    "direct_url.json": [become_folder, become_dangling, become_pipe, become_noise],
    "entry_points.txt": [become_folder, become_dangling],
    "INSTALLER": [become_folder, become_dangling],
    "REQUESTED": [become_folder, become_dangling],
}
LOSS = st.sampled_from([(file, harm) for file, harms in LOSSES.items() for harm in harms])


@settings(max_examples=60)
@given(losses=st.dictionaries(st.sampled_from(NAMES), LOSS, min_size=1, max_size=4), noise=NOISE)
def test_what_is_lost_is_a_problem_of_that_distribution_alone(losses, noise):
    with tempfile.TemporaryDirectory() as place:
        site = Path(place)
        build(site)
        for name, (file, harm) in losses.items():
            harm(site / f"{name}-1.0.dist-info" / file, b"\xff" + noise)

        _, problems = questions(Environment.directory(site, target=TARGET))

        broken = [
            (problem.name, problem.reason.split()[0])
            for problem in problems
            if problem.code == "broken-metadata"
        ]
        assert sorted(broken) == sorted((name, file) for name, (file, _) in losses.items())


@settings(max_examples=40)
@given(
    entries=st.lists(st.tuples(st.sampled_from(["name", *FILES]), NOISE), max_size=5), seed=st.integers(0, 9)
)
def test_removing_anything_from_a_folder_leaves_a_list(entries, seed):
    """Files and folders at the top may go at any time, or be exchanged for one another."""
    with tempfile.TemporaryDirectory() as place:
        site = Path(place)
        build(site)
        victims = sorted(os.listdir(site))[seed :: len(entries) + 2]
        for name, (_, noise) in zip(victims, entries, strict=False):
            path = site / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            if len(noise) % 2:
                path.write_bytes(noise)

        installed, _ = questions(Environment.directory(site, target=TARGET))

        left = {name for name in NAMES if (site / f"{name}-1.0.dist-info").is_dir()}
        assert {dist.name for dist in installed} == left


@given(name=st.text(max_size=30))
def test_any_name_may_be_asked_for(name):
    environment = Environment.directory("/nonexistent", target=TARGET)

    with suppress(RequirementInvalid):
        assert environment.why(name) == ()
    with suppress(RequirementInvalid):
        assert environment.satisfies([name]) is False
