"""Git URLs: where the revision begins, what is secret, what is the same, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._model.git_url import Revision, RevisionKind, parse_git_url, submodule_url
from puffin_api._urls import repository
from puffin_api.errors import RequirementInvalid

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def parse(text):
    return parse_git_url(text)[0]


@pytest.mark.parametrize(
    ("text", "address", "revision"),
    [
        ("git+https://host/o/r", "https://host/o/r", ""),
        ("git+https://host/o/r.git@v1.0", "https://host/o/r.git", "v1.0"),
        ("git+https://host/o/r@feature/x.y", "https://host/o/r", "feature/x.y"),
        ("git+https://host:8443/o/r@v1", "https://host:8443/o/r", "v1"),
        ("git+https://user:secret@host/o/r", "https://host/o/r", ""),
        ("git+https://user:se@cret@host/o/r@v1", "https://host/o/r", "v1"),
        ("git+https://token@host/o/r", "https://host/o/r", ""),
        ("git+https://host/o/r.git@pkg@1.0", "https://host/o/r.git", "pkg@1.0"),
        ("git+https://host/o/r.git@@scope/pkg@1.0", "https://host/o/r.git", "@scope/pkg@1.0"),
        ("git+https://host/o/r@a%23b", "https://host/o/r", "a#b"),
        ("git+https://host/%40scope/r@v1", "https://host/%40scope/r", "v1"),
        ("git+https://host/o/r@v1?x=1#egg=r", "https://host/o/r?x=1", "v1"),
        ("git+https://host/o/r@refs/pull/7/head", "https://host/o/r", "refs/pull/7/head"),
        ("git+http://127.0.0.1:80/r", "http://127.0.0.1:80/r", ""),
        ("git+https://[::1]:8443/r@v1", "https://[::1]:8443/r", "v1"),
        ("git+ssh://git@host/o/r.git", "ssh://git@host/o/r.git", ""),
        ("git+ssh://git@host/o/r.git@v1", "ssh://git@host/o/r.git", "v1"),
        ("git+ssh://git@host:2222/o/r@v1", "ssh://git@host:2222/o/r", "v1"),
        ("git+ssh://host/~me/r@v1", "ssh://host/~me/r", "v1"),
        ("git+ssh://git@host:o/r.git@v1", "ssh://git@host/o/r.git", "v1"),
        ("git+ssh://me:secret@host/o/r", "ssh://me@host/o/r", ""),
        ("git+git@host:o/r.git", "git@host:o/r.git", ""),
        ("git+git@host:o/r.git@v1", "git@host:o/r.git", "v1"),
        ("git+git@host:o/r@feature/x", "git@host:o/r", "feature/x"),
        ("git+file:///a/r@v1", "file:///a/r", "v1"),
        ("git+file:///me%40home/r@v1", "file:///me%40home/r", "v1"),
        ("git+file://localhost/a/r", "file:///a/r", ""),
        ("GIT+HTTPS://Host/O/r", "https://Host/O/r", ""),
    ],
)
def test_the_revision_is_cut_off_the_path_only(text, address, revision):
    url = parse(text)

    assert url.address == address
    assert url.revision.name == revision


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", RevisionKind.DEFAULT),
        ("HEAD", RevisionKind.DEFAULT),
        ("main", RevisionKind.BRANCH_OR_TAG),
        ("abcdef", RevisionKind.BRANCH_OR_TAG),
        ("abcdef1", RevisionKind.SHORT_COMMIT),
        ("ABCDEF12", RevisionKind.SHORT_COMMIT),
        ("abcdefg1", RevisionKind.BRANCH_OR_TAG),
        (COMMIT, RevisionKind.COMMIT),
        (COMMIT[:-1], RevisionKind.SHORT_COMMIT),
        (COMMIT + COMMIT[:24], RevisionKind.COMMIT),
        ("refs/tags/v1", RevisionKind.REF),
    ],
)
def test_the_kind_of_a_revision_is_told_by_its_looks(text, kind):
    assert Revision.parse(text).kind is kind


def test_a_full_commit_is_the_same_in_capitals():
    assert Revision.parse(COMMIT.upper()) == Revision.parse(COMMIT)


@pytest.mark.parametrize(
    "name",
    [
        *("-x", "--upload-pack=x", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a@{1}", "@"),
        *("a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\n", "a\x7f", "refs/../x"),
    ],
)
def test_what_is_no_name_of_a_ref_is_refused(name):
    with pytest.raises(ValueError, match="no name"):
        Revision.parse(name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://host/o/r", "does not begin with git+"),
        ("git+git://host/o/r", "not called for such"),
        ("git+ext::sh -c id", "not called for such"),
        ("git+ext://x/y", "not called for such"),
        ("git+/home/me/r", "not called for such"),
        ("git+https:///r", "host"),
        ("git+https://host/", "path"),
        ("git+https://host", "path"),
        ("git+https://host/%0ar", "path"),
        ("git+https://-oProxyCommand=x/r", "host"),
        ("git+ssh://-oProxyCommand=x/r", "host"),
        ("git+ssh://-x@host/r", "user name"),
        ("git+-x@host:r", "user name"),
        ("git+git@-host:r", "host"),
        ("git+https://host/r@--upload-pack=x", "no name"),
        ("git+https://host/r@-x", "no name"),
        ("git+file://host/share/r", "local folder"),
        ("git+file:///", "local folder"),
        ("git+https://host/r#subdirectory=../x", "subdirectory"),
        ("git+https://host/r#subdirectory=a/../../x", "subdirectory"),
        ("git+https://host/r#subdirectory=%2e%2e/x", "subdirectory"),
        ("git+https://host/r#subdirectory=/etc", "subdirectory"),
        ("git+https://host/r#subdirectory=..\\x", "subdirectory"),
        ("git+https://host/r#subdirectory=C:/x", "subdirectory"),
        ("git+https://host/r#subdirectory=a%00b", "subdirectory"),
    ],
)
def test_what_git_must_not_be_given_is_refused(text, reason):
    with pytest.raises(RequirementInvalid, match=reason):
        parse(text)


def test_an_error_shows_no_login():
    with pytest.raises(RequirementInvalid) as caught:
        parse("git+https://user:secret@host/r@-x")

    assert "secret" not in repr(caught.value.to_dict())


@pytest.mark.parametrize(
    ("text", "url", "login"),
    [
        ("git+https://user:secret@host/r", "https://host/r", ("user", "secret")),
        ("git+https://user:se%40cret@host/r", "https://host/r", ("user", "se@cret")),
        ("git+https://user:se@cret@host/r", "https://host/r", ("user", "se@cret")),
        ("git+https://secret@host/r", "https://host/r", ("secret", "")),
        ("git+https://git@host/r", "https://git@host/r", ("git", "")),
        ("git+https://git:secret@host/r", "https://host/r", ("git", "secret")),
        ("git+https://${TOKEN}@host/r", "https://${TOKEN}@host/r", None),
        ("git+https://${USER}:${TOKEN}@host/r", "https://${USER}:${TOKEN}@host/r", None),
        ("git+https://host/r?token=secret", "https://host/r?token=****", None),
        ("git+ssh://me:secret@host/r", "ssh://me@host/r", None),
        ("git+git@host:o/r.git", "ssh://git@host/o/r.git", None),
    ],
)
def test_only_a_login_that_is_no_secret_stays(text, url, login):
    parsed, found = parse_git_url(text)

    assert parsed.url == url
    assert found == login
    assert "secret" not in f"{parsed!r} {parsed} {parsed.direct_url(COMMIT).to_json()} {parsed.repository}"


LOGIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#%[]\\"), min_size=1)


@given(user=LOGIN, password=LOGIN)
def test_no_login_is_ever_kept(user, password):
    text = f"git+https://{user}X9:{password}Y8@host/owner/r@v1"

    url, login = parse_git_url(text)

    assert url == parse("git+https://host/owner/r@v1")
    assert url.url == "https://host/owner/r"
    assert login is not None
    assert ":".join(login) == f"{user}X9:{password}Y8"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git+https://host/o/r", "git+https://user:secret@HOST:443/o/r.git/"),
        ("git+https://github.com/O/R@v1", "git+https://github.com/o/r.git@v1"),
        ("git+ssh://git@host/o/r", "git+git@host:o/r.git"),
        ("git+https://host/o/r#subdirectory=a/b", "git+https://host/o/r#egg=x&subdirectory=./a//b/"),
        ("git+https://host/o/r@v1", "git+https://host/o/r@%76%31"),
    ],
)
def test_spellings_of_one_thing_are_equal(one, other):
    assert parse(one) == parse(other)
    assert hash(parse(one)) == hash(parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git+https://host/o/r", "git+https://host/o/r@v1"),
        ("git+https://host/o/r", "git+http://host/o/r"),
        ("git+https://host/o/r", "git+https://host/O/r"),
        ("git+https://host/o/r", "git+https://host/o/r#subdirectory=a"),
        ("git+https://host/o/r?a=1", "git+https://host/o/r?a=2"),
        ("git+https://host/o/r@v1", "git+https://host/o/r@V1"),
    ],
)
def test_different_things_are_not_equal(one, other):
    assert parse(one) != parse(other)


@pytest.mark.parametrize(
    "text",
    [
        "git+https://host/o/r.git@pkg@1.0#subdirectory=a%20b/c",
        "git+https://host/o/r@a%23b%25",
        "git+https://host/%40scope/r",
        "git+file:///me%40home/r",
        "git+https://${TOKEN}@host/o/r@v1",
        "git+ssh://git@host:2222/o/r@refs/pull/7/head",
        "git+https://host/o/r@v1?a=1",
    ],
)
def test_the_text_of_a_url_means_the_same(text):
    url = parse(text)

    again = parse(str(url))

    assert again == url
    assert again.address == url.address


def test_the_key_of_a_repository_is_that_of_its_plain_url():
    url = parse("git+https://user:secret@Host/o/r.git@pkg@1.0#subdirectory=a")

    assert url.repository == "git+https://host/o/r"
    assert repository(url.repository) == url.repository


def test_direct_url_has_the_exact_commit_and_what_was_asked_for():
    url = parse("git+https://user:secret@host/o/r.git@v1#subdirectory=python")

    assert url.direct_url(COMMIT).to_dict() == {
        "url": "https://host/o/r.git",
        "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": COMMIT},
        "subdirectory": "python",
    }
    assert str(url.at(COMMIT)) == f"git+https://host/o/r.git@{COMMIT}#subdirectory=python"


@pytest.mark.parametrize(
    ("parent", "address", "result"),
    [
        ("git+https://host/o/r.git", "../x.git", "https://host/o/x.git"),
        ("git+https://host/o/r.git/", "../x", "https://host/o/x"),
        ("git+https://host/o/r", "../../p/x", "https://host/p/x"),
        ("git+https://host/o/r", "./x", "https://host/o/r/x"),
        ("git+git@host:o/r.git", "../x.git", "git@host:o/x.git"),
        ("git+git@host:r.git", "../x.git", "git@host:x.git"),
        ("git+ssh://git@host:22/o/r", "../x", "ssh://git@host:22/o/x"),
        ("git+file:///a/r", "../x", "file:///a/x"),
        ("git+file:///a/r", "/b/x y", "file:///b/x%20y"),
        ("git+https://host/o/r", "https://other/x@y.git", "https://other/x%40y.git"),
        ("git+https://host/o/r", "git@other:x.git", "git@other:x.git"),
    ],
)
def test_submodules_count_from_the_repository(parent, address, result):
    url, _ = submodule_url(parse(parent), address, COMMIT)

    assert url.address == result
    assert url.revision == Revision(RevisionKind.COMMIT, COMMIT)


def test_the_login_of_a_submodule_is_its_own():
    url, login = submodule_url(parse("git+https://host/o/r"), "https://me:secret@other/x", COMMIT)

    assert (url.address, login) == ("https://other/x", ("me", "secret"))


@pytest.mark.parametrize(
    "address",
    ["ext::sh -c id", "git://host/x", "file:///etc/x", "/etc/x", "../../../x", "-x", "", "https://-x/y"],
)
def test_submodules_lead_nowhere_else(address):
    with pytest.raises(RequirementInvalid):
        submodule_url(parse("git+https://host/o/r"), address, COMMIT)
