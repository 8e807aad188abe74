"""The miniature's stages: what each is made of, and that none is made twice.

    Miniature(Arguments(out="runs/tiny")).grpo() -> runs/tiny/grpo, with every stage before it

A stage is a folder, and a file beside it says that it is whole. Knows nothing about how the stages compare.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from world import TEMPLATE, compose, demonstration, items, tokenizer

RECIPES = Path(__file__).resolve().parents[1]
GENTLY = {"learning_rate": 5e-4}
"""What goes on from trained weights."""


@dataclass
class Arguments:
    """How large the miniature is.

    Args:
        out: folder of everything.
        seed: of the world, the weights and the samples.
        width, layers: of the Llama.
        operations: that an item asks for, at most.
        demonstrations: of the teacher.
        told: in how many of them it is told the best response; with any, sampling is hinted too.
        cold_steps, rft_steps, grpo_steps, meta_steps: of training.
        sample_items, grpo_items, meta_items, test_items: different items each.
        k: samples of each test item; the meta RM lets half of them vote.
        temperature: of all samples.
    """

    out: str = "runs/tiny"
    seed: int = 0
    width: int = 192
    layers: int = 2
    operations: int = 2
    demonstrations: int = 32_000
    told: float = 0.0
    cold_steps: int = 1_800
    rft_steps: int = 200
    grpo_steps: int = 15
    meta_steps: int = 1_200
    sample_items: int = 3_000
    grpo_items: int = 2_000
    meta_items: int = 7_500
    test_items: int = 1_000
    k: int = 8
    temperature: float = 1.0


def llama(args: Arguments, folder: Path) -> None:
    """A Llama with random weights, and the world's tokenizer; shallow and wide, which learns such a world soonest."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer(hints=args.told > 0)
    torch.manual_seed(args.seed)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=args.width,
        intermediate_size=args.width * 8 // 3,
        num_hidden_layers=args.layers,
        num_attention_heads=args.width // 32,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    compose(model.get_input_embeddings().weight.data, words)
    model.save_pretrained(folder)
    words.save_pretrained(folder)


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def world(args: Arguments, out: Path) -> None:
    """Items of every stage, none of them in two; the teacher's demonstrations."""
    random, seen = Random(f"demonstrations {args.seed}"), set[str]()
    counts = {"test": args.test_items, "meta": args.meta_items, "grpo": args.grpo_items, "sample": args.sample_items}
    for number, (name, count) in enumerate(counts.items()):
        rows = list(items(4 * args.seed + number, count, seen, args.operations))
        seen |= {row["id"] for row in rows}
        write(out / "items" / f"{name}.jsonl", rows)
    shown = items(4 * args.seed + 1_000_003, args.demonstrations, seen, args.operations)
    write(out / "items" / "demonstrations.jsonl", (demonstration(random, row, args.told) for row in shown))


def recipe(name: str, **keys: Any) -> None:
    """A recipe's script with its `tiny.yaml`, in this process."""
    folder = RECIPES / name
    path = folder / ("sample.py" if name == "sample" else "train.py")
    words = [f"--{key}={value}" for key, value in keys.items()]
    print(f"\n== {name} {' '.join(words)}", file=sys.stderr, flush=True)
    with patch.object(sys, "argv", [str(path), "--config", str(folder / "tiny.yaml"), *words]):
        runpy.run_path(str(path), run_name="__main__")


def once(folder: Path, make: Callable[[], object]) -> Path:
    """The folder, made if it is not whole yet."""
    done = folder.with_name(f"{folder.name}.done")
    if not done.exists():
        make()
        done.touch()
    return folder


@dataclass(frozen=True)
class Miniature:
    """The stages, each in a folder of its own; a stage asks for the ones that it needs."""

    args: Arguments

    def at(self, name: str) -> Path:
        """A stage's folder."""
        return Path(self.args.out) / name

    def rows(self, name: str) -> Path:
        """A file of items."""
        return once(self.at("items"), lambda: world(self.args, Path(self.args.out))) / f"{name}.jsonl"

    def tuned(self, name: str, model: Path, dataset: Path, steps: int, **keys: Any) -> Path:
        """Supervised fine-tuning of a model."""
        given = {"model": model, "dataset": dataset, "max_steps": steps, "seed": self.args.seed} | keys
        return once(self.at(name), lambda: recipe("rft", output_dir=self.at(name), template=TEMPLATE, **given))

    def cold(self) -> Path:
        """The cold start, from random weights."""
        base = once(self.at("base"), lambda: llama(self.args, self.at("base")))
        return self.tuned("cold", base, self.rows("demonstrations"), self.args.cold_steps)

    def learnable(self, name: str, **keys: Any) -> Path:
        """Judgements of the cold start to learn from."""
        given = {"rows": self.rows("sample"), "model": self.cold(), "out": self.at(name), "seed": self.args.seed}
        given |= {"temperature": self.args.temperature, "template": TEMPLATE, "hinted": self.args.told > 0} | keys
        return once(self.at(name), lambda: recipe("sample", **given)) / "dataset"

    def kept(self) -> Path:
        """The cold start's judgements that the rejection rules keep."""
        return self.learnable("kept")

    def rft(self) -> Path:
        """Rejective fine-tuning, on kept judgements."""
        return self.tuned("rft", self.cold(), self.kept(), self.args.rft_steps, **GENTLY)

    def cold_on(self) -> Path:
        """Control of the fine-tuning."""
        return self.tuned("cold-on", self.cold(), self.rows("demonstrations"), self.args.rft_steps, **GENTLY)

    def rft_on(self) -> Path:
        """Control of GRPO."""
        return self.tuned("rft-on", self.rft(), self.kept(), self.args.grpo_steps, **GENTLY)

    def reinforced(self, name: str, model: Path, **keys: Any) -> Path:
        """Rule-based GRPO of a model."""
        given = {"rows": self.rows("grpo"), "model": model, "max_steps": self.args.grpo_steps, "template": TEMPLATE}
        given |= {"temperature": self.args.temperature, "seed": self.args.seed, "output_dir": self.at(name)} | keys
        return once(self.at(name), lambda: recipe("grpo", **given))

    def grpo(self) -> Path:
        """GRPO of the fine-tuned judge."""
        return self.reinforced("grpo", self.rft())

    def meta(self) -> Path:
        """The meta RM, on judgements of the trained judge."""
        keys = {"store": self.judged("grpo", self.grpo(), "meta"), "base": self.grpo(), "seed": self.args.seed}
        keys |= {"max_steps": self.args.meta_steps, "output_dir": self.at("meta")}
        return once(self.at("meta"), lambda: recipe("meta_rm", **keys))

    def judged(self, name: str, model: Path, rows: str = "test") -> Path:
        """The store of a model's judgements."""
        from modeling_grm.data.preference import Report
        from modeling_grm.data.sampling import sampled
        from modeling_grm.data.sources import items_of
        from modeling_grm.loading import load

        settings = {"k": self.args.k, "temperature": self.args.temperature, "seed": self.args.seed}
        settings |= {"template": TEMPLATE, "max_new_tokens": 64, "batch_size": 32}
        store = self.at("stores") / f"{name}-{rows}"

        def judge() -> None:
            print(f"\n== {name} judges {rows}", file=sys.stderr, flush=True)
            asked = items_of(str(self.rows(rows)), Report(), split="train", format=None, limit=None)
            list(sampled(load(str(model), dtype="float32"), asked, store, "transformers", settings))

        return once(store, judge)

    def rated(self) -> Path:
        """The trained judge's test judgements, rated by the meta RM."""
        from modeling_grm.loading import load_meta
        from modeling_grm.rating import rate_store, rater_name

        store, meta = self.judged("grpo", self.grpo()), self.meta()

        def rate() -> None:
            rater = load_meta(str(meta), dtype="float32", batch_size=64)
            rate_store(store, rater, rater_name(rater))

        once(self.at("rated"), rate)
        return store
