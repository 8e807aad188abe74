# /// script
# requires-python = ">=3.10"
# dependencies = ["modeling-grm[data,train]"]
# ///
"""Rejective sampling: preference rows in, judgements worth learning from out.

    python recipes/sample/sample.py --config recipes/sample/smoke.yaml
    python recipes/sample/sample.py --config recipes/sample/smollm2-135m.yaml --rows rows.jsonl --out runs/mine

Samples `n_rft` judgements of each item, and one that was told the best response; keeps those that SPCT's rejection
rules keep (arXiv 2504.02495, section 3.2). Every key of the YAML can be overridden on the command line. A run that was
stopped goes on where it was. In `out`: `store/` has every sample, `dataset/` the training rows with their card,
`report.json` what was kept and why the rest was not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from modeling_grm.data.filters import judgeable
from modeling_grm.data.preference import Preference, Report
from modeling_grm.data.reading import DataArguments, training_items
from modeling_grm.data.sampling import Samples, Tally, kept_rows, sampled
from modeling_grm.data.sampling_card import write_card
from modeling_grm.recipes import script
from modeling_grm.types_grm import InvalidInput, Prompt


@dataclass
class SampleArguments(DataArguments):
    """What is sampled from what; which rows: see `DataArguments`.

    Args:
        out: folder of the results.
        model: who judges: Hub id, folder, or the name that a server knows; the embedded judge if left out.
        backend: transformers, vllm, openai, or fake (random scores, for a smoke test).
        base_url: of the openai backend.
        concurrency: requests in flight, of the openai backend.
        dtype: of the others.
        batch_size: distinct prompts at work together.
        n_rft: non-hinted samples an item.
        hinted: also one sample an item whose prompt names the best response; items of one response have none.
        template: of items with two or more responses.
        single_template: of items with one.
        teacher_prompt: what the judge itself is asked with, for any number of responses, where that is another prompt
            than the training rows' (with a worked example, say): a template's name or text.
        constrain: scores makes a judgement that ended without readable scores write one more line, of scores only; none
            leaves it as it is, whatever the judge's own settings say.
        rejection: false keeps all judgements that can be read: an ablation, as `hinted: false` is one.
        principles: false leaves them out of the kept judgements, for a `template` that asks for none: an ablation, with
            `teacher_prompt` for the judge's own.
        temperature: of sampling; the paper does not state its own.
        top_p: nucleus mass.
        max_new_tokens: of one judgement.
        seed: of orders and samples.
    """

    out: str = "runs/sample"
    model: str | None = None
    backend: str = "transformers"
    base_url: str | None = None
    concurrency: int | None = None
    dtype: str | None = None
    batch_size: int | None = None
    n_rft: int = 3
    hinted: bool = True
    template: str = "deepseek-grm"
    single_template: str = "deepseek-grm-single"
    teacher_prompt: str | None = None
    constrain: str = "none"
    rejection: bool = True
    principles: bool = True
    temperature: float = 0.5
    top_p: float = 1.0
    max_new_tokens: int = 1024
    seed: int = 0

    def settings(self, template: str, k: int) -> dict[str, Any]:
        """Of a call of the pipeline."""
        names = ("temperature", "top_p", "max_new_tokens", "seed", "batch_size", "constrain")
        chosen = {name: getattr(self, name) for name in names}
        return chosen | {"template": self.teacher_prompt or template, "k": k}


def canned(prompt: Prompt) -> str:
    """The fake judge: random scores, one in ten unreadable; told the best response, it mostly agrees."""
    random, n = Random(f"{prompt.seed} {prompt.messages[-1]['content'][-40:]}"), len(prompt.order)
    scores = [random.randint(1, 10) for _ in range(n)]
    told = prompt.messages[-1]["content"].rpartition("The best response is: Response ")[2]
    if told.isdigit() and random.random() < 0.9:
        scores = [random.randint(1, 7) for _ in range(n)]
        scores[int(told) - 1] = 9
    said = ", ".join(map(str, scores)) if random.random() < 0.9 else "none"
    return f"Specific Criteria: chance (100%).\nAnalysis: the scores are random.\nScores: \\boxed{{{said}}}"


def judge(args: SampleArguments) -> Any:
    """The pipeline that judges."""
    from modeling_grm.loading import load
    from modeling_grm.pipeline_grm import RewardScoringPipeline

    if args.backend != "fake":
        options = {name: getattr(args, name) for name in ("base_url", "concurrency", "dtype")}
        return load(args.model, args.backend, **options)
    from modeling_grm.backends.fake import Fake

    return RewardScoringPipeline(Fake(canned))


def _check(pipe: Any, settings: dict[str, Any], item: Preference, _: str) -> None:
    pipe.check(item.request, **settings)


def rejected(
    pipe: Any, items: list[Preference], args: SampleArguments, report: Report, tally: Tally
) -> Iterator[dict[str, Any]]:
    """The training rows of all items; those of one response have a template and a store of their own.

    One pass after another, each from start to end: an engine in the process works on one call at a time.
    """
    kinds = (("free", args.template, False), ("single", args.single_template, True))
    for name, template, single in kinds:
        settings = args.settings(template, args.n_rft)
        mine = [item for item in items if (item.request.n == 1) == single]
        mine = list(judgeable(mine, partial(_check, pipe, settings), template, template, report)) if mine else []
        free = judged(pipe, mine, args, name, settings)
        hints = args.hinted and not single
        told = judged(pipe, mine, args, "hinted", settings | {"k": 1}) if hints else [()] * len(mine)
        for item, samples, hinted in zip(mine, free, told, strict=True):
            kept = {"rejection": args.rejection, "principles": args.principles}
            yield from kept_rows(item, samples, hinted, template, tally, **kept)


def judged(
    pipe: Any, items: list[Preference], args: SampleArguments, name: str, settings: dict[str, Any]
) -> list[Samples]:
    """Each item's samples, by way of the store of that name."""
    if not items:
        return []
    store = Path(args.out) / "store" / name
    made = sampled(pipe, items, store, args.backend, settings, hint=name == "hinted")
    return [samples for _, samples in progress(made, len(items), name)]


def name_of(pipe: Any) -> str:
    """The judge's Hub id, or its folder's name: a card is read on other machines."""
    name = str(getattr(pipe.model, "name_or_path", ""))
    return Path(name).name if Path(name).is_dir() else name


def progress(results: Iterable[Any], total: int, name: str) -> Iterator[Any]:
    """Says now and then how far it is."""
    for number, result in enumerate(results, 1):
        if number % max(1, total // 10) == 0:
            print(f"{name}: {number}/{total} items", file=sys.stderr, flush=True)
        yield result


def write(rows: list[dict[str, Any]], args: SampleArguments, said: dict[str, Any]) -> None:
    """The dataset folder with its card, and the report."""
    from datasets import Dataset

    folder = Path(args.out) / "dataset"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    write_card(folder, rows, said)


def run(args: SampleArguments) -> dict[str, Any]:
    """Everything; returns the report.

    Raises:
        InvalidInput: bad arguments or rows, or nothing was kept (the message has the counts).
    """
    if args.n_rft < 1:
        raise InvalidInput(f"n_rft: {args.n_rft!r} is not usable; give a whole number of samples, at least 1")
    report, tally, said = Report(), Tally(), dict[str, Any]()
    items = training_items(args, report, said)
    pipe = judge(args)
    rows = list(rejected(pipe, items, args, report, tally))
    report.check()
    said |= {"rows": report.to_dict(), "sampled": tally.to_dict(), "kept": len(rows)}
    said["settings"] = {**args.settings(args.template, args.n_rft), "single_template": args.single_template}
    said["judge"] = {"model": name_of(pipe), "backend": args.backend, "hinted": args.hinted}
    said["judge"] |= {"rejection": args.rejection, "principles": args.principles}
    Path(args.out).mkdir(parents=True, exist_ok=True)
    (Path(args.out) / "report.json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if not rows:
        raise InvalidInput(f"samples: none was kept: {json.dumps(said['sampled'])}; see {args.out}/report.json")
    write(rows, args, said)
    return said


def main(args: SampleArguments) -> None:
    """Sample, and say what was kept."""
    said = run(args)
    print(json.dumps({"sampled": said["sampled"], "kept": said["kept"], "out": args.out}, indent=2))


if __name__ == "__main__":
    script(main, SampleArguments)
