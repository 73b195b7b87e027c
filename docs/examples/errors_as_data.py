"""Errors as data: decide by code and fields, never by text."""

# [start:decide]
from puffin_api import errors


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


# [start:store]
def as_record(error: errors.PuffinError) -> dict[str, object]:
    """What to log or to send to another process: JSON-able, with a schema number."""
    return error.to_dict()


# [end:store]
