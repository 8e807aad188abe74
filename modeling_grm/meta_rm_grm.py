"""The meta RM: how far a sampled judgement can be trusted, as one number.

    rate = MetaRM.from_pretrained("org/a-meta-rm")
    rate([(request, critique), (request, another)]) -> [1.7, -15.8]

A sequence classifier with one label reads the conversation, the responses in the order that this sample saw (its
"Response 1" is the one shown first) and the whole judgement as the assistant's turn (arXiv 2504.02495, section 4 and
Appendix G). What it cannot rate is None under a name, never a number. Knows nothing about votes.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, DynamicCache
from transformers.utils import cached_file

from .adapters_grm import adapter_base, adapter_task
from .decoding_grm import cache_argument
from .generation_grm import context_length
from .judged_grm import ADAPTER_FILE, KEY, check_about, check_template, encode_judged, judged_messages, shortest
from .types_grm import Critique, InvalidInput, Outcome, Request

EAGER = ("gemma2",)  # sdpa has given NaN on padded rows there
SHARED = "grm_meta"  # the adapter's name on a shared backbone
logger = logging.getLogger(__name__)


class Unrated(str, Enum):
    """Why a judgement has no rating."""

    NOT_OK = "not_ok"
    TOO_LONG = "too_long"
    NOT_FINITE = "not_finite"
    ENGINE_ERROR = "engine_error"


def parts_of(model: Any) -> tuple[Any, Any]:
    """(backbone, head) of a classifier, PEFT-wrapped or not.

    Raises:
        InvalidInput: no causal backbone with a `score` head of one label.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = getattr(inner, "score", None)
    if head is None or inner.base_model is inner:
        raise InvalidInput(
            f"meta_model: {type(inner).__name__} has no `score` head on a causal backbone; give a checkpoint of "
            "AutoModelForSequenceClassification with num_labels=1"
        )
    return inner.base_model, head


def _check_labels(labels: int) -> None:
    if labels != 1:
        raise InvalidInput(f"meta_model: it has {labels} labels; a meta RM has one, num_labels=1")


class MetaRM:
    """The `Rate` seam over a sequence classifier with one label: higher is more trustworthy.

    The rating is the classifier's raw logit, divided by the temperature where the checkpoint was calibrated
    (`config.json["grm_meta"]["temperature"]`); the sigmoid of it is the probability that the judgement is correct (Eq
    10). The logit is read at the rightmost token that is no padding, which is where transformers trains it. A
    judgement's rating depends on nothing else in its batch but for rounding.

    Args:
        model: `...ForSequenceClassification` on a causal backbone, PEFT-wrapped or not; put into evaluation mode.
        tokenizer: the one that it was trained with; pads on the side that it names.
        batch_size: judgements read at once.
        context: tokens that it reads at most; the model's own if None.
        about: `config.json["grm_meta"]`; the model's own if None.

    Attributes:
        failures: how many were not rated, by `Unrated`.

    Raises:
        InvalidInput: more than one label, no `score` head, another tokenizer than it was trained with, or a chat
            template that takes no judgement.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int = 8,
        context: int | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._bind(tokenizer, getattr(model.config, KEY, None) if about is None else about, batch_size)
        self.backbone, self.head = parts_of(model.eval())
        _check_labels(_labels_of(self.head))
        self.name_or_path = str(getattr(model, "name_or_path", "") or "")
        self.context = context or context_length(model)
        self.pad = _pad_of(model, tokenizer)
        self._active: Callable[[], AbstractContextManager[None]] = nullcontext

    def _bind(self, tokenizer: Any, about: Mapping[str, Any] | None, batch_size: int) -> None:
        self.tokenizer, self.batch_size, self.about = tokenizer, batch_size, dict(about or {})
        self.failures: Counter[Unrated] = Counter()
        check_template(tokenizer)
        self.temperature = check_about(self.about, tokenizer)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: Any = None, dtype: Any = "auto", tokenizer: Any = None, **options: Any
    ) -> MetaRM:
        """A checkpoint or LoRA adapter, by Hub id or folder; eager attention for Gemma-2.

        Raises:
            InvalidInput: there is no such model, it is no classifier with one label (seen before the weights are
                read), or see the class.
        """
        config, about = described(str(name))
        loaded = {"num_labels": 1} | ({"attn_implementation": "eager"} if config.model_type in EAGER else {})
        model = AutoModelForSequenceClassification.from_pretrained(str(name), dtype=dtype, **loaded)
        model = model if device is None else model.to(device)
        rated = cls(model, tokenizer or tokenizer_of(str(name)), about=about, **options)
        rated.name_or_path = str(name)
        return rated

    @classmethod
    def on_backbone_of(cls, grm: Any, name: str | Path, *, tokenizer: Any = None, **options: Any) -> MetaRM:
        """A LoRA adapter with its head on a GRM's own backbone: no second model in memory.

        The adapter is switched on around each call and off behind it; between calls the GRM is as it was.

        Args:
            grm: a causal LM, plain or with an adapter that `from_pretrained` or `load_adapter` put on it.
            name: the meta RM's adapter, trained on the same base.
            tokenizer: the meta RM's; its own repository's if None.
            options: the class's own.

        Raises:
            InvalidInput: no adapter, a PEFT-wrapped GRM, or see the class.
        """
        if hasattr(grm, "get_base_model"):
            raise InvalidInput("model: a PEFT wrapper; load its adapter with from_pretrained, so that it can be shared")
        if adapter_base(str(name)) is None:
            raise InvalidInput(f"meta_model: {name} is no adapter; only an adapter shares the GRM's backbone")
        before = _adapters(grm)
        width = grm.config.get_text_config().hidden_size
        grm.score = torch.nn.Linear(width, 1, bias=False, device=grm.device, dtype=grm.dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # two adapters are what is wanted
            grm.load_adapter(str(name), adapter_name=SHARED)
        grm.score = grm.score.modules_to_save[SHARED]
        _restore(grm, before)
        try:
            rated = cls(grm, tokenizer or tokenizer_of(str(name)), about=_about_of(str(name)), **options)
        finally:
            del grm.score  # the GRM stays a plain causal LM
        rated._active = lambda: _switched(grm)
        rated.name_or_path = str(name)
        return rated

    def __call__(self, pairs: Sequence[tuple[Request, Critique]]) -> list[float | None]:
        """One rating a judgement, None where it has none; why is logged and counted in `failures`."""
        ratings: list[float | None] = [None] * len(pairs)
        rows: dict[int, list[int]] = {}
        for at, (request, critique) in enumerate(pairs):
            if critique.outcome != Outcome.OK:
                self.failures[Unrated.NOT_OK] += 1
                continue
            ids = encode_judged(self.tokenizer, judged_messages(request, critique))
            if len(ids) > self.context:
                self._failed(Unrated.TOO_LONG, f"{len(ids):,} tokens > context {self.context:,}")
            else:
                rows[at] = ids
        for batch in self.batches(rows):
            for at, logit in zip(batch, self._rated([rows[at] for at in batch]), strict=True):
                ratings[at] = self._checked(logit)
        return ratings

    def batches(self, rows: Mapping[int, Sequence[int]]) -> list[list[int]]:
        """Which judgements are read at once: those of one prompt, and of the others those of like length."""
        groups = together(rows, self.batch_size)
        alone = sorted((at for group in groups if len(group) == 1 for at in group), key=lambda at: len(rows[at]))
        return [group for group in groups if len(group) > 1] + in_batches(alone, self.batch_size)

    def check(self, request: Request, max_new_tokens: int) -> None:
        """Refuse a request whose judgements may not fit.

        Raises:
            InvalidInput: prompt and `max_new_tokens` of judgement pass the context, with the counts.
        """
        length = len(encode_judged(self.tokenizer, shortest(request)))
        if length + max_new_tokens > self.context:
            raise InvalidInput(
                f"meta_model: prompt {length:,} tokens + {max_new_tokens:,} of judgement > context {self.context:,}; "
                "shorten the query or the responses, lower max_new_tokens, or leave the meta RM out"
            )

    def _checked(self, logit: float | None) -> float | None:
        if logit is None or math.isfinite(logit):
            return None if logit is None else logit / self.temperature
        self._failed(Unrated.NOT_FINITE, f"the logit is {logit}")
        return None

    def _failed(self, why: Unrated, said: str) -> None:
        self.failures[why] += 1
        logger.warning("the meta RM left a judgement unrated: %s: %s", why.value, said)

    def _rated(self, rows: list[list[int]]) -> list[float | None]:
        """A batch's logits; where it fails, its halves', until the failing judgement is alone and has none."""
        try:
            return list(self.logits(rows))
        except Exception as failure:
            if len(rows) == 1:
                self._failed(Unrated.ENGINE_ERROR, f"{type(failure).__name__}: {failure}")
                return [None]
        half = len(rows) // 2
        return self._rated(rows[:half]) + self._rated(rows[half:])

    def logits(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """Raw logits of judgements given as token ids."""
        with torch.inference_mode():
            found = self.head(self.pooled(rows).to(next(self.head.parameters()).dtype))
        return [float(one) for one in found[:, 0].float().tolist()]

    @torch.inference_mode()
    def pooled(self, rows: Sequence[Sequence[int]]) -> Any:
        """What the head reads of judgements given as token ids: their last hidden states, (rows, width).

        Where rows begin alike for half their length or more, as judgements of one prompt do, that part is read once.
        """
        ends = [last_real(row, self.pad) for row in rows]
        shared = min(alike(rows), *ends)
        with self._active():
            if len(rows) > 1 and 2 * shared >= max(map(len, rows)):
                hidden, starts = self._branched(rows, shared), [-shared] * len(rows)
            else:
                side = getattr(self.tokenizer, "padding_side", "right")
                hidden = self._read(*_padded(rows, self.pad or 0, side, self._device))
                starts = [hidden.shape[1] - len(row) if side == "left" else 0 for row in rows]
        return hidden[range(len(rows)), [start + end for start, end in zip(starts, ends, strict=True)]]

    @property
    def _device(self) -> Any:
        return next(self.head.parameters()).device

    def _read(self, ids: Any, mask: Any, cache: Any = None) -> Any:
        """Hidden states of `ids`, the last columns under `mask`."""
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        asked = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "use_cache": cache is not None}
        return self.backbone(**asked, **({} if cache is None else {self._cache: cache})).last_hidden_state

    @cached_property
    def _cache(self) -> str:
        return cache_argument(self.backbone)

    def _branched(self, rows: Sequence[Sequence[int]], shared: int) -> Any:
        """Hidden states of what follows the shared part."""
        cache = DynamicCache(config=self.backbone.config)
        self._read(*_padded([rows[0][:shared]], 0, "right", self._device), cache)
        cache.batch_repeat_interleave(len(rows))
        ids, mask = _padded([row[shared:] for row in rows], self.pad or 0, "right", self._device)
        return self._read(ids, torch.cat([mask.new_ones(len(rows), shared), mask], dim=1), cache)


def meta_rm_of(name: str | Path, grm: Any = None, **options: Any) -> MetaRM:
    """A meta RM by name: on the GRM's own backbone where it is an adapter of the same base, else a model of its own.

    Raises:
        InvalidInput: see `MetaRM`.
    """
    described(str(name))
    base, torch_model = adapter_base(str(name)), isinstance(grm, torch.nn.Module)
    shares = base is not None and torch_model and base == grm.name_or_path and not hasattr(grm, "get_base_model")
    if shares and SHARED not in getattr(grm, "peft_config", {}):
        return MetaRM.on_backbone_of(grm, name, **options)
    placed = {"device": grm.device, "dtype": grm.dtype} if torch_model else {}
    return MetaRM.from_pretrained(name, **placed, **options)


def described(name: str) -> tuple[Any, dict[str, Any]]:
    """(configuration, its `grm_meta`) of a meta RM, no weights read.

    Raises:
        InvalidInput: there is no such model, or it is no classifier with one label.
    """
    try:
        base = adapter_base(name)
        if base is not None:
            _check_task(name)
            return AutoConfig.from_pretrained(base), _about_of(name)
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"meta_model: {name!r} cannot be loaded; give a Hub id or a folder ({error})") from error
    made = (config.architectures or [config.model_type])[0]
    if not made.endswith("ForSequenceClassification"):
        raise InvalidInput(f"meta_model: {name!r} is a {made}, no sequence classifier; train one (recipes/meta_rm)")
    _check_labels(config.num_labels)
    return config, dict(getattr(config, KEY, None) or {})


def _check_task(name: str) -> None:
    """Refuse another model's adapter: its base would be loaded with a head that nobody trained."""
    found = adapter_task(name)
    if found not in (None, "SEQ_CLS"):
        raise InvalidInput(f"meta_model: {name!r} is an adapter for {found}, no sequence classifier's (SEQ_CLS)")


def tokenizer_of(name: str) -> Any:
    """A meta RM's tokenizer; an adapter without one has its base's.

    Raises:
        InvalidInput: there is none.
    """
    for place in filter(None, (name, adapter_base(name))):
        with suppress(OSError, ValueError):
            return AutoTokenizer.from_pretrained(place)
    raise InvalidInput(f"meta_model: {name!r} has no tokenizer; save the one that it was trained with beside it")


def _about_of(adapter: str) -> dict[str, Any]:
    path = cached_file(adapter, ADAPTER_FILE, _raise_exceptions_for_missing_entries=False)
    return {} if path is None else dict(json.loads(Path(path).read_text(encoding="utf-8")))


def _labels_of(head: Any) -> int:
    found = getattr(head, "out_features", None) or next(head.parameters()).shape[0]
    return int(found)


def _pad_of(model: Any, tokenizer: Any) -> int | None:
    pad = model.config.get_text_config().pad_token_id
    pad = tokenizer.pad_token_id if pad is None else pad
    return None if pad is None else int(pad)


def _padded(rows: Sequence[Sequence[int]], pad: int, side: str, device: Any) -> tuple[Any, Any]:
    """(ids, mask), (rows, longest) each."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for at, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[at, place], mask[at, place] = torch.tensor(row), 1
    return ids.to(device), mask.to(device)


def together(rows: Mapping[int, Sequence[int]], size: int) -> list[list[int]]:
    """At most `size` rows each, that begin alike for half their length or more."""
    groups: list[list[int]] = []
    for at in sorted(rows, key=lambda at: list(rows[at])):
        last = groups[-1] if groups else []
        if 0 < len(last) < size and 2 * alike([rows[last[0]], rows[at]]) >= len(rows[at]):
            last.append(at)
        else:
            groups.append([at])
    return groups


def in_batches(turn: Sequence[int], size: int) -> list[list[int]]:
    """A sequence cut into lists of that size; the last may be shorter."""
    return [list(turn[start : start + size]) for start in range(0, len(turn), size)]


def alike(rows: Sequence[Sequence[int]]) -> int:
    """With how many ids all rows begin alike."""
    first, last = min(rows, key=list), max(rows, key=list)  # whatever these two share, those between them share too
    differ = (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(differ, min(len(first), len(last)))


def last_real(row: Sequence[int], pad: int | None) -> int:
    """Where a row's last token that is no padding stands, 0 where there is none."""
    return next((at for at in range(len(row) - 1, -1, -1) if row[at] != pad), 0)


def _adapted(model: Any) -> list[Any]:
    """The layers that carry LoRA adapters; switched one by one, since transformers' own switch wants a newer peft."""
    return [module for module in model.modules() if hasattr(module, "lora_A")]


def _adapters(model: Any) -> list[str] | None:
    """The active adapters of a model; None where it has none or they are off."""
    on = [layer for layer in _adapted(model) if not layer.disable_adapters]
    return list(on[0].active_adapters) if on else None


def _restore(model: Any, active: list[str] | None) -> None:
    for layer in _adapted(model):
        layer.enable_adapters(active is not None)
        if active is not None:
            layer.set_adapter(active)


@contextmanager
def _switched(model: Any) -> Iterator[None]:
    """The shared meta RM's adapter on, and behind it what was on before."""
    before = _adapters(model)
    _restore(model, [SHARED])
    try:
        yield
    finally:
        _restore(model, before)
