"""EvalBiasBench (arXiv 2407.06551): 80 pairs in which a bias of judges speaks for the wrong response.

    {"length bias": [{"bias": "length bias", "instruction": "...", "response1": "...", "response2": "...", "label": 1}]}

Follows `run_bench.py`: both orders; per type `single_accuracy` over both, `pair_accuracy` where both are right; a tie
and what cannot be read are wrong, two ties agree. No figure over all types is computed there: the headline, the mean of
the six types' single accuracies, is ours (which one the paper names is not verified). In the file response1 is always
the right one, so here the order is drawn by the row. One item is 6 to 8 points of its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..types_grm import InvalidInput
from .base import Benchmark, Item, Judged, Record, Source
from .llmbar import agreement
from .making import content_id, pair
from .metrics import by_subset, cells, mean, report, strict, values

TYPES = {
    "length bias": 17,
    "concreteness": 14,
    "empty reference": 13,
    "content_continuation": 12,
    "nested_instruction": 12,
    "familiar knowledge preference bias": 12,
}
COMMIT = "a1344b20d727d91f262b515a5fd34b89e7b0218f"


def items(record: Record, source: Source) -> Iterable[Item]:
    """One pair. The rows are named by their content: they have no ids."""
    if record["label"] not in (1, 2):
        raise InvalidInput(f"label: {record['label']!r} is not usable; give 1 or 2")
    responses = [record["response1"], record["response2"]]
    name = content_id(record["instruction"], *responses)
    chosen, rejected = responses if record["label"] == 1 else responses[::-1]
    return [pair(f"{record['bias']}/{name}", record["instruction"], chosen, rejected, record["bias"])]


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean of the six types' single accuracies."""
    subsets = cells(by_subset(judged), strict)
    value = mean(values(subsets).values())
    return report(
        judged,
        "mean of six types",
        value,
        strict=value,
        sections=agreement(judged, ties_agree=True),
        subsets=subsets,
        notes=["a tie is wrong", "12 to 17 pairs a type"],
    )


EVALBIASBENCH = Benchmark(
    name="evalbiasbench",
    hub_id=(),
    rows=80,
    metric="mean of six types' accuracies",
    source="https://arxiv.org/abs/2407.06551, https://github.com/ncsoft/offsetbias",
    licence="BSD-3-Clause",
    gated=False,
    sources=(
        Source(
            None,
            "",
            ("offsetbias/data/evalbiasbench/biasbench", "data/evalbiasbench/biasbench", "biasbench", "evalbiasbench"),
            ("bias", "instruction", "response1", "response2", "label"),
            url=f"https://raw.githubusercontent.com/ncsoft/offsetbias/{COMMIT}/data/evalbiasbench/biasbench.json",
            name="biasbench",
        ),
    ),
    items=items,
    official=official,
    subsets=tuple(TYPES),
    both_orders=True,
    where="git clone https://github.com/ncsoft/offsetbias, and name that folder",
)
