"""PPE Human Preference (arXiv 2410.14872): 16,038 pairs of arena answers with the vote of the person who asked.

    {"question_id": "9f..", "prompt": "Write a haiku", "response_1": "...", "response_2": "...", "winner": "model_b",
     "model_a": "gemma-2-9b-it", "model_b": "claude-3-haiku", "language": "English", "hard_prompt": false, ...}

Follows `utils/scorers.py` and `llm_judge/`, as read in a copy of the repository (github.com/lmarena/PPE itself was not
at hand):

- rows whose winner contains "tie" do not count for the accuracy, nor for our own figures;
- a judge's tie, and what cannot be read, leave the mean too: a judge that ties often looks better. `strict` counts them
  as wrong;
- for a scalar model the code takes model_b on a tie: the section "as a scalar model";
- the 20 models are ranked by Bradley-Terry, once by the person and once by the judge, over all rows that the judge
  decided, the person's ties among them: Spearman's and Kendall's correlation of both rankings.

Not verified: that a person's tie is half a win for each model, and that papers quote the accuracy over all rows. Left
out, since how they are computed is not known well enough: the row-wise Pearson correlation of the tables of win rates,
confidence agreement, separability and the Brier score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..types_grm import InvalidInput, Request
from .base import Benchmark, Item, Judged, Record, Source
from .making import kept
from .metrics import by_subset, cell, cells, mean, report, strict
from .ranking import Game, agreement, ranking

CATEGORIES: dict[str, Callable[[Record], bool]] = {
    "hard": lambda record: bool(record.get("hard_prompt")),
    "easy": lambda record: bool(record.get("easy_prompt")),
    "if": lambda record: bool(record.get("if_prompt")),
    "code": lambda record: bool(record.get("is_code")),
    "math": lambda record: bool(record.get("math_prompt")),
    "shorter won": lambda record: str(record.get("longer_won")) == "False",  # the column holds texts
    "similar responses": lambda record: (record.get("sim") or 0.0) > 0.80,
    "english": lambda record: record.get("language") == "English",
    "non-english": lambda record: record.get("language") not in (None, "English"),
    "chinese": lambda record: record.get("language") == "Chinese",
    "russian": lambda record: record.get("language") == "Russian",
}
LANGUAGES = ("English", "Chinese", "Russian")
OTHER = "other languages"
WINNERS = {"model_a": [1.0, 0.0], "model_b": [0.0, 1.0]}
TIED = [0.5, 0.5]


def items(record: Record, source: Source) -> Iterable[Item]:
    """One pair, response_1 first, with two labels of 0.5 where the person called it a tie; subsets are languages."""
    winner = str(record["winner"])
    labels = TIED if "tie" in winner else WINNERS.get(winner)
    if labels is None:
        raise InvalidInput(f"winner: {winner!r} is not usable; give model_a, model_b or a tie")
    language = record.get("language")
    facts = {
        "by_response_model": [record.get("model_a"), record.get("model_b")],
        "categories": [name for name, belongs in CATEGORIES.items() if belongs(record)],
    }
    request = Request(record["prompt"], [record["response_1"], record["response_2"]])
    subset = language if language in LANGUAGES else OTHER
    return [kept(str(record["question_id"]), request, labels, subset, **facts)]


def verdict(judged: Judged) -> float | None:
    """1 right, 0 wrong; None on a tie or without scores, which leaves the mean (`llm_judge/`)."""
    highest = judged.chosen
    return float(highest == (judged.item.best,)) if len(highest) == 1 else None


def scalar(judged: Judged) -> float | None:
    """The same where the second response wins a tie (`HumanPreferenceScorer`)."""
    highest = judged.chosen
    return float(highest[-1] == judged.item.best) if highest else None


def rankings(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """How the judge's ranking of the models agrees with the people's, over the rows that the judge decided."""
    rows = [one for one in judged if len(one.chosen) == 1 and None not in one.item.meta["by_response_model"]]
    people = ranking(_game(one, (one.item.labels or TIED)[0]) for one in rows)
    judges = ranking(_game(one, float(one.chosen == (0,))) for one in rows)
    return {f"ranking of models: {name}": cell(value, len(rows)) for name, value in agreement(people, judges).items()}


def _game(one: Judged, share: float) -> Game:
    first, second = one.item.meta["by_response_model"]
    return first, second, share


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The accuracy over the pairs in which both the person and the judge decided."""
    ranked = rankings(judged)
    judged = [one for one in judged if one.item.best is not None]
    grouped = {name: [one for one in judged if name in one.item.meta["categories"]] for name in CATEGORIES}
    sections = cells({name: group for name, group in grouped.items() if group}, verdict)
    return report(
        judged,
        "accuracy",
        mean(map(verdict, judged)),
        strict=mean(map(strict, judged)),
        sections=sections | {"as a scalar model": cell(mean(map(scalar, judged)), len(judged))} | ranked,
        subsets=cells(by_subset(judged), verdict),
        notes=["the judge's ties and unreadable verdicts leave the mean, as in the official code for judges"],
    )


PPE_PREFERENCE = Benchmark(
    name="ppe-preference",
    hub_id=("lmarena-ai/PPE-Human-Preference-V1",),
    rows=16038,
    metric="accuracy on pairs that are no tie",
    source="https://arxiv.org/abs/2410.14872, https://github.com/lmarena/PPE",
    licence="prompts CC BY 4.0; answers under their providers' terms",
    gated=False,
    sources=(
        Source(
            "lmarena-ai/PPE-Human-Preference-V1",
            "test",
            (
                *("PPE-Human-Preference-V1/data/test", "ppe-preference/data/test", "data/test"),
                *("PPE-Human-Preference-V1", "ppe-preference"),
            ),
            ("question_id", "prompt", "response_1", "response_2", "winner"),
        ),
    ),
    items=items,
    official=official,
    subsets=(*LANGUAGES, OTHER),
)
