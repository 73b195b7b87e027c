"""Cancelling is heard in the middle of a long run over the versions of one project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from puffin_api import errors
from puffin_api._api.resolver import Resolver
from puffin_api._model.cancel import CancelToken
from tests.property.test_large_universes import WIDEST, ThrowingSource
from tests.property.universes import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api._testing.fake_releases import FakeReleaseSource

COUNT = 2000


def serve_alike(source: FakeReleaseSource) -> None:
    """Versions that are excluded in bulk."""
    for number in range(COUNT):
        source.serve("a", f"1.{number}", requires=["b>=2"])
    source.serve("b", "1")
    source.serve("b", "2")


def serve_broken(source: FakeReleaseSource) -> None:
    """Versions that turn out to be unusable one after the other."""
    broken = errors.MetadataInvalid("cannot be read", reason="it is cut off")
    for number in range(COUNT):
        source.serve("a", f"1.{number}", invalid=broken)
    source.serve("b", "1")


@pytest.mark.parametrize("serve", [serve_alike, serve_broken])
@pytest.mark.parametrize("patience", [1, 10, 300])
def test_a_run_over_many_versions_stops_with_the_batch_that_cancels(
    serve: Callable[[FakeReleaseSource], None], patience: int
) -> None:
    token = CancelToken()
    source = ThrowingSource(token, patience)
    serve(source)

    with pytest.raises(errors.Cancelled):
        Resolver(source).resolve(["a", "b<2"], target=TARGET, cancel=token)

    # The batch in which the token was thrown was the last one.
    assert sum(source.batches[:-1]) < patience
    assert source.batches[-1] <= WIDEST
