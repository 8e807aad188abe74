"""Side by side in one process: the engine against `generate(num_return_sequences=8)` on one long prompt.

Both write exactly 128 new tokens for each of 8 samples, prefill included, fp32, on the embedded judge's untrained base.
The two alternate, so that a busy machine slows both; the ratio is the median over the repeats. Prints JSON, then
a line.

    python tests/benchmarks/generation_speed.py [--repeats 5] [--prompt-tokens 900] [--clock wall|cpu]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from modeling_grm.embedded import base_model
from modeling_grm.generation_grm import TransformersGenerator, encode
from modeling_grm.types_grm import Prompt

SAMPLES, NEW, TEMPERATURE = 8, 128, 0.7
SENTENCE = "The judge reads the question, weighs each response against it, and writes down what is wrong. "
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def long_prompt(tokenizer: Any, tokens: int) -> tuple[dict[str, str], ...]:
    """The shortest user message of whole sentences whose chat has at least that many tokens."""
    content = SENTENCE
    while len(encode(tokenizer, ({"role": "user", "content": content},))) < tokens:
        content += SENTENCE
    return ({"role": "user", "content": content},)


def usual_way(model: Any, ids: torch.Tensor) -> int:
    """Tokens that `generate` wrote."""
    lengths = {"max_new_tokens": NEW, "min_new_tokens": NEW, "num_return_sequences": SAMPLES}
    sampling = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0, "top_p": 1.0}
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **lengths, **sampling)
    return int(out.shape[0] * (out.shape[1] - ids.shape[1]))


def our_way(engine: TransformersGenerator, messages: tuple[dict[str, str], ...]) -> int:
    """Tokens that the engine wrote."""
    made = [one for _, one in engine(Prompt(messages, (0,), seed) for seed in range(SAMPLES))]
    assert all(one.error is None for one in made), made
    return sum(one.completion_tokens for one in made)


def timed(work: Callable[[], int], clock: Callable[[], float]) -> float:
    """Seconds; the work must have written exactly what was asked."""
    start = clock()
    assert work() == SAMPLES * NEW
    return clock() - start


def measure(repeats: int, tokens: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds and ratio of every repeat."""
    model, tokenizer, base = base_model()
    messages = long_prompt(tokenizer, tokens)
    ids = torch.tensor([encode(tokenizer, messages)])
    engine = TransformersGenerator(model, tokenizer, temperature=TEMPERATURE, max_new_tokens=NEW)
    engine.ends = frozenset()  # so that no sample ends early
    runs = [
        {
            "ours": timed(lambda: our_way(engine, messages), clock),
            "generate": timed(lambda: usual_way(model, ids), clock),
        }
        for _ in range(repeats)
    ]
    ratios = [run["generate"] / run["ours"] for run in runs]
    return {
        "base": base,
        "prompt_tokens": ids.shape[1],
        "samples": SAMPLES,
        "new_tokens": NEW,
        "dtype": str(model.dtype),
        "threads": torch.get_num_threads(),
        "tokens_per_second": {name: SAMPLES * NEW / statistics.median(run[name] for run in runs) for name in runs[0]},
        "ratios": ratios,
        "median_ratio": statistics.median(ratios),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=900)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: CPU seconds, for a machine that is not idle"
    )
    args = parser.parse_args()
    found = measure(args.repeats, args.prompt_tokens, CLOCKS[args.clock])
    print(json.dumps(found, indent=2))
    ours, usual = (found["tokens_per_second"][name] for name in ("ours", "generate"))
    print(f"{ours:.1f} against {usual:.1f} tokens a second: {found['median_ratio']:.2f}x ({args.clock} clock)")


if __name__ == "__main__":
    main()
