"""Install into the environment of the running process, and say which modules are stale."""

# [start:ask]
from puffin_api import Client, Environment, Installer, Interpreter, Resolution, refresh_imports


def here() -> Environment:
    """The environment that this process imports from."""
    return Interpreter.current().environment()


def warn(environment: Environment, client: Client, resolution: Resolution) -> str:
    """Say before anything is changed what it means for this process."""
    stale = Installer(environment, client).plan(resolution).stale_modules()
    if stale.restart == "no":
        return "can be used at once"
    return f"a restart is {stale.restart}: {', '.join((*stale.stale, *stale.importers))}"


# [end:ask]


# [start:install]
def install_here(environment: Environment, client: Client, resolution: Resolution) -> list[str]:
    """Install, let the import system look again, and return the loaded modules that are stale."""
    report = Installer(environment, client).install(resolution)
    refresh_imports(report)  # or folders that Python has listed before seem unchanged
    return list(report.stale_modules().stale)


# [end:install]
