"""What every test shares: the real sample, the data folder, no network, and no skip without a known reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the Hub client is imported, so first
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

from modeling_grm.rows import Row, read_rows

if TYPE_CHECKING:
    from hub import LocalHub
    from shell import Grm

ROOT = Path(__file__).resolve().parent.parent
KNOWN_SKIPS = ("needs a GPU", "needs data:")


@pytest.fixture(scope="session")
def sample_path() -> Path:
    """200 real rows, MIT or Apache-2.0 (tests/data/README.md)."""
    return ROOT / "tests" / "data" / "sample.jsonl.gz"


@pytest.fixture(scope="session")
def sample_rows(sample_path: Path) -> list[Row]:
    """The sample, read the way `grm score` reads a file."""
    rows = list(read_rows(sample_path))
    bad = [row for row in rows if not isinstance(row, Row)]
    assert not bad, bad
    return [row for row in rows if isinstance(row, Row)]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A Hub of its own for one test, empty at first; this process's Hub client speaks to it as `me`, who may write."""
    from hub import LocalHub
    from hub.here import spoken_to

    with LocalHub() as served, spoken_to(served, tmp_path / "hf"):
        yield served


@pytest.fixture
def grm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Grm:
    """`grm WORDS`: exit code, stdout, and stderr on one line."""
    from shell import shell

    return shell(monkeypatch, capsys)


@pytest.fixture(scope="session")
def grm_data() -> Path:
    """The data folder that `GRM_DATA` names; skips, saying so, where it is absent."""
    folder = (ROOT / os.environ.get("GRM_DATA", "../shared/data")).resolve()
    if not (folder / "eval").is_dir():
        pytest.skip("needs data: set GRM_DATA to the folder that holds eval/ and train/")
    return folder


CLIENTS_OWN = "ignore:Use 'content=:DeprecationWarning"  # how huggingface_hub sends large files


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked `gpu` is skipped, with a known reason, where there is none."""
    for item in items:
        if "hub" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings(CLIENTS_OWN))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_gpu():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_SkipGuard(), "skip-guard")


class _SkipGuard:
    """Only a missing GPU and absent data may skip; any other skip fails the session, so that no check rots unseen."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith(KNOWN_SKIPS):
            self.unknown.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unknown and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unknown:
            terminalreporter.section("skipped for a reason that is not allowed", red=True, bold=True)
            terminalreporter.write_line("\n".join(self.unknown))
