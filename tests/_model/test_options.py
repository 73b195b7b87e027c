"""Options as values."""

from __future__ import annotations

import pickle
from pathlib import Path

from puffin_api import Editable

PLACE = Path("project")


def test_an_editable_takes_its_path_and_extras_by_place_and_by_name():
    given = Editable(PLACE, ("test",))

    assert given == Editable(path=PLACE, extras=("test",)) == Editable(PLACE, extras=("test",))
    assert (given.path, given.extras) == (PLACE, ("test",))
    assert given != Editable(PLACE)
    assert Editable(PLACE).extras == ()
    assert pickle.loads(pickle.dumps(given)) == given
