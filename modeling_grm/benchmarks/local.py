"""Files of the project's own row schema that no Hub id gives, each with a plain metric.

    {"id": "gsm8k-0", "subset": "gsm8k", "conversation": [...], "responses": [...], "labels": [1, 0, 0, 0], ...}

Lists: the mean label of the response that scores highest, beside what chance and the best choice would get; rows whose
responses have one label are left out. Single responses: ROC-AUC of the right against the wrong ones, or the rank
correlation with a rating. A response that ties for the highest is chosen at random, in expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..rows import Row
from .base import Benchmark, Item, Judged, Record, Source
from .making import from_row, row_items
from .metrics import Singles, by_subset, cell, cells, expected, mean, pearson, report, spearman, strict
from .realmistake import strict_auc

CREDIT = partial(expected, unread=0.0)


def best_of_n(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean label of what the scores choose; an abstention is wrong."""
    labels = [one.item.labels or (0.0,) for one in judged]
    chance, best = mean(mean(one) for one in labels), mean(max(one) for one in labels)
    return report(
        judged,
        "mean label of the choice",
        mean(map(CREDIT, judged)),
        strict=mean(map(strict, judged)),
        sections={"by chance": cell(chance, len(judged)), "best possible": cell(best, len(judged))},
        subsets=cells(by_subset(judged), CREDIT),
        notes=[
            "a tie counts as a random choice in expectation, an abstention as wrong",
            "rows whose responses all have one label are left out",
        ],
    )


def correctness(judged: Sequence[Judged]) -> dict[str, Any]:
    """ROC-AUC over all rows together."""
    return report(
        judged,
        "ROC-AUC",
        Singles.of(judged).auc,
        strict=strict_auc(judged),
        subsets={name: cell(Singles.of(group).auc, len(group)) for name, group in by_subset(judged).items()},
        notes=["what could not be read is left out; `strict` counts every comparison with it as lost"],
    )


def ratings(judged: Sequence[Judged]) -> dict[str, Any]:
    """Spearman's rank correlation of scores and ratings over all rows together."""
    found = Singles.of(judged)
    return report(
        judged,
        "Spearman",
        spearman(found.scores, found.labels),
        sections={"Pearson": cell(pearson(found.scores, found.labels), len(judged))},
        subsets={name: cell(_correlation(group), len(group)) for name, group in by_subset(judged).items()},
        notes=["what could not be read is left out"],
    )


def _correlation(group: Sequence[Judged]) -> float | None:
    found = Singles.of(group)
    return spearman(found.scores, found.labels)


def rated_items(row: Row, record: Record) -> Iterable[Item]:
    """One response with a rating from 1 to 5."""
    return [from_row(row, record, low=1, high=5)]


def no_items(record: Record, source: Source) -> Iterable[Item]:
    """There are no rows with other columns than ours."""
    return []


class Kind(NamedTuple):
    """A metric, what it is called in the table, and what makes items for it."""

    metric: str
    official: Callable[[Sequence[Judged]], dict[str, Any]]
    items: Callable[[Row, Record], Iterable[Item]] = row_items


BEST = Kind("accuracy of the highest, ties in expectation", best_of_n)
RIGHT = Kind("ROC-AUC of right against wrong responses", correctness)
RATED = Kind("Spearman correlation with the rating", ratings, rated_items)

FILES = (
    ("pandalm", "pandalm_test", 999, BEST, "https://github.com/WeOpenML/PandaLM", "Apache-2.0"),
    ("autoj", "autoj_pairwise", 1392, BEST, "https://github.com/GAIR-NLP/auto-j", "none stated"),
    ("alpacaeval-pairs", "rewardbench_style_alpacaeval_proxy", 2412, BEST, "AlpacaEval outputs", "CC BY-NC 4.0"),
    ("alpacaeval-best-of-11", "alpacaeval_bon11_tulu2", 805, BEST, "AlpacaEval, Tulu 2 13B", "CC BY-NC 4.0"),
    ("gsm8k-best-of-4", "gsm8k_best_of_4", 1319, BEST, "https://github.com/openai/grade-school-math", "MIT"),
    ("math-best-of-8", "math_best_of_8_qwen", 100, BEST, "https://github.com/QwenLM/Qwen2.5-Math", "MIT (problems)"),
    ("bigbench-mistake", "bigbench_mistake", 2186, RIGHT, "https://github.com/WHGTyen/BIG-Bench-Mistake", "Apache-2.0"),
    ("processbench", "processbench_partial", 3400, RIGHT, "https://arxiv.org/abs/2412.06559", "Apache-2.0"),
    ("prometheus", "prometheus_absolute", 640, RATED, "https://arxiv.org/abs/2310.08491", "Apache-2.0"),
)

LOCAL = tuple(
    Benchmark(
        name=name,
        hub_id=(),
        rows=rows,
        metric=kind.metric,
        source=source,
        licence=licence,
        gated=False,
        sources=(),
        items=no_items,
        official=kind.official,
        local=(file,),
        local_items=kind.items,
        where=f"name a folder that holds {file}.jsonl.gz",
    )
    for name, file, rows, kind, source, licence in FILES
)
