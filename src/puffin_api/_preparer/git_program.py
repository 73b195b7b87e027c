"""The git program: found, and run so that it asks nobody, runs nothing of others and shows no secret."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path

from puffin_api._interpreter.host import least_environment
from puffin_api._urls import origin
from puffin_api.errors import PackageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puffin_api._concurrency import Pump
    from puffin_api._model.cancel import CancelToken
    from puffin_api._model.git_url import Login
    from puffin_api.protocols import Completed, Runner

PROTOCOLS = ("file", "http", "https", "ssh")
"""How repositories may be reached, those of submodules and redirects included."""
# Those of the caller that say how to reach a server. All others would change which repository we work on,
# write logs, or start programs.
_KEPT = re.compile(
    r"GIT_(?:SSH|SSH_COMMAND|SSH_VARIANT|SSL_.*|HTTP_.*|PROXY_SSL_.*|CONFIG_GLOBAL|CONFIG_SYSTEM"
    r"|CONFIG_NOSYSTEM|CONFIG_COUNT|CONFIG_KEY_\d+|CONFIG_VALUE_\d+)"
).fullmatch
_DROPPED = ("SSH_ASKPASS", "LANGUAGE", "LC_MESSAGES", "DISPLAY", "WAYLAND_DISPLAY")
# No login by ssh may wait for somebody to type; without a terminal and a display nobody could.
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30"
# git hands this constant text to the shell that it brings along. What is secret comes by the environment,
# which other users cannot read, unlike arguments and files.
_HELPER = (
    '!f() { test "$1" = get && '
    'printf "username=%s\\npassword=%s\\n" "$PUFFIN_GIT_USER" "$PUFFIN_GIT_PASSWORD"; }; f'
)
_SKIPS_LFS = "GIT_LFS_SKIP_SMUDGE"
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
_MASK = "****"
_LOGINS = re.compile(r"(?<=://)(?!git@)[^/\s@]+(?=@)")


class GitFailed(Exception):
    """git has ended with an error; ``output`` is what it said, without secrets."""

    def __init__(self, arguments: Sequence[str], code: int, output: str) -> None:
        command = next((word for word in arguments if word[:1] != "-" and "=" not in word), "")
        super().__init__(f"git {command} ended with {code}: {output}")
        self.code = code
        self.output = output


class GitProgram:
    """Runs git, for any thread.

    Args:
        runner: Starts it.
        env: The environment of the user: PATH, HOME, proxies. What is not in it git does not get.
        path: The program; None to look for it in the PATH of ``env``.
        idle: Seconds without a byte after which a transfer by HTTP fails.
    """

    def __init__(
        self, runner: Runner, env: Mapping[str, str], *, path: Path | None = None, idle: int = 60
    ) -> None:
        self.runner = runner
        """Starts it."""
        self._env = {
            key: value
            for key, value in env.items()
            if key not in _DROPPED and (not key.startswith("GIT_") or _KEPT(key) or key == _SKIPS_LFS)
        }
        self._path = path
        self._settings = [word for pair in _settings(idle).items() for word in ("-c", "=".join(pair))]
        self._ssh_environment: dict[str, str] | None = None

    def by(self, runner: Runner) -> GitProgram:
        """Return the same program, started by another runner."""
        program = copy.copy(self)
        program.runner = runner
        return program

    def run(
        self,
        arguments: Sequence[str],
        *,
        pump: Pump,
        cwd: Path,
        folder: Path | None = None,
        address: str = "",
        login: Login | None = None,
    ) -> str:
        """Run git to its end and return what it wrote to standard output.

        Args:
            arguments: Options, the command and its arguments.
            cwd: Where it runs, and looks for no repository above.
            folder: The repository.
            address: Which server it will call, and what the login is for.
            login: User name and password.

        Raises:
            GitFailed: It has ended with an error.
            PackageError: It is not there, or cannot be started.
            OSError: The folder is not there.
            Cancelled: The caller cancelled; git is killed with all that it has started.
        """
        environment = self._environment(cwd, login)
        if address and is_ssh(address):
            environment |= self._ssh(cwd, pump)
        argv = [str(self._found()), *self._settings]
        argv += _login_settings(address) if login is not None else []
        argv += [f"--git-dir={folder}"] if folder is not None else []
        done = self._start([*argv, *arguments], cwd, environment, pump)
        if done.returncode != 0:
            raise GitFailed(arguments, done.returncode, _shown(done.stderr, login))
        return done.stdout.decode("utf-8", "surrogateescape")

    def has(self, name: str) -> bool:
        """Tell whether there is another program, such as git-lfs, for git to start."""
        return _find(name, self._env) is not None

    @property
    def skips_lfs(self) -> bool:
        """Whether the user has said, as Git LFS itself understands it, to leave its files alone."""
        return self._env.get(_SKIPS_LFS, "").lower() in ("1", "t", "true", "y", "yes", "on")

    def expand(self, text: str) -> str:
        """Put the values of variables in the place of ``${VARIABLES}``; unknown ones stay."""
        return _VARIABLE.sub(lambda match: self._env.get(match[1], match[0]), text)

    def _start(self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str], pump: Pump) -> Completed:
        pump.check()
        cancel: CancelToken | None = pump.cancel  # type: ignore[assignment]  # the one kind there is
        try:
            done = self.runner.run(argv, cwd=cwd, env=environment, cancel=cancel)
        except OSError as error:
            if not cwd.is_dir():
                raise  # it is the cache that is not there
            raise _unusable(f"it cannot be started: {error.strerror or error}") from error
        pump.check()
        return done

    def _found(self) -> Path:
        self._path = self._path or _find("git", self._env)
        if self._path is None:
            raise _unusable("it is not installed, or not in the PATH that was given")
        return self._path

    def _environment(self, cwd: Path, login: Login | None) -> dict[str, str]:
        forced = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",  # empty, so that neither core.askPass nor SSH_ASKPASS is looked at
            "SSH_ASKPASS_REQUIRE": "never",
            "GCM_INTERACTIVE": "never",
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
            "GIT_CEILING_DIRECTORIES": str(cwd.parent),
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_DEFAULT_REF_FORMAT": "files",
            _SKIPS_LFS: "1",  # its files are asked for at once, and not one by one
            "LC_ALL": "C",  # its messages are read
        }
        if login is not None:
            forced |= {"PUFFIN_GIT_USER": login[0], "PUFFIN_GIT_PASSWORD": login[1]}
        return {**least_environment(), **self._env, **forced}

    def _ssh(self, cwd: Path, pump: Pump) -> dict[str, str]:
        """Return what keeps ssh from asking, unless the user has said how to call it."""
        if "GIT_SSH" in self._env or "GIT_SSH_COMMAND" in self._env:
            return {}
        if self._ssh_environment is None:
            # git prefers the variable to the setting, which may name a key that is needed.
            argv = [str(self._found()), "config", "--get", "core.sshCommand"]
            done = self._start(argv, cwd, self._environment(cwd, None), pump)
            self._ssh_environment = {} if done.stdout.strip() else {"GIT_SSH_COMMAND": _SSH}
        return self._ssh_environment


def _settings(idle: int) -> dict[str, str]:
    """Return what git is told on every call, whatever the user's own settings are."""
    return {
        "safe.directory": "*",  # the cache may belong to somebody else; we look at nothing but it
        "core.hooksPath": os.devnull,
        "core.fsmonitor": "false",
        "core.askPass": "",
        "core.attributesFile": os.devnull,
        "core.protectHFS": "true",
        "core.protectNTFS": "true",
        "core.longpaths": "true",
        "credential.interactive": "false",
        "http.lowSpeedLimit": "1",
        "http.lowSpeedTime": str(idle),
        "init.defaultBranch": "main",
        "gc.auto": "0",
        "maintenance.auto": "false",
        "fetch.recurseSubmodules": "false",
        "fetch.writeCommitGraph": "false",
        "fetch.unpackLimit": "1",  # packs, which are few, are linked into checkouts
        "transfer.unpackLimit": "1",
        "submodule.recurse": "false",
        "protocol.version": "2",
    }


def _login_settings(address: str) -> list[str]:
    """Return the options that let git ask us, and nobody else, for the login of one origin."""
    key = f"credential.{origin(address)}.helper"
    return ["-c", f"{key}=", "-c", f"{key}={_HELPER}"]


def _find(name: str, env: Mapping[str, str]) -> Path | None:
    """Look for a program in the folders of PATH; never in the working directory."""
    names = [f"{name}.exe", f"{name}.cmd"] if os.name == "nt" else [name]
    path = next((value for key, value in env.items() if key.upper() == "PATH"), "")
    for folder in path.split(os.pathsep):
        for candidate in names:
            place = os.path.join(folder, candidate)
            if os.path.isabs(place) and os.path.isfile(place) and os.access(place, os.X_OK):
                return Path(place)
    return None


def is_ssh(address: str) -> bool:
    """Tell whether git calls ssh for an address."""
    return address.startswith("ssh:") or "://" not in address


def _shown(output: bytes, login: Login | None) -> str:
    text = output.decode("utf-8", "replace").strip()
    for secret in login or ():
        if len(secret) > 3 and secret != "git":  # noqa: S105  # the user name that everybody has
            text = text.replace(secret, _MASK)
    return _LOGINS.sub(_MASK, text)


def _unusable(reason: str) -> PackageError:
    return PackageError(
        f"git is needed to get packages from git repositories, but {reason}",
        hint="Install git (https://git-scm.com), and let PATH lead to it.",
        name="git",
    )
