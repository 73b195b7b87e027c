"""Wheels that bring everything a wheel can bring, and programs to look at what became of them."""

from __future__ import annotations

import os
import subprocess

from tests.integration.job_kit import wheel

RICH = {
    **wheel(
        "tool",
        "1.0",
        requires=["ns-one", "ns-two>=1", "colour; sys_platform == 'nowhere'"],
        extras={"fast": ["log"]},
        files={"tool/__init__.py": "def main():\n    print('tool', __file__)\n", "tool/data.txt": "one\n"},
        entry_points={
            "console_scripts": {"tool": "tool:main"},
            "gui_scripts": {"tool-window": "tool:main"},
            "tool.plugins": {"first": "tool:main"},
        },
        data={
            "scripts/tool-script": "#!python\nimport tool; tool.main()\n",
            "data/share/tool/manual.txt": "read me\n",
            "headers/tool.h": "int tool;\n",
            "purelib/tool_pure.py": "x = 1\n",
            "platlib/tool_plat.py": "x = 2\n",
        },
    ),
    **wheel("ns-one", "1.0", files={"space/one.py": "value = 1\n"}),
    **wheel("ns-two", "1.0", files={"space/two.py": "value = 2\n", "space/deep/er.py": ""}),
    **wheel("log", "1.1", files={"log.py": ""}),
    **wheel("log", "1.0", files={"log.py": "", "log_old.py": ""}),
    **wheel("native", "1.0", tags="py3-none-any", root_is_purelib=False, files={"native.py": ""}),
}


def run(*command, check=True, env=None):
    """Run a program with an environment of its own; what it printed."""
    quiet = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "TEMP", "TMP") if key in os.environ}
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        env={**kept, **quiet, **(env or {})},
        timeout=120,
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done.stdout + done.stderr


def python(environment, program):
    return run(environment.interpreter.path, "-I", "-c", program).strip()
