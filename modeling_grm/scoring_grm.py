"""The whole way of the data, on one page.

    Request -> orders(n, k, seed) -> render x k -> [Prompt] -> Generate -> [Completion]
            -> parse(completion, order) -> [Critique] -> Rate (meta RM, optional) -> vote -> RewardResult

Knows the order of the steps and nothing of how any of them works. The shuffle travels with the prompt and ends at the
parser: behind it every score stands in the caller's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from .confidence_grm import confidence
from .configuration_grm import AUTO, GRMConfig
from .parsing_grm import parse
from .prompts_grm import find_template, render
from .rules_grm import default_k_meta
from .stopping_grm import Stopping, Thresholds, decide
from .types_grm import Completion, Critique, InvalidInput, Prompt, Request, RewardResult
from .voting_grm import item_hash, orders, vote

WINDOW = 64  # requests that k = "auto" works on together

Generate = Callable[[Iterable[Prompt]], Iterator[tuple[int, Completion]]]
"""Prompts in, (index of the prompt, completion) out as they finish; sampling settings are bound when it is built."""

Rate = Callable[[Sequence[tuple[Request, Critique]]], Sequence["float | None"]]
"""The meta RM: one number a critique (higher is more trustworthy), None where it cannot say."""

Fit = Callable[[Request, str], "tuple[Request, int]"]
"""Makes a request fit the context: the request to render, and how many tokens were cut."""


Design = Sequence["tuple[tuple[int, ...], int]"]
"""(order, seed) of each sample, as far as a request can go."""


@dataclass
class _Open:
    """A request whose samples are still being written."""

    request: Request
    shown: Request
    cut: int
    item: str
    design: Design
    completions: dict[int, Completion] = field(default_factory=dict)
    critiques: list[Critique] = field(default_factory=list)
    reason: str | None = None

    def prompts(self, template: str, start: int, count: int) -> Iterator[Prompt]:
        for sample, (order, seed) in enumerate(self.design[start : start + count], start):
            yield Prompt(render(self.shown, order, template), order, seed, self.item, sample)

    def parse(self, legal: tuple[int, int]) -> None:
        """Read the completions that have not been read, in the order of the samples."""
        for sample in range(len(self.critiques), len(self.completions)):
            order, seed = self.design[sample]
            self.critiques.append(parse(self.completions[sample], order, seed, legal))


def plan(request: Request, config: GRMConfig, seed: int, shown: Request | None = None) -> list[Prompt]:
    """The prompts of a request: order and seed of sample j depend on (content, seed, j) only.

    `shown` is what is rendered where the request had to be cut to fit; orders and seeds stay those of the whole one.
    """
    return list(_opened(request, config, seed, shown or request, 0).prompts(config.template, 0, config.most))


def _opened(request: Request, config: GRMConfig, seed: int, shown: Request, cut: int) -> _Open:
    return _Open(request, shown, cut, item_hash(request), orders(request, request.n, config.most, seed))


def score_range(template: str) -> tuple[int, int]:
    """Lowest and highest legal score of a template.

    Raises:
        InvalidInput: the template's number is no score.
    """
    found = find_template(template).score_range
    if found is None:
        raise InvalidInput(
            f"template: {template!r} asks for no scores, so there is nothing to vote on; use 'deepseek-grm'"
        )
    return found


def score(
    requests: Iterable[Request],
    generate: Generate,
    config: GRMConfig,
    *,
    seed: int = 0,
    fit: Fit | None = None,
    rate: Rate | None = None,
) -> Iterator[RewardResult]:
    """Judge requests one after another; results come in their order, as soon as each is complete.

    With k = "auto" requests are taken `WINDOW` at a time, and each gets further rotations until `stopping_grm.decide`
    ends it.

    Args:
        requests: read lazily, as far ahead as `generate` reads.
        generate: the engine.
        config: template, k, rule, k_meta, quorum, and what k = "auto" needs.
        seed: the user's; together with a request's content it fixes orders and sample seeds.
        fit: makes requests fit the engine's context.
        rate: the meta RM; then the best `config.k_meta` (default k // 2) samples vote, unless `rule` says otherwise.

    Raises:
        InvalidInput: at once, a template without scores, or settings that do not go together; later, a request that
            cannot be judged as it is.
        RuntimeError: the engine ended and still owes samples.
    """
    legal = score_range(config.template)
    stopping = stopping_of(config, legal)
    opened = _read(requests, config, seed, fit)
    if stopping is None:
        return _judged(opened, generate, config, legal, rate)
    if rate is not None or config.rule not in (None, "sum"):
        raise InvalidInput(
            'k: "auto" is safe for the sum over all samples only; give a number with a meta RM or a rule'
        )
    return _adaptive(opened, generate, config, legal, stopping)


def stopping_of(config: GRMConfig, legal: tuple[int, int]) -> Stopping | None:
    """When k = "auto" stops; None for a fixed k.

    Raises:
        InvalidInput: the thresholds in `config.stopping` were fitted for other settings.
    """
    if config.k != AUTO:
        return None
    thresholds = None if config.stopping is None else Thresholds.from_dict(config.stopping)
    rule: Any = "certain" if thresholds is None else "calibrated"
    return Stopping(rule, config.k_max, config.delta, *legal, config.quorum, thresholds)


def _read(requests: Iterable[Request], config: GRMConfig, seed: int, fit: Fit | None) -> Iterator[_Open]:
    for request in requests:
        shown, cut = fit(request, config.template) if fit else (request, 0)
        yield _opened(request, config, seed, shown, cut)


def _judged(
    opened: Iterable[_Open], generate: Generate, config: GRMConfig, legal: tuple[int, int], rate: Rate | None
) -> Iterator[RewardResult]:
    open_: dict[int, _Open] = {}
    ready: dict[int, RewardResult] = {}
    due, k = 0, config.most

    def prompts() -> Iterator[Prompt]:
        for number, judged in enumerate(opened):
            open_[number] = judged
            yield from judged.prompts(config.template, 0, k)

    for index, completion in generate(prompts()):
        number, sample = divmod(index, k)
        judged = open_[number]
        judged.completions[sample] = completion
        if len(judged.completions) == k:
            ready[number] = _conclude(open_.pop(number), config, legal, rate)
        while due in ready:
            yield ready.pop(due)
            due += 1
    _check_paid(sum(k - len(judged.completions) for judged in open_.values()))


def _check_paid(missing: int) -> None:
    if missing:
        raise RuntimeError(f"the engine ended without a word on {missing} of its samples; it owes each a completion")


def _adaptive(
    opened: Iterator[_Open], generate: Generate, config: GRMConfig, legal: tuple[int, int], stopping: Stopping
) -> Iterator[RewardResult]:
    """Rotation by rotation, for a window of requests at a time, those that no rule has stopped yet."""
    while window := list(islice(opened, WINDOW)):
        going = window
        while going:
            _draw_rotation(going, generate, config)
            for judged in going:
                judged.parse(legal)
                judged.reason = decide([c.scores for c in judged.critiques], judged.request.n, stopping)
            going = [judged for judged in going if judged.reason is None]
        yield from (_conclude(judged, config, legal, None) for judged in window)


def _draw_rotation(going: Sequence[_Open], generate: Generate, config: GRMConfig) -> None:
    asked = [
        (judged, prompt)
        for judged in going
        for prompt in judged.prompts(config.template, len(judged.critiques), judged.request.n)
    ]
    made = 0
    for index, completion in generate(prompt for _, prompt in asked):
        judged, prompt = asked[index]
        judged.completions[prompt.sample] = completion
        made += 1
    _check_paid(len(asked) - made)


def _conclude(judged: _Open, config: GRMConfig, legal: tuple[int, int], rate: Rate | None) -> RewardResult:
    judged.parse(legal)
    critiques, k_meta = judged.critiques, config.k_meta
    if rate is not None:
        meta_scores = rate([(judged.shown, critique) for critique in critiques])
        critiques = [replace(c, meta_score=m) for c, m in zip(critiques, meta_scores, strict=True)]
        k_meta = k_meta or default_k_meta(len(critiques))
    result = vote(critiques, judged.request.n, quorum=config.quorum, k_meta=k_meta, rule=config.rule)
    sure = confidence(critiques, judged.request.n, result.voters, result.best, config.confidence)
    extra = {"confidence": sure} | ({"stopped": judged.reason} if judged.reason else {})
    return _unless_unsure(replace(result, truncated_tokens=judged.cut, extra=extra), judged.request.n, config)


def _unless_unsure(result: RewardResult, n: int, config: GRMConfig) -> RewardResult:
    """Without its vote where it is less sure of its best than `min_confidence`; one response has no best."""
    probability = result.extra["confidence"]["probability"]
    if config.min_confidence is None or n == 1 or (probability or 0.0) >= config.min_confidence:
        return result
    said = f"probability {probability} below {config.min_confidence}"
    return replace(result, scores=None, totals=None, best=None, voters=(), extra={**result.extra, "abstained": said})
