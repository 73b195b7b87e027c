"""What callers put in place of a part of the library: the seams, implemented without inheriting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from puffin_api import CancelToken, Client, Environment, Installer, Plan, Resolver, Target
from puffin_api.model import (
    BuildOutput,
    CoreMetadata,
    DistFile,
    Event,
    FetchFinished,
    FetchProgress,
    FetchStarted,
    Project,
)
from puffin_api.protocols import CredentialProvider, PackageSource, PlanReview, Reporter


class Progress:
    def __init__(self) -> None:
        self.received: dict[int, int] = {}

    def on_event(self, event: Event) -> None:
        match event:
            case FetchStarted(task=task):
                self.received[task] = 0
            case FetchProgress(task=task, received=received) | FetchFinished(task=task, received=received):
                self.received[task] = received
            case BuildOutput(line=line):
                line.rstrip()
            case _:
                pass


class Keyring:
    def credentials(self, origin: str) -> tuple[str, str] | None:
        return ("user", "secret") if origin.startswith("https://index.invalid") else None


class Database:
    def project(self, name: str) -> Project | None:
        return None

    def metadata(self, file: DistFile) -> CoreMetadata:
        raise NotImplementedError

    def fetch(self, file: DistFile, target: Path) -> None:
        target.write_bytes(b"")


class NoDowngrades:
    def review(self, plan: Plan) -> Sequence[str]:
        return [f"{change.name} would go back" for change in plan.changes if change.action == "downgrade"]


def put_together(environment: Environment, target: Target) -> None:
    reporter: Reporter = Progress()
    credentials: CredentialProvider = Keyring()
    source: PackageSource = Database()
    review: PlanReview = NoDowngrades()
    client = Client(indexes=[source, "https://index.invalid/simple/"], credentials=credentials)
    cancel = CancelToken.any(CancelToken(), CancelToken.deadline(10))
    resolution = Resolver(client).resolve(["a"], target=target, reporter=reporter, cancel=cancel)
    Installer(environment, client, review=review).install(resolution, reporter=reporter, cancel=cancel)


def every_action_is_known(plan: Plan) -> None:
    for change in plan.changes:
        match change.action:
            case "install" | "upgrade" | "downgrade" | "reinstall":
                change.new
            case "remove":
                change.old
            case _ as other:
                assert_never(other)
