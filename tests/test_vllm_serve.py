"""A real `vllm serve` on loopback with the embedded judge, asked through the OpenAI-compatible engine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline
from typer.testing import CliRunner

from modeling_grm import cli
from modeling_grm.backends import chat
from modeling_grm.backends.openai import OpenAICompatible
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.constraint_grm import ScoresLine
from modeling_grm.embedded import embedded_judge
from modeling_grm.generation_grm import TransformersGenerator, encode
from modeling_grm.parsing_grm import parse, scores_line_end
from modeling_grm.prompts_grm import TEMPLATES, render
from modeling_grm.scoring_grm import plan
from modeling_grm.types_grm import Completion, Outcome, Prompt, Request

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]  # vLLM's own are not ours to mend

CONTEXT, NAME, KEY = 2048, "judge", "key-of-the-test"
STARTS_WITHIN = 300.0  # seconds
EGG = Request(
    "How long should I boil an egg so that the yolk stays soft?",
    ["Boil it for six minutes, then put it in cold water.", "The night train to the coast leaves at nine."],
)
LINE = partial(ScoresLine, low=1, high=10)
SCORING = [
    (name, n)
    for name, template in TEMPLATES.items()
    for n in (1, 2)
    if template.score_range and (n == 1 or name != "deepseek-grm-single")
]


class Served:
    """The server's process and how to talk to it without our engine."""

    def __init__(self, folder: str, log: Path) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.root = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.folder, self.log = folder, log
        options = ["--served-model-name", NAME, "--host", "127.0.0.1", "--port", self.root.rpartition(":")[2]]
        options += ["--no-enable-chunked-prefill"]  # with it, a seeded request can kill vLLM 0.32 on a CPU
        options += ["--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT), "--api-key", KEY]
        command = [str(Path(sys.executable).with_name("vllm")), "serve", folder, *options]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)

    def wait(self) -> None:
        """Until it is healthy."""
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
            try:
                urllib.request.urlopen(f"{self.root}/health", timeout=5).close()
                return
            except OSError:
                time.sleep(0.5)
        raise AssertionError(f"not healthy within {STARTS_WITHIN} s: {self.log.read_text(errors='replace')[-3000:]}")

    def post(self, path: str, **body: Any) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        request = urllib.request.Request(f"{self.root}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def backend(self, model: str = NAME, **settings: Any) -> OpenAICompatible:
        known = {"checkpoint": self.folder, "api_key": KEY, "deadline": 120.0, **settings}
        return OpenAICompatible(f"{self.root}/v1", model, **known)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it with its workers, a process group of their own."""
        try:
            os.killpg(self.process.pid, how)
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
        except ProcessLookupError:
            pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(str(embedded_judge()), tmp_path_factory.mktemp("serve") / "log.txt")
    try:
        served.wait()
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="module")
def reference_model(server: Served) -> Any:
    return AutoModelForCausalLM.from_pretrained(server.folder, dtype=torch.float32)


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def prompts(k: int, *requests: Request) -> list[Prompt]:
    return [one for request in requests for one in plan(request, GRMConfig(k=k, template="compact"), seed=0)]


def run(backend: OpenAICompatible, asked: list[Prompt], *, line: Any = None, **settings: Any) -> list[Completion]:
    """The completions in the order of their prompts; each comes exactly once."""
    config = GRMConfig(**{"max_new_tokens": 96, **settings})
    found = list(backend.engine(config, stop=scores_line_end, line=line)(asked))
    assert sorted(index for index, _ in found) == list(range(len(asked)))
    return [completion for _, completion in sorted(found, key=lambda pair: pair[0])]


def test_the_pipeline_scores_over_http(server: Served) -> None:
    pipe = pipeline("reward-scoring", model=server.backend())  # type: ignore[call-overload]
    result = pipe(EGG, k=4, max_new_tokens=128, return_samples=True)
    assert (result["model"], result["k"], result["best"]) == (NAME, 4, 0)
    assert result["n_valid"] >= 3
    for sample in result["samples"]:
        assert sample["prompt_tokens"] == len(encode(pipe.tokenizer, _shown(sample["order"])))


def _shown(order: list[int]) -> Any:
    return render(EGG, order, "compact-closed")  # the embedded judge's own


# ---------------------------------------------------------------------- the same ids


@pytest.mark.parametrize(("template", "n"), SCORING)
def test_the_server_makes_the_ids_of_encode(server: Served, template: str, n: int) -> None:
    request = Request("Say it.", ["Zwölf 🥚 {i}", "no  \n\n\tx"][:n])
    messages = [dict(one) for one in render(request, range(n), template)]
    ids = encode(server.backend().tokenizer, messages)
    assert server.post("/tokenize", model=NAME, messages=messages, add_generation_prompt=True)["tokens"] == ids
    answer = server.post("/v1/chat/completions", model=NAME, messages=messages, max_tokens=1)
    assert answer["usage"]["prompt_tokens"] == len(ids)


# ---------------------------------------------------------------------- scores


def test_every_budget_ends_in_scores_where_they_are_asked_for(server: Served) -> None:
    found = run(server.backend(logprobs=True), prompts(4, EGG), max_new_tokens=24, line=LINE)
    for one in found:
        judged = parse(one, (0, 1))
        assert (judged.outcome, judged.constrained) == (Outcome.OK, True)
        assert judged.expected is not None
        assert all(1 <= mean <= 10 for mean in judged.expected)


@pytest.mark.parametrize("budget", [30, 96])
def test_probabilities_are_those_of_transformers(server: Served, reference_model: Any, budget: int) -> None:
    """Of free and constrained lines: vLLM's are those under the grammar, transformers' those without, and the legal
    scores' shares among themselves are the same. 1 and 10 begin alike and are known only where one was written."""
    backend, asked = server.backend(logprobs=True), prompts(2, EGG)
    engine = TransformersGenerator(
        reference_model, backend.tokenizer, temperature=0, max_new_tokens=budget, stop=scores_line_end, line=LINE
    )
    ours = run(backend, asked, temperature=0, max_new_tokens=budget, line=LINE)
    theirs = [completion for _, completion in sorted(engine(asked), key=lambda pair: pair[0])]
    pairs = [(mine, other) for mine, other in zip(ours, theirs, strict=True) if mine.text == other.text]
    assert pairs
    for mine, other in pairs:
        assert mine.constrained is other.constrained
        assert mine.numbers.keys() == other.numbers.keys()
        for place in mine.numbers:
            assert _shares(mine.numbers[place]) == pytest.approx(_shares(other.numbers[place]), abs=0.01)


def _shares(chances: dict[int, float]) -> list[float]:
    """Of 2 to 9 among themselves."""
    told = [chances.get(score, 0.0) for score in range(2, 10)]
    return [chance / sum(told) for chance in told]


# ---------------------------------------------------------------------- faults


def test_a_model_that_is_not_served_is_named(server: Served) -> None:
    [found] = run(server.backend("another"), prompts(1, EGG))
    assert "404" in (found.error or "")
    assert "does not serve 'another'" in (found.error or "")


def test_a_wrong_key_is_named_and_not_shown(server: Served) -> None:
    [found] = run(server.backend(api_key="wrong-key-1"), prompts(1, EGG))
    assert "401" in (found.error or "")
    assert "api_key" in (found.error or "")
    assert "wrong-key-1" not in (found.error or "")


def test_what_does_not_fit_the_servers_context_says_so(server: Served) -> None:
    long = Request("Say it. " + "word " * CONTEXT, ["yes", "no"])
    found = run(server.backend(checkpoint=None), prompts(1, EGG, long), max_new_tokens=16)
    assert found[0].error is None
    assert "context" in (found[1].error or "")
    assert parse(found[1], (0, 1)).outcome is Outcome.ENGINE_ERROR


def test_the_shell_scores_a_file(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    demo = Path(__file__).parent.parent / "recipes" / "examples" / "demo.jsonl"
    options = ["--backend", "openai", "--base-url", f"{server.root}/v1", "--model", NAME, "--template", "compact"]
    options += ["--k", "8", "--max-new-tokens", "64", "--constrain", "scores", "--json"]
    shown = CliRunner().invoke(cli.app, ["score", str(demo), *options])
    assert shown.exit_code == 0, shown.output
    found = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    assert len(found) == 6
    assert all(one["n_valid"] == 8 for one in found)


def test_a_server_that_is_killed_keeps_what_is_finished(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of this file: it costs the server."""
    monkeypatch.setattr(chat, "BACKOFF", 0.01)
    asked = prompts(2, *(Request(f"Say {word}.", ["yes", "no"]) for word in ("one", "two", "three", "four")))
    generate = server.backend(concurrency=1, retries=2).engine(GRMConfig(max_new_tokens=48), stop=scores_line_end)
    found = {}
    for index, completion in generate(asked):
        found[index] = completion
        if len(found) == 2:
            server.stop(signal.SIGKILL)
    assert sorted(found) == list(range(len(asked)))
    whole = [one for one in found.values() if one.error is None]
    lost = [one.error or "" for one in found.values() if one.error is not None]
    assert len(whole) >= 2
    assert lost
    assert all("no connection to the server" in error for error in lost)
