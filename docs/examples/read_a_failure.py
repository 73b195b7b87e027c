"""What a resolution that failed tells a program."""

# [start:parts]
from puffin_api import Client, Resolver, Target, errors


def diagnose(client: Client, target: Target, requirements: list[str]) -> dict[str, object]:
    """Return what is wrong with requirements, for a program to act on; empty if nothing is."""
    try:
        Resolver(client).resolve(requirements, target=target)
    except errors.ResolutionFailed as error:
        return {
            "blame": list(error.conflicts),
            "facts": [(fact.kind, fact.text) for fact in error.derivation.facts],
            "left out": {
                name: {entry["version"]: entry["code"] for entry in entries}
                for name, entries in error.excluded.items()
            },
            "hint": error.hint,
        }
    return {}


# [end:parts]
