"""What the judge said as a page: facts for the templates, which escape every text that they are given.

    Watched(asked).add(step).html()

Texts of visitors and of models are hostile: nothing here makes HTML but the templates, whose autoescape is on. Knows
nothing about Gradio or models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asked import Asked
from charts import bounds, growth, half_width, histogram, scaling
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modeling_grm.parsing_grm import remap_mentions

HERE = Path(__file__).resolve().parent
PAGES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
EXCERPT = 110
LONG = 900  # characters of a judgement that are shown at once
OUTCOMES = {
    "ok": "readable",
    "truncated": "cut off: the token budget ran out",
    "no_scores": "no scores found",
    "wrong_count": "wrong number of scores",
    "out_of_range": "a score off the scale",
    "engine_error": "the engine failed",
}
STOPPED = {
    "certain": "stopped early: more samples would hardly change the winner",
    "calibrated": "stopped early: the margin is wide enough",
    "settled": "stopped early: the rest cannot change the winner",
    "k_max": "all samples drawn: the vote did not become safe before",
    "time": "stopped: the time for one question is up",
}


def page(template: str, /, **facts: Any) -> str:
    """A template filled in, every text escaped."""
    return PAGES.get_template(template).render(**facts)


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


@dataclass
class Watched:
    """A question and what has been said of it so far; one visitor's, kept nowhere else."""

    asked: Asked
    result: dict[str, Any] = field(default_factory=dict)
    finished: list[int] = field(default_factory=list)
    first_seconds: float | None = None

    def add(self, step: Mapping[str, Any]) -> Watched:
        """Take in one step of `Judge.steps`."""
        self.result = dict(step)
        if step["latest"] is not None:
            self.finished.append(step["latest"])
        if self.first_seconds is None:
            self.first_seconds = step["seconds"]
        return self

    @property
    def n(self) -> int:
        """How many responses there are."""
        return len(self.asked.responses)

    @property
    def samples(self) -> list[dict[str, Any]]:
        """In the order in which they ended."""
        by_number = {sample["sample"]: sample for sample in self.result.get("samples", ())}
        return [by_number[number] for number in self.finished]

    def json(self) -> str:
        """The result as JSON, for reading."""
        hidden = ("latest", "done")
        shown = {name: value for name, value in self.result.items() if name not in hidden}
        return json.dumps(shown, indent=2, ensure_ascii=False)

    def html(self) -> str:
        """The whole of it."""
        samples = self._samples()
        voted = [sample["scores"] for sample in samples if sample["votes"]]
        out = [sample["scores"] for sample in samples if not sample["votes"]]
        return page(
            "result.html.jinja",
            headline=self._headline(),
            detail=self._detail(),
            done=self.result.get("done", False),
            percent=100 if self.result.get("done") else round(100 * len(samples) / self.asked.k),
            facts=self._facts(),
            responses=[self._response(at, voted, out) for at in range(self.n)],
            growth=growth([sample["scores"] for sample in samples], self.n, self._planned()),
            samples=samples,
        )

    def _planned(self) -> int:
        """Samples that the picture has room for; an adaptive one grows by whole rotations."""
        if not self.asked.adaptive:
            return self.asked.k
        rotations = -(-max(1, len(self.finished)) // self.n)
        return min(self.asked.k, max(4, rotations * self.n))

    def _headline(self) -> str:
        best, scores = self.result.get("best"), self.result.get("scores")
        if not self.result:
            return "The judge is reading"
        if not self.result["done"]:
            return f"Response {best + 1} is ahead" if best is not None else "Nobody is ahead yet"
        if scores is None:
            return "No verdict"
        return f"Response {best + 1} wins" if best is not None else "A tie"

    def _detail(self) -> str:
        k, most = len(self.finished), self.asked.k
        if not self.result:
            return f"up to {most} judgements, each in another order" if most > 1 else "one judgement"
        if not self.result["done"]:
            return f"{k} of {'at most ' if self.asked.adaptive else ''}{most} judgements"
        parts = [f"{self.result['n_valid']} of {k} judgements readable"]
        if self.result["scores"] is None:
            parts.append(self.result.get("abstained") or "below the quorum, so there is no score")
        left_out = self.result["n_valid"] - len(self.result["voters"])
        if left_out and self.result["scores"] is not None:
            parts.append(f"{left_out} discarded by the meta RM")
        if self.result.get("stopped"):
            parts.append(STOPPED.get(self.result["stopped"], self.result["stopped"]))
        return "; ".join(parts)

    def _facts(self) -> list[tuple[str, str, str]]:
        """(name, value, what it means)."""
        samples, sure = self.samples, self.result.get("confidence") or {}
        tokens = sum(sample["completion_tokens"] for sample in samples)
        return [
            ("Confidence", *_confidence(sure)),
            ("Margin", _margin(sure), "points between the first two, ± its standard error"),
            ("Tokens written", f"{tokens:,}" if tokens else "–", "over all judgements"),
            ("First judgement", _seconds(self.first_seconds), "after the judge began to read"),
            ("Time", _seconds(self.result.get("seconds")), "of the judge, without the queue"),
        ]

    def _response(self, at: int, voted: Sequence[Any], out: Sequence[Any]) -> dict[str, Any]:
        scores = self.result.get("scores")
        mean = scores[at] if scores else None
        own = [sample[at] for sample in voted]
        interval = None if mean is None else bounds(mean, half_width(own))
        return {
            "text": excerpt(self.asked.responses[at]),
            "mean": mean,
            "interval": interval,
            "best": self.result.get("best") == at,
            "histogram": histogram(voted, out, at),
        }

    def _samples(self) -> list[dict[str, Any]]:
        voters = {self.result["samples"][place]["sample"] for place in self.result.get("voters", ())}
        return [self._sample(sample, sample["sample"] in voters) for sample in self.samples]

    def _sample(self, sample: Mapping[str, Any], votes: bool) -> dict[str, Any]:
        said, order = sample["text"].strip(), sample["order"]
        parts = [(name, sample[name]) for name in ("principles", "analysis") if sample[name]]
        whole = parts if sample["scores"] and parts else [("text", sample["error"] or said or "(nothing was written)")]
        return {
            "number": sample["sample"] + 1,
            "order": [at + 1 for at in order],
            "scores": sample["scores"],
            "votes": votes,
            "mark": _mark(sample, votes, self.result["scores"] is None),
            "outcome": sample["outcome"],
            "meta_score": sample["meta_score"],
            "parts": [(name, *_cut(remap_mentions(text.strip(), order))) for name, text in whole],
            "tokens": sample["completion_tokens"],
        }


def _cut(text: str) -> tuple[str, str]:
    """What is shown at once, and the rest."""
    if len(text) <= LONG:
        return text, ""
    end = text.rfind(" ", 0, LONG)
    end = end if end > LONG // 2 else LONG
    return text[:end], text[end:]


def _mark(sample: Mapping[str, Any], votes: bool, abstained: bool) -> str:
    if sample["outcome"] != "ok":
        return OUTCOMES.get(sample["outcome"], sample["outcome"])
    if votes:
        return "votes"
    return "readable, but there is no vote" if abstained else "discarded by the meta RM"


def _confidence(sure: Mapping[str, Any]) -> tuple[str, str]:
    if sure.get("probability") is not None:
        return f"{sure['probability']:.0%}", "probability that the winner is right, calibrated"
    if sure.get("agreement") is not None:
        return f"{sure['agreement']:.0%} agree", "share of the votes that put the winner alone at the top"
    return "–", "nothing can be said yet"


def _margin(sure: Mapping[str, Any]) -> str:
    if sure.get("margin") is None:
        return "–"
    error = sure.get("margin_se")
    return f"{sure['margin']:.2f}" + ("" if error is None else f" ± {error:.2f}")


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def python_code(asked: Asked, model: str | None, meta_model: str | None) -> str:
    """The same question through `pipeline()`, as Python."""
    query = asked.turns[0]["content"] if len(asked.turns) == 1 and asked.turns[0]["role"] == "user" else asked.turns
    rated = asked.meta and meta_model
    settings = asked.settings() | ({"meta_model": meta_model} if rated else {"rule": "sum"} if meta_model else {})
    named = f", model={model!r}" if model else ""
    lines = [f"    {name}={value!r}," for name, value in settings.items()]
    responses = [f"        {text!r}," for text in asked.responses]
    return "\n".join(
        [
            "import modeling_grm",
            "from transformers import pipeline",
            "",
            f'pipe = pipeline("reward-scoring"{named})',
            "result = pipe(",
            f"    {query!r},",
            "    [",
            *responses,
            "    ],",
            *lines,
            "    return_samples=True,",
            ")",
            'print(result["scores"], result["best"])',
        ]
    )


def refusal(text: str) -> str:
    """What cannot be done, and the way out, as a page."""
    field_name, _, said = text.partition(": ")
    return page("refusal.html.jinja", name=field_name if said else "", text=said or text)


def empty(judge_name: str) -> str:
    """What stands there before anything is asked."""
    return page("empty.html.jinja", judge=judge_name)


MEANINGS = {
    "sum": "Vote: the sum of the scores",
    "majority": "Vote: one ballot a sample",
    "meta_topk": "Meta RM: the half that it trusts most",
    "meta_soft": "Meta RM: all, weighted by its trust",
    "random_topk": "Control: a random half",
    "length_topk": "Control: the longest half",
}


def scaling_page(curves: Mapping[str, Any]) -> str:
    """The picture of `curves.json`."""
    return page("scaling.html.jinja", plot=scaling(curves["points"]), meanings=MEANINGS, **curves["about"])
