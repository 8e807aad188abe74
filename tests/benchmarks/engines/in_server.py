"""Our OpenAI-compatible backend against a real `vllm serve` on loopback, which runs only as long as it is measured."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from urllib.request import urlopen

from transformers import AutoTokenizer

from modeling_grm.backends import openai
from modeling_grm.backends.openai import OpenAICompatible
from modeling_grm.backends.orders import Way

from .jobs import Engine, Job, counted, never

DTYPE = "bfloat16"
CONTEXT = 4096
NAME = "judge"
# Without the second a seeded request that is prefilled in two parts ends vLLM 0.32 on a CPU.
FLAGS = ("--enforce-eager", "--no-enable-chunked-prefill")
START, STOP = 600, 30  # seconds that a server may take to come and to go
DEADLINE = 3600.0


class _ToTheEnd(Way):
    """Asks the server to ignore the end of a turn."""

    def sampling(self, seed: int, **extra: Any) -> dict[str, Any]:
        return super().sampling(seed, ignore_eos=True, **extra)


def ours(backend: OpenAICompatible, job: Job) -> int:
    """One request an order with `n` samples, at most 16 at once."""
    with patch.object(openai, "Way", _ToTheEnd):
        engine = backend.engine(job.config, stop=never)
    return counted([completion for _, completion in engine(job.prompts)])


@contextmanager
def opened(folder: str, names: list[str]) -> Iterator[tuple[Any, dict[str, Engine]]]:
    """The tokenizer and the engine, in front of a server that ends with the block."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with _serving(folder) as url:
        backend = OpenAICompatible(url, NAME, checkpoint=folder, deadline=DEADLINE)
        yield tokenizer, {"openai": Engine(partial(ours, backend), DTYPE)}


@contextmanager
def _serving(folder: str) -> Iterator[str]:
    with TemporaryDirectory() as logs, (Path(logs) / "server.log").open("w+b") as log:
        port = _free_port()
        process = subprocess.Popen(_command(folder, port), stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", Path(log.name))
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _end(process)


def _command(folder: str, port: int) -> list[str]:
    settings = {"host": "127.0.0.1", "port": port, "served-model-name": NAME, "dtype": DTYPE, "max-model-len": CONTEXT}
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", folder, *FLAGS, *options]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), urlopen(url, timeout=5):
            return
        time.sleep(1)
    raise RuntimeError(f"vllm serve did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server with all its processes."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP)
