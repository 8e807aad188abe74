"""`pipeline("reward-scoring")`: a conversation and n responses in, a vote over k judgements out.

Turns what callers pass into requests, binds the settings to an engine, and hands out plain dictionaries. The judging
itself is `scoring_grm.score`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from transformers import Pipeline

from .configuration_grm import GRMConfig
from .fitting_grm import Fitter
from .generation_grm import TransformersGenerator, context_length, encode
from .parsing_grm import scores_line_end
from .scoring_grm import score
from .types_grm import InvalidInput, Request, RewardResult

SETTINGS = ("k", "k_meta", "temperature", "top_p", "template", "max_new_tokens", "quorum", "truncation")
ROW_FIELDS = ("query", "conversation", "responses", "reference", "principles")


def to_request(row: Any, **defaults: str | None) -> Request:
    """A row (`{"query" or "conversation", "responses"}`, other keys are passed over) or a ready request as a request.

    Raises:
        InvalidInput: a field that is missing or cannot be judged.
    """
    if isinstance(row, Request):
        return row
    if not isinstance(row, Mapping):
        raise InvalidInput(f'row: expected {{"query": ..., "responses": [...]}}, got {type(row).__name__} {row!r:.60}')
    given = {name: row[name] for name in ROW_FIELDS if row.get(name) is not None}
    if ("query" in given) == ("conversation" in given) or "responses" not in given:
        raise InvalidInput(f"row: needs `query` or `conversation`, and `responses`; it has {sorted(map(str, row))}")
    query = given.get("query", given.get("conversation"))
    fields = {**defaults, **{name: given[name] for name in ("reference", "principles") if name in given}}
    return Request(getattr(query, "messages", query), given["responses"], **fields)


class RewardScoringPipeline(Pipeline):
    """Scores responses with a generative reward model (arXiv 2504.02495).

    >>> pipe = pipeline("reward-scoring", model="org/a-grm")
    >>> pipe("What is 2+2?", ["4", "I like trains"], k=8)
    {'scores': [8.25, 1.5], 'totals': [66, 12], 'best': 0, 'k': 8, 'n_valid': 8, ...}

    Settings may be given here or in each call; what is not given stands in the checkpoint's `config.json["grm"]`.

    Args:
        k: judgements a request; order and seed of each come from the content and `seed`, so a larger k adds to them.
        k_meta: how many of them the meta RM lets vote; needs `rate`.
        temperature, top_p, max_new_tokens: of each judgement.
        seed: whole number; the same seed gives the same orders and random streams.
        template: a name of `grm template list`, or a text with `{conversation}` and `{responses}`.
        principles: criteria of the caller's own that each judgement should apply.
        reference: a reference answer to compare with.
        truncation: None refuses what does not fit the context, "middle" cuts it and says so in the result.
        quorum: least share of the k judgements that must be readable.
        return_samples: put every judgement with its text, order and outcome into the result.
        rate: a meta RM, `[(request, critique)] -> [float | None]`.
        batch_size: distinct prompts that are decoded together.
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = getattr(self.model.config, "grm", None)
        self.grm = GRMConfig.from_dict(stored)
        encode(self.tokenizer, ({"role": "user", "content": "?"},))  # refuses a tokenizer without a chat template

    def _sanitize_parameters(self, **settings: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {name: settings.pop(name) for name in ("principles", "reference") if name in settings}
        after = {name: settings.pop(name) for name in ("return_samples",) if name in settings}
        unknown = sorted(set(settings) - {*SETTINGS, "seed", "rate", "batch_size"})
        if unknown:
            raise InvalidInput(f"{unknown[0]}: an unknown setting; known are {sorted((*SETTINGS, 'seed', 'rate'))}")
        return before, settings, after

    def __call__(self, query: Any, responses: Any = None, **settings: Any) -> Any:
        """Score one request or many.

        Args:
            query: the user's message or chat messages, together with `responses`; or a row
                `{"query" | "conversation": ..., "responses": [...], "reference": ..., "principles": ...}`; or a list,
                generator or iterable dataset of rows.
            responses: the texts to score where `query` is a message or chat messages.

        Returns:
            A dictionary for one request, a list for a list, an iterator for anything else that iterates. `scores` are
            mean votes in the caller's order (None below the quorum), `best` the index of the single best (None on a tie).

        Raises:
            InvalidInput: bad input or settings, by name.
        """
        before, during, after = self._sanitize_parameters(**settings)
        before, during, after = {**self._preprocess_params, **before}, {**self._forward_params, **during}, {
            **self._postprocess_params, **after}  # fmt: skip
        if responses is not None:
            query = {"query": getattr(query, "messages", query), "responses": responses}
        rows = [query] if isinstance(query, (Mapping, Request)) else query
        if isinstance(rows, str) or not isinstance(rows, Iterable):
            raise InvalidInput("responses: none given; call pipe(query, responses) or pipe({'query': ..., 'responses': [...]})")
        results = self._results(rows, before, during, after)
        if rows is not query:
            return next(iter(results))
        return list(results) if isinstance(query, list) else results

    def _results(self, rows: Iterable[Any], before: Any, during: Any, after: Any) -> Iterator[dict[str, Any]]:
        make = partial(self.preprocess, **before)
        requests = [make(row) for row in rows] if isinstance(rows, list) else map(make, rows)  # a list is checked whole
        return (self.postprocess(result, **after) for result in self._forward(requests, **during))

    def check(self, row: Any, **settings: Any) -> None:
        """Refuse a row that this judge cannot score with these settings, without scoring it.

        Raises:
            InvalidInput: what is wrong, with the token counts where it is the length.
        """
        before, during, _ = self._sanitize_parameters(**settings)
        config = self.grm.override(**{name: value for name, value in during.items() if name in SETTINGS})
        self._fitter(config)(self.preprocess(row, **before), config.template)

    def preprocess(self, row: Any, **defaults: Any) -> Request:
        """A row as a request."""
        return to_request(row, **defaults)

    def _forward(self, requests: Any, **settings: Any) -> Iterator[RewardResult]:  # type: ignore[override]
        seed, rate = settings.pop("seed", 0), settings.pop("rate", None)
        batch_size = settings.pop("batch_size", None) or getattr(self, "_batch_size", None) or 16
        config = self.grm.override(**settings)
        if config.k_meta is not None and rate is None:
            raise InvalidInput(f"k_meta: {config.k_meta} samples cannot be chosen without a meta RM; pass rate=")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise InvalidInput(f"seed: {seed!r} is not usable; give a whole number")
        return score(requests, self._engine(config, batch_size), config, seed=seed, fit=self._fitter(config), rate=rate)

    def _engine(self, config: GRMConfig, batch_size: int) -> TransformersGenerator:
        return TransformersGenerator(
            self.model,
            self.tokenizer,
            temperature=config.temperature,
            top_p=config.top_p,
            max_new_tokens=config.max_new_tokens,
            stop=scores_line_end,
            batch_size=batch_size,
        )

    def _fitter(self, config: GRMConfig) -> Fitter:
        split: Callable[[str], list[int]] = lambda text: self.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
        return Fitter(
            count=lambda messages: len(encode(self.tokenizer, messages)),
            split=split,
            join=self.tokenizer.decode,
            context=context_length(self.model),
            max_new_tokens=config.max_new_tokens,
            truncation=config.truncation,
        )

    def postprocess(self, result: RewardResult, return_samples: bool = False) -> dict[str, Any]:
        """A result as plain JSON types, with the judge's name."""
        named = {"model": self.grm.base or getattr(self.model, "name_or_path", "")}
        return result.to_dict(samples=return_samples) | named
