"""The Space as a process of its own on a free port, as `python app.py` starts it; or with a scripted judge.

    with Served() as served: ...      served.url, served.start_seconds

Knows how to start, await and end it; knows nothing about its pages.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from space_files import SPACE

SCRIPTED = Path(__file__).resolve().parent / "space_scripted.py"
DEADLINE = 180.0


class Served:
    """Start on entering, end on leaving; its log is in `log`."""

    def __init__(self, script: Path = SPACE / "app.py", **environment: str) -> None:
        self.script, self.environment = script, environment
        self.url = ""
        self.start_seconds = 0.0

    def __enter__(self) -> Served:
        self._file = tempfile.NamedTemporaryFile(mode="w+", suffix=".log")
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "GRADIO_SERVER_NAME": "127.0.0.1", **self.environment}
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, str(self.script)],
            env=env,
            cwd=SPACE,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while not self.url:
            found = re.search(r"http://127\.0\.0\.1:\d+", self.log)
            self.url = found[0] if found else ""
            if self._process.poll() is not None or time.monotonic() - began > DEADLINE:
                said = self.log
                self.__exit__()
                raise RuntimeError(f"the Space did not start:\n{said}")
            time.sleep(0.05)
        self.start_seconds = time.monotonic() - began
        return self

    def __exit__(self, *_: Any) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(timeout=20)
        self._file.close()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return Path(self._file.name).read_text(encoding="utf-8")
