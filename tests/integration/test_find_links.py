"""Find-links, end to end: folders and pages beside indexes, under the same rules."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime

import pytest

from puffin_api import Installer, Resolver, Target
from puffin_api.errors import ConnectFailed, OfflineMiss, ResolutionFailed, ServerError
from puffin_api.testing import make_sdist
from tests.integration.job_kit import find_error, install, versions, wheel

TARGET = Target.for_platform(python="3.12", platform="manylinux_2_28_x86_64")
LINUX = "cp312-cp312-manylinux_2_17_x86_64"


@pytest.fixture
def links(tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    return folder


def put(folder, entries):
    for name, data in entries.items():
        (folder / name).write_bytes(data)


def resolve(client, *requirements, **options):
    """Resolve for a fixed target: version of each package, and the scheme of where it comes from."""
    resolution = Resolver(client).resolve(requirements, target=TARGET, **options)
    return {n: (str(p.version), p.file.url.partition(":")[0]) for n, p in resolution.packages.items()}


def rejection(client, requirement, **options):
    """The code of what speaks against the one version of a project that is asked for in vain."""
    with pytest.raises(ResolutionFailed) as caught:
        resolve(client, requirement, **options)
    ((version,),) = caught.value.excluded.values()
    return version["code"]


def page_of(server, entries, attributes="", fragment="", path="/links.html"):
    """Serve a page with links to files that are served as well."""
    lines = []
    for name, data in entries.items():
        server.page(f"/wheels/{name}", data)
        lines.append(f'<a href="wheels/{name}{fragment}" {attributes}>{name}</a>')
    server.page(path, "\n".join(lines), Content_Type="text/html")
    return f"{server.origin}{path}"


# -- beside indexes


def test_the_best_version_of_index_and_folder_is_chosen(serve, make_client, links):
    index = serve(wheel("a", "1.0") | wheel("a", "3.0") | wheel("b", "1.0"))
    put(links, wheel("a", "2.0") | wheel("b", "2.0", requires=["c"]) | wheel("c", "1.0"))
    client = make_client(index, find_links=[links])

    assert resolve(client, "a", "b") == {"a": ("3.0", "http"), "b": ("2.0", "file"), "c": ("1.0", "file")}


def test_of_equal_versions_the_file_of_the_folder_is_taken(serve, make_client, links):
    index = serve(wheel("a", "1.0"))
    put(links, wheel("a", "1.0"))

    assert resolve(make_client(index, find_links=[links]), "a") == {"a": ("1.0", "file")}


def test_a_better_wheel_of_the_index_is_preferred_to_that_of_the_folder(serve, make_client, links):
    index = serve(wheel("a", "1.0", tags=LINUX))
    put(links, wheel("a", "1.0"))

    assert resolve(make_client(index, find_links=[links]), "a") == {"a": ("1.0", "http")}


def test_folders_below_the_folder_do_not_count(make_client, links):
    (links / "below").mkdir()
    put(links / "below", wheel("a", "2.0"))
    put(links, wheel("a", "1.0"))

    assert resolve(make_client(find_links=[links]), "a") == {"a": ("1.0", "file")}


def test_a_page_is_used_and_its_relative_links_followed_after_a_redirect(serve, make_client, make_venv):
    server = serve()
    page_of(server, wheel("a", "1.0"))
    server.redirect("/old/links", f"{server.origin}/links.html")
    environment = make_venv()

    install(make_client(find_links=[f"{server.origin}/old/links"]), environment, "a")

    assert versions(environment) == {"a": "1.0"}


# -- the same rules


@pytest.mark.parametrize(
    ("attributes", "code"),
    [('data-yanked="broken"', "yanked"), ('data-requires-python="&lt;3"', "requires-python")],
)
def test_what_a_page_says_of_its_files_counts(serve, make_client, attributes, code):
    server = serve()
    client = make_client(find_links=[page_of(server, wheel("a", "1.0"), attributes)])

    assert rejection(client, "a") == code


def test_a_yanked_file_of_a_page_is_there_for_an_exact_pin(serve, make_client):
    client = make_client(find_links=[page_of(serve(), wheel("a", "1.0"), "data-yanked")])

    assert resolve(client, "a==1.0") == {"a": ("1.0", "http")}


def test_what_the_wheel_itself_says_of_python_counts(make_client, links):
    put(links, wheel("a", "1.0") | wheel("a", "2.0", requires_python=">=3.13"))

    assert resolve(make_client(find_links=[links]), "a") == {"a": ("1.0", "file")}


def test_tags_kinds_and_times_are_judged_as_on_an_index(make_client, links):
    put(links, wheel("a", "1.0", tags="cp312-cp312-win_amd64"))
    put(links, wheel("b", "1.0") | {"c-1.0.tar.gz": make_sdist("c", "1.0")})
    client = make_client(find_links=[links])
    now = datetime.now(UTC)

    assert rejection(client, "a") == "incompatible-tags"
    assert rejection(client, "b", no_binary=["b"]) == "no-binary"
    assert rejection(client, "c", only_binary=["c"]) == "only-binary"
    assert rejection(client, "b", exclude_newer=now) == "no-upload-time"
    assert resolve(client, "b", exclude_newer={"other": now}) == {"b": ("1.0", "file")}


@pytest.mark.parametrize("is_right", [True, False])
def test_the_hash_in_a_link_is_checked(serve, make_client, make_venv, is_right):
    server, entries, environment = serve(), wheel("a", "1.0"), make_venv()
    digest = hashlib.sha256(next(iter(entries.values()))).hexdigest() if is_right else "0" * 64
    client = make_client(find_links=[page_of(server, entries, fragment=f"#sha256={digest}")])
    resolver = Resolver(client)
    if not is_right:  # it is found out as soon as the metadata is read out of the wheel
        error = find_error(lambda: resolver.resolve(["a"], target=environment))
        assert type(error) is ResolutionFailed
        assert "0" * 64 in str(error)
        return
    resolution = resolver.resolve(["a"], target=environment)

    assert resolution.packages["a"].file.hashes == {"sha256": digest}
    Installer(environment, client).install(resolution)
    assert versions(environment) == {"a": "1.0"}


def test_files_with_bad_names_are_left_out_with_a_reason(make_client, links):
    for name in ("a-1.0-py3-any.whl", "a-not.a.version.tar.gz", "a-2.0-x-py3-none-any.whl"):
        (links / name).touch()
    put(links, wheel("a", "1.0"))
    project = make_client(find_links=[links]).project("a")

    assert project.versions == ("1.0",)
    assert set(project.skipped) == {"a-1.0-py3-any.whl", "a-not.a.version.tar.gz", "a-2.0-x-py3-none-any.whl"}
    assert all(project.skipped.values())


# -- what is not there, and what changes


def test_a_location_that_is_not_there_is_an_error_that_names_it(serve, make_client, links):
    index = serve(wheel("a", "1.0"))
    missing = make_client(index, find_links=[links, links / "none"])
    error = find_error(lambda: resolve(missing, "a"))
    assert type(error) is ConnectFailed
    assert str(links / "none") in str(error)
    assert "find_links" in error.hint

    error = find_error(lambda: resolve(make_client(index, find_links=[f"{index.origin}/none"]), "a"))
    assert (type(error), error.status, error.url) == (ServerError, 404, f"{index.origin}/none")


def test_a_folder_that_appears_is_used_by_the_next_call(make_client, links):
    client = make_client(find_links=[links / "later"])
    assert find_error(lambda: resolve(client, "a")) is not None
    (links / "later").mkdir()
    put(links / "later", wheel("a", "1.0"))

    assert resolve(client, "a") == {"a": ("1.0", "file")}


def test_a_folder_that_changes_is_read_again_by_the_next_call(make_client, links):
    put(links, wheel("a", "1.0"))
    client = make_client(find_links=[links])
    for version in ("1.1", "1.2", "1.3"):  # as quick as files can be written
        assert resolve(client, "a") == {"a": (max(p.name.split("-")[1] for p in links.iterdir()), "file")}
        put(links, wheel("a", version))
    (links / "a-1.3-py3-none-any.whl").unlink()

    assert resolve(client, "a") == {"a": ("1.2", "file")}


@pytest.mark.parametrize("as_index", [False, True])
def test_a_wheel_that_is_built_anew_is_read_anew(make_client, make_venv, links, as_index):
    (links / "a").mkdir()
    folder = links / "a"

    def client_of_place():
        return make_client(links.as_uri()) if as_index else make_client(find_links=[folder])

    put(folder, wheel("a", "1.0", requires=["missing"]))
    client, gone, before = client_of_place(), client_of_place(), folder.stat()
    assert find_error(lambda: resolve(client, "a")) is not None
    assert find_error(lambda: resolve(gone, "a")) is not None
    gone.close()  # now the cache knows what it knew
    (entry,) = wheel("a", "1.0", files={"new.py": ""}).items()
    (folder / entry[0]).write_bytes(entry[1])
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert resolve(client_of_place(), "a") == {"a": ("1.0", "file")}
    assert resolve(client, "a") == {"a": ("1.0", "file")}
    environment = make_venv()
    install(client, environment, "a")
    (installed,) = environment.installed()
    assert "new.py" in installed.files


# -- offline


def test_offline_a_page_that_is_not_cached_is_missed_where_it_matters(serve, make_client, links):
    server = serve()
    page = page_of(server, wheel("a", "1.0") | wheel("b", "1.0"))
    put(links, wheel("b", "2.0"))
    client = make_client(find_links=[page, links], offline=True)

    assert resolve(client, "b") == {"b": ("2.0", "file")}
    error = find_error(lambda: resolve(client, "a"))
    assert isinstance(error, OfflineMiss)
    assert error.missing == [page]
    with make_client(find_links=[page, links]) as online:
        resolve(online, "a")
    assert resolve(make_client(find_links=[page, links], offline=True), "a") == {"a": ("1.0", "http")}
