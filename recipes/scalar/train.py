# /// script
# requires-python = ">=3.10"
# dependencies = ["modeling-grm[data,train]"]
# ///
"""Trains a scalar reward model on preference rows: what a judge trained on the same rows and backbone is compared with.

    python recipes/scalar/train.py --config recipes/scalar/smoke.yaml
    grm bench llmbar --baseline scalar --model runs/scalar-smoke --out report-scalar

Bradley-Terry by TRL's `RewardTrainer`: the best response of an item against each other one. Every key of the YAML can
be overridden on the command line, and a run that was stopped goes on from its last checkpoint. `output_dir` gets a
sequence classifier with one label, or its adapter, and `report.json`: how often it prefers the better response of
unseen pairs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional
from torch.utils.data import Sampler
from tqdm.auto import tqdm
from transformers import AutoModelForSequenceClassification, set_seed
from trl import RewardConfig, RewardTrainer

from modeling_grm.baselines import Answer
from modeling_grm.baselines.scalar import Scalar, response_ids
from modeling_grm.benchmarks.base import Item
from modeling_grm.bootstrap import intervals, ratios
from modeling_grm.classifiers import check_layers, classifier, pad_as, with_classifier_lora
from modeling_grm.data.preference import Preference, Report, unique
from modeling_grm.data.reading import DataArguments, training_items
from modeling_grm.data.sources import items_of
from modeling_grm.embedded import base_model
from modeling_grm.generation_grm import context_length
from modeling_grm.meta_examples import excluded_items, split_of
from modeling_grm.meta_head import fitted_head
from modeling_grm.meta_rm_grm import MetaRM, in_batches
from modeling_grm.recipes import go_on, last_checkpoint, script
from modeling_grm.toys import TOY, tiny_classifier
from modeling_grm.types_grm import InvalidInput

HELD = 0.1  # share of the conversations that choose a fitted head's penalty; training has them, too
WINDOW = 50  # batches whose pairs are sorted by length together


@dataclass
class RecipeArguments(DataArguments):
    """Who is trained, and what it is measured on; which rows: see `DataArguments`.

    Args:
        model: Hub id or folder of the backbone; the embedded judge's untrained base if left out; `toy` is made on the
            fly.
        test: rows to measure on, named as `rows` are (of folders and Hub ids the split `test`); their conversations are
            not trained on.
        test_share: share of the conversations of `rows` to measure on, where no `test` is given.
        exclude: items that stay out of both: stores, files of rows, or text files of item hashes.
        max_tokens: items with a longer response, its conversation included, are left out.
        lora_r: rank of the adapter on every linear layer; 0 trains all weights.
        lora_last: only on that many layers, counted from the head, so that the backward pass ends there; 0 is all.
        head_first: fit the head on the frozen backbone before the training; with max_steps 0 it stays at that.
    """

    model: str | None = None
    test: list[str] = field(default_factory=list)
    test_share: float = 0.1
    exclude: list[str] = field(default_factory=list)
    max_tokens: int = 1024
    lora_r: int = 16
    lora_last: int = 0
    head_first: bool = False


@dataclass
class ScalarConfig(RewardConfig):
    """TRL's arguments, without those that this recipe has under another name or that would change what is read."""

    train_sampling_strategy: str = field(default="group_by_length", init=False)
    model_init_kwargs: dict[str, Any] | None = field(default=None, init=False)
    max_length: int | None = field(default=None, init=False)
    chat_template_path: str | None = field(default=None, init=False)
    eos_token: str | None = field(default=None, init=False)
    pad_token: str | None = field(default=None, init=False)


class Encoded(NamedTuple):
    """An item with the token ids that each of its responses is read as."""

    item: Preference
    ids: list[list[int]]

    @property
    def others(self) -> list[int]:
        """The places of the responses that are not the best one."""
        return [at for at in range(len(self.ids)) if at != self.item.best]


# --------------------------------------------------------------------------- rows


def check(args: RecipeArguments) -> None:
    """Refuse settings that no run could use."""
    refused = {
        f"test_share: {args.test_share!r} is not usable; give a share between 0 and 1, or rows to test on with test": (
            not args.test and not 0 < args.test_share < 1
        ),
        f"max_tokens: {args.max_tokens!r} is not usable; give a number of tokens, at least 1": args.max_tokens < 1,
        f"lora_r: {args.lora_r!r} is not usable; give a rank, or 0 to train all weights": args.lora_r < 0,
        "lora_last: says where an adapter is; give lora_r, or leave it out": args.lora_last != 0 and not args.lora_r,
    }
    for said, applies in refused.items():
        if applies:
            raise InvalidInput(said)


def part_of(item: Preference, args: RecipeArguments) -> str:
    """Which part an item of `rows` belongs to, by its conversation: test, calibration or train."""
    return split_of(conversation(item), 0.0 if args.test else args.test_share, HELD)


def conversation(item: Preference) -> str:
    """What no two parts share."""
    return json.dumps(list(item.request.query))


def parts_of(args: RecipeArguments, said: dict[str, Any]) -> dict[str, list[Preference]]:
    """The items to train on and those to test on; no conversation is in both."""
    report = Report()
    items, test = training_items(args, report, said), list(test_items(args, said))
    test = test or [item for item in items if part_of(item, args) == "test"]
    asked = {conversation(item) for item in test}
    parts = {"train": [item for item in items if conversation(item) not in asked], "test": test}
    out = excluded_items(args.exclude)
    kept = {name: [item for item in part if item.item not in out] for name, part in parts.items()}
    said |= report.to_dict() | {"excluded": {name: len(parts[name]) - len(part) for name, part in kept.items()}}
    return kept


def test_items(args: RecipeArguments, said: dict[str, Any]) -> Iterator[Preference]:
    """The rows of `test`, each once."""
    report = Report()
    read = (item for name in args.test for item in items_of(name, report, split="test", format=args.format))
    yield from unique(read, report)
    if args.test:
        report.check()
        said["test_rows"] = report.to_dict()


def encoded(item: Preference, tokenizer: Any, longest: int) -> Encoded | str:
    """An item as it is read, or why it is left out."""
    if item.request.n == 1:
        return "a single response"
    try:
        ids = [response_ids(tokenizer, item.request.query, response) for response in item.request.responses]
    except InvalidInput:
        return "refused by the chat template"
    return Encoded(item, ids) if max(map(len, ids)) <= longest else f"longer than {longest} tokens"


def read_parts(
    parts: dict[str, list[Preference]], tokenizer: Any, longest: int, said: dict[str, Any]
) -> dict[str, list[Encoded]]:
    """Both parts as they are read; says how many items and pairs they are, and what was left out.

    Raises:
        InvalidInput: one of them is empty.
    """
    found = {name: [encoded(item, tokenizer, longest) for item in part] for name, part in parts.items()}
    made = {name: [one for one in part if isinstance(one, Encoded)] for name, part in found.items()}
    said["items"] = {name: len(part) for name, part in made.items()}
    said["pairs"] = {name: sum(len(one.others) for one in part) for name, part in made.items()}
    said["left_out"] = {name: Counter(one for one in part if isinstance(one, str)) for name, part in found.items()}
    if not all(made.values()):
        raise InvalidInput(f"rows: there must be items to train on and items to test on: {json.dumps(said)}")
    return made


def pairs(part: Sequence[Encoded]) -> Dataset:
    """One row a pair, as `RewardTrainer` takes it."""
    rows = [(one.ids[one.item.best or 0], one.ids[other]) for one in part for other in one.others]
    return Dataset.from_list([{"chosen_ids": a, "rejected_ids": b, "length": max(len(a), len(b))} for a, b in rows])


# --------------------------------------------------------------------------- model


def backbone(args: RecipeArguments) -> tuple[Any, Any, str]:
    """(classifier with one label, tokenizer, name).

    Raises:
        InvalidInput: no such model, an adapter, no causal backbone, or a chat template that takes no response.
    """
    model, tokenizer, name = _loaded(args.model)
    try:
        head = MetaRM(model, tokenizer, about={}).head
    except InvalidInput as error:
        raise InvalidInput(str(error).replace("meta_model:", "model:").replace("judgement", "response")) from error
    head.register_forward_hook(in_float32)
    model.config.problem_type = "regression"  # the logit is the score, as it is
    pad_as(model, tokenizer)
    check_layers(model, args.lora_last, name)
    return model, tokenizer, name


def _loaded(name: str | None) -> tuple[Any, Any, str]:
    if name == TOY:
        return (*tiny_classifier(), TOY)
    if name is None:
        return _embedded()
    return (*classifier(name), name)


def _embedded() -> tuple[Any, Any, str]:
    """The embedded judge's base with a head of one label in the place of its own."""
    causal, tokenizer, name = base_model()
    causal.config.num_labels = 1
    model = AutoModelForSequenceClassification.from_config(causal.config)
    model.model.load_state_dict(causal.model.state_dict())
    return model, tokenizer, name


def in_float32(head: Any, states: tuple[torch.Tensor], _: Any) -> torch.Tensor:
    """The head's own product under autocast too: in bfloat16, scores that lie near one another are equal."""
    with torch.autocast(states[0].device.type, enabled=False):
        return functional.linear(states[0].float(), head.weight.float())


def fit_head(model: Any, tokenizer: Any, part: Sequence[Encoded], args: RecipeArguments, batch_size: int) -> None:
    """Put the head where Bradley-Terry's likelihood is best on the backbone as it is.

    Raises:
        InvalidInput: too few rows to choose the penalty on some of them.
    """
    held = [one for one in part if part_of(one.item, args) == "calibration"]
    fit = [one for one in part if part_of(one.item, args) != "calibration"]
    if not fit or not held:
        raise InvalidInput(
            f"head_first: {len(fit)} items to fit on and {len(held)} to choose the penalty on; give more rows"
        )
    meta = MetaRM(model, tokenizer, about={}, batch_size=batch_size)
    won = [part for gaps in (gaps_of(meta, fit), gaps_of(meta, held)) for part in (gaps, torch.ones(len(gaps)))]
    with torch.no_grad():  # which way round a pair is taken changes nothing: without a bias, both are the same term
        meta.head.weight.copy_(fitted_head(*won)[None])


def gaps_of(meta: MetaRM, part: Sequence[Encoded]) -> torch.Tensor:
    """(pairs, width): what the head reads of the best response, less what it reads of the other."""
    rows = [ids for one in part for ids in one.ids]
    states: dict[int, torch.Tensor] = {}
    batches = meta.batches(dict(enumerate(rows)))
    for batch in tqdm(batches, desc="states for the head", unit="batch", disable=None):
        states |= dict(zip(batch, meta.pooled([rows[at] for at in batch]).float().cpu(), strict=True))
    gaps, start = [], 0
    for one in part:
        gaps += [states[start + (one.item.best or 0)] - states[start + other] for other in one.others]
        start += len(one.ids)
    return torch.stack(gaps)


# --------------------------------------------------------------------------- training


class ByLength(Sampler[int]):
    """Batches of pairs of like length, in an order that the seed and the epoch give.

    The library's own sampler draws from the process's random state, which a run that goes on does not share.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = list(lengths), batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        windows = in_batches(random.permutation(len(self.lengths)).tolist(), WINDOW * self.batch)
        alike = [sorted(window, key=lambda at: self.lengths[at]) for window in windows]
        batches = [batch for window in alike for batch in in_batches(window, self.batch)]
        whole, rest = batches[:-1], batches[-1]  # the last may be shorter, and the others' places hang on their size
        return iter([at for turn in random.permutation(len(whole)) for at in whole[turn]] + rest)


class ScalarTrainer(RewardTrainer):
    """TRL's, whose batches hold pairs of like length: it pads, so the rest would be computed for nothing."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return ByLength(self.train_dataset["length"], self.args.train_batch_size, self.args.seed)

    @property
    def speed(self) -> dict[str, float] | None:
        """How fast this process has trained, padding not counted; None where it has not."""
        tokens = self._total_train_tokens
        if not tokens:
            return None
        seconds = next(log["train_runtime"] for log in reversed(self.state.log_history) if "train_runtime" in log)
        return {"tokens": int(tokens), "seconds": seconds, "tokens_per_second": round(tokens / seconds, 1)}


# --------------------------------------------------------------------------- measuring


def answers_to(trainer: Any, tokenizer: Any, part: Sequence[Encoded]) -> list[Answer]:
    """What the model says of items, by the code that serves it."""
    model = trainer.model
    scalar = Scalar(MetaRM(model, tokenizer, about={}, batch_size=trainer.args.per_device_eval_batch_size))
    items = [Item(one.item.item, one.item.request, one.item.source, one.item.best) for one in part]
    with torch.autocast(model.device.type, torch.bfloat16, enabled=trainer.args.bf16):
        return list(tqdm(scalar(items), total=len(items), desc="scores", unit="item", disable=None))


def credit(one: Encoded, answer: Answer) -> float:
    """How many of an item's pairs are right; an equal score is half, and none at all is wrong."""
    if answer.scores is None:
        return 0.0
    best = answer.scores[one.item.best or 0]
    return float(sum(np.heaviside(best - answer.scores[other], 0.5) for other in one.others))


def report_of(part: Sequence[Encoded], answers: Sequence[Answer]) -> dict[str, Any]:
    """Pair accuracy with a 95% bootstrap interval over items, of all and by source."""
    sources = sorted({one.item.source for one in part})
    member = np.array([[True, *(one.item.source == source for source in sources)] for one in part])
    right = np.array([credit(one, answer) for one, answer in zip(part, answers, strict=True)])[:, None] * member
    count = np.array([len(one.others) for one in part])[:, None] * member
    columns = zip(ratios(right, count), *intervals(right, count), member.sum(0), count.sum(0), strict=True)
    whole, *by_source = ({
        "accuracy": {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)},
        "items": int(items),
        "pairs": int(pairs),
    } for value, low, high, items, pairs in columns)  # fmt: skip
    without = sum(answer.scores is None for answer in answers)
    return {**whole, "without_score": without, "by_source": dict(zip(sources, by_source, strict=True))}


# --------------------------------------------------------------------------- the whole


def save(trainer: Any, folder: Path, named: bool) -> None:
    """The classifier or its adapter, with its tokenizer; an adapter of a base that has no name is merged into it."""
    if hasattr(trainer.model, "merge_and_unload") and not named:
        trainer.model = trainer.model.merge_and_unload()
    trainer.save_model(str(folder))


def main(args: RecipeArguments, config: ScalarConfig) -> None:
    """Train, leave the scalar RM in `output_dir`, and measure it."""
    check(args)
    said: dict[str, Any] = {}
    items = parts_of(args, said)
    set_seed(config.seed)
    model, tokenizer, name = backbone(args)
    parts = read_parts(items, tokenizer, min(args.max_tokens, context_length(model)), said)
    said = {"model": name, **said}
    print(json.dumps(said, ensure_ascii=False), flush=True)
    if args.head_first and last_checkpoint(config.output_dir) is None:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=config.bf16):
            fit_head(model, tokenizer, parts["train"], args, config.per_device_eval_batch_size)
    config.remove_unused_columns = False  # the sampler looks at the lengths
    rows = pairs(parts["train"])
    trainer = ScalarTrainer(
        with_classifier_lora(model, args.lora_r, args.lora_last), config, train_dataset=rows, processing_class=tokenizer
    )
    go_on(trainer)
    folder = Path(str(config.output_dir))
    save(trainer, folder, named=args.model not in (None, TOY))
    found = report_of(parts["test"], answers_to(trainer, tokenizer, parts["test"]))
    if trainer.is_world_process_zero():
        report = {**said, "speed": trainer.speed, "test": found}
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(json.dumps({"speed": report["speed"], "test": found}, indent=2), flush=True)


if __name__ == "__main__":
    script(main, RecipeArguments, ScalarConfig)
