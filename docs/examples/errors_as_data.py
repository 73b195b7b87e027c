"""Errors as data: decide by code and fields, never by text."""

# [start:decide]
import time
from collections.abc import Callable
from typing import TypeVar

from puffin_api import errors

T = TypeVar("T")


def advice(error: errors.PuffinError) -> str:
    """What a program may do about an error."""
    match error:
        case errors.RateLimited(retry_after=seconds) if seconds is not None:
            return f"wait {seconds:g} s, then again"
        case errors.PackageNotFound(name=name, indexes=indexes):
            return f"check the spelling of {name}; asked {len(indexes)} indexes"
        case errors.ResolutionFailed():
            return f"relax one of: {', '.join(error.conflicts)}"
        case errors.PuffinError(retryable=True):
            return "again later"
        case _:
            return error.hint or "show it to the user"


# [end:decide]


# [start:retry]
def patiently(call: Callable[[], T], *, tries: int = 3, sleep: Callable[[float], object] = time.sleep) -> T:
    """Call again what may well succeed later; leave alone what a second try cannot mend."""
    for attempt in range(1, tries):
        try:
            return call()
        except errors.Cancelled:
            raise  # retryable, but the user has just said no
        except errors.PuffinError as error:
            if not error.retryable:
                raise
            asked = getattr(error, "retry_after", None)
            sleep(asked if asked is not None else 2.0**attempt)
    return call()


# [end:retry]


# [start:store]
def as_record(error: errors.PuffinError) -> dict[str, object]:
    """What to log or to send to another process: JSON-able, with a schema number."""
    return error.to_dict()


# [end:store]
