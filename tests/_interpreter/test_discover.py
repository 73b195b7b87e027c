from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest

from puffin_api._interpreter.discover import (
    NameRequest,
    PathRequest,
    VersionRequest,
    accepts,
    discover,
    parse_request,
    python_in,
)
from puffin_api.errors import InterpreterNotFound


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("", VersionRequest()),
        ("python", VersionRequest()),
        ("3", VersionRequest(release=(3,))),
        ("3.12", VersionRequest(release=(3, 12))),
        ("3.12.1", VersionRequest(release=(3, 12, 1))),
        ("312", VersionRequest(release=(3, 12))),
        ("python3.12", VersionRequest(release=(3, 12))),
        ("cpython3.12", VersionRequest(implementation="cpython", release=(3, 12))),
        ("CPython@3.12", VersionRequest(implementation="cpython", release=(3, 12))),
        ("cp312", VersionRequest(implementation="cpython", release=(3, 12))),
        ("pypy", VersionRequest(implementation="pypy")),
        ("pypy-3.10", VersionRequest(implementation="pypy", release=(3, 10))),
        ("3.13t", VersionRequest(release=(3, 13), free_threaded=True)),
        ("3.13+freethreaded", VersionRequest(release=(3, 13), free_threaded=True)),
        ("3.13td", VersionRequest(release=(3, 13), free_threaded=True, debug=True)),
        ("3.15.0rc1", VersionRequest(release=(3, 15, 0), specifier="==3.15.0rc1")),
        (">=3.11, <3.13", VersionRequest(specifier="<3.13,>=3.11")),
        ("pypy>=3.9", VersionRequest(implementation="pypy", specifier=">=3.9")),
        ("my-python", NameRequest("my-python")),
        ("./env", PathRequest(Path("env"))),
        ("/usr/bin/python3", PathRequest(Path("/usr/bin/python3"))),
        (Path("env"), PathRequest(Path("env"))),
    ],
)
def test_requests_are_understood(text, request_):
    assert parse_request(text) == request_


def test_a_malformed_range_is_told():
    with pytest.raises(InterpreterNotFound, match="no version range") as caught:
        parse_request(">=three")

    assert caught.value.request == ">=three"
    assert "'>=3.11,<3.13'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "version", "fits"),
    [
        ("", (3, 8, 1), True),
        ("3.12", (3, 12, 4), True),
        ("3.1", (3, 12, 4), False),
        ("3.12.4", (3, 12, 4), True),
        ("3.12.3", (3, 12, 4), False),
        (">=3.11,<3.13", (3, 12, 4), True),
        (">=3.11,<3.13", (3, 13, 0), False),
        ("pypy", (3, 12, 4), False),
        ("cpython", (3, 12, 4), True),
        ("3.13t", (3, 13, 0), False),
        ("some-name", (3, 12, 4), True),
    ],
)
def test_a_probed_interpreter_is_accepted_or_not(current, text, version, fits):
    markers = {**current.markers, "python_full_version": ".".join(map(str, version))}
    info = attrs.evolve(current, version_info=(*version, "final", 0), markers=markers)

    assert accepts(parse_request(text), info) is fits


def test_a_pre_release_is_accepted_by_ranges_and_by_name(current):
    markers = {**current.markers, "python_full_version": "3.15.0rc1"}
    info = attrs.evolve(current, version_info=(3, 15, 0, "candidate", 1), markers=markers)

    assert accepts(parse_request(">=3.11"), info)
    assert accepts(parse_request("3.15.0rc1"), info)
    assert not accepts(parse_request("3.15.0rc2"), info)


def test_a_free_threaded_build_is_accepted_when_asked_for(current):
    facts = attrs.evolve(current.tag_facts, free_threaded=True)
    markers = {**current.markers, "python_full_version": "3.13.0"}
    info = attrs.evolve(current, version_info=(3, 13, 0, "final", 0), markers=markers, tag_facts=facts)

    assert accepts(parse_request("3.13t"), info)


def _executable(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    path.chmod(0o755)
    return path


def _venv(prefix):
    _executable(prefix / "bin" / "python")
    (prefix / "pyvenv.cfg").write_text("")
    return prefix / "bin" / "python"


def _found(*args, **options):
    return [(candidate.source, candidate.path) for candidate in discover(*args, **options)]


def test_without_an_environment_there_is_only_the_running_interpreter():
    assert _found("") == [("running", Path(sys.executable))]
    assert _found("3.12") == [("running", Path(sys.executable))]
    assert _found("some-name") == []


def test_sources_come_in_order_and_unread_ones_are_not_looked_at(tmp_path):
    active, conda = _venv(tmp_path / "active"), _venv(tmp_path / "conda")
    near, far = _venv(tmp_path / "a" / "b" / ".venv"), _venv(tmp_path / ".venv")
    on_path = _executable(tmp_path / "bin" / "python3")
    environ = {
        "VIRTUAL_ENV": str(tmp_path / "active"),
        "CONDA_PREFIX": str(tmp_path / "conda"),
        "PATH": f"relative:{tmp_path / 'gone'}::{tmp_path / 'bin'}",
    }

    found = _found("", environ=environ, cwd=tmp_path / "a" / "b")

    assert found == [
        ("VIRTUAL_ENV", active),
        ("CONDA_PREFIX", conda),
        (".venv", near),
        (".venv", far),
        ("PATH", on_path),
        ("running", Path(sys.executable)),
    ]


def test_folders_relative_to_some_working_directory_are_passed_over(tmp_path, monkeypatch):
    _executable(tmp_path / "python3")
    monkeypatch.chdir(tmp_path)

    assert _found("", environ={"PATH": "::."}) == [("running", Path(sys.executable))]


def test_a_broken_active_environment_is_still_a_candidate(tmp_path):
    environ = {"VIRTUAL_ENV": str(tmp_path / "gone")}

    assert _found("", environ=environ)[0] == ("VIRTUAL_ENV", tmp_path / "gone" / "bin" / "python")


def test_a_folder_named_venv_without_its_configuration_is_passed_over(tmp_path):
    _executable(tmp_path / ".venv" / "bin" / "python")

    assert _found("", environ={}, cwd=tmp_path) == [("running", Path(sys.executable))]


def _names_on_path(tmp_path, request_, names):
    for name in names:
        _executable(tmp_path / name)
    environ = {"PATH": str(tmp_path)}
    return [path.name for source, path in _found(request_, environ=environ) if source == "PATH"]


NAMES = ("python", "python3", "python3.9", "python3.12", "python3.13", "python3.13t", "python3.7", "python2")
NAMES += ("pypy3", "pypy3.10", "python3-config", "python3.12-gdb.py")


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ("", ["python3", "python", "python3.13", "python3.12", "python3.9", "python3.13t"]),
        ("3.12", ["python3.12", "python3", "python"]),
        ("3.13t", ["python3.13t", "python3.13", "python3", "python"]),
        (">=3.9,<3.13", ["python3.12", "python3.9", "python3", "python"]),
        ("pypy", ["pypy3", "pypy3.10"]),
        ("pypy3.10", ["pypy3.10", "pypy3"]),
        ("3.7", ["python3.7", "python3", "python"]),
    ],
)
def test_the_most_fitting_name_on_path_comes_first(tmp_path, request_, names):
    assert _names_on_path(tmp_path, request_, NAMES) == names


def test_files_that_may_not_be_executed_are_passed_over(tmp_path):
    _executable(tmp_path / "python3").chmod(0o644)

    assert _names_on_path(tmp_path, "", ["python"]) == ["python"]


def test_further_names_of_one_file_in_one_folder_are_left_out(tmp_path):
    _executable(tmp_path / "bin" / "python3.12")
    (tmp_path / "bin" / "python3").symlink_to("python3.12")
    (tmp_path / "linked").symlink_to(tmp_path / "bin")
    environ = {"PATH": f"{tmp_path / 'bin'}:{tmp_path / 'linked'}"}

    assert _found("3.12", environ=environ)[:-1] == [("PATH", tmp_path / "bin" / "python3.12")]


def test_an_environment_is_kept_beside_its_base(tmp_path):
    base = _executable(tmp_path / "bin" / "python3")
    environment = tmp_path / "env" / "bin" / "python"
    environment.parent.mkdir(parents=True)
    environment.symlink_to(base)
    environ = {"VIRTUAL_ENV": str(tmp_path / "env"), "PATH": str(tmp_path / "bin")}

    candidates = list(discover("", environ=environ))[:2]

    assert [candidate.path for candidate in candidates] == [environment, base]
    assert [candidate.real_path for candidate in candidates] == [base, base]


def test_a_path_is_given_back_as_it_is(tmp_path):
    _venv(tmp_path / "env")

    assert _found(tmp_path / "missing") == [("request", tmp_path / "missing")]
    assert _found("env/bin/python", cwd=tmp_path) == [("request", tmp_path / "env" / "bin" / "python")]


def test_a_folder_stands_for_its_python(tmp_path):
    python = _venv(tmp_path / "env")

    assert _found(str(tmp_path / "env")) == [("request", python)]
    assert _found("env", environ={}, cwd=tmp_path) == [("request", python)]


def test_a_name_is_looked_up_on_path(tmp_path):
    python = _executable(tmp_path / "bin" / "my-python")

    assert _found("my-python", environ={"PATH": str(tmp_path / "bin")}) == [("PATH", python)]


def test_the_python_of_a_windows_prefix_is_found(tmp_path):
    python = _executable(tmp_path / "Scripts" / "python.exe")

    assert python_in(tmp_path) == python
    assert python_in(tmp_path / "Scripts" / "deeper") is None
