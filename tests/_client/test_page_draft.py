"""A page that has just come answers at once, and the same once it is on disk."""

from __future__ import annotations

import json

from puffin_api._cache.project_table import decode_page_table
from puffin_api._client.http_cache import Policy
from puffin_api._client.page_draft import PageDraft

PAGE = {
    "meta": {"api-version": "1.1"},
    "files": [
        {"filename": "a-1.0.tar.gz", "url": "https://files.invalid/a-1.0.tar.gz", "hashes": {}},
        {
            "filename": "a-2.0rc1-py3-none-any.whl",
            "url": "a-2.0rc1-py3-none-any.whl",
            "hashes": {"sha256": "AB"},
        },
        {"filename": "a-1.0-py3-none-any.whl", "url": 7, "hashes": {}},
        {"filename": "a-nonsense-py3-none-any.whl", "url": "x", "hashes": {}},
    ],
}


def draft() -> PageDraft:
    url = "https://index.invalid/simple/a/"
    return PageDraft.of_json(json.dumps(PAGE).encode(), url, "a", "https://index.invalid/simple/")


def shown(page: PageDraft) -> list[list[tuple[str, str, tuple[str, ...]]]]:
    releases = page.releases
    return [
        [(row.filename, row.url, row.hashes) for row in releases.files(position)]
        for position in range(len(releases))
    ]


def test_versions_and_files_are_there_before_anything_is_written():
    page = draft()

    assert page.releases.versions == ["1.0", "2.0rc1"]
    assert page.releases.prereleases == 0b100
    assert shown(page)[1] == [
        (
            "a-2.0rc1-py3-none-any.whl",
            "https://index.invalid/simple/a/a-2.0rc1-py3-none-any.whl",
            ("sha256:ab",),
        )
    ]


def test_what_is_written_says_the_same():
    page, kept = draft(), []
    before = shown(page)

    def write(data):
        kept.append(data)
        return decode_page_table(data)

    page.settle(Policy(stored_at=1.0), write)

    assert shown(page) == before
    table = decode_page_table(kept[0])
    assert table is not None
    assert list(table.releases.versions) == ["1.0", "2.0rc1"]
    assert set(table.releases.skipped) == {"a-1.0-py3-none-any.whl", "a-nonsense-py3-none-any.whl"}


def test_a_page_that_cannot_be_stored_stays_in_memory():
    page = draft()
    before = shown(page)

    page.settle(Policy(stored_at=1.0), lambda data: None)

    assert shown(page) == before


def test_it_is_written_once():
    page, kept = draft(), []

    def write(data):
        kept.append(data)
        return decode_page_table(data)

    page.settle(Policy(stored_at=1.0), write)
    page.settle(Policy(stored_at=1.0), write)

    assert len(kept) == 1


def test_metadata_is_written_with_the_page():
    kept = []
    draft().settle(Policy(stored_at=1.0), kept.append, ("keys", "entries", "rows"))

    table = decode_page_table(kept[0])
    assert table is not None
    assert table.recent == ["keys", "entries", "rows"]
    assert list(table.releases.versions) == ["1.0", "2.0rc1"]


def test_the_next_client_knows_the_metadata_from_the_page_alone(serve, make_registry, tmp_path):
    server = serve({"a": ["1.0"]})
    first = make_registry(server)
    releases = first.load("a", stamp=())
    expected = first.metadata.load(releases.files(0)[0])
    first.flush()
    for table in tmp_path.rglob("*.meta"):
        table.unlink()

    second = make_registry(server)
    again = second.from_disk("a", stamp=())
    assert again is not None
    known = second.metadata.known(again.files(0)[0])
    assert (known.version, known.requires) == (expected.version, expected.requires)
