"""Decoding steps for many samples at once: a prompt's keys and values stand once, whatever the number of its samples.

Knows token ids, caches and attention. Knows nothing about text, sampling or when a sample ends.

Every live sample is one row of the model's input, one token a step. A row's own keys and values stand in a small cache
of its own; its prompt's stand once, shared by all samples of the prompt. Attention is computed over both parts apart
and joined by their softmax totals, which is softmax over the whole (`_attend`). A model whose attention cannot be
replaced, or that fails a check against its own forward pass, gets one copy of the prompt's cache a sample instead.

Both states are used the same way: `start()` reads the prompts, `step(tokens)` writes one token a row, and
`keep(order)` lets finished rows go; `decoder(model)` names the one that a model can use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from inspect import signature
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import Cache, DynamicLayer
from transformers.utils import logging

from .types_grm import InvalidInput

logger = logging.get_logger(__name__)

ATTENTION = "grm_shared_prompt"
PREFILL_TOKENS = 8192  # tokens in one prefill call: enough to fill a device, small enough for its memory
SHORTEST_PREFIX = 32  # tokens that prompts must have in common before their prefill is shared
GROWTH = 64  # tokens by which the rows' own caches grow
HARMLESS = ("position_ids", "cache_position")  # what some models hand down to their attention, unused there
HIDDEN = torch.finfo(torch.float32).min


def _part(query: Any, key: Any, value: Any, bias: Any, softcap: float | None) -> tuple[Any, Any, Any]:
    """Attention over one part of the keys, not yet divided: weighted values, sum of the weights, highest score."""
    scores = query @ key.transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if bias is not None:
        scores += bias
    highest = scores.amax(-1, keepdim=True)
    weights = (scores - highest).exp_()
    return weights.to(value.dtype) @ value, weights.sum(-1, keepdim=True), highest


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any = None,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    shared_prompts: Any = None,
    **other: Any,
) -> tuple[Any, None]:
    """One decoding step of N rows. query: (N, heads, 1, d); key, value: the rows' own, (N, groups, steps, d)."""
    unknown = [name for name, given in other.items() if torch.is_tensor(given) and name not in HARMLESS]
    if unknown:  # sinks, position biases and the like would be left out silently
        raise ValueError(f"attention over shared prompts knows no {unknown[0]}")
    rows, heads, _one, width = query.shape
    query = query.view(rows, key.shape[1], -1, width) * (width**-0.5 if scaling is None else scaling)
    own, own_sum, own_top = _part(query, key, value, shared_prompts.own_bias(key, sliding_window), softcap)
    stored_key, stored_value = shared_prompts.layer(module.layer_idx)
    if hasattr(module, "expand_kv"):  # multi-head latent attention caches what keys and values are made from
        stored_key, stored_value = module.expand_kv(stored_key, stored_value)
    asked, bias = shared_prompts.by_prompt(query), shared_prompts.bias(key, sliding_window)
    seen, seen_sum, seen_top = map(shared_prompts.by_row, _part(asked, stored_key, stored_value, bias, softcap))
    top = torch.maximum(own_top, seen_top)
    own_scale, seen_scale = (own_top - top).exp_(), (seen_top - top).exp_()
    joined = (own * own_scale + seen * seen_scale) / (own_sum * own_scale + seen_sum * seen_scale)
    return joined.to(value.dtype).reshape(rows, 1, heads, -1), None


AttentionInterface.register(ATTENTION, _attend)


class _OwnLayer(DynamicLayer):
    """The rows' own keys and values in one layer, written in place: (rows, groups, room, d)."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: Any = None
        self.values: Any = None
        self.length, self.rows = 0, 0

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        if self.keys is None:
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
            self.rows, self.is_initialized = key_states.shape[0], True
        if self.length == self.keys.shape[2]:
            grow = (0, 0, 0, GROWTH)
            self.keys, self.values = (pad(part[: self.rows], grow) for part in (self.keys, self.values))
        self.keys[: self.rows, :, self.length] = key_states[:, :, 0]
        self.values[: self.rows, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return self.keys[: self.rows, :, : self.length], self.values[: self.rows, :, : self.length]

    def get_seq_length(self) -> int:
        return self.length

    def picked(self, rows: Sequence[int]) -> _OwnLayer:
        """A copy with some of the rows."""
        copied = _OwnLayer()
        if self.keys is not None:
            copied.keys, copied.values = self.keys[list(rows)], self.values[list(rows)]
        copied.length, copied.rows, copied.is_initialized = self.length, len(rows), self.is_initialized
        return copied


def moves(alive: Sequence[bool]) -> list[int]:
    """Which old row stands in each place once the dead are gone: the last living fill the gaps, the others stay."""
    count = sum(alive)
    last = iter([at for at in range(count, len(alive)) if alive[at]])
    return [at if alive[at] else next(last) for at in range(count)]


def _fill_gaps(parts: Iterable[Any], order: Sequence[int]) -> None:
    gaps = [at for at, old in enumerate(order) if at != old]
    for part in parts if gaps else ():
        part[gaps] = part[[order[at] for at in gaps]]


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _common_prefix(prompts: Sequence[list[int]]) -> int:
    """Tokens that every prompt starts with, at most all but the last of the shortest; 0 where sharing does not pay."""
    first, last = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    common = next((at for at in range(limit) if first[at] != last[at]), limit)
    return common if len(prompts) > 1 and common >= SHORTEST_PREFIX else 0


def _left_padded(prompts: Sequence[list[int]], width: int, device: Any) -> Any:
    """The last `width` tokens of each prompt, (prompts, width), zeros in front."""
    return torch.tensor([[0] * (width - len(ids)) + list(ids[-width:]) for ids in prompts], device=device)


def _visible(lengths: Sequence[int], width: int, device: Any) -> Any:
    """(prompts, width) mask, 1 on the last `length` columns."""
    return (torch.arange(width, 0, -1, device=device) <= torch.tensor(lengths, device=device)[:, None]).long()


def cache_argument(model: Any) -> str:
    """The name under which a model's `forward` takes its cache: transformers 5.24 renamed it."""
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in signature(bare.forward).parameters else "past_key_values"


def _forward(model: Any, ids: Any, mask: Any, cache: Any) -> Any:
    """Read `ids`, the last columns under `mask`, into the cache; the last column's logits, (rows, vocabulary)."""
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    where = {"attention_mask": mask, "position_ids": positions, cache_argument(model): cache, "use_cache": True}
    return model(input_ids=ids, **where, logits_to_keep=1).logits[:, -1]


class SharedPrompts:
    """Decoding state with one copy of each prompt's keys and values, left padded.

    Args:
        model: a causal LM whose attention goes through `AttentionInterface`.
        prompts: token ids of the distinct prompts.
        prompt_of: for each row, which prompt it continues.
    """

    def __init__(self, model: Any, prompts: Sequence[list[int]], prompt_of: Sequence[int]) -> None:
        self.model, self.prompts, self.prompt_of = model, prompts, list(prompt_of)
        self.lengths, self.width = [len(ids) for ids in prompts], max(map(len, prompts))
        self.steps, self.biases = 0, {}  # type: int, dict[int | None, Any]

    @torch.inference_mode()
    def start(self) -> Any:
        """Read the prompts; logits of each row's first new token, (rows, vocabulary)."""
        common = _common_prefix(self.prompts)
        prefix = DynamicCache()
        if common:
            ids = _left_padded([self.prompts[0][:common]], common, self.model.device)
            _forward(self.model, ids, torch.ones_like(ids), prefix)
        size = max(1, PREFILL_TOKENS // (self.width - common))
        parts = [self._read(self.prompts[at : at + size], prefix, common) for at in range(0, len(self.prompts), size)]
        layers = zip(*(cache.layers for _, cache in parts), strict=True)
        self.stored = [[self._joined(layer, name) for name in ("keys", "values")] for layer in layers]
        self.own = [_OwnLayer() for _ in self.stored]
        self.cache = Cache(layers=list(self.own))
        self._place()
        return torch.cat([logits for logits, _ in parts])[self.prompt_of]

    def _joined(self, layers: Sequence[Any], name: str) -> Any:
        parts = [layer.__dict__.pop(name) for layer in layers]
        return torch.cat([pad(part, (0, 0, self.width - part.shape[2], 0)) for part in parts])

    def _read(self, prompts: Sequence[list[int]], prefix: Any, common: int) -> tuple[Any, Any]:
        """Prefill some prompts behind the common prefix: each row starts from as much of it as fits its length."""
        rest = max(map(len, prompts)) - common
        kept = [max(0, len(ids) - rest) for ids in prompts]
        cache = DynamicCache()
        for at, layer in enumerate(prefix.layers if common else ()):
            cache.update(*(self._rows(part, kept) for part in (layer.keys, layer.values)), at)
        mask = _visible([len(ids) for ids in prompts], max(kept) + rest, self.model.device)
        return _forward(self.model, _left_padded(prompts, rest, self.model.device), mask, cache), cache

    @staticmethod
    def _rows(part: Any, kept: Sequence[int]) -> Any:
        width = max(kept)
        return torch.cat([pad(part[:, :, :count], (0, 0, width - count, 0)) for count in kept])

    def _place(self) -> None:
        """Where each row's query stands in the (prompts, most samples of one) grid that attends to the prompts."""
        taken = [0] * len(self.lengths)
        ranks = []
        for prompt in self.prompt_of:
            ranks.append(taken[prompt])
            taken[prompt] += 1
        self.samples = max(taken)
        cells = [prompt * self.samples + rank for prompt, rank in zip(self.prompt_of, ranks, strict=True)]
        self.cells = torch.tensor(cells, device=self.model.device)

    @torch.inference_mode()
    def step(self, tokens: Any) -> Any:
        """Logits behind each row's new token, (rows,) -> (rows, vocabulary)."""
        positions = torch.tensor([[self.lengths[at] + self.steps] for at in self.prompt_of], device=self.model.device)
        self.steps, self.biases = self.steps + 1, {}
        where = {"position_ids": positions, cache_argument(self.model): self.cache, "use_cache": True}
        with _attention(self.model, ATTENTION):
            return self.model(input_ids=tokens[:, None], **where, shared_prompts=self).logits[:, -1]

    def peek(self, rows: Sequence[int], tokens: Any) -> Any:
        """Logits behind other tokens than the next ones, for some rows, (rows,) -> (rows, vocabulary); no trace."""
        fork = copy(self)
        fork.own = [layer.picked(rows) for layer in self.own]
        fork.cache = Cache(layers=list(fork.own))
        fork.prompt_of = [self.prompt_of[row] for row in rows]
        fork._place()
        return fork.step(tokens)

    @torch.inference_mode()
    def keep(self, order: Sequence[int]) -> None:
        """Row `order[i]` becomes row i; the others are gone, and prompts without rows with them."""
        own = (part for layer in self.own for part in (layer.keys, layer.values) if part is not None)
        _fill_gaps(own, order)  # none yet where rows ended with their first token
        for layer in self.own:
            layer.rows = len(order)
        self.prompt_of = [self.prompt_of[old] for old in order]
        living = set(self.prompt_of)
        prompts = moves([at in living for at in range(len(self.lengths))])
        _fill_gaps((part for layer in self.stored for part in layer), prompts)
        self.lengths = [self.lengths[old] for old in prompts]
        now = {old: at for at, old in enumerate(prompts)}
        self.prompt_of = [now[old] for old in self.prompt_of]
        self._place()

    def layer(self, at: int) -> tuple[Any, Any]:
        """Keys and values of the prompts that still have rows, as they were cached."""
        key, value = self.stored[at]
        return key[: len(self.lengths)], value[: len(self.lengths)]

    def by_prompt(self, rows: Any) -> Any:
        """(rows, groups, heads a group, d) -> (prompts, groups, samples * heads a group, d), zeros where no row is."""
        groups, heads, width = rows.shape[1:]
        grid = rows.new_zeros(len(self.lengths) * self.samples, groups, heads, width)
        grid[self.cells.to(rows.device)] = rows
        grid = grid.view(-1, self.samples, groups, heads, width).transpose(1, 2)
        return grid.reshape(grid.shape[0], groups, -1, width)

    def by_row(self, grid: Any) -> Any:
        """Back from `by_prompt`."""
        prompts, groups, _, width = grid.shape
        grid = grid.view(prompts, groups, self.samples, -1, width).transpose(1, 2)
        return grid.reshape(prompts * self.samples, groups, -1, width)[self.cells.to(grid.device)]

    def bias(self, like: Any, window: int | None) -> Any:
        """What hides padding, and prompt tokens that left a layer's sliding window, from this step's queries."""
        if window not in self.biases:
            behind = torch.arange(self.width, 0, -1, device=like.device)  # 1 for a prompt's last token
            seen = behind <= torch.tensor(self.lengths, device=like.device)[:, None]
            if window is not None:
                seen &= behind + self.steps - 1 < window
            self.biases[window] = None if seen.all() else _hiding(seen)[:, None, None]
        bias = self.biases[window]
        return None if bias is None else bias.to(like.device)

    def own_bias(self, like: Any, window: int | None) -> Any:
        """What hides a row's own tokens that left a layer's sliding window."""
        if window is None or self.steps <= window:
            return None
        return _hiding(torch.arange(self.steps, 0, -1, device=like.device) <= window)


def _hiding(seen: Any) -> Any:
    return torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, HIDDEN)


class CopiedPrompts:
    """Decoding state for any model that transformers can cache: each row has its own copy of its prompt's cache."""

    def __init__(self, model: Any, prompts: Sequence[list[int]], prompt_of: Sequence[int]) -> None:
        self.model, self.prompts, self.prompt_of = model, prompts, list(prompt_of)

    @torch.inference_mode()
    def start(self) -> Any:
        """As `SharedPrompts.start`."""
        lengths = [len(ids) for ids in self.prompts]
        self.mask = _visible(lengths, max(lengths), self.model.device)
        self.cache: Any = DynamicCache(config=self.model.config)
        logits = _forward(
            self.model, _left_padded(self.prompts, max(lengths), self.model.device), self.mask, self.cache
        )
        self.keep(self.prompt_of)
        return logits[self.prompt_of]

    @torch.inference_mode()
    def step(self, tokens: Any) -> Any:
        """As `SharedPrompts.step`."""
        self.mask = pad(self.mask, (0, 1), value=1)
        return _forward(self.model, tokens[:, None], self.mask, self.cache)

    def peek(self, rows: Sequence[int], tokens: Any) -> Any:
        """As `SharedPrompts.peek`."""
        fork = copy(self)
        fork.cache = deepcopy(self.cache)
        fork.keep(rows)
        return fork.step(tokens)

    @torch.inference_mode()
    def keep(self, order: Sequence[int]) -> None:
        """As `SharedPrompts.keep`."""
        chosen = torch.tensor(order, device=self.model.device)
        self.cache.reorder_cache(chosen)
        self.mask = self.mask[chosen]


def _error(model: Any, kind: type[SharedPrompts] | type[CopiedPrompts]) -> float:
    """How far a state's logits are from the model's own, relative: a few forced tokens behind two short prompts.

    Each prompt has two rows and the nearer one counts, so that a mixture of experts may route one row another way.
    """
    vocabulary = model.config.get_text_config().vocab_size
    prompts = [[at * 7919 % vocabulary for at in range(start, start + length)] for start, length in ((1, 9), (11, 5))]
    state = kind(model, prompts, (0, 0, 1, 1))
    logits, written = state.start(), torch.empty(4, 0, dtype=torch.long, device=model.device)
    for _ in range(2):
        tokens = torch.arange(1, 5, device=model.device) % vocabulary
        logits, written = state.step(tokens), torch.cat([written, tokens[:, None]], 1)
    with torch.inference_mode():
        whole = [torch.tensor([prompts[row // 2] + written[row].tolist()], device=model.device) for row in range(4)]
        own = torch.stack([model(input_ids=ids, use_cache=False).logits[0, -1] for ids in whole]).double()
    errors = (logits.double() - own).norm(dim=-1) / own.norm(dim=-1)
    return float(errors.view(2, 2).amin(1).max())


def _works(model: Any, kind: type[SharedPrompts] | type[CopiedPrompts]) -> bool:
    try:
        error: Any = _error(model, kind)
    except Exception as failure:  # an unknown architecture may object to anything
        error = repr(failure)
    works = isinstance(error, float) and error < (1e-3 if model.dtype in (torch.float32, torch.float64) else 0.3)
    if not works:
        logger.info(f"{type(model).__name__} does not decode with {kind.__name__} ({error})")
    return works


_KINDS: WeakKeyDictionary[Any, type[SharedPrompts] | type[CopiedPrompts]] = WeakKeyDictionary()


def decoder(model: Any) -> type[SharedPrompts] | type[CopiedPrompts]:
    """The decoding state that gives a model's own logits, shared prompts first; tried once a model on a few tokens.

    Raises:
        InvalidInput: neither does, as with models that keep no keys and values.
    """
    if model not in _KINDS:
        kinds = (SharedPrompts, CopiedPrompts) if model._can_set_attn_implementation() else (CopiedPrompts,)
        kind = next((kind for kind in kinds if _works(model, kind)), None)
        if kind is None:
            raise InvalidInput(
                f"model: {type(model).__name__} does not decode with a left-padded key-value cache, so samples cannot "
                "share their prompt; use another architecture, or another backend"
            )
        _KINDS[model] = kind
    return _KINDS[model]
