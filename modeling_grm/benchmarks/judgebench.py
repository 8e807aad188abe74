"""JudgeBench (arXiv 2410.12784): pairs of a right and a wrong answer of one model, judged in both orders.

    {"pair_id": "e302..", "source": "mmlu-pro-law", "question": "...", "response_model": "gpt-4o-2024-05-13",
     "response_A": "...", "response_B": "...", "label": "A>B"}

Follows `utils/metrics.py`: each order's decision is +1 if right, -1 if wrong, 0 for a tie or none; a pair is right
where the sum is above 0. So right and tied counts, right and wrong does not. A judge whose vote does not depend on the
order decides alike in both and needs one. The two splits are never merged: the headline is the pairs of GPT-4o, the
other split is a section. `run_judge.py` groups by the beginning of `source`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..types_grm import InvalidInput, Request
from .base import Benchmark, Item, Judged, Record, Source
from .making import kept
from .metrics import cell, groups, mean, report, values

LABELS = {"A>B": [1.0, 0.0], "B>A": [0.0, 1.0]}
KINDS = ("mmlu-pro", "livebench-reasoning", "livebench-math", "livecodebench")
SPLITS = {"gpt": "gpt-4o-2024-05-13", "claude": "claude-3-5-sonnet-20240620"}


def items(record: Record, source: Source) -> Iterable[Item]:
    """One pair, A first."""
    kind = next((kind for kind in KINDS if str(record["source"]).startswith(kind)), None)
    if kind is None or record["label"] not in LABELS:
        raise InvalidInput(f"source: {record['source']!r} with label {record['label']!r} is not known")
    request = Request(record["question"], [record["response_A"], record["response_B"]])
    facts = {"split": source.name, "source": record["source"]}
    name = f"{source.name}/{record['pair_id']}"
    return [kept(name, request, LABELS[record["label"]], f"{source.name}/{kind}", **facts)]


def decision(judged: Judged) -> int:
    """+1 right, -1 wrong, 0 a tie or nothing to read."""
    highest = judged.chosen
    if len(highest) != 1:
        return 0
    return 1 if highest[0] == judged.item.best else -1


def right(orders: Sequence[Judged]) -> float:
    """Whether a pair is right, from one order or from both."""
    return float(sum(map(decision, orders)) > 0)


def _share(judged: Sequence[Judged]) -> dict[str, Any]:
    pairs = groups(judged, lambda one: one.item.unit)
    return cell(mean(map(right, pairs.values())), len(pairs))


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The share of right pairs among those of GPT-4o."""
    sections = {name: _share(group) for name, group in groups(judged, lambda one: one.item.meta["split"]).items()}
    value = values(sections).get("gpt")
    return report(
        judged,
        "right pairs of GPT-4o",
        value,
        strict=value,
        sections=sections,
        subsets={name: _share(group) for name, group in groups(judged, lambda one: one.item.subset).items()},
        notes=["a tie is wrong, unless the other order is right; the splits are never merged"],
    )


JUDGEBENCH = Benchmark(
    name="judgebench",
    hub_id=("ScalerLab/JudgeBench",),
    rows=620,
    metric="share of pairs of GPT-4o that are right over both orders (Claude's apart)",
    source="https://arxiv.org/abs/2410.12784, https://github.com/ScalerLab/JudgeBench",
    licence="MIT",
    gated=False,
    sources=tuple(
        Source(
            "ScalerLab/JudgeBench",
            split,
            (
                *(f"{folder}data/dataset=judgebench,response_model={model}" for folder in ("JudgeBench/", "")),
                *(f"JudgeBench/data/{split}", f"judgebench/{split}", f"data/{split}", f"judgebench-{split}"),
            ),
            ("pair_id", "source", "question", "response_A", "response_B", "label"),
            name=split,
        )
        for split, model in SPLITS.items()
    ),
    items=items,
    official=official,
    subsets=tuple(f"{split}/{kind}" for split in SPLITS for kind in KINDS),
    both_orders=True,
)
