"""A judge's first reading of the responses as the meta RM of its own judgements: no second model, no further training.

    rate = FirstReading(model, tokenizer, "compact-closed")
    rate([(request, critique), (request, another)]) -> [2.9, -1.4]

Some templates close each response with its number. A judge can be taught to have the response's score ready there,
where it has just read it (`early_weight` of recipes/rft/contrast.py); what it writes afterwards is sampled, and may
differ. A judgement is rated by how likely its verdict is by these scores: log-odds, as a meta RM's are. Knows nothing
about votes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from .configuration_grm import GRMConfig
from .generation_grm import context_length, encode
from .meta_rm_grm import Unrated, adapter_base, meta_rm_of
from .prompts_grm import TEMPLATES, find_template, render
from .types_grm import Critique, InvalidInput, Outcome, Request

SELF = "self"
"""The name of the meta RM that a judge is to itself."""
LAST_DIGIT = 9
"""The highest score that is one digit: a 10 is read as it."""
LEAST = 1e-6
"""No verdict is less likely than that, or more likely than 1 less that: ratings stay finite."""
NEAR = 1
"""A score of a single response counts as foreseen where it is at most so far from the one that was read."""


def closing(template: str) -> str:
    """What a prompt closes a response with, up to and with its number `{i}`; empty where it does not."""
    before, number, _ = find_template(template).block.partition("{response}")[2].lstrip().partition("{i}")
    return before + number if number else ""


def check_closing(template: str, field: str) -> None:
    """Refuse a template that does not close its responses.

    Raises:
        InvalidInput: it does not.
    """
    if not closing(template):
        able = [name for name, one in TEMPLATES.items() if closing(name) and one.score_range]
        raise InvalidInput(
            f"{field}: {template[:60]} does not close a response with its number, where its score is read; use one of "
            f"{able}"
        )


def read_at(tokenizer: Any, prompt: Sequence[int], n: int, template: str) -> list[range]:
    """Where a prompt has just shown each response: the closing line up to its number, and the next token.

    Raises:
        InvalidInput: the tokenizer spells the closing line otherwise in the prompt than alone.
    """
    found, start = [], 0
    for place in range(1, n + 1):
        tokens = tokenizer(closing(template).replace("{i}", str(place)), add_special_tokens=False)["input_ids"]
        ends = (at for at in range(start, len(prompt) - len(tokens)) if prompt[at : at + len(tokens)] == tokens)
        start = next(ends, -1)
        if start < 0:
            raise InvalidInput(
                f"template: the end of response {place} of {n} is spelt otherwise in the prompt than alone"
            )
        found.append(range(start, start + len(tokens) + 1))
    return found


def verdict_odds(chances: Sequence[Sequence[float]], scores: Sequence[int], low: int) -> float:
    """Log-odds of a judgement's verdict by the scores that were read, each taken for itself.

    Of several responses the verdict is which one is best: that its score is above all others', an equal one counting
    half. A judgement without a single best has no such verdict, and the least odds. Of one response it is the score:
    that the one that was read is at most `NEAR` from it.

    Args:
        chances: (n, scores) how likely each response's score is `low`, `low` + 1, ...
        scores: the judgement's own, in the same order of the responses.
    """
    if len(scores) == 1:
        (found,) = chances
        place = min(scores[0] - low, len(found) - 1)
        return _logit(sum(found[max(0, place - NEAR) : place + NEAR + 1]))
    best = max(range(len(scores)), key=scores.__getitem__)
    if list(scores).count(scores[best]) > 1:
        return _logit(0.0)
    others = [found for at, found in enumerate(chances) if at != best]
    below = [math.prod(sum(found[:at]) + found[at] / 2 for found in others) for at in range(len(chances[best]))]
    return _logit(sum(chance * less for chance, less in zip(chances[best], below, strict=True)))


def _logit(chance: float) -> float:
    inside = min(max(chance, LEAST), 1 - LEAST)
    return math.log(inside / (1 - inside))


class FirstReading:
    """The `Rate` seam over the judge itself: higher is more trustworthy.

    Judgements that saw the responses in one order share one pass over their prompt.

    Args:
        model: a causal LM that was taught to have each response's score ready where the prompt has just shown it.
        tokenizer: its own.
        template: the judge's, one that closes each response with its number.

    Attributes:
        name_or_path: "self".
        judge: the model's own name.
        failures: how many were not rated, by `Unrated`.

    Raises:
        InvalidInput: another template, or one without scores.
    """

    name_or_path = SELF

    def __init__(self, model: Any, tokenizer: Any, template: str) -> None:
        check_closing(template, "meta_model")
        legal = find_template(template).score_range
        if legal is None:
            raise InvalidInput(f"meta_model: {template[:60]} gives no scores, which are what is read")
        low, high = legal
        self.model, self.tokenizer, self.template, self.low = model.eval(), tokenizer, template, low
        self.digits = [_digit(tokenizer, score) for score in range(low, min(high, LAST_DIGIT) + 1)]
        self.judge, self.context = str(getattr(model, "name_or_path", "")), context_length(model)
        self.failures: Counter[Unrated] = Counter()

    @classmethod
    def from_pretrained(cls, name: str | Path, *, device: Any = None, dtype: Any = "auto") -> FirstReading:
        """A judge by Hub id or folder, with the template that it names.

        Raises:
            InvalidInput: see the class; nothing of the weights has been read then.
        """
        template = closed_by(name)
        model = AutoModelForCausalLM.from_pretrained(str(name), dtype=dtype)
        model = model if device is None else model.to(device)
        return cls(model, AutoTokenizer.from_pretrained(str(name)), template)

    def __call__(self, pairs: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        """One rating a judgement, None where it has none; `failures` counts why."""
        read: dict[tuple[int, ...], list[list[float]] | None] = {}
        return [self._rated(request, critique, read) for request, critique in pairs]

    def _rated(self, request: Request, critique: Critique, read: dict[tuple[int, ...], Any]) -> float | None:
        if critique.outcome != Outcome.OK or critique.scores is None:
            self.failures[Unrated.NOT_OK] += 1
            return None
        ids = encode(self.tokenizer, render(request, critique.order, self.template))
        if len(ids) > self.context:
            self.failures[Unrated.TOO_LONG] += 1
            return None
        key = tuple(ids)
        if key not in read:
            read[key] = self.chances(ids, request.n)
        return verdict_odds(read[key], [critique.scores[at] for at in critique.order], self.low)

    @torch.inference_mode()
    def chances(self, ids: Sequence[int], n: int) -> list[list[float]]:
        """How likely each score of each response is where the prompt has just shown it: (n, scores), as shown.

        Args:
            ids: the prompt.
            n: responses in it.
        """
        places = torch.tensor([line[-1] for line in read_at(self.tokenizer, list(ids), n, self.template)])
        asked = torch.tensor([list(ids)], device=self.model.device)
        logits = self.model(input_ids=asked, use_cache=False, logits_to_keep=places.to(self.model.device)).logits[0]
        found: list[list[float]] = logits[:, self.digits].float().softmax(-1).tolist()
        return found


def _digit(tokenizer: Any, score: int) -> int:
    return int(tokenizer(str(score), add_special_tokens=False)["input_ids"][-1])


def closed_by(name: str | Path) -> str:
    """The template that a judge's checkpoint names.

    Raises:
        InvalidInput: it does not close its responses.
    """
    template = GRMConfig.from_dict(getattr(AutoConfig.from_pretrained(str(name)), "grm", None)).template
    check_closing(template, "meta_model")
    return template


def is_judge(name: str | Path) -> bool:
    """Whether a name is that of a checkpoint that writes judgements, not of a classifier that rates them."""
    try:
        whole = adapter_base(str(name)) is None
        return whole and getattr(AutoConfig.from_pretrained(str(name)), "grm", None) is not None
    except (OSError, ValueError, KeyError):
        return False


def rater_of(asked: str | Path, model: Any, tokenizer: Any, template: str) -> Callable[..., Any]:
    """A meta RM by name, for a judge: "self" is the judge, and another judge's name that one; else a classifier.

    Raises:
        InvalidInput: there is no such model, or it cannot rate; "self" of a judge whose weights are elsewhere.
    """
    own = isinstance(model, torch.nn.Module)
    if str(asked) == SELF and own:
        return FirstReading(model, tokenizer, template)
    name = getattr(model, "name_or_path", "") if str(asked) == SELF else asked
    if is_judge(name):
        return FirstReading.from_pretrained(name)
    if str(asked) == SELF:
        raise InvalidInput(
            f'meta_model: "self" asks the judge for probabilities, and {type(model).__name__} has it elsewhere '
            f"({name!r}); give the folder or Hub id of its checkpoint"
        )
    return meta_rm_of(asked, model)
