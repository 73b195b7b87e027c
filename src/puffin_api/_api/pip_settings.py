"""The user's pip configuration and environment, read where the caller asks for it and nowhere else."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path

import attrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any


@attrs.frozen(kw_only=True)
class PipSettings:
    """What of pip's options concerns where packages come from."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    certificates: str | None = None
    client_certificate: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    proxy: str | None = None
    timeout: float | None = None
    retries: int | None = None
    netrc: str | None = None
    """Text of the user's netrc file."""


def read_settings(
    environ: Mapping[str, str], config_files: Sequence[str | os.PathLike[str]] | None = None
) -> PipSettings:
    """Read pip's configuration files, then its variables, which win.

    Args:
        environ: Variables; also where the places of configuration files are derived from.
        config_files: Files to be read instead of those in pip's usual places.
    """
    values: dict[str, str] = {}
    paths = usual_files(environ) if config_files is None else [Path(file) for file in config_files]
    for path in paths:
        values.update(_read_file(path))
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            values[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return PipSettings(
        index_url=values.get("index-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        no_index=values.get("no-index", "").lower() in {"1", "true", "yes", "on"},
        certificates=values.get("cert") or environ.get("SSL_CERT_FILE"),
        client_certificate=values.get("client-cert"),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        proxy=values.get("proxy") or _proxy(environ),
        timeout=_number(values.get("timeout") or values.get("default-timeout")),
        retries=_whole(values.get("retries")),
        netrc=_netrc(environ),
    )


def client_options(settings: PipSettings) -> dict[str, Any]:
    """Return the arguments of a client that does as pip would."""
    from puffin_api._client.auth import NetrcCredentials
    from puffin_api._model.options import Index, RetryPolicy, Timeouts, Tls

    main = Index(settings.index_url) if settings.index_url else Index.pypi()
    # People write an index twice, in two files; the main one is asked last even then.
    extra = [Index(url) for url in dict.fromkeys(settings.extra_index_urls) if url != main.url]
    indexes = [*extra, main]
    certificates, client = settings.certificates, settings.client_certificate
    options: dict[str, Any] = {
        "indexes": [] if settings.no_index else indexes,
        "find_links": settings.find_links,
        "proxy": settings.proxy,
        "tls": Tls(
            ca_bundle=Path(certificates) if certificates else None,
            client_certificate=Path(client) if client else None,
            insecure_hosts=settings.trusted_hosts,
        ),
    }
    if settings.timeout is not None:
        options["timeouts"] = Timeouts(connect=settings.timeout, idle=settings.timeout)
    if settings.retries is not None:
        options["retries"] = RetryPolicy(attempts=settings.retries + 1)
    if settings.netrc:
        options["credentials"] = NetrcCredentials(settings.netrc)
    return options


def usual_files(environ: Mapping[str, str]) -> list[Path]:
    """Return the places where pip looks for its configuration, the weakest first."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    files = [*_site_files(environ), *_user_files(environ)]
    prefix = environ.get("VIRTUAL_ENV")
    if prefix:
        files.append(Path(prefix, _FILE_NAME))
    return [*files, *([Path(named)] if named else [])]


if sys.platform == "win32":
    _FILE_NAME = "pip.ini"

    def _site_files(environ: Mapping[str, str]) -> list[Path]:
        base = environ.get("PROGRAMDATA")
        return [Path(base, "pip", _FILE_NAME)] if base else []

    def _user_files(environ: Mapping[str, str]) -> list[Path]:
        home, roaming = environ.get("USERPROFILE"), environ.get("APPDATA")
        files = [Path(home, "pip", _FILE_NAME)] if home else []
        return [*files, *([Path(roaming, "pip", _FILE_NAME)] if roaming else [])]

else:
    _FILE_NAME = "pip.conf"

    def _site_files(environ: Mapping[str, str]) -> list[Path]:
        folders = environ.get("XDG_CONFIG_DIRS", "").split(":") or []
        if sys.platform == "darwin":
            folders.append("/Library/Application Support")
        usual = [Path(folder, "pip", _FILE_NAME) for folder in folders if folder]
        return [*usual, Path("/etc", _FILE_NAME)]

    def _user_files(environ: Mapping[str, str]) -> list[Path]:
        home = environ.get("HOME")
        if not home:
            return []
        config = environ.get("XDG_CONFIG_HOME") or str(Path(home, ".config"))
        files = [Path(home, ".pip", _FILE_NAME), Path(config, "pip", _FILE_NAME)]
        if sys.platform == "darwin":
            files.append(Path(home, "Library/Application Support/pip", _FILE_NAME))
        return files


def _read_file(path: Path) -> dict[str, str]:
    """Return the options of one file; ``install`` adds to and overrides ``global``."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}  # as unreadable as if it were not there; pip reports it to whoever runs pip
    sections: Iterable[str] = [name for name in ("global", "install") if parser.has_section(name)]
    return {name.replace("_", "-"): value for section in sections for name, value in parser.items(section)}


def _proxy(environ: Mapping[str, str]) -> str | None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        if environ.get(name):
            return environ[name]
    return None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _netrc(environ: Mapping[str, str]) -> str | None:
    home = environ.get("HOME") or environ.get("USERPROFILE")
    named = environ.get("NETRC") or (str(Path(home, ".netrc")) if home else None)
    if named is None:
        return None
    try:
        return Path(named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
