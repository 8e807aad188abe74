"""`pipeline("reward-scoring")`: a conversation and n responses in, a vote over k judgements out.

Turns what callers pass into requests, binds the settings to an engine, and hands out plain dictionaries. The judging
itself is `scoring_grm.score`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from transformers import Pipeline
from transformers.dynamic_module_utils import custom_object_save

from .configuration_grm import AUTO, GRMConfig
from .constraint_grm import ScoresLine
from .first_reading_grm import SELF, rater_of
from .fitting_grm import Fitter
from .generation_grm import TransformersGenerator, check_tokenizer, context_length, encode
from .known_grm import settings_of
from .parsing_grm import scores_line_end
from .rules_grm import default_k_meta, find_rule
from .scoring_grm import Generate, Rate, score, score_range, stopping_of
from .types_grm import InvalidInput, Request, RewardResult

ADAPTER_ASKED = "model: an adapter is asked with"
SETTINGS = (
    *("k", "k_max", "delta", "rule", "k_meta", "quorum", "min_confidence"),
    *("temperature", "top_p", "top_k", "max_new_tokens", "template", "truncation", "constrain"),
)
CALL_SETTINGS = ("seed", "meta_model", "rate", "record", "batch_size")
EXTRAS = ("reference", "principles")
ROW_FIELDS = ("query", "conversation", "responses", *EXTRAS)
META_RULES = ("meta_topk", "meta_soft")
BATCH_SIZE = 16


def _is_row(value: object) -> bool:
    """One row: a mapping, or an object with its fields, such as a `Request` (also one of another copy of this code)."""
    return isinstance(value, Mapping) or hasattr(value, "responses")


def to_request(row: Any, **defaults: str | None) -> Request:
    """A row (`{"query" or "conversation", "responses"}`, other keys are passed over) or a ready request as a request.

    `defaults` are the reference and the principles of rows that have none of their own.

    Raises:
        InvalidInput: a field that is missing or cannot be judged.
    """
    if not _is_row(row):
        raise InvalidInput(f'row: expected {{"query": ..., "responses": [...]}}, got {type(row).__name__} {row!r:.60}')
    row = row if isinstance(row, Mapping) else {name: getattr(row, name, None) for name in ROW_FIELDS}
    given = {name: row[name] for name in ROW_FIELDS if row.get(name) is not None}
    if ("query" in given) == ("conversation" in given) or "responses" not in given:
        raise InvalidInput(f"row: needs `query` or `conversation`, and `responses`; it has {sorted(map(str, row))}")
    query = given.get("query", given.get("conversation"))
    extras = {name: given.get(name, defaults.get(name)) for name in EXTRAS}
    return Request(getattr(query, "messages", query), given["responses"], **extras)


def _numbered(rows: Iterable[Any], defaults: Mapping[str, Any]) -> Iterator[Request]:
    """Many rows as requests; an error names the row by its number, counted from 0."""
    for at, row in enumerate(rows):
        try:
            request = to_request(row, **defaults)
        except InvalidInput as error:
            raise InvalidInput(f"row {at}: {error}") from error
        yield request


def _check_whole(name: str, value: object, low: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or (low is not None and value < low):
        least = "" if low is None else f", at least {low}"
        raise InvalidInput(f"{name}: {value!r} is not usable; give a whole number{least}")


def _with_meta(result: RewardResult, config: GRMConfig, rate: Rate) -> RewardResult:
    """The result with what the meta RM did: how many it rated, and whether that was fewer than were to vote."""
    rated = sum(critique.meta_score is not None for critique in result.critiques)
    ranks = find_rule(config.rule or "meta_topk").rank is not None
    wanted = (config.k_meta or default_k_meta(result.k)) if ranks else None
    said = {"model": getattr(rate, "name_or_path", None), "k_meta": wanted, "rated": rated}
    said |= {"all_rated_vote": True} if wanted is not None and rated < wanted else {}
    return replace(result, extra={**result.extra, "meta": said})


def check_kind(config: Any) -> None:
    """Refuse a classifier, whose backbone loads as a causal LM with a head that nobody trained.

    Raises:
        InvalidInput: it is one.
    """
    made = (getattr(config, "architectures", None) or [""])[0]
    if made.endswith("ForSequenceClassification"):
        raise InvalidInput(f"model: a {made} writes no judgements; a meta RM is given as meta_model=")


class RewardScoringPipeline(Pipeline):
    """Scores responses with a generative reward model (arXiv 2504.02495).

    >>> pipe = pipeline("reward-scoring", model="org/a-grm")
    >>> pipe("What is 2+2?", ["4", "I like trains"], k=8)
    {'scores': [8.25, 1.5], 'totals': [66, 12], 'best': 0, 'k': 8, 'n_valid': 8, ...}

    Settings may be given here or in each call; what is not given stands in the checkpoint's `config.json["grm"]`.

    Args:
        k: judgements a request; order and seed of each come from the content and `seed`, so a larger k adds to them.
            "auto" draws whole rotations until the vote is safe, at most `k_max`: it then differs from the vote over
            all samples with a probability of at most `delta`.
        rule: how the samples are made into one vote, a name in `rules_grm.RULES`; the sum if not given.
        k_meta: how many of them the meta RM lets vote, half of them if not given; where fewer are readable all of those
            vote, and the result's `meta` says so.
        meta_model: the meta RM, by Hub id or folder, or a `MetaRM`; "self" for the judge's own first reading of the
            responses (`first_reading_grm`); the one that the checkpoint names (`meta_rm`) if not given. An adapter of
            the judge's own base shares its backbone.
        temperature, top_p, top_k, max_new_tokens: of each judgement.
        seed: whole number; the same seed gives the same orders and random streams.
        template: a name of `grm template list`, or a text with `{conversation}` and `{responses}`.
        principles: criteria of the caller's own that each judgement should apply.
        reference: a reference answer to compare with.
        truncation: None refuses what does not fit the context, "middle" cuts it and says so in the result.
        constrain: "scores" makes a judgement that ended without readable scores write one more line, of scores only;
            "none" leaves it as it is where the checkpoint says otherwise.
        quorum: least share of the k judgements that must be readable.
        min_confidence: least probability that the best is right; needs a judge whose confidence is calibrated.
        return_samples: put every judgement with its text, order and outcome into the result.
        rate: a function in the place of the meta RM, `[(request, critique)] -> [float | None]`.
        record: wraps the engine, as `trajectories.Store.recording` does to keep every sample.
        batch_size: distinct prompts that are decoded together.
    """

    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]
    _load_tokenizer = None  # an engine object brings its own, or has none
    adapter: str | None = None  # the LoRA adapter that `loading.load` put on the model, whose own name is its base's

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokenizer = self.tokenizer or getattr(self.model, "tokenizer", None)
        check_kind(self.model.config)
        self.grm = settings_of(getattr(self.model, "name_or_path", ""), getattr(self.model.config, "grm", None))
        self._warn_of_an_adapter()
        self._metas: dict[tuple[str, str], Rate] = {}
        config = self._config(self._forward_params)  # refuses settings that no call could use
        if "meta_model" in self._forward_params:
            self._rate(config, self._forward_params)
        if not self._counts_elsewhere:
            check_tokenizer(self.tokenizer)  # refuses one without a chat template

    @property
    def name(self) -> str:
        """Who judges: the adapter where there is one, else the model."""
        return self.adapter or str(getattr(self.model, "name_or_path", ""))

    def _warn_of_an_adapter(self) -> None:
        """`pipeline()` loads an adapter onto its base, and knows nothing of the settings beside it."""
        adapted = getattr(self.model, "_hf_peft_config_loaded", False)
        if adapted and getattr(self.model.config, "grm", None) is None and "template" not in self._forward_params:
            warnings.warn(
                f"{ADAPTER_ASKED} {self.grm.template}, as its base says nothing else and pipeline() does "
                "not read its grm.json; modeling_grm.loading.load(model) does, or give template=",
                stacklevel=3,
            )

    @property
    def _counts_elsewhere(self) -> bool:
        """Whether the model is an engine whose tokenizer only its server has."""
        return self.tokenizer is None and hasattr(self.model, "engine")

    def _sanitize_parameters(self, **settings: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        groups = (EXTRAS, (*SETTINGS, *CALL_SETTINGS), ("return_samples",))
        known = sorted(name for group in groups for name in group)
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise InvalidInput(f"{unknown[0]}: an unknown setting; known are {known}")
        given = {name: value for name, value in settings.items() if value is not None}  # None means: as it was
        before, during, after = ({name: given[name] for name in group if name in given} for group in groups)
        return before, during, after

    def _merged(self, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """The settings of this call before those that the pipeline was made with."""
        before, during, after = self._sanitize_parameters(**settings)
        return self._preprocess_params | before, self._forward_params | during, self._postprocess_params | after

    def _config(self, settings: Mapping[str, Any]) -> GRMConfig:
        """The checkpoint's settings with the caller's in their place, all of them checked."""
        config = self.grm.override(**{name: settings[name] for name in SETTINGS if name in settings})
        legal = score_range(config.template)
        stopping_of(config, legal)
        if config.rule is not None:
            find_rule(config.rule)
        _check_whole("seed", settings.get("seed", 0))
        _check_whole("batch_size", settings.get("batch_size", 1), low=1)
        return config

    def __call__(self, query: Any, responses: Any = None, **settings: Any) -> Any:  # type: ignore[override]
        """Score one request or many.

        Args:
            query: the user's message or chat messages, together with `responses`; or a row
                `{"query" | "conversation": ..., "responses": [...], "reference": ..., "principles": ...}`; or a list,
                generator or dataset of rows.
            responses: the texts to score where `query` is a message or chat messages.

        Returns:
            A dictionary for one request, a list for a list, an iterator for anything else that iterates; it reads its
            rows as it goes. `scores` are mean votes in the caller's order (None below the quorum), `best` the index of
            the single best (None on a tie).

        Raises:
            InvalidInput: bad input or settings, by name; a list is checked whole before anything is scored.
        """
        before, during, after = self._merged(settings)
        if responses is not None:
            query = {"query": getattr(query, "messages", query), "responses": responses}
        if _is_row(query):
            return next(self._results([self.preprocess(query, **before)], during, after))
        if isinstance(query, str) or not (isinstance(query, Iterable) or hasattr(query, "__getitem__")):
            raise InvalidInput(
                'responses: none given; call pipe(query, responses) or pipe({"query": ..., "responses": [...]})'
            )
        requests = _numbered(query, before)
        if isinstance(query, list):
            return list(self._results(list(requests), during, after))
        return self._results(requests, during, after)

    def _results(self, requests: Iterable[Request], during: Any, after: Any) -> Iterator[dict[str, Any]]:
        results = self._forward(requests, **during)
        return (self.postprocess(result, **after) for result in results)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Save model and tokenizer; with this code too where the configuration names it, so that the folder loads."""
        super().save_pretrained(save_directory, **kwargs)
        if getattr(self.model.config, "custom_pipelines", None):
            custom_object_save(self, save_directory)

    def configuration(self, **settings: Any) -> GRMConfig:
        """What a call with these settings is judged by.

        Raises:
            InvalidInput: a setting that is unknown or unusable, by name.
        """
        return self._config(self._merged(settings)[1])

    def check(self, row: Any, **settings: Any) -> None:
        """Refuse a row that this judge cannot score with these settings, without scoring it.

        Raises:
            InvalidInput: what is wrong, with the token counts where it is the length.
        """
        before, during, _ = self._merged(settings)
        config, request = self._config(during), self.preprocess(row, **before)
        fit = self._fitter(config)
        if fit is not None:
            fit(request, config.template)
        check = getattr(self._rate(config, during), "check", None)
        if check is not None:
            check(request, config.max_new_tokens)

    def preprocess(self, row: Any, **defaults: Any) -> Request:  # type: ignore[override]
        """A row as a request."""
        return to_request(row, **defaults)

    def _forward(self, requests: Iterable[Request], **settings: Any) -> Iterator[RewardResult]:  # type: ignore[override]
        config = self._config(settings)
        rate = self._rate(config, settings)
        asks_meta = config.rule in META_RULES or (config.rule is None and config.k_meta is not None)
        if asks_meta and rate is None:
            name = "rule" if config.rule else "k_meta"
            raise InvalidInput(f"{name}: {getattr(config, name)!r} has no meta RM to ask; pass meta_model= or rate=")
        engine = self._engine(config, settings.get("batch_size") or self._batch_size)
        engine = settings["record"](engine) if "record" in settings else engine
        seed = settings.get("seed", 0)
        results = score(requests, engine, config, seed=seed, fit=self._fitter(config), rate=rate)
        return results if rate is None else (_with_meta(result, config, rate) for result in results)

    def _rate(self, config: GRMConfig, settings: Mapping[str, Any]) -> Rate | None:
        """The meta RM of a call: the caller's own, else the checkpoint's where the rule and k have a use for it."""
        asked = settings.get("rate") or settings.get("meta_model") or self.own_meta(config)
        if asked is None or callable(asked):
            return asked
        key = (str(asked), config.template if asked == SELF else "")
        if key not in self._metas:
            self._metas[key] = rater_of(asked, self.model, self.tokenizer, config.template)
        return self._metas[key]

    def own_meta(self, config: GRMConfig) -> str | None:
        """The checkpoint's meta RM where it is of use; a judge that is loaded here reads for itself in its template."""
        if config.k == AUTO or config.rule not in (None, *META_RULES):
            return None
        reads = not hasattr(self.model, "engine") and config.template == self.grm.template
        return config.meta_rm if config.meta_rm != SELF or reads else None

    def _engine(self, config: GRMConfig, batch_size: int | None) -> Generate:
        """The model's own engine where it is one (`backends.base`), else transformers'."""
        low, high = score_range(config.template)
        line = partial(ScoresLine, low=low, high=high) if config.constrain else None
        own: Any = getattr(self.model, "engine", None)
        if own is not None:
            engine: Generate = own(config, stop=scores_line_end, line=line, batch_size=batch_size)
            return engine
        return TransformersGenerator(
            self.model,
            self.tokenizer,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            max_new_tokens=config.max_new_tokens,
            stop=scores_line_end,
            line=line,
            batch_size=batch_size or BATCH_SIZE,
        )

    def _fitter(self, config: GRMConfig) -> Fitter | None:
        if self._counts_elsewhere:
            return None
        tokenizer: Any = self.tokenizer
        context = getattr(self.model, "context", None) or context_length(self.model)
        return Fitter(
            count=lambda messages: len(encode(tokenizer, messages)),
            split=lambda text: tokenizer(text, add_special_tokens=False)["input_ids"],
            join=lambda ids: tokenizer.decode(ids, clean_up_tokenization_spaces=False),
            context=context,
            max_new_tokens=config.max_new_tokens,
            truncation=config.truncation,
        )

    def postprocess(  # type: ignore[override]
        self, result: RewardResult, return_samples: bool = False
    ) -> dict[str, Any]:
        """A result as plain JSON types, with the judge's name."""
        return result.to_dict(samples=return_samples) | {"model": self.name, "base": self.grm.base}
