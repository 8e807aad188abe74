"""LLMBar (arXiv 2310.07641): pairs in which one response follows the instruction and the other only looks better.

    {"input": "Identify the country ...", "output_1": "According to ...", "output_2": "It is India.", "label": 2}

Follows `LLMEvaluator/evaluate.py`: a subset's accuracy is the mean of both orders' (`correct_average`); for evaluators
that rate, as here, two equal ratings and an unreadable one give one order right and the other wrong, so 0.5, and no
agreement. `correct_both` and `equal` (the share of pairs decided alike) are sections where both orders were judged. The
headline, the mean of the five subsets, and the adversarial mean are the paper's and not in the code (not verified). The
kappas in the official `statistics.json` are wrong (they look for "0" and "1" where winners are "1" and "2") and are not
here.

The Hub's copy is a loading script, which `datasets` no longer runs; rows come from the repository. All of it is also in
RewardBench's Chat Hard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from ..types_grm import InvalidInput, Request
from .base import Benchmark, Item, Judged, Record, Source
from .making import content_id, kept
from .metrics import by_subset, cell, cells, expected, groups, mean, report, strict, values

FOLDERS = {
    "Natural": "Natural",
    "Adversarial_Neighbor": "Adversarial/Neighbor",
    "Adversarial_GPTInst": "Adversarial/GPTInst",
    "Adversarial_GPTOut": "Adversarial/GPTOut",
    "Adversarial_Manual": "Adversarial/Manual",
}
REPOSITORY = "https://raw.githubusercontent.com/princeton-nlp/LLMBar/caa7bee794bfed74baed038b99229fa3f0c4c511"
LABELS = {1: [1.0, 0.0], 2: [0.0, 1.0]}
CREDIT = partial(expected, unread=0.5)


def items(record: Record, source: Source) -> Iterable[Item]:
    """One pair, output_1 first. The rows are named by their content: they have no ids."""
    if record["label"] not in LABELS:
        raise InvalidInput(f"label: {record['label']!r} is not usable; give 1 or 2")
    name = content_id(record["input"], record["output_1"], record["output_2"])
    request = Request(record["input"], [record["output_1"], record["output_2"]])
    return [kept(f"{source.name}/{name}", request, LABELS[record["label"]], source.name)]


def pairs_in_both_orders(judged: Iterable[Judged]) -> list[tuple[Judged, Judged]]:
    """The pairs of which both orders were judged."""
    found = groups(judged, lambda one: one.item.unit).values()
    return [(group[0], group[1]) for group in found if len(group) == 2]


def _winners(judged: Judged) -> list[int]:
    """The places of the highest, in the row's own order."""
    return sorted(1 - at if judged.item.meta.get("swapped") else at for at in judged.chosen)


def agreement(judged: Sequence[Judged], ties_agree: bool = False) -> dict[str, dict[str, Any]]:
    """What both orders say together; nothing where only one was judged.

    Two verdicts that cannot be read do not agree; two ties do if `ties_agree`.
    """
    pairs = pairs_in_both_orders(judged)
    if not pairs:
        return {}
    both = mean(strict(one) * strict(other) for one, other in pairs)
    alike = [_winners(one) for one, other in pairs if _winners(one) == _winners(other)]
    equal = sum(len(winners) == 1 or (ties_agree and len(winners) == 2) for winners in alike) / len(pairs)
    return {"right in both orders": cell(both, len(pairs)), "same in both orders": cell(equal, len(pairs))}


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean of the five subsets' accuracies."""
    grouped = by_subset(judged)
    subsets = cells(grouped, CREDIT)
    hard = {name: value for name, value in values(subsets).items() if name != "Natural"}
    rows = sum(len(grouped[name]) for name in hard)
    missing = [name for name in FOLDERS if name not in subsets]
    return report(
        judged,
        "mean of five subsets",
        mean(values(subsets).values()),
        strict=mean(values(cells(grouped, strict)).values()),
        sections={"Adversarial": cell(mean(hard.values()), rows)} | agreement(judged),
        subsets=subsets,
        notes=([f"without {', '.join(missing)}"] if missing else [])
        + ["a tie or an unreadable verdict counts 0.5, as for the official evaluators that rate"],
    )


LLMBAR = Benchmark(
    name="llmbar",
    hub_id=("princeton-nlp/LLMBar",),
    rows=419,
    metric="mean of five subsets' accuracies",
    source="https://arxiv.org/abs/2310.07641, https://github.com/princeton-nlp/LLMBar",
    licence="MIT",
    gated=False,
    sources=tuple(
        Source(
            None,
            "",
            (
                *(f"{start}Dataset/LLMBar/{folder}/dataset" for start in ("LLMBar/", "")),
                *(f"llmbar/{name}", f"llmbar-{name}"),
            ),
            ("input", "output_1", "output_2", "label"),
            name=name,
            url=f"{REPOSITORY}/Dataset/LLMBar/{folder}/dataset.json",
        )
        for name, folder in FOLDERS.items()
    ),
    items=items,
    official=official,
    subsets=tuple(FOLDERS),
    both_orders=True,
    where="git clone https://github.com/princeton-nlp/LLMBar, and name that folder",
)
