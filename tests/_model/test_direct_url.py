from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puffin_api._model.direct_url import ArchiveInfo, DirectUrl, DirInfo, VcsInfo, without_credentials

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
INFOS = st.one_of(
    st.builds(
        ArchiveInfo, hashes=st.dictionaries(st.sampled_from(["sha256", "md5"]), st.sampled_from(["00", "ff"]))
    ),
    st.builds(VcsInfo, vcs=st.sampled_from(["git", "hg"]), commit_id=TEXT, requested_revision=TEXT),
    st.builds(DirInfo, editable=st.booleans()),
)


@given(st.builds(DirectUrl, url=st.just("https://x.invalid/a"), info=INFOS, subdirectory=TEXT))
def test_what_is_written_is_read_back(origin):
    assert DirectUrl.from_json(origin.to_json()) == origin
    assert origin.same_origin(DirectUrl.from_json(origin.to_json()))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:secret@x.invalid/a", "https://x.invalid/a"),
        ("https://token@x.invalid/a", "https://x.invalid/a"),
        ("ssh://git@x.invalid/a", "ssh://git@x.invalid/a"),
        ("https://${USER}:${PASS}@x.invalid/a", "https://${USER}:${PASS}@x.invalid/a"),
        ("https://x.invalid/a@b", "https://x.invalid/a@b"),
        ("file:///a", "file:///a"),
    ],
)
def test_credentials_are_never_written(url, expected):
    assert without_credentials(url) == expected
    assert json.loads(DirectUrl(url=url, info=DirInfo()).to_json())["url"] == expected


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"url": 3}', '{"url": "x"}', '{"url": "", "dir_info": {}}', '{"dir_info": {}}']
)
def test_what_says_nothing_is_an_error(text):
    with pytest.raises(ValueError):
        DirectUrl.from_json(text)


def test_the_older_hash_key_is_understood():
    text = '{"url": "x", "archive_info": {"hash": "sha256=AB"}, "future": 1}'

    assert DirectUrl.from_json(text).info == ArchiveInfo(hashes={"sha256": "ab"})


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            VcsInfo(vcs="git", commit_id="1"),
            VcsInfo(vcs="git", commit_id="1", requested_revision="main"),
            True,
        ),
        (VcsInfo(vcs="git", commit_id="1"), VcsInfo(vcs="git", commit_id="2"), False),
        (DirInfo(editable=True), DirInfo(), False),
        (DirInfo(), ArchiveInfo(), False),
        (ArchiveInfo(hashes={"sha256": "1"}), ArchiveInfo(), True),
        (ArchiveInfo(hashes={"sha256": "1"}), ArchiveInfo(hashes={"sha256": "2"}), False),
    ],
)
def test_origins_are_compared_by_what_they_lead_to(first, second, expected):
    one = DirectUrl(url="https://u:p@x.invalid/a.git", info=first)

    assert one.same_origin(DirectUrl(url="https://x.invalid/a", info=second)) is expected
