"""LLM-as-a-judge: the judge names the best response, k times in balanced orders; a response's score is its share.

    Verdict(pipe, {"k": 4})([item]) -> Answer(scores=(0.75, 0.25), samples=({"outcome": "ok", "scores": [1, 0]}, ...))

The prompt is the paper's baseline (arXiv 2504.02495, Appendix G); orders, seeds, engine, failures and quorum are those
of a generative reward model, so that only the question differs. Where a benchmark counts both orders of a pair, each
gets half of the k verdicts and decides alone (`base.answers_of`). One response leaves nothing to choose from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..benchmarks.base import Item
from ..configuration_grm import FREE
from ..parsing_grm import parse
from ..prompts_grm import render
from ..reports.answers import critique_of
from ..types_grm import Completion, InvalidInput, Prompt, Request
from ..voting_grm import item_hash, orders, vote
from .base import Answer

TEMPLATE = "llm-as-a-judge"
WINDOW = 64  # items whose prompts the engine sees together
SETTINGS = ("temperature", "top_p", "top_k", "max_new_tokens")


class Verdict:
    """See the file.

    Args:
        pipe: a `RewardScoringPipeline`; its engine and sampling settings are used, not its template.
        settings: of the call: `k`, `seed`, `temperature` and so on.
        batch_size: distinct prompts that are decoded together.

    Attributes:
        about, k: as in `Baseline`.

    Raises:
        InvalidInput: settings that no call could use.
    """

    def __init__(self, pipe: Any, settings: Mapping[str, Any], batch_size: int | None = None) -> None:
        asked = {name: value for name, value in settings.items() if name != "template"} | {"constrain": FREE}
        self.config = pipe.configuration(**asked)
        if not isinstance(self.config.k, int):
            raise InvalidInput(f"k: {self.config.k!r} is not usable; give a whole number of verdicts")
        self.k, self.seed = self.config.k, int(asked.get("seed") or 0)
        self.fit, self.engine = pipe._fitter(self.config), pipe._engine(self.config, batch_size)
        sampled = {name: getattr(self.config, name) for name in SETTINGS}
        self.about: dict[str, Any] = {
            "kind": "verdict",
            "model": pipe.name,
            "settings": {"template": TEMPLATE, **sampled, "k": self.k, "run_seed": self.seed},
        }

    def __call__(self, items: Sequence[Item]) -> Iterator[Answer]:
        """One answer an item."""
        for start in range(0, len(items), WINDOW):
            yield from self._window(items[start : start + WINDOW])

    def _window(self, items: Sequence[Item]) -> list[Answer]:
        shown = [self._shown(item.request) for item in items]
        asked = [(at, prompt) for at, request in enumerate(shown) for prompt in self._prompts(items[at], request)]
        said = dict(self.engine(prompt for _, prompt in asked))
        samples: dict[int, list[dict[str, Any]]] = {}
        for number, (at, prompt) in enumerate(asked):
            samples.setdefault(at, []).append(_sample(prompt, said[number]))
        return [
            Answer(None, reason=request) if isinstance(request, str) else self._voted(samples[at])
            for at, request in enumerate(shown)
        ]

    def _shown(self, request: Request) -> Request | str:
        """What is rendered, or why it cannot be."""
        if request.n == 1:
            return "one response leaves nothing to choose from"
        try:
            return request if self.fit is None else self.fit(request, TEMPLATE)[0]
        except InvalidInput as error:
            return str(error)

    def _prompts(self, item: Item, request: Request | str) -> Iterator[Prompt]:
        if isinstance(request, str):
            return
        name = item_hash(item.request)
        for sample, (order, seed) in enumerate(orders(item.request, item.request.n, self.k, self.seed)):
            yield Prompt(render(request, order, TEMPLATE), order, seed, name, sample)

    def _voted(self, samples: Sequence[dict[str, Any]]) -> Answer:
        n = len(samples[0]["order"])
        voted = vote([critique_of(row) for row in samples], n, quorum=self.config.quorum)
        return Answer(voted.scores, tuple(samples))


def _sample(prompt: Prompt, completion: Completion) -> dict[str, Any]:
    """A verdict as scores: 1 for the response that it names, 0 for the others."""
    read = parse(completion, (0,), prompt.seed, (1, len(prompt.order)))
    scores = None
    if read.scores is not None:
        named = prompt.order[read.scores[0] - 1]
        scores = [int(at == named) for at in range(len(prompt.order))]
    return {
        "sample": prompt.sample,
        "order": list(prompt.order),
        "seed": prompt.seed,
        "outcome": read.outcome.value,
        "scores": scores,
        "expected": None,
        "meta_score": None,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
    }
