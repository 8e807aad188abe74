"""The whole way of the data, on one page.

    Request -> orders(n, k, seed) -> render x k -> [Prompt] -> Generate -> [Completion]
            -> parse(completion, order) -> [Critique] -> Rate (meta RM, optional) -> vote -> RewardResult

Knows the order of the steps and nothing of how any of them works. The shuffle travels with the prompt and ends at the
parser: behind it every score stands in the caller's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from .configuration_grm import GRMConfig
from .parsing_grm import parse
from .prompts_grm import find_template, render
from .types_grm import Completion, Critique, InvalidInput, Prompt, Request, RewardResult
from .voting_grm import item_hash, orders, vote

Generate = Callable[[Iterable[Prompt]], Iterator[tuple[int, Completion]]]
"""Prompts in, (index of the prompt, completion) out as they finish; sampling settings are bound when it is built."""

Rate = Callable[[Sequence[tuple[Request, Critique]]], Sequence["float | None"]]
"""The meta RM: one number a critique (higher is more trustworthy), None where it cannot say."""

Fit = Callable[[Request, str], "tuple[Request, int]"]
"""Makes a request fit the context: the request to render, and how many tokens were cut."""


@dataclass
class _Open:
    """A request whose samples are still being written."""

    request: Request
    prompts: list[Prompt]
    cut: int
    completions: dict[int, Completion] = field(default_factory=dict)


def plan(request: Request, config: GRMConfig, seed: int, shown: Request | None = None) -> list[Prompt]:
    """The k prompts of a request: order and seed of sample j depend on (content, seed, j) only.

    `shown` is what is rendered where the request had to be cut to fit; orders and seeds stay those of the whole one.
    """
    item = item_hash(request)
    return [
        Prompt(render(shown or request, order, config.template), order, sample_seed, item, sample)
        for sample, (order, sample_seed) in enumerate(orders(request, request.n, config.k, seed))
    ]


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

    Args:
        requests: read lazily, as far ahead as `generate` reads.
        generate: the engine.
        config: template, k, k_meta and quorum.
        seed: the user's; together with a request's content it fixes orders and sample seeds.
        fit: makes requests fit the engine's context.
        rate: the meta RM; then the best `config.k_meta` (default k // 2) samples vote.

    Raises:
        InvalidInput: at once, a template without scores; later, a request that cannot be judged as it is.
        RuntimeError: the engine ended and still owes samples.
    """
    return _judged(requests, generate, config, score_range(config.template), seed, fit, rate)


def _judged(
    requests: Iterable[Request],
    generate: Generate,
    config: GRMConfig,
    legal: tuple[int, int],
    seed: int,
    fit: Fit | None,
    rate: Rate | None,
) -> Iterator[RewardResult]:
    open_: dict[int, _Open] = {}
    ready: dict[int, RewardResult] = {}
    due = 0

    def prompts() -> Iterator[Prompt]:
        for number, request in enumerate(requests):
            shown, cut = fit(request, config.template) if fit else (request, 0)
            open_[number] = _Open(request, plan(request, config, seed, shown), cut)
            yield from open_[number].prompts

    for index, completion in generate(prompts()):
        number, sample = divmod(index, config.k)
        judged = open_[number]
        judged.completions[sample] = completion
        if len(judged.completions) == config.k:
            ready[number] = _conclude(open_.pop(number), config, legal, rate)
        while due in ready:
            yield ready.pop(due)
            due += 1
    if open_:
        missing = sum(config.k - len(judged.completions) for judged in open_.values())
        raise RuntimeError(f"the engine ended without a word on {missing} of its samples; it owes each a completion")


def _conclude(judged: _Open, config: GRMConfig, legal: tuple[int, int], rate: Rate | None) -> RewardResult:
    critiques = [
        parse(judged.completions[sample], prompt.order, prompt.seed, legal)
        for sample, prompt in enumerate(judged.prompts)
    ]
    k_meta = None
    if rate is not None:
        meta_scores = rate([(judged.request, critique) for critique in critiques])
        critiques = [replace(c, meta_score=m) for c, m in zip(critiques, meta_scores, strict=True)]
        k_meta = config.k_meta or max(1, config.k // 2)
    result = vote(critiques, judged.request.n, quorum=config.quorum, k_meta=k_meta)
    return replace(result, truncated_tokens=judged.cut)
