"""User names and passwords for git, each for the server that it belongs to."""

from __future__ import annotations

from puffin_api._concurrency import OnceMap
from puffin_api._preparer.git_program import is_ssh
from puffin_api._urls import origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from puffin_api._model.git_url import GitUrl, Login
    from puffin_api.protocols import CredentialProvider


class GitLogins:
    """Knows the logins that were given, and asks for others once.

    Args:
        expand: Puts values in the place of ``${VARIABLES}``.
        provider: Gives the login of an origin that none was given for.
    """

    def __init__(self, expand: Callable[[str], str], provider: CredentialProvider | None) -> None:
        self._expand = expand
        self._provider = provider
        self._given: dict[str, Login] = {}
        self._answers: OnceMap[str, Login | None] = OnceMap()

    def add(self, url: GitUrl, login: Login) -> None:
        """Use a login for a repository, and for its server where nothing else is known."""
        self._given[url.repository] = login
        self._given.setdefault(origin(url.address), login)

    def of(self, url: GitUrl) -> Login | None:
        """Return the login for a repository; None where there is none, or git finds one by itself."""
        if is_ssh(url.address) or url.is_local:
            return None
        if url.login_variables:
            user, _, password = url.login_variables.partition(":")
            return self._expand(user), self._expand(password)
        place = origin(url.address)
        known = self._given.get(url.repository) or self._given.get(place)
        if known is not None:
            return self._expand(known[0]), self._expand(known[1])
        provider = self._provider
        return None if provider is None else self._answers.run(place, lambda: provider.credentials(place))

    def __repr__(self) -> str:
        return f"GitLogins(<{len(self._given)} given>)"
