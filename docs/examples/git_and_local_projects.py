"""Repositories, local projects and editables: what is installed from where, and at which commit."""

# [start:git]
from collections.abc import Iterable
from pathlib import Path

from puffin_api import Client, Editable, Environment, Installer, Resolver
from puffin_api.model import Resolution, VcsInfo


def install_from_git(
    client: Client, environment: Environment, name: str, repository: str, revision: str, folder: str = ""
) -> Resolution:
    """Install a project from a repository: at a branch, a tag or a commit, perhaps from a folder of it."""
    fragment = f"#subdirectory={folder}" if folder else ""
    requirement = f"{name} @ git+{repository}@{revision}{fragment}"
    resolution = Resolver(client).resolve([requirement], target=environment)
    Installer(environment, client).install(resolution)
    return resolution


# [end:git]


# [start:commits]
def commits(resolution: Resolution) -> dict[str, str]:
    """Return the exact commit of each package that comes from a repository."""
    origins = {name: package.file.origin for name, package in resolution.packages.items()}
    return {
        name: origin.info.commit_id
        for name, origin in origins.items()
        if origin is not None and isinstance(origin.info, VcsInfo)
    }


# [end:commits]


# [start:workspace]
def install_workspace(
    client: Client, environment: Environment, folders: Iterable[Path], *, develop: bool
) -> Resolution:
    """Install projects that depend on each other, each from its folder and not from an index."""
    projects = [Editable(folder) if develop else folder for folder in folders]
    resolution = Resolver(client).resolve(projects, target=environment)
    Installer(environment, client).install(resolution)
    return resolution


# [end:workspace]


# [start:export]
def freeze(resolution: Resolution, path: Path) -> None:
    """Write what pip can read: sources by URL and exact commit, editables as ``-e``."""
    path.write_text(resolution.to_requirements_txt(annotate=True), encoding="utf-8")


# [end:export]


# [start:editables]
def in_development(environment: Environment) -> dict[str, str]:
    """Return where the projects in development mode are, by name."""
    return {
        dist.name: dist.direct_url.url
        for dist in environment.installed()
        if dist.editable and dist.direct_url is not None
    }


# [end:editables]
