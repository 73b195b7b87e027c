"""Try a change, undo it where it does not do, and end what a crash has left."""

# [start:undo]
from collections.abc import Callable

from puffin_api import Client, Environment, Installer, errors
from puffin_api.model import InstallReport


def try_upgrade(
    client: Client, environment: Environment, requirements: list[str], works: Callable[[], bool]
) -> InstallReport:
    """Install something and take it back where the application does not work with it."""
    installer = Installer(environment, client)
    report = installer.install(requirements)
    if report.changed and not works():
        return installer.undo(report)
    return report


# [end:undo]


# [start:later]
def undo_later(client: Client, environment: Environment, report: InstallReport) -> str:
    """Undo a change of some time ago; tell why not, where others came after it."""
    try:
        undone = Installer(environment, client).undo(report)
    except errors.PlanOutdated as refused:
        return "changed again since: " + "; ".join(refused.diff)
    return ", ".join(f"{change.action} {change.name}" for change in undone.changes)


# [end:later]


# [start:recover]
def open_environment(path: str) -> Environment:
    """Open an environment, and end what a process left there that was killed in the middle."""
    environment = Environment.at(path)
    recovered = environment.recover()
    for transaction in recovered.transactions if recovered else ():
        print(f"an interrupted change was {transaction.outcome}")
    return environment


# [end:recover]
