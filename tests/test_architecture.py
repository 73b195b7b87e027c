"""The rules of the source tree: import-linter's contracts, and those that import-linter cannot say.

Each rule is a function from a source folder to a list of complaints. It is run on the real tree, where it
must find nothing, and on a small tree that breaks it, where it must find something.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Rule = Callable[[Path], list[str]]

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "puffin_api"

# Modules that only some folders may import, at run time or not. import-linter holds the main ones as well;
# here they are told from each other by folder, and with their submodules.
IMPORTERS = {
    "asyncio": set(),
    "cattrs": {"_cache"},
    "concurrent": {"_concurrency"},
    "filelock": {"_cache"},
    "logging": set(),
    "multiprocessing": set(),
    "platformdirs": {"_cache"},
    "pyproject_hooks": {"_builder"},
    "requests": set(),
    "signal": {"_builder", "_interpreter"},  # the numbers, to stop child processes with
    "threading": {"_concurrency", "testing"},
    "urllib.request": set(),
    "urllib3": {"_client"},
}
# What touches the whole process. The keys are calls as they are written.
PROCESS_WIDE = {
    "print": "prints",
    "input": "prompts",
    "breakpoint": "stops",
    "logging.basicConfig": "configures logging",
    "locale.setlocale": "changes the locale",
    "os.chdir": "changes the working directory",
    "os.fchdir": "changes the working directory",
    "os.putenv": "changes the environment",
    "os.umask": "changes the umask",
    "os.unsetenv": "changes the environment",
    "signal.alarm": "makes a signal",
    "signal.pthread_sigmask": "blocks signals",
    "signal.set_wakeup_fd": "takes over signals",
    "signal.setitimer": "makes a signal",
    "signal.signal": "installs a signal handler",
    "socket.setdefaulttimeout": "changes all sockets",
    "sys.setrecursionlimit": "changes the interpreter",
    "sys.setswitchinterval": "changes the interpreter",
    "warnings.filterwarnings": "changes the warning filters",
    "warnings.simplefilter": "changes the warning filters",
}
# What the core may read only where a caller asks for it.
AMBIENT = {
    "os.environ",
    "os.environb",
    "os.getenv",
    "os.getcwd",
    "Path.cwd",
    "Path.home",
    "sys.argv",
    "sys.stdin",
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc", "tools", "lib"}
MOST_LINES = 500
LINT_IMPORTS = "from importlinter.cli import lint_imports_command as run; run()"


def modules(src: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(src.rglob("*.py")):
        yield path.relative_to(src), ast.parse(path.read_text(encoding="utf-8"))


def runs_elsewhere(path: Path) -> bool:
    """Whether a file is a script for another interpreter: there, it owns the process."""
    return path.stem.endswith("_script")


def part(path: Path) -> str:
    """The folder, or the module beside the folders, that a file belongs to."""
    return path.parts[0].removesuffix(".py")


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(node: ast.expr) -> str:
    """`os.environ` for that attribute, a name for a name, nothing for all else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def belongs_to(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def foreign_importers(src: Path) -> list[str]:
    return [
        f"{path}:{line}: imports {name}; allowed in {sorted(allowed)}"
        for path, tree in modules(src)
        if not runs_elsewhere(path)
        for line, name in imported(tree)
        for module, allowed in IMPORTERS.items()
        if belongs_to(name, module) and part(path) not in allowed
    ]


def relative_imports(src: Path) -> list[str]:
    return [
        f"{path}:{node.lineno}: imports relative to its folder"
        for path, tree in modules(src)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def imports_of_the_lazy_root(src: Path) -> list[str]:
    """Names of the root are for callers; inside, they would hide the layer that they come from."""
    submodules = {path.stem for path in src.iterdir()}
    return [
        f"{path}:{node.lineno}: imports {alias.name} from the root"
        for path, tree in modules(src)
        if path.name != "__init__.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "puffin_api"
        for alias in node.names
        if alias.name not in submodules
    ]


def process_wide_effects(src: Path) -> list[str]:
    return [
        f"{path}:{node.lineno}: {PROCESS_WIDE[dotted(node.func)]}"
        for path, tree in modules(src)
        if not runs_elsewhere(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) in PROCESS_WIDE
    ]


class _Ambient(ast.NodeVisitor):
    """Collects reads of ambient state outside functions called `from_environ`."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name != "from_environ":
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if dotted(node) in AMBIENT:
            self.found.append((node.lineno, dotted(node)))
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        self.found.extend((node.lineno, name) for name in sorted(names & AMBIENT))


def ambient_reads(src: Path) -> list[str]:
    complaints = []
    for path, tree in modules(src):
        if part(path) == "_api" or runs_elsewhere(path):
            continue
        visitor = _Ambient()
        visitor.visit(tree)
        complaints += [f"{path}:{line}: reads {name}" for line, name in visitor.found]
    return complaints


def swallowed_exceptions(src: Path) -> list[str]:
    """`except Exception` is for clean-up on the way out: it must raise again.

    Only the worker pool keeps an error instead: it is the task's result, and raised by who asks for it.
    """
    complaints = []
    for path, tree in modules(src):
        if runs_elsewhere(path) or part(path) == "_concurrency":
            continue
        for node in ast.walk(tree):
            broad = isinstance(node, ast.ExceptHandler) and (
                node.type is None or dotted(node.type) in {"Exception", "BaseException"}
            )
            if broad and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                complaints.append(f"{path}:{node.lineno}: catches everything and does not raise")
    return complaints


def repeated_names(src: Path) -> list[str]:
    counts = Counter(
        path.name for path in src.rglob("*.py") if path.name not in {"__init__.py", "conftest.py"}
    )
    return [f"{count} files are called {name}" for name, count in sorted(counts.items()) if count > 1]


def vague_names(src: Path) -> list[str]:
    return [
        f"{path.relative_to(src)}: says nothing about its content"
        for path in sorted(src.rglob("*"))
        if path.stem.strip("_") in VAGUE
    ]


def long_files(src: Path) -> list[str]:
    lengths = {path: len(path.read_bytes().splitlines()) for path in sorted(src.rglob("*.py"))}
    return [
        f"{path.relative_to(src)}: {n} lines, at most {MOST_LINES}"
        for path, n in lengths.items()
        if n > MOST_LINES
    ]


def missing_docstrings(src: Path) -> list[str]:
    complaints = []
    for path, tree in modules(src):
        docstring = ast.get_docstring(tree)
        if not docstring:
            complaints.append(f"{path}: has no docstring")
        elif not re.fullmatch(r".+[.:]", docstring.partition("\n\n")[0], re.DOTALL):
            complaints.append(f"{path}: its docstring does not open with a sentence")
    return complaints


# Each rule, with a file that breaks it.
RULES: dict[Rule, tuple[str, str]] = {
    foreign_importers: ("_api/cache.py", "def f():\n    import urllib3.util\n"),
    relative_imports: ("_wheel/unpack.py", "from . import read\n"),
    imports_of_the_lazy_root: ("_wheel/unpack.py", "from puffin_api import Cache\n"),
    process_wide_effects: ("_wheel/unpack.py", "import os\nos.chdir('/')\n"),
    ambient_reads: ("_client/auth.py", "import os\nHOME = os.environ['HOME']\n"),
    swallowed_exceptions: ("_fs.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    repeated_names: ("_cache/wheel.py", ""),
    vague_names: ("_wheel/_utils.py", ""),
    long_files: ("_urls.py", "\n" * (MOST_LINES + 1)),
    missing_docstrings: ("_urls.py", "x = 1\n"),
}


def plant(src: Path, name: str, text: str = "") -> None:
    path = src / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_tree_keeps_the_rule(rule):
    assert rule(SRC) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_is_seen_to_fail_when_broken(rule, tmp_path):
    plant(tmp_path, "_wheel/wheel.py", '"""Fine."""\n')
    assert rule(tmp_path) == []

    plant(tmp_path, *RULES[rule])

    assert len(rule(tmp_path)) == 1


def test_the_environment_may_be_read_where_the_caller_asks_for_it(tmp_path):
    plant(tmp_path, "_client/auth.py", "import os\ndef from_environ():\n    return os.environ\n")
    plant(tmp_path, "_api/client.py", "import os\nHOME = os.environ['HOME']\n")

    assert ambient_reads(tmp_path) == []


def test_scripts_for_other_interpreters_may_print(tmp_path):
    plant(tmp_path, "_interpreter/probe_script.py", "import os\nprint(os.environ)\n")

    assert process_wide_effects(tmp_path) == ambient_reads(tmp_path) == []


def test_each_test_file_has_a_name_of_its_own():
    assert repeated_names(ROOT / "tests") == []


# ---------------------------------------------------------------------------------------------
# import-linter, with the contracts of pyproject.toml


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the project's contracts on the package `puffin_api` in a folder."""
    return subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def declared_layers() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return set(re.findall(r"\w+", " ".join(layers)))


@pytest.fixture
def skeleton(tmp_path):
    """A package with every folder and module that the contracts name, all empty."""
    src = tmp_path / "puffin_api"
    for name in declared_layers():
        plant(src, f"{name}/__init__.py" if (SRC / name).is_dir() else f"{name}.py")
    plant(src, "__init__.py")
    return src


def test_the_contracts_hold():
    done = lint_imports(SRC.parent)

    assert done.returncode == 0, done.stdout


def test_an_empty_package_keeps_the_contracts(skeleton):
    done = lint_imports(skeleton.parent)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("contract", "name", "text"),
    [
        ("A module imports only", "errors.py", "import puffin_api._urls"),
        ("A module imports only", "_cache/store.py", "def f():\n    import puffin_api._client"),
        ("A module imports only", "_preparer/prepare.py", "from puffin_api._builder import build"),
        ("A module imports only", "_wheel/unpack.py", "from puffin_api._client import transport"),
        ("A module imports only", "_shortcut/__init__.py", ""),
        ("do no I/O", "_model/names.py", "import subprocess"),
        ("do no I/O", "_resolver/solve.py", "from puffin_api import _fs"),
        ("urllib3 lives", "_preparer/prepare.py", "import urllib3"),
        ("platformdirs live", "_api/cache.py", "from filelock import FileLock"),
        ("Threads live", "_client/transport.py", "from concurrent.futures import ThreadPoolExecutor"),
    ],
)
def test_the_contract_is_seen_to_fail_when_broken(skeleton, contract, name, text):
    plant(skeleton, "_builder/build.py")
    plant(skeleton, "_client/transport.py")
    plant(skeleton, name, text + "\n")

    done = lint_imports(skeleton.parent)

    assert done.returncode == 1, done.stdout + done.stderr
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert len(broken) == 1
    assert contract in broken[0]
