"""ReaLMistake (arXiv 2404.03602): single responses of two models to three tasks; does it hold an error?

    {"input": "...", "llm_response": "...", "error_label": "no_error", "metadata": {"id": "..", "task_name": ".."}, ..}

The official code (`src/error_detection_analysis/calculate_performance.py`) scores yes / no verdicts: accuracy,
precision, recall and F1 of "error" in six cells, task x model of the response. A judge that gives scores has no
verdict, so the figure here is the one without a threshold: ROC-AUC, the chance that a response without an error scores
above one with an error, mean of the six cells. What the SPCT paper (arXiv 2504.02495) averages over is not verified.
`strict` counts every comparison with a response that could not be read as lost.

The dataset is gated, and its authors ask that no row appears in plain text in public.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..types_grm import InvalidInput, Request
from .base import Benchmark, Item, Judged, Record, Source
from .making import kept
from .metrics import Singles, by_subset, cell, mean, report, values

HUB = "ryokamoi/realmistake"
TASKS = ("math_word_problem_generation", "finegrained_fact_verification", "answerability_classification")
MODELS = {"gpt4": "gpt-4-0613", "llama2": "Llama-2-70b-chat-hf"}
LABELS = {"no_error": 1.0, "error": 0.0}


def items(record: Record, source: Source) -> Iterable[Item]:
    """One response; label 1 has no error."""
    if record["error_label"] not in LABELS:
        raise InvalidInput(f"error_label: {record['error_label']!r} is not usable; give {' or '.join(LABELS)}")
    request = Request(record["input"], [record["llm_response"]])
    return [kept(f"{source.name}/{record['metadata']['id']}", request, [LABELS[record["error_label"]]], source.name)]


def strict_auc(judged: Sequence[Judged]) -> float | None:
    """ROC-AUC in which every comparison with an unread response is lost; None without both kinds."""
    found = Singles.of(judged)
    right = sum(one.item.labels == (1.0,) for one in judged)
    wrong = len(judged) - right
    read = sum(label == 1 for label in found.labels)
    if not right or not wrong:
        return None
    return (found.auc or 0.0) * read * (len(found.labels) - read) / (right * wrong)


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean of the cells' ROC-AUC."""
    grouped = by_subset(judged)
    subsets = {name: cell(Singles.of(group).auc, len(group)) for name, group in grouped.items()}
    return report(
        judged,
        "mean ROC-AUC of six cells",
        mean(values(subsets).values()),
        strict=mean(map(strict_auc, grouped.values())),
        sections={"all rows together": cell(Singles.of(judged).auc, len(judged))},
        subsets=subsets,
        notes=["the official figures are accuracy, precision, recall and F1 of verdicts; scores have no threshold"],
    )


REALMISTAKE = Benchmark(
    name="realmistake",
    hub_id=(HUB,),
    rows=900,
    metric="ROC-AUC of correct against faulty responses, mean of six cells",
    source="https://arxiv.org/abs/2404.03602, https://github.com/psunlpgroup/ReaLMistake",
    licence="CC BY-SA 4.0; AQuA, WiCE, HotpotQA and Wikipedia terms",
    gated=True,
    sources=tuple(
        Source(
            HUB,
            split,
            (f"realmistake/{task}/{split}", f"{task}/{split}", f"**/{task}/{model}", f"realmistake-{task}-{split}"),
            ("input", "llm_response", "error_label", "metadata"),
            config=task,
            name=f"{task}/{model}",
        )
        for task in TASKS
        for split, model in MODELS.items()
    ),
    items=items,
    official=official,
    subsets=tuple(f"{task}/{model}" for task in TASKS for model in MODELS.values()),
)
