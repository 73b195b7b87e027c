"""Progress and cancel: a reporter that keeps totals, a token that a button or a clock may throw."""

# [start:reporter]
from puffin_api import CancelToken, Client, Resolver, Target, errors
from puffin_api.model import Event, FetchFinished, FetchProgress, FetchStarted, Notice


class Totals:
    """Adds up what is under way. Called on the thread that called the library, so it needs no lock."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self.received: dict[int, int] = {}

    def on_event(self, event: Event) -> None:
        match event:
            case FetchStarted():
                self.running[event.task] = event.name
            case FetchProgress():
                self.received[event.task] = event.received
            case FetchFinished():
                self.running.pop(event.task, None)
                self.received[event.task] = event.received
            case Notice():
                print(event.code, event.message)
            case _:  # a later version may tell more; ignore what you do not know
                pass


# [end:reporter]


# [start:cancel]
def resolve_within(
    seconds: float, client: Client, requirements: list[str], target: Target, button: CancelToken
) -> str:
    """Resolve, but not for longer than so many seconds, and stop at once when the button is pressed."""
    totals = Totals()
    try:
        resolution = Resolver(client).resolve(
            requirements,
            target=target,
            reporter=totals,
            cancel=CancelToken.any(button, CancelToken.deadline(seconds)),
        )
    except errors.DeadlineExceeded:
        return f"gave up after {seconds:g} s"
    except errors.Cancelled as stopped:
        return f"stopped: {stopped.reason}; the environment is {stopped.state}"
    return f"{len(resolution.packages)} packages, {sum(totals.received.values())} bytes"


# [end:cancel]
