"""Keys: short names, the same on every platform and in every run, for whatever the cache holds."""

from __future__ import annotations

import hashlib

from puffin_api._urls import canonical, repository


def digest(*parts: str) -> str:
    """Return 16 hex digits that stand for these texts in this order.

    The borders count: ``("ab", "c")`` and ``("a", "bc")`` have different keys.
    """
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")  # a path may hold bytes that are no text
        state.update(b"%d:" % len(data))
        state.update(data)
    return state.hexdigest()


def url_key(url: str) -> str:
    """Return the key of a URL: one for all spellings, whoever asks with whatever credentials."""
    return digest("url", canonical(url))


def repository_key(url: str) -> str:
    """Return the key of a repository: one for all its revisions and subdirectories."""
    return digest("repository", repository(url))
