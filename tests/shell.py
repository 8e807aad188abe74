"""`grm WORDS` in this process, for the tests of every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modeling_grm import cli

Grm = Callable[..., tuple[int, str, str]]
"""Words -> exit code, stdout, and stderr on one line."""


def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Grm:
    """The command as the console script runs it."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["grm", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, " ".join(said.err.split())

    return run
