"""What is counted rather than raced: distinct prefills, the memory of a prompt's keys and values, the suite's own time.

Everything is read off the real engine at work; only the random shuffles are simulated.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import cycle, islice
from typing import Any

import torch
from transformers import pipeline

import modeling_grm  # noqa: F401  # the task's name
from modeling_grm.backends.fake import Fake
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.generation_grm import TransformersGenerator, context_length, encode
from modeling_grm.scoring_grm import plan
from modeling_grm.types_grm import Prompt, Request

from .jobs import TEMPERATURE, WORDS, Writer
from .points import Point

PREFILL_K, PREFILL_NS = 32, (4, 8)
SHUFFLES = 2000
OWN_ITEMS, OWN_REPEATS = 20, 5


class _Watched(TransformersGenerator):
    """Keeps the decoding states that it makes."""

    def __init__(self, model: Any, tokenizer: Any, new: int) -> None:
        super().__init__(model, tokenizer, temperature=TEMPERATURE, max_new_tokens=new)
        self.ends, kind = frozenset(), self.state
        self.made: list[tuple[Any, int]] = []

        def state(*given: Any) -> Any:
            self.made.append((kind(*given), len(given[1])))
            return self.made[-1][0]

        self.state = state  # type: ignore[assignment]


def _request(n: int, words: int, number: int = 0) -> Request:
    answers = [" ".join(islice(cycle(WORDS), at, at + words)) for at in range(n)]
    return Request(f"Question {number:06d}: which of these is the best account of how judges work?", answers)


def distinct_prefills(model: Any, tokenizer: Any, n: int, k: int) -> int:
    """Prompts that the engine reads for k samples of n responses."""
    engine = _Watched(model, tokenizer, new=1)
    list(engine(plan(_request(n, 12), GRMConfig(k=k), seed=0)))
    return sum(prompts for _, prompts in engine.made)


def shuffled_prefills(n: int, k: int) -> float:
    """The same if every sample had a random order: the mean of a simulation."""
    dice = random.Random(0)
    every = math.factorial(n)
    return statistics.mean(len({dice.randrange(every) for _ in range(k)}) for _ in range(SHUFFLES))


def _bytes(parts: Iterable[Any]) -> int:
    return sum(part.numel() * part.element_size() for part in parts)


def prompt_memory(model: Any, tokenizer: Any, point: Point) -> dict[str, Any]:
    """Bytes of a prompt's keys and values with k samples of one order: in our engine, and in `generate`."""
    job = Writer(tokenizer).job(Point(point.prompt, 2, point.k), 0)
    engine = _Watched(model, tokenizer, new=2)
    list(engine(job.prompts))
    state = engine.made[0][0]
    if hasattr(state, "stored"):
        held = _bytes(part for layer in state.stored for part in layer)
    else:  # a model that cannot share: a copy for each row
        held = _bytes(part[..., : len(job.ids[0]), :] for part in _cached(state.cache))
    ids = torch.tensor(job.ids)
    wanted = {"num_return_sequences": point.k, "max_new_tokens": 2, "min_new_tokens": 2, "do_sample": True}
    out = model.generate(ids, attention_mask=torch.ones_like(ids), return_dict_in_generate=True, **wanted)
    copies = _bytes(part[..., : ids.shape[1], :] for part in _cached(out.past_key_values))
    facts = {"prompt_tokens": ids.shape[1], "samples": point.k, "dtype": str(model.dtype).removeprefix("torch.")}
    return {**facts, "ours": held, "num_return_sequences": copies}


def _cached(cache: Any) -> list[Any]:
    return [part for layer in cache.layers for part in (layer.keys, layer.values)]


def own_seconds(config: Any, tokenizer: Any, point: Point) -> dict[str, Any]:
    """Seconds that the suite itself takes for an item: check the length, render, parse and vote, with canned texts."""
    rows, text = _rows(tokenizer, point), _judgement(tokenizer, point.new)
    fake: Any = Fake([text], config=config)
    fake.tokenizer, fake.context = tokenizer, context_length(config)
    task: Any = "reward-scoring"
    pipe = pipeline(task, model=fake, k=point.k, max_new_tokens=point.new)
    results = pipe(rows)
    assert all(result["n_valid"] == point.k for result in results), results
    seconds = min(_timed(lambda: pipe(rows)) for _ in range(OWN_REPEATS))
    prompt = plan(Request(rows[0]["query"], rows[0]["responses"]), GRMConfig(k=1), seed=0)[0]
    return {
        "prompt_tokens": len(encode(tokenizer, prompt.messages)),
        "judgement_tokens": len(tokenizer(text)["input_ids"]),
        "samples": point.k,
        "seconds": seconds / len(rows),
    }


def _rows(tokenizer: Any, point: Point) -> list[dict[str, Any]]:
    """Different items of two responses, whose rendered prompts have about as many tokens as the point's."""

    def tokens(words: int) -> int:
        prompt: Prompt = plan(_request(2, words), GRMConfig(k=1), seed=0)[0]
        return len(encode(tokenizer, prompt.messages))

    words = next(words for words in range(1, point.prompt + 1) if tokens(words) >= point.prompt)
    requests = [_request(2, words, number) for number in range(OWN_ITEMS)]
    return [{"query": request.query[0]["content"], "responses": list(request.responses)} for request in requests]


def _judgement(tokenizer: Any, tokens: int) -> str:
    """A readable judgement of about that many tokens."""
    end = "\nScores: \\boxed{8, 3}"
    words = next((words for words in range(tokens) if len(tokenizer(_critique(words) + end)["input_ids"]) >= tokens), 1)
    return _critique(words) + end


def _critique(words: int) -> str:
    return " ".join(islice(cycle(WORDS), words))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measures(model: Any, tokenizer: Any, main: Point) -> dict[str, Any]:
    """All of them, as plain JSON types."""
    prefills = {
        str(n): {
            "samples": PREFILL_K,
            "ours": distinct_prefills(model, tokenizer, n, PREFILL_K),
            "random_shuffles": round(shuffled_prefills(n, PREFILL_K), 1),
        }
        for n in PREFILL_NS
    }
    return {
        "prefills": prefills,
        "memory": prompt_memory(model, tokenizer, main),
        "own": own_seconds(model.config, tokenizer, main),
    }
