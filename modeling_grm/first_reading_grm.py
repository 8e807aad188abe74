"""A judge's first reading of the responses as the meta RM of its own judgements: no second model, no further training.

    rate = FirstReading(model, tokenizer, "compact-closed")
    rate([(request, critique), (request, another)]) -> [2.9, -1.4]

Some templates close each response with its number. A judge can be taught to have the response's score ready there,
where it has just read it (`early_weight` of recipes/rft/contrast.py); what it writes afterwards is sampled, and may
differ. A judgement is rated by how likely its verdict is by these scores: log-odds, as a meta RM's are. Knows nothing
about votes.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from .adapters_grm import adapter_base
from .configuration_grm import GRMConfig
from .generation_grm import context_length, encode
from .meta_rm_grm import Unrated, meta_rm_of
from .prompts_grm import TEMPLATES, find_template, render
from .types_grm import Critique, InvalidInput, Outcome, Request

logger = logging.getLogger(__name__)
SELF = "self"
"""The name of the meta RM that a judge is to itself."""
LAST_DIGIT = 9
"""The highest score that is one digit: a 10 is read as it."""
LEAST = 1e-6
"""No verdict is less likely than that, or more likely than 1 less that: ratings stay finite."""
CLASSIFIER = "ForSequenceClassification"
Chances = list[list[float]]
"""How likely each score of each response is, (n, scores)."""
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
                f"template: the tokenizer spells the end of response {place} otherwise in a prompt than alone, so its "
                "score cannot be read; use a template whose closing line begins a line"
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
        InvalidInput: another template, one without scores, or one whose closing line the tokenizer spells otherwise in
            a prompt than alone.
    """

    name_or_path = SELF

    def __init__(self, model: Any, tokenizer: Any, template: str) -> None:
        check_closing(template, "meta_model")
        legal = find_template(template).score_range
        if legal is None:
            raise InvalidInput(f"meta_model: {template[:60]} gives no scores, which are what is read")
        self.low, high = legal
        self.model, self.tokenizer, self.template = model.eval(), tokenizer, template
        self.digits = [_digit(tokenizer, score) for score in range(self.low, min(high, LAST_DIGIT) + 1)]
        self.judge, self.context = str(getattr(model, "name_or_path", "")), context_length(model)
        self.failures: Counter[Unrated] = Counter()
        read_at(tokenizer, self.prompt(Request("?", ["!"]), (0,)), 1, template)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, device: Any = None, dtype: Any = "auto") -> FirstReading:
        """A judge's whole checkpoint by Hub id or folder, with the template that it names.

        Raises:
            InvalidInput: no such checkpoint, or see the class; nothing of the weights has been read then.
        """
        template = judged_by(name)
        if template is None:
            raise InvalidInput(
                f"meta_model: {str(name)!r} is no judge's whole checkpoint, which could read for itself; merge an "
                "adapter into its base first"
            )
        check_closing(template, "meta_model")
        model = AutoModelForCausalLM.from_pretrained(str(name), dtype=dtype)
        model = model if device is None else model.to(device)
        return cls(model, AutoTokenizer.from_pretrained(str(name)), template)

    def __call__(self, pairs: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        """One rating a judgement, None where it has none; why is logged and counted in `failures`."""
        read: dict[tuple[int, ...], Chances | Unrated] = {}
        return [self._rated(request, critique, read) for request, critique in pairs]

    def prompt(self, request: Request, order: Sequence[int]) -> list[int]:
        """What the judge reads, as token ids."""
        return encode(self.tokenizer, render(request, order, self.template))

    def _rated(
        self, request: Request, critique: Critique, read: dict[tuple[int, ...], Chances | Unrated]
    ) -> float | None:
        if critique.outcome != Outcome.OK or critique.scores is None:
            self.failures[Unrated.NOT_OK] += 1
            return None
        key = tuple(self.prompt(request, critique.order))
        if key not in read:
            read[key] = self._checked(key, request.n)
        found = read[key]
        if isinstance(found, Unrated):
            self.failures[found] += 1
            return None
        return verdict_odds(found, [critique.scores[at] for at in critique.order], self.low)

    def _checked(self, ids: Sequence[int], n: int) -> Chances | Unrated:
        """What is read of a prompt, or why it cannot be."""
        if len(ids) > self.context:
            return _failed(Unrated.TOO_LONG, f"{len(ids):,} tokens > context {self.context:,}")
        try:
            found = self.chances(ids, n)
        except Exception as failure:  # the judgements are written: what fails here costs their ratings alone
            return _failed(Unrated.ENGINE_ERROR, f"{type(failure).__name__}: {failure}")
        finite = all(math.isfinite(chance) for row in found for chance in row)
        return found if finite else _failed(Unrated.NOT_FINITE, "a probability is not finite")

    @torch.inference_mode()
    def chances(self, ids: Sequence[int], n: int) -> Chances:
        """How likely each score of each response is where the prompt has just shown it: (n, scores), as shown.

        Args:
            ids: the prompt.
            n: responses in it.
        """
        places = torch.tensor([line[-1] for line in read_at(self.tokenizer, list(ids), n, self.template)])
        asked = torch.tensor([list(ids)], device=self.model.device)
        logits = self.model(input_ids=asked, use_cache=False, logits_to_keep=places.to(self.model.device)).logits[0]
        found: Chances = logits[:, self.digits].float().softmax(-1).tolist()
        return found


def _failed(why: Unrated, said: str) -> Unrated:
    logger.warning("a prompt was not read for its ratings: %s: %s", why.value, said)
    return why


def _digit(tokenizer: Any, score: int) -> int:
    return int(tokenizer(str(score), add_special_tokens=False)["input_ids"][-1])


def judged_by(name: str | Path) -> str | None:
    """The template of a judge's whole checkpoint; None for a classifier, an adapter, or what is no checkpoint."""
    try:
        if adapter_base(str(name)) is not None:
            return None
        config = AutoConfig.from_pretrained(str(name))
    except (OSError, ValueError, KeyError):
        return None
    stored, made = getattr(config, "grm", None), (config.architectures or [""])[0]
    # a classifier that was made from a judge keeps the judge's settings
    return None if stored is None or made.endswith(CLASSIFIER) else GRMConfig.from_dict(stored).template


def reads_texts(name: str) -> bool:
    """Whether a meta RM, by name, reads what judgements say; a judge that reads for itself does not."""
    return name != SELF and judged_by(name) is None


def rater_of(asked: str | Path, model: Any, tokenizer: Any, template: str) -> Callable[..., Any]:
    """A meta RM by name, for a judge: "self" or its own name is the judge, another judge's name that one.

    Raises:
        InvalidInput: there is no such model, or it cannot rate; "self" of a judge whose weights are elsewhere.
    """
    own = isinstance(model, torch.nn.Module)
    if own and str(asked) in (SELF, getattr(model, "name_or_path", "")):
        return FirstReading(model, tokenizer, template)
    if str(asked) == SELF:
        raise InvalidInput(
            f'meta_model: "self" asks the judge for probabilities, which {type(model).__name__} does not give; name '
            "its checkpoint's folder or Hub id, and transformers loads that beside it"
        )
    if judged_by(asked) is not None:
        placed = {"device": model.device, "dtype": model.dtype} if own else {}
        return FirstReading.from_pretrained(asked, **placed)
    return meta_rm_of(asked, model)
