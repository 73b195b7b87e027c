"""TLS contexts: whom we trust, made once and shared by all connections."""

from __future__ import annotations

import os
import ssl

from puffin_api._client.connections import WakeableTlsSocket
from puffin_api._concurrency import Lock
from puffin_api.errors import TlsVerificationFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._model.options import Tls


class Trust:
    """Makes at most two contexts, when they are first needed: reading the system's bundle takes long."""

    __slots__ = ("_lock", "_made", "_tls")

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = Lock()
        self._made: dict[bool, ssl.SSLContext] = {}

    def context(self, host: str, port: int | None) -> ssl.SSLContext:
        """Return the context for a host.

        Raises:
            TlsVerificationFailed: The given certificates cannot be read.
        """
        insecure = {host, f"{host}:{port or 443}"} & set(self._tls.insecure_hosts)
        is_verified = not insecure
        with self._lock:
            if is_verified not in self._made:
                self._made[is_verified] = self._make(host, is_verified=is_verified)
            return self._made[is_verified]

    def _make(self, host: str, *, is_verified: bool) -> ssl.SSLContext:
        tls = self._tls
        bundle = None if tls.ca_bundle is None else os.fspath(tls.ca_bundle)
        is_folder = bundle is not None and os.path.isdir(bundle)
        try:
            context = ssl.create_default_context(
                cafile=None if is_folder else bundle, capath=bundle if is_folder else None
            )
            if tls.client_certificate is not None:
                context.load_cert_chain(tls.client_certificate, tls.client_key)
        except (OSError, ssl.SSLError) as error:
            raise TlsVerificationFailed(
                f"The certificates for {host} cannot be read: {error}", url=f"https://{host}", host=host
            ) from error
        if not is_verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.sslsocket_class = WakeableTlsSocket
        return context
