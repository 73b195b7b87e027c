"""Proxies, certificates, credentials, retries and timeouts."""

# [start:environ]
import os
from pathlib import Path

from puffin_api import Cache, Client, Index, RetryPolicy, Timeouts, Tls


def as_pip_is_configured(cache: Cache) -> Client:
    """Read pip's configuration files, PIP_* variables, proxies and netrc, once, here."""
    return Client.from_environ(os.environ, cache=cache)


# [end:environ]


# [start:explicit]
def behind_a_proxy(cache: Cache, index: str, authorities: Path) -> Client:
    """Say everything yourself; nothing else is read."""
    return Client(
        indexes=[Index(index)],
        cache=cache,
        proxy="http://proxy.example:3128",
        tls=Tls(ca_bundle=authorities),
        timeouts=Timeouts(connect=5, idle=20, total=120),
        retries=RetryPolicy(attempts=6, longest=60),
    )


# [end:explicit]


# [start:credentials]
class Vault:
    """A `CredentialProvider`: asked once for each origin that wants a login, never shown the URL's path."""

    def __init__(self, secrets: dict[str, tuple[str, str]]) -> None:
        self._secrets = secrets

    def credentials(self, origin: str) -> tuple[str, str] | None:
        return self._secrets.get(origin)


# [end:credentials]
