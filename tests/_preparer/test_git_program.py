"""How git is called: with what environment, without asking anybody, and without showing a secret."""

from __future__ import annotations

import os
import threading
import time

import pytest

from puffin_api._client.retry import pause
from puffin_api._concurrency import SILENT, Pump, WorkerPool
from puffin_api._model.cancel import CancelToken
from puffin_api._model.events import FetchFinished
from puffin_api._model.git_url import parse_git_url
from puffin_api._preparer.git_program import GitFailed, GitProgram
from puffin_api.errors import AuthenticationRequired, Cancelled, NetworkError, PackageError
from puffin_api.testing import FailingRunner
from tests._preparer.git_kit import (
    GIT,
    CountingRunner,
    GitServer,
    Lab,
    Repository,
    git_env,
    needs_git,
    needs_server,
)

pytestmark = [needs_git, needs_server]
posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
SECRET = "s3cret-of-mine"


class Completed:
    def __init__(self, returncode=0, stdout=b"", stderr=b""):
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


class NotedRunner:
    """Starts nothing and answers what it is told to."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    def run(self, argv, *, cwd=None, env=None, timeout=None, cancel=None):
        self.calls.append((list(argv), cwd, dict(env)))
        return self.answers.pop(0) if self.answers else Completed()


def environment_of(tmp_path, env, address="", **options):
    runner = NotedRunner()
    program = GitProgram(runner, env, path=tmp_path / "git")
    program.run(["fetch"], pump=SILENT, cwd=tmp_path, address=address, **options)
    return runner.calls[-1][2]


def test_nothing_of_this_process_reaches_git(tmp_path, monkeypatch):
    monkeypatch.setenv("LEAK", "x")

    env = environment_of(tmp_path, {"PATH": "/bin", "HOME": "/home/me", "https_proxy": "http://p"})

    assert "LEAK" not in env
    assert env["HOME"] == "/home/me"
    assert env["https_proxy"] == "http://p"


@pytest.mark.parametrize(
    "name",
    [
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_PARAMETERS"),
        *("GIT_TRACE", "GIT_TRACE_CURL", "GIT_EXTERNAL_DIFF", "GIT_EDITOR", "GIT_TEMPLATE_DIR"),
        *("SSH_ASKPASS", "DISPLAY", "GIT_EXEC_PATH", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR"),
    ],
)
def test_what_would_change_the_repository_or_ask_is_dropped(tmp_path, name):
    assert name not in environment_of(tmp_path, {name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        *("GIT_SSL_CAINFO", "GIT_HTTP_USER_AGENT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_COUNT"),
        *("GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_SSH_COMMAND", "GIT_PROXY_SSL_CERT", "SSH_AUTH_SOCK"),
    ],
)
def test_what_says_how_to_reach_a_server_is_kept(tmp_path, name):
    assert environment_of(tmp_path, {name: "x"})[name] == "x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", ""),
        ("SSH_ASKPASS_REQUIRE", "never"),
        ("GIT_ALLOW_PROTOCOL", "file:http:https:ssh"),
        ("LC_ALL", "C"),
    ],
)
def test_what_keeps_git_from_asking_cannot_be_changed(tmp_path, name, value):
    assert environment_of(tmp_path, {name: "other"})[name] == value


def test_ssh_asks_nobody(tmp_path):
    env = environment_of(tmp_path, {}, "git@host:o/r")

    assert "BatchMode=yes" in env["GIT_SSH_COMMAND"]
    assert "GIT_SSH_COMMAND" not in environment_of(tmp_path, {}, "https://host/o/r")


def test_ssh_as_the_user_wants_it_stays(tmp_path):
    assert environment_of(tmp_path, {"GIT_SSH_COMMAND": "mine"}, "ssh://h/r")["GIT_SSH_COMMAND"] == "mine"
    assert "GIT_SSH_COMMAND" not in environment_of(tmp_path, {"GIT_SSH": "mine"}, "ssh://h/r")
    runner = NotedRunner(Completed(stdout=b"ssh -i key\n"))
    program = GitProgram(runner, {}, path=tmp_path / "git")
    for _ in range(2):
        program.run(["fetch"], pump=SILENT, cwd=tmp_path, address="git@host:o/r")

    assert [argv[-1] for argv, _, _ in runner.calls] == ["core.sshCommand", "fetch", "fetch"]
    assert "GIT_SSH_COMMAND" not in runner.calls[-1][2]


def test_a_login_is_neither_an_argument_nor_in_an_error(tmp_path):
    runner = NotedRunner(Completed(128, stderr=f"fatal: {SECRET} at https://u:{SECRET}@h/x".encode()))
    program = GitProgram(runner, {}, path=tmp_path / "git")

    with pytest.raises(GitFailed) as caught:
        program.run(["fetch"], pump=SILENT, cwd=tmp_path, address="https://h/x", login=("me", SECRET))

    assert SECRET not in f"{caught.value} {caught.value.output} {runner.calls[0][0]}"
    assert runner.calls[0][2]["PUFFIN_GIT_PASSWORD"] == SECRET


def test_a_login_that_git_finds_by_itself_is_not_shown(tmp_path):
    runner = NotedRunner(Completed(128, stderr=b"fatal: unable to access 'https://u:pw@h/x/': no"))
    program = GitProgram(runner, {}, path=tmp_path / "git")

    with pytest.raises(GitFailed) as caught:
        program.run(["fetch"], pump=SILENT, cwd=tmp_path)

    assert caught.value.output == "fatal: unable to access 'https://****@h/x/': no"


@posix_only
def test_git_is_looked_for_in_the_given_path_only(tmp_path, lab, repository):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("no program")
    with pytest.raises(PackageError, match="not installed, or not in the PATH") as caught:
        lab.resolve(repository.url, lab.store(env={"PATH": f"{tmp_path / 'bin'}{os.pathsep}."}))

    assert "Install git" in caught.value.hint
    assert caught.value.name == "git"
    assert lab.resolve(repository.url, lab.store(env={"PATH": os.path.dirname(GIT)}))


def test_git_by_its_path_needs_no_path_variable(lab, repository):
    from pathlib import Path

    assert lab.resolve(repository.url, lab.store(env={}, git=Path(GIT))) == repository.head()


@posix_only
def test_a_git_that_cannot_be_started_is_an_error(tmp_path, lab, repository):
    (tmp_path / "git").write_text("#!/nothing/at/all\n")
    (tmp_path / "git").chmod(0o755)

    with pytest.raises(PackageError, match="cannot be started"):
        lab.resolve(repository.url, lab.store(git=tmp_path / "git"))


@posix_only
def test_a_repository_around_the_cache_has_no_say(tmp_path, repository):
    around = Repository(tmp_path / "around")
    trap = tmp_path / "trap"
    around.git("config", f"url.{tmp_path}/wrong.insteadOf", repository.url[4:])
    around.git("config", "core.fsmonitor", f"touch {trap}")
    lab = Lab(around.folder / "lab")

    assert lab.checkout(repository.url).is_dir()
    assert not trap.exists()


@pytest.fixture
def asker(tmp_path):
    """A program that notes that it was asked for a password."""
    script = tmp_path / "asker"
    script.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho x\n")
    script.chmod(0o755)
    return script


@posix_only
def test_a_login_that_is_missing_is_asked_of_nobody(tmp_path, lab, repository, asker):
    (lab.home / ".gitconfig").write_text(f"[core]\n\taskPass = {asker}\n")
    env = git_env(lab.home) | {
        "GIT_ASKPASS": str(asker),
        "SSH_ASKPASS": str(asker),
        "DISPLAY": ":0",
        "GIT_TERMINAL_PROMPT": "1",
    }
    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        with pytest.raises(AuthenticationRequired) as caught:
            lab.resolve(server.url("demo/.git"), lab.store(env=env))
        with pytest.raises(AuthenticationRequired):
            lab.checkout(server.url("demo/.git", "me:wrong-password"), lab.store(env=env))

    assert caught.value.origin == f"http://{server.host}"
    assert not (tmp_path / "asked").exists()
    assert "wrong-password" not in str(caught.value.to_dict())


def test_a_login_is_used_and_shown_nowhere(tmp_path, lab, repository):
    inner = Repository(tmp_path / "repos" / "inner")
    inner.write({"a": "b"})
    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        url = server.url("demo/.git", f"me:{SECRET}")
        lab.checkout(f"{url}@main")
        lab.checkout(f"{url}@{repository.head()[:10]}", history=False)
        errors = []
        for revision in ("@nothing", f"@{'1' * 40}", "@main#subdirectory=none"):
            with pytest.raises(Exception, match="cannot be used") as caught:
                lab.checkout(f"{url}{revision}", lab.store())
            errors.append(f"{caught.value!r} {caught.value.to_dict()} {caught.value.__cause__!r}")
        server.status = lambda path: 503
        with pytest.raises(Exception, match="503") as caught:
            lab.checkout(f"{url}@other")
        errors.append(f"{caught.value!r} {caught.value.to_dict()} {caught.value.__cause__!r}")
    shown = " ".join([*errors, repr(lab.reporter.events), *(w for argv, _ in lab.runner.calls for w in argv)])

    assert set(server.logins) == {None, server.login}
    for secret in (SECRET, server.login.partition(" ")[2]):
        assert secret not in shown
        assert secret.encode() not in lab.all_bytes() + lab.runner.seen


@posix_only
def test_the_login_that_was_given_counts_before_those_of_the_user(tmp_path, lab, repository):
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho username=me; echo password=of-the-user\n")
    helper.chmod(0o755)
    (lab.home / ".gitconfig").write_text(f"[credential]\n\thelper = {helper}\n")
    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        assert lab.checkout(server.url("demo/.git", f"me:{SECRET}")).is_dir()
    with GitServer(tmp_path / "repos", login=("me", "of-the-user")) as server:
        assert lab.checkout(server.url("demo/.git")).is_dir()


@pytest.mark.parametrize("login", ["${DEMO_USER}:${DEMO_TOKEN}", "me:${DEMO_TOKEN}"])
def test_variables_are_put_in_when_they_are_used(tmp_path, lab, repository, login):
    env = git_env(lab.home) | {"DEMO_USER": "me", "DEMO_TOKEN": SECRET}
    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        tree = lab.checkout(server.url("demo/.git", login), lab.store(env=env))

    assert (tree / "pyproject.toml").is_file()
    assert SECRET.encode() not in lab.all_bytes()


def test_a_provider_is_asked_once_for_each_server(tmp_path, lab, repository):
    asked = []

    class Provider:
        def credentials(self, origin):
            asked.append(origin)
            return "me", SECRET

    with GitServer(tmp_path / "repos", login=("me", SECRET)) as server:
        store = lab.store(credentials=Provider())
        lab.checkout(server.url("demo/.git"), store)
        lab.checkout(server.url("demo/.git@main"), store)

    assert asked == [f"http://{server.host}"]


@pytest.mark.parametrize("is_private", [False, True])
def test_no_login_follows_a_redirect_to_another_server(tmp_path, lab, repository, is_private):
    login = ("me", "another") if is_private else None
    with (
        GitServer(tmp_path / "repos", login=login) as other,
        GitServer(tmp_path / "repos", login=("me", SECRET)) as server,
    ):
        server.redirect = f"http://{other.host}"
        url = server.url("demo/.git", f"me:{SECRET}")
        # git does not send its question there: it goes only where it was sent before it gave a login.
        with pytest.raises(NetworkError):
            lab.checkout(url)

    assert server.login in server.logins
    assert other.requests
    assert set(other.logins) == {None}


def test_a_redirect_is_followed(tmp_path, lab, repository):
    with GitServer(tmp_path / "repos") as other, GitServer(tmp_path / "repos") as server:
        server.redirect = f"http://{other.host}"

        assert lab.checkout(server.url("demo/.git")).is_dir()


@posix_only
@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("git+ssh://git@host.invalid:2222{path}", "git@host.invalid", "{path}"),
        ("git+ssh://host.invalid{path}@main", "host.invalid", "{path}"),
        ("git+git@host.invalid:{relative}@main", "git@host.invalid", "{relative}"),
    ],
)
def test_ssh_is_called_with_user_host_and_path(tmp_path, lab, repository, url, host, path):
    ssh = tmp_path / "ssh"
    # Stands in for ssh: notes its arguments and runs the command here, in the root folder.
    ssh.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nfor last; do :; done\n'
        f'case "$*" in *-G*) exit 0;; esac\ncd / && export HOME={lab.home} && exec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    places = {"path": f"{repository.folder}/.git", "relative": f"{repository.folder}/.git".lstrip("/")}
    env = git_env(lab.home) | {"GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "ssh"}

    commit = lab.resolve(url.format(**places), lab.store(env=env))

    called = (tmp_path / "called").read_text()
    assert commit == repository.head()
    assert f"{host} git-upload-pack '{path.format(**places)}'" in called
    assert ("-p 2222" in called) == (":2222" in url)


SLEEPER = """#!/bin/sh
# Stands in for git: starts a child, notes both, and waits.
sleep 600 &
echo "$$ $!" > {folder}/pids
wait
"""


@posix_only
@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_cancelling_ends_git_and_all_that_it_started(tmp_path, lab, repository, how):
    script = tmp_path / "git"
    script.write_text(SLEEPER.format(folder=tmp_path))
    script.chmod(0o755)
    pids = tmp_path / "pids"
    token = CancelToken() if how == "cancel" else CancelToken.deadline(1.0)
    pool = WorkerPool(1)
    pump = Pump(lab.reporter.on_event, token)
    task = pool.submit(lambda: lab.store(git=script).resolve(parse_git_url(repository.url)[0], pump))
    while not (pids.exists() and pids.read_text().strip()):
        time.sleep(0.01)
    if how == "cancel":
        token.cancel("enough")

    pump.settle(task)
    with pytest.raises(Cancelled):
        task.result()

    pump.close()
    pool.close()
    assert [event.error for event in lab.reporter.of(FetchFinished)] == [
        "cancelled" if how == "cancel" else "deadline-exceeded"
    ]
    for pid in pids.read_text().split():
        wait_for_end(int(pid))


def wait_for_end(pid):
    """A killed process may be seen for a moment, until somebody has taken note of its end."""
    from pathlib import Path

    for _ in range(500):
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} lives on")


def cancelled(store, url, token):
    """Resolve, which is to be cancelled from elsewhere."""
    with pytest.raises(Cancelled):
        store.resolve(parse_git_url(url)[0], Pump(cancel=token))


def test_a_server_that_does_not_answer_is_no_longer_waited_for(tmp_path, lab, repository):
    token, released = CancelToken(), threading.Event()
    with GitServer(tmp_path / "repos") as server:

        def hang(_):
            token.cancel("enough")  # git waits for us by now
            released.wait(60)
            return 503

        server.status = hang
        cancelled(lab.store(), server.url("demo/.git"), token)
        assert not released.is_set()
        released.set()


def test_a_fetch_that_hangs_is_no_longer_waited_for(tmp_path, lab, repository):
    token, released = CancelToken(), threading.Event()
    with GitServer(tmp_path / "repos") as server:

        def hang(path):
            if path.endswith("git-upload-pack") and len(server.requests) > 3:
                token.cancel("enough")
                released.wait(60)
            return 0

        server.status = hang
        cancelled(lab.store(), server.url("demo/.git"), token)
        released.set()

    assert lab.runner.commands("fetch")
    assert not lab.runner.commands("read-tree")
    assert lab.resolve(repository.url) == repository.head()


def test_a_pause_between_two_tries_ends_with_the_call(tmp_path, lab, repository):
    token = CancelToken()

    def forever(_, given):
        given.cancel("enough")
        pause(1e6, given)

    with GitServer(tmp_path / "repos") as server:
        server.status = lambda _: 503
        cancelled(lab.store(pause=forever), server.url("demo/.git"), token)
        assert server.greetings == 1


def test_who_has_cancelled_before_starts_no_process(lab, repository):
    token = CancelToken()
    token.cancel()

    with pytest.raises(Cancelled), lab.pump(token) as pump:
        lab.store(runner=FailingRunner()).resolve(parse_git_url(repository.url)[0], pump)


def test_what_one_caller_cancels_another_one_still_gets(lab, repository, tmp_path):
    """Two calls of one store wait for one piece of work; the one that does it is cancelled."""
    token = CancelToken()
    url = parse_git_url(repository.url)[0]

    class Hold(CountingRunner):
        """Cancels the first call that comes, once the second one waits for it."""

        def run(self, argv, **options):
            if not self.calls:
                self.calls.append((list(argv), {}))
                waiting.append(pool.submit(lambda: store.resolve(url, Pump())))
                while not any(task._callbacks for task in store._asking._tasks.values()):
                    time.sleep(0.005)
                token.cancel()
                token.check()
            return super().run(argv, **options)

    waiting = []
    pool = WorkerPool(2)
    store = lab.store(runner=Hold())
    first = pool.submit(lambda: store.resolve(url, Pump(cancel=token)))
    with pytest.raises(Cancelled):
        first.wait()

    assert waiting[0].wait() == repository.head()
    pool.close()
