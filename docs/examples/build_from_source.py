"""Builds from source: what may be built, with what, and what to show of it."""

# [start:policy]
from collections.abc import Callable, Iterable, Mapping

from puffin_api import BuildPolicy, CancelToken, Client, Environment, Installer, Resolver, Target, errors
from puffin_api.model import (
    BuildFinished,
    BuildOutput,
    BuildSettings,
    BuildStarted,
    Event,
    InstallReport,
    Resolution,
)


def what_needs_builds(client: Client, target: Target, requirements: list[str]) -> list[str]:
    """Name the packages that would be built, without running anything of anybody."""
    resolution = Resolver(client).resolve(requirements, target=target, build_policy=BuildPolicy.NEVER)
    return [package.name for package in resolution.packages.values() if package.needs_build]


# [end:policy]


# [start:ask]
def install_after_asking(
    client: Client, environment: Environment, requirements: list[str], ask: Callable[[Iterable[str]], bool]
) -> bool:
    """Install; but ask before wheels are built of anything."""
    installer = Installer(environment, client)
    plan = installer.plan(Resolver(client).resolve(requirements, target=environment))
    if plan.builds and not ask(plan.builds):
        return False
    return installer.install(plan).changed


# [end:ask]


# [start:settings]
def install_configured(
    client: Client,
    environment: Environment,
    requirements: list[str],
    settings: Mapping[str, str],
    build_constraints: list[str],
) -> Resolution:
    """Resolve and install, with settings for all build backends, and limits for what these need."""
    resolution = Resolver(client).resolve(
        requirements,
        target=environment,
        config_settings=settings,
        build_constraints=build_constraints,
    )
    Installer(environment, client).install(resolution)
    return resolution


# [end:settings]


# [start:care]
def install_with_care(
    client: Client, environment: Environment, requirements: list[str], token: str
) -> InstallReport:
    """Install projects that need to be built in special ways."""
    settings = BuildSettings(
        config_settings={"setup-args": ["-Dlto=true", "-Dtests=false"]},
        package_config_settings={"loud": {"color": "red"}},
        extra_requires={"forgetful": ["setuptools"]},
        isolation=["quiet"],
        env={"loud": {"LOUD_TOKEN": token}},
        timeout=600,
        keep_logs=True,
    )
    resolution = Resolver(client).resolve(requirements, target=environment, build_settings=settings)
    return Installer(environment, client, build_settings=settings).install(resolution)


# [end:care]


# [start:environment]
def client_for_builds(environ: Mapping[str, str], names: Iterable[str]) -> Client:
    """Give build backends and git some of the variables of this process, and no others."""
    chosen = {name: environ[name] for name in ("PATH", "HOME", "LANG", *names) if name in environ}
    return Client.from_environ(environ, env=chosen)


# [end:environment]


# [start:output]
class BuildPane:
    """Shows what is being built, and what it prints."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._names: dict[int, str] = {}

    def on_event(self, event: Event) -> None:
        match event:
            case BuildStarted(task=task, name=name, phase=phase):
                self._names[task] = name
                self._show(f"{name}: {phase}")
            case BuildOutput(task=task, line=line):
                self._show(f"{self._names[task]} | {line}")
            case BuildFinished(task=task, error=error):
                self._show(f"{self._names.pop(task)}: {error or 'done'}")
            case _:
                pass


# [end:output]


# [start:failure]
def install_or_say_why(
    client: Client,
    environment: Environment,
    requirements: list[str],
    show: Callable[[str], None],
    button: CancelToken,
) -> str:
    """Install what may have to be built; or return what to tell the user."""
    try:
        Installer(environment, client).install(requirements, reporter=BuildPane(show), cancel=button)
    except errors.BuildForbidden as error:
        return f"{error.package} would have to be built: {error.hint}"
    except errors.BuildFailed as error:
        last = error.log_tail[-1] if error.log_tail else "nothing"
        return f"{error.package} failed in {error.phase}, and said last: {last}\n{error.hint}"
    except errors.Cancelled as stopped:
        return f"stopped; the environment is {stopped.state}"
    return "installed"


# [end:failure]
