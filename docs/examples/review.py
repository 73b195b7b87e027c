"""A policy between plan and download."""

# [start:review]
from collections.abc import Sequence

from puffin_api import Client, Environment, Installer, InstallReport, Plan, Resolution, errors


class HousePolicy:
    """Refuses downgrades, files without a SHA-256, and projects that nobody has approved."""

    def __init__(self, approved: Sequence[str]) -> None:
        self.approved = frozenset(approved)

    def review(self, plan: Plan) -> list[str]:
        found: list[str] = []
        for change in plan.changes:
            if change.action == "downgrade":
                found.append(f"{change.name} would go back from {change.old} to {change.new}")
            if change.file is not None and "sha256" not in change.file.hashes:
                found.append(f"{change.file.filename} has no SHA-256")
            if change.new is not None and change.name not in self.approved:
                found.append(f"{change.name} is not approved: {change.reasons[0]}")
        return found


# [end:review]


# [start:use]
def install_reviewed(
    environment: Environment, client: Client, resolution: Resolution, policy: HousePolicy
) -> InstallReport | Sequence[str]:
    """Install what the policy lets pass; return what speaks against it otherwise."""
    installer = Installer(environment, client, review=policy)
    try:
        return installer.install(resolution)
    except errors.PolicyDenied as denied:
        return denied.violations


# [end:use]
