"""Repositories to test with, a server for them on loopback, and a store of them that counts processes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from puffin_api._cache.layout import CacheLayout
from puffin_api._cache.locks import FileLocks
from puffin_api._concurrency import Pump
from puffin_api._interpreter.host import SubprocessRunner
from puffin_api._model.git_url import parse_git_url
from puffin_api._preparer.git import GitStore
from puffin_api.testing import RecordingReporter
from tests.integration.job_kit import tree as everything

GIT = shutil.which("git")
BACKEND = (
    Path(subprocess.run([GIT, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
    / "git-http-backend"
    if GIT
    else Path("git-http-backend")
)
needs_git = pytest.mark.skipif(GIT is None, reason="git is not installed here")
needs_lfs = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed here")
needs_server = pytest.mark.skipif(not BACKEND.exists(), reason="git http-backend is not installed here")
PROJECT = '[project]\nname = "demo"\nversion = "{}"\n'


def git_env(home):
    """The environment of a user who has no git configuration of their own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        **({"SYSTEMROOT": os.environ["SYSTEMROOT"]} if "SYSTEMROOT" in os.environ else {}),
    }


def without_lfs(env, folder):
    """The same environment, with a PATH that leads to git but not to Git LFS."""
    folder.mkdir()
    for name in ("git", "sh", "cat"):
        (folder / name).symlink_to(shutil.which(name))
    return env | {"PATH": str(folder)}


def pointer(content):
    """What Git LFS puts into a repository in the place of a file."""
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


class Repository:
    """A repository in a folder, with commits, branches and tags."""

    def __init__(self, folder, *, options=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", "--template=", *options)

    def git(self, *words):
        env = git_env(self.folder) | {
            "GIT_AUTHOR_NAME": "author",
            "GIT_AUTHOR_EMAIL": "author@example.org",
            "GIT_COMMITTER_NAME": "author",
            "GIT_COMMITTER_EMAIL": "author@example.org",
        }
        done = subprocess.run(
            [GIT, "-c", "protocol.file.allow=always", *map(str, words)],
            cwd=self.folder,
            env=env,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.head()

    def head(self, name="HEAD"):
        return self.git("rev-parse", f"{name}^{{commit}}")

    @property
    def url(self):
        return f"git+{self.folder.as_uri()}/.git"


class CountingRunner:
    """Runs for real, and keeps what was asked for: commands, environments, all output."""

    def __init__(self):
        self.calls = []
        self.seen = b""
        self._runner = SubprocessRunner()

    def run(self, argv, **options):
        self.calls.append((list(argv), dict(options.get("env") or {})))
        done = self._runner.run(argv, **options)
        self.seen += done.stdout + done.stderr
        return done

    def commands(self, name):
        return [argv for argv, _ in self.calls if name in argv]


class Lab:
    """A cache in a folder, and stores for it."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.layout = CacheLayout(folder / "cache")
        self.layout.initialize()
        self.runner = CountingRunner()
        self.reporter = RecordingReporter()
        self.locks = FileLocks(120.0)

    def store(self, **options):
        """A store of a new client, so to speak."""
        settings = {
            "runner": self.runner,
            "lock": self.locks.hold,
            "env": git_env(self.home),
            "pause": lambda *_: None,
        } | options
        return GitStore(self.layout, **settings)

    @contextmanager
    def pump(self, cancel=None):
        pump = Pump(self.reporter.on_event, cancel)
        try:
            yield pump
        finally:
            pump.close()

    def resolve(self, url, store=None):
        with self.pump() as pump:
            return (store or self.store()).resolve(parse_git_url(url)[0], pump)

    def checkout(self, url, store=None, **options):
        """Resolve and check out, with a store of its own unless one is given."""
        store = store or self.store()
        parsed, login = parse_git_url(url)
        if login is not None:
            store.add_login(parsed, login)
        with self.pump() as pump:
            return store.checkout(parsed, store.resolve(parsed, pump), pump, **options)

    def around(self):
        """What is around the cache, and must not change."""
        return {
            path: what
            for path, what in everything(self.home.parent.parent).items()
            if not path.startswith(os.path.relpath(self.layout.root, self.home.parent.parent))
        }

    def all_bytes(self):
        """Everything in the cache, names included."""
        parts = []
        for path in self.layout.root.rglob("*"):
            parts.append(str(path).encode())
            if path.is_file():
                parts.append(path.read_bytes())
        return b"\n".join(parts)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer(b"")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body):
        server = self.server.owner
        server.requests.append((self.command, self.path, body))
        login = self.headers.get("Authorization")
        for name, value in self.headers.items():
            server.headers.setdefault(name.lower(), []).append(value)
        server.logins.append(login)
        status = server.status(self.path)
        if status:
            self._send(status, b"")
        elif server.login and login != server.login:
            self._send(401, b"", {"WWW-Authenticate": 'Basic realm="demo"'})
        elif server.redirect:
            self._send(302, b"", {"Location": server.redirect + self.path})
        elif self.path.endswith("/info/lfs/objects/batch"):
            self._send_batch(json.loads(body))
        elif self.path.startswith("/large/"):
            content = server.large.get(self.path.removeprefix("/large/"))
            self._send(404 if content is None else 200, content or b"")
        elif server.dumb:
            self._send_file()
        else:
            self._send_backend(body)

    def _send_file(self):
        path = self.server.owner.root / self.path.partition("?")[0].lstrip("/")
        if path.is_file():
            self._send(200, path.read_bytes())
        else:
            self._send(404, b"")

    def _send_batch(self, asked):
        """Say where the files of Git LFS are."""
        server = self.server.owner
        objects = []
        for item in asked["objects"]:
            there = item["oid"] in server.large
            href = f"http://{server.large_host or server.host}/large/{item['oid']}"
            missing = {"error": {"code": 404, "message": "it is not here"}}
            objects.append(item | ({"actions": {"download": {"href": href}}} if there else missing))
        answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self._send(200, answer, {"Content-Type": "application/vnd.git-lfs+json"})

    def _send_backend(self, body):
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(self.server.owner.root),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": "" if self.server.owner.is_old else self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run([BACKEND], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(fields.pop("Status", "200").split()[0])
        self._send(status, content, fields)

    def _send(self, status, content, fields=None):
        self.send_response(status)
        for name, value in (fields or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        with suppress(OSError):  # who asked was killed
            self.end_headers()
            self.wfile.write(content)


class GitServer:
    """Serves the repositories below a folder by HTTP on loopback."""

    def __init__(self, root, *, dumb=False, login=None):
        self.root = root
        self.dumb = dumb
        self.login = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}" if login else None
        self.is_old = False
        """Whether it speaks the first protocol, in which a server sends only what refs lead to."""
        self.redirect = ""
        """Where it sends everybody who may come in."""
        self.status = lambda path: 0
        self.large = {}
        """The files that it keeps for Git LFS, by digest."""
        self.large_host = ""
        """Another server that has them, as it says."""
        self.requests = []
        self.logins = []
        self.headers = {}
        """Every value of each header, by its name in lower case."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self):
        return f"127.0.0.1:{self._server.server_port}"

    def url(self, path, login=""):
        return f"git+http://{login}{'@' if login else ''}{self.host}/{path}"

    def keep(self, *contents):
        """Keep files for Git LFS."""
        self.large |= {hashlib.sha256(content).hexdigest(): content for content in contents}

    @property
    def fetches(self):
        """How often objects were sent."""
        return sum(1 for method, _, body in self.requests if method == "POST" and b"want " in _plain(body))

    @property
    def greetings(self):
        """How often somebody has begun to talk."""
        return sum(1 for method, path, _ in self.requests if method == "GET" and "info/refs" in path)


def _plain(body):
    import gzip

    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
