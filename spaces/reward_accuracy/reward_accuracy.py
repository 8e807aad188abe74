"""Reward accuracy: how often a reward model's scores put the preferred response first, with ties, gaps and intervals.

    compute(predictions=[[3, 1], [2, 2]], references=[0, 1])
    -> accuracy 0.75, strict_accuracy 0.5, tie_rate 0.5, answered 0.75, coverage 1.0, ...

Stands alone: numpy, datasets and evaluate are all it needs.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """
Reward accuracy says how often a reward model gives the preferred one of n responses the highest score. A tie of m for
the highest counts 1/m where the preferred response is among them: the expected credit of a random tie-break. Counted
wrong instead, it gives the strict accuracy. An item without scores is an abstention: wrong, and reported as coverage.
"""
_KWARGS_DESCRIPTION = """
Args:
    predictions: one list of scores an item, in the order of its responses; an empty list is an abstention. Items may
        have different numbers of responses.
    references: the index of the preferred response of each item, counted from 0.
    subsets: the subset of each item; each gets the same figures under its name.
    resamples: of the bootstrap over items (default 1000).
    seed: of the bootstrap (default 0).
Returns:
    accuracy: mean credit, with `low` and `high`, its 95% bootstrap interval over items.
    strict_accuracy: ties with the preferred response are wrong.
    answered: accuracy on the items with scores; None where there are none.
    coverage: share of the items with scores.
    tie_rate: share of the items with scores whose highest score is shared; None where there are none.
    items: how many there are.
    subsets: the same figures for each subset, where subsets were given.
Examples:
    >>> metric = evaluate.load("./spaces/reward_accuracy")
    >>> found = metric.compute(predictions=[[3, 1], [2, 2]], references=[0, 1])
    >>> found["accuracy"], found["strict_accuracy"]
    (0.75, 0.5)
"""
_CITATION = """
@article{liu2025inference,
    title={Inference-Time Scaling for Generalist Reward Modeling},
    author={Zijun Liu and Peiyi Wang and Runxin Xu and Shirong Ma and Chong Ruan and Peng Li and Yang Liu and Yu Wu},
    journal={arXiv preprint arXiv:2504.02495},
    year={2025}
}
"""
TAILS = (0.025, 0.975)
Z = 1.959964  # the normal distribution's 97.5% point
CELLS = 2**22  # how many draws are held at once
COLUMNS = ("credit", "strict", "answered", "tied")


def row(scores: Any, best: int) -> list[float]:
    """[credit, strict, answered, tied] of one item.

    Raises:
        ValueError: a score that is no number, or a `best` that is no response's index.
    """
    scores = [float(score) for score in scores]
    if best < 0 or (scores and best >= len(scores)):
        raise ValueError(f"references: {best} is none of {len(scores)} responses, counted from 0")
    if not scores:
        return [0.0, 0.0, 0.0, 0.0]
    if not np.isfinite(scores).all():
        raise ValueError(f"predictions: {scores} holds a score that is no finite number; give [] for an abstention")
    highest = [at for at, score in enumerate(scores) if score == max(scores)]
    right = float(best in highest)
    return [right / len(highest), right * (len(highest) == 1), 1.0, float(len(highest) > 1)]


def interval(credit: Any, resamples: int, seed: int) -> tuple[float, float]:
    """95% percentile bootstrap over items; Wilson's interval where every item is right, or every one wrong."""
    items, share = len(credit), float(credit.mean())
    if share in (0.0, 1.0):
        return wilson(share, items)
    rng, means = np.random.default_rng(seed), []
    step = max(1, CELLS // items)
    for start in range(0, resamples, step):
        picks = rng.integers(0, items, (min(step, resamples - start), items))
        means.append(credit[picks].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), TAILS)
    return float(low), float(high)


def wilson(share: float, items: int) -> tuple[float, float]:
    """95% score interval of a share (Wilson 1927)."""
    spread = Z * np.sqrt(share * (1 - share) / items + Z**2 / (4 * items**2))
    middle, scale = share + Z**2 / (2 * items), 1 + Z**2 / items
    return max(0.0, float((middle - spread) / scale)), min(1.0, float((middle + spread) / scale))


def figures(rows: Any, resamples: int, seed: int) -> dict[str, Any]:
    """What is said of some items, given as rows of `COLUMNS`."""
    credit, strict, answered, tied = rows.T
    low, high = interval(credit, resamples, seed)
    given = float(answered.sum())
    return {
        "accuracy": float(credit.mean()),
        "low": low,
        "high": high,
        "strict_accuracy": float(strict.mean()),
        "answered": float(credit.sum()) / given if given else None,
        "coverage": float(answered.mean()),
        "tie_rate": float(tied.sum()) / given if given else None,
        "items": len(rows),
    }


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class RewardAccuracy(evaluate.Metric):
    """Accuracy of the highest score, with ties, abstentions and intervals."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Value("int64")}
            ),
            reference_urls=["https://arxiv.org/abs/2504.02495"],
        )

    def _compute(
        self, predictions: Any, references: Any, subsets: Any = None, resamples: int = 1000, seed: int = 0
    ) -> dict[str, Any]:
        rows = np.array([row(*pair) for pair in zip(predictions, references, strict=True)])
        found = figures(rows, resamples, seed)
        if subsets is None:
            return found
        if len(subsets) != len(rows):
            raise ValueError(f"subsets: {len(subsets)} given for {len(rows)} items; give one an item")
        names = np.array([str(name) for name in subsets])
        return found | {
            "subsets": {str(name): figures(rows[names == name], resamples, seed) for name in np.unique(names)}
        }
