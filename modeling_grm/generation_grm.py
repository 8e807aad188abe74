"""Prompts in, completions out, with a transformers model: the k samples of a prompt share one prefill and one KV cache.

Knows token ids, caches and random streams. Knows nothing about scores, templates or votes: where a text may end early is
told by a `stop` function, and failures come back as completions with an `error`.

How a batch decodes: every live sample is one row of the model's input, one token a step. A row's own keys and values
stand in a small cache of its own; its prompt's stand once, shared by all samples of the prompt. Attention is computed
over both parts apart and joined by their log-sum-exp, which is softmax over the whole (`_attend`). Models whose attention
cannot be replaced, or where a check against their own forward pass fails, get one copy of the prompt's cache a sample.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from transformers import (
    AttentionInterface,
    DynamicCache,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.cache_utils import Cache, DynamicLayer
from transformers.utils import logging

from .types_grm import Completion, InvalidInput, Prompt

logger = logging.get_logger(__name__)

ATTENTION = "grm_shared_prompt"
LOOKAHEAD = 4  # batches read ahead, so that prompts of like length can share one
PREFILL_TOKENS = 8192  # tokens in one prefill call: enough to fill a device, small enough for its memory
SHORTEST_PREFIX = 32  # tokens that prompts must have in common before their prefill is shared
GROWTH = 64  # tokens by which a row's own cache grows
CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")


def context_length(model_or_config: Any) -> int:
    """How many tokens a model reads and writes at most; `sys.maxsize` where its configuration names no limit."""
    config = getattr(model_or_config, "config", model_or_config)
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    return next((int(getattr(config, name)) for name in CONTEXT_NAMES if getattr(config, name, None)), sys.maxsize)


def check_length(prompt_tokens: int, max_new_tokens: int, context: int) -> None:
    """Refuse a prompt that leaves too little room for its completion.

    Raises:
        InvalidInput: `prompt_tokens + max_new_tokens > context`, with the counts and the ways out.
    """
    if prompt_tokens + max_new_tokens > context:
        raise InvalidInput(
            f"prompt {prompt_tokens:,} tokens + {max_new_tokens:,} new > context {context:,}; shorten the query or the "
            'responses, lower max_new_tokens, or cut long texts in their middle with truncation="middle"'
        )


def _control_tokens(tokenizer: Any) -> list[str]:
    """Texts that the tokenizer turns into control tokens: its special ones, and added ones that the template uses."""
    added = tokenizer.added_tokens_decoder.values()
    texts = {token.content for token in added if token.special or token.content in tokenizer.chat_template}
    return sorted(text for text in texts | set(tokenizer.all_special_tokens) if text.strip())


def encode(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[int]:
    """Chat messages as the token ids that open the assistant's turn.

    The template alone places BOS, so there is never a second one. Text from outside is data: where a message's content
    spells a control token (`<|im_end|>`, `<s>`, ...), a space is put after its first character, so that it reaches the
    model as plain text (`< |im_end|>`). The control tokens that the chat template writes are untouched.

    Raises:
        InvalidInput: the tokenizer has no chat template, or its template refuses the messages.
    """
    if not isinstance(getattr(tokenizer, "chat_template", None), str):
        raise InvalidInput(
            "model: its tokenizer has no chat template; use an instruction-tuned model, or set "
            "tokenizer.chat_template and save the tokenizer into the model's folder"
        )
    control = re.compile(f"(?=(?:{'|'.join(map(re.escape, _control_tokens(tokenizer))) or '(?!)'}))(.)", re.DOTALL)
    plain = [{**message, "content": control.sub(r"\1 ", message["content"])} for message in messages]
    try:
        text = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # jinja2 is not imported here, and templates raise its errors on purpose
        raise InvalidInput(f"messages: the model's chat template refuses them: {error}") from error
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


# --------------------------------------------------------------------------- attention over a shared prompt


def _part(query: Any, key: Any, value: Any, bias: Any, softcap: float | None) -> tuple[Any, Any]:
    """Attention over one part of the keys: its output, and the log-sum-exp of its scores as (..., queries, 1)."""
    scores = query @ key.transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if bias is not None:
        scores += bias
    total = scores.logsumexp(-1, keepdim=True)
    return (scores - total).exp_().to(value.dtype) @ value, total


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
    **_: Any,
) -> tuple[Any, None]:
    """One decoding step of N rows. query: (N, heads, 1, d); key, value: the rows' own, (N, groups, steps, d)."""
    rows, heads, _one, width = query.shape
    query = query.view(rows, key.shape[1], -1, width) * (width**-0.5 if scaling is None else scaling)
    own, own_total = _part(query, key, value, shared_prompts.own_bias(key, sliding_window), softcap)
    prompt_key, prompt_value = shared_prompts.layer(module.layer_idx)
    asked = shared_prompts.by_prompt(query)
    theirs, total = _part(asked, prompt_key, prompt_value, shared_prompts.bias(key, sliding_window), softcap)
    share = (shared_prompts.by_row(total) - own_total).sigmoid().to(own.dtype)
    return torch.lerp(own, shared_prompts.by_row(theirs), share).reshape(rows, 1, heads, -1), None


AttentionInterface.register(ATTENTION, _attend)


class _OwnLayer(DynamicLayer):
    """The rows' own keys and values in one layer, written in place: (rows, groups, room, d)."""

    def __init__(self) -> None:
        super().__init__()
        self.length, self.rows = 0, 0

    def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        if self.keys is None:
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
            self.rows, self.is_initialized = key_states.shape[0], True
        if self.length == self.keys.shape[2]:
            grow = (0, 0, 0, GROWTH)
            self.keys, self.values = (F.pad(part[: self.rows], grow) for part in (self.keys, self.values))
        self.keys[: self.rows, :, self.length] = key_states[:, :, 0]
        self.values[: self.rows, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return self.keys[: self.rows, :, : self.length], self.values[: self.rows, :, : self.length]

    def get_seq_length(self) -> int:
        return self.length


def _moves(alive: Sequence[bool]) -> list[int]:
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


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens that every prompt starts with, at most all but the last of the shortest; 0 where sharing does not pay."""
    first, last = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    common = next((at for at in range(limit) if first[at] != last[at]), limit)
    return common if len(prompts) > 1 and common >= SHORTEST_PREFIX else 0


def _left_padded(prompts: Sequence[Sequence[int]], width: int, device: Any) -> Any:
    """The last `width` tokens of each prompt, (prompts, width), zeros in front."""
    return torch.tensor([[0] * (width - len(ids)) + list(ids[-width:]) for ids in prompts], device=device)


def _visible(lengths: Sequence[int], width: int, device: Any) -> Any:
    """(prompts, width) mask, 1 on the last `length` columns."""
    return (torch.arange(width, 0, -1, device=device) <= torch.tensor(lengths, device=device)[:, None]).long()


def _forward(model: Any, ids: Any, mask: Any, cache: Any) -> Any:
    """Read `ids`, the last columns under `mask`, into the cache; the last column's logits, (rows, vocabulary)."""
    positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    output = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    return output.logits[:, -1]


class _SharedPrompts:
    """Decoding state with one copy of each prompt's keys and values, left padded: (prompts, groups, width, d) a layer."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], prompt_of: Sequence[int]) -> None:
        self.model, self.prompts, self.prompt_of = model, prompts, list(prompt_of)
        self.lengths, self.width = [len(ids) for ids in prompts], max(map(len, prompts))
        self.own, self.step_at = Cache(layers=[]), 0
        self.stored: list[list[Any]] = []

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
        self.own = Cache(layers=[_OwnLayer() for _ in self.stored])
        self._place()
        return torch.cat([logits for logits, _ in parts])[self.prompt_of]

    def _joined(self, layers: Sequence[Any], name: str) -> Any:
        parts = [layer.__dict__.pop(name) for layer in layers]
        return torch.cat([F.pad(part, (0, 0, self.width - part.shape[2], 0)) for part in parts])

    def _read(self, prompts: Sequence[Sequence[int]], prefix: Any, common: int) -> tuple[Any, Any]:
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
        return torch.cat([F.pad(part[:, :, :count], (0, 0, width - count, 0)) for count in kept])

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
        positions = torch.tensor([[self.lengths[at] + self.step_at] for at in self.prompt_of], device=self.model.device)
        self.step_at, self.biases = self.step_at + 1, {}
        with _attention(self.model, ATTENTION):
            output = self.model(
                input_ids=tokens[:, None],
                position_ids=positions,
                past_key_values=self.own,
                use_cache=True,
                shared_prompts=self,
            )
        return output.logits[:, -1]

    @torch.inference_mode()
    def keep(self, order: Sequence[int]) -> None:
        """Row `order[i]` becomes row i; the others are gone, and prompts without rows with them."""
        _fill_gaps((part for layer in self.own.layers for part in (layer.keys, layer.values)), order)
        for layer in self.own.layers:
            layer.rows = len(order)
        self.prompt_of = [self.prompt_of[old] for old in order]
        living = set(self.prompt_of)
        prompts = _moves([at in living for at in range(len(self.lengths))])
        _fill_gaps((part for layer in self.stored for part in layer), prompts)
        self.lengths = [self.lengths[old] for old in prompts]
        now = {old: at for at, old in enumerate(prompts)}
        self.prompt_of = [now[old] for old in self.prompt_of]
        self._place()

    def layer(self, at: int) -> tuple[Any, Any]:
        """Keys and values of the prompts that still have rows."""
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
            lengths = torch.tensor(self.lengths, device=like.device)[:, None]
            behind = torch.arange(self.width, 0, -1, device=like.device)  # 1 for the prompt's last token
            seen = behind <= lengths
            seen = seen if window is None else seen & (behind + self.step_at - 1 < window)
            hidden = torch.zeros(seen.shape, device=like.device).masked_fill(~seen, torch.finfo(torch.float32).min)
            self.biases[window] = None if seen.all() else hidden[:, None, None]
        bias = self.biases[window]
        return bias if bias is None else bias.to(like.device)

    def own_bias(self, like: Any, window: int | None) -> Any:
        """What hides a row's own tokens that left a layer's sliding window."""
        if window is None or self.step_at <= window:
            return None
        behind = torch.arange(self.step_at - 1, -1, -1, device=like.device)
        return torch.zeros(behind.shape, device=like.device).masked_fill(behind >= window, torch.finfo(torch.float32).min)


class _CopiedPrompts:
    """Decoding state for any model that transformers can cache: each row has its own copy of its prompt's cache."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], prompt_of: Sequence[int]) -> None:
        self.model, self.prompts, self.prompt_of = model, prompts, list(prompt_of)

    @torch.inference_mode()
    def start(self) -> Any:
        """As `_SharedPrompts.start`."""
        lengths = [len(ids) for ids in self.prompts]
        mask = _visible(lengths, max(lengths), self.model.device)
        self.cache = DynamicCache(config=self.model.config)
        logits = _forward(self.model, _left_padded(self.prompts, max(lengths), self.model.device), mask, self.cache)
        self.mask = mask
        self.keep(self.prompt_of)
        return logits[self.prompt_of]

    @torch.inference_mode()
    def step(self, tokens: Any) -> Any:
        """As `_SharedPrompts.step`."""
        self.mask = F.pad(self.mask, (0, 1), value=1)
        return _forward(self.model, tokens[:, None], self.mask, self.cache)

    @torch.inference_mode()
    def keep(self, order: Sequence[int]) -> None:
        """As `_SharedPrompts.keep`."""
        chosen = torch.tensor(order, device=self.model.device)
        self.cache.reorder_cache(chosen)
        self.mask = self.mask[chosen]


def _shares_prompts(model: Any) -> bool:
    """Whether decoding over shared prompts gives this model's own logits: tried once on a few tokens, both ways."""
    vocabulary = model.config.get_text_config().vocab_size
    prompts = [[at * 7919 % vocabulary for at in range(start, start + length)] for start, length in ((1, 9), (11, 5))]
    try:
        states = [kind(model, prompts, (0, 0, 1)) for kind in (_SharedPrompts, _CopiedPrompts)]
        logits = [state.start() for state in states]
        for _ in range(3):
            tokens = torch.arange(1, 4, device=model.device) % vocabulary
            logits = [state.step(tokens).float() for state in states]
        error = (logits[0] - logits[1]).norm() / logits[1].norm()
        shares = bool(error < (1e-3 if model.dtype in (torch.float32, torch.float64) else 5e-2))
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, IndexError) as failure:
        error, shares = failure, False
    if not shares:
        logger.info(f"{type(model).__name__}: samples get copies of their prompt's cache ({error!r})")
    return shares


# --------------------------------------------------------------------------- the engine


@dataclass
class _Asked:
    """A distinct prompt and the samples wanted of it, as (index, seed)."""

    ids: list[int]
    samples: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Row:
    """One sample being written."""

    asked: _Asked
    index: int
    stream: Random
    budget: int
    ids: list[int] = field(default_factory=list)

    def completion(self, text: str, truncated: bool = False) -> Completion:
        return Completion(text, truncated, len(self.asked.ids), len(self.ids))


class TransformersGenerator:
    """The `Generate` seam over a transformers causal LM; sampling settings are bound here.

    Each sample draws from its own stream, `random.Random(prompt.seed)`, one number a token, through the inverse of the
    cumulative distribution in vocabulary order. So a sample depends on its prompt and seed, not on what else is in the
    batch, up to floating point: matrix products round differently with other batch shapes, the padding and the common
    prefix with other prompts. Greedy text changes only where two logits tie within that rounding; a sampled token
    changes with a probability of about the rounding error itself (1e-6 a token in fp32, 1e-2 in bf16). The same list of
    prompts on the same machine with the same settings repeats exactly.

    Args:
        model: a causal LM on any device and in any dtype, PEFT-wrapped or not.
        tokenizer: its tokenizer, with a chat template.
        temperature: 0 is greedy.
        top_p: nucleus mass, (0, 1]; below 1 each step sorts the vocabulary.
        max_new_tokens: budget of one completion; the model's context may end it earlier.
        stop: where the text so far may end, or None to go on; asked whenever a token brings a new line. The text up to
            that place is the completion: a prefix of what would have been written without it.
        batch_size: distinct prompts decoded at once, each with all its samples.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        temperature: float,
        top_p: float = 1.0,
        max_new_tokens: int,
        stop: Callable[[str], int | None] | None = None,
        batch_size: int = 16,
    ) -> None:
        self.model, self.tokenizer, self.stop, self.batch_size = model, tokenizer, stop, batch_size
        self.greedy, self.max_new_tokens = temperature == 0, max_new_tokens
        self.warpers = LogitsProcessorList()
        if temperature not in (0, 1):
            self.warpers.append(TemperatureLogitsWarper(float(temperature)))
        if top_p < 1:
            self.warpers.append(TopPLogitsWarper(top_p))
        self.context = context_length(model)
        self.ends = _end_ids(model, tokenizer)
        self.breaks: dict[int, bool] = {}
        self.state = _SharedPrompts if _shares_prompts(model) else _CopiedPrompts

    def __call__(self, prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        """Yield (index, completion) as samples finish; reads ahead `LOOKAHEAD` batches to put like lengths together.

        A prompt whose generation fails (out of memory, a broken model) yields a completion with `error` set.

        Raises:
            InvalidInput: a prompt does not fit the model's context, or the tokenizer has no chat template.
        """
        for window in self._windows(prompts):
            window.sort(key=lambda asked: len(asked.ids))
            for at in range(0, len(window), self.batch_size):
                yield from self._run(window[at : at + self.batch_size])

    def _windows(self, prompts: Iterable[Prompt]) -> Iterator[list[_Asked]]:
        """Equal messages become one prompt; a window is full when a further distinct one arrives."""
        window: dict[Any, _Asked] = {}
        for index, prompt in enumerate(prompts):
            key = tuple(tuple(message.items()) for message in prompt.messages)
            if key not in window:
                if len(window) == LOOKAHEAD * self.batch_size:
                    yield list(window.values())
                    window = {}
                ids = encode(self.tokenizer, prompt.messages)
                check_length(len(ids), 1, self.context)
                window[key] = _Asked(ids)
            window[key].samples.append((index, prompt.seed))
        yield list(window.values())

    def _run(self, batch: list[_Asked]) -> Iterator[tuple[int, Completion]]:
        """Decode a batch; where it fails, its halves, until the failing prompt is alone and gets the error."""
        finished: set[int] = set()
        try:
            for index, completion in self._decode(batch):
                finished.add(index)
                yield index, completion
            return
        except InvalidInput:
            raise
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        left = [_Asked(asked.ids, [one for one in asked.samples if one[0] not in finished]) for asked in batch]
        left = [asked for asked in left if asked.samples]
        if len(left) == 1:
            for index, _ in left[0].samples:
                yield index, Completion("", prompt_tokens=len(left[0].ids), error=error)
            return
        for half in (left[: len(left) // 2], left[len(left) // 2 :]):
            yield from self._run(half)

    def _rows(self, batch: list[_Asked]) -> list[_Row]:
        return [
            _Row(asked, index, Random(seed), min(self.max_new_tokens, self.context - len(asked.ids)))
            for asked in batch
            for index, seed in asked.samples
        ]

    def _decode(self, batch: list[_Asked]) -> Iterator[tuple[int, Completion]]:
        """One batch to its end; rows leave as they finish."""
        rows = self._rows(batch)
        state = self.state(self.model, [asked.ids for asked in batch], [at for at, a in enumerate(batch) for _ in a.samples])
        logits = state.start()
        while True:
            tokens = self._drawn(logits, rows)
            done = [self._ended(row, token) for row, token in zip(rows, tokens.tolist(), strict=True)]
            yield from ((row.index, end) for row, end in zip(rows, done, strict=True) if end is not None)
            order = _moves([end is None for end in done])
            if not order:
                return
            if len(order) < len(rows):
                state.keep(order)
                rows, tokens = [rows[old] for old in order], tokens[order]
            logits = state.step(tokens)

    @torch.inference_mode()
    def _drawn(self, logits: Any, rows: Sequence[_Row]) -> Any:
        """One token a row, (rows,)."""
        if self.greedy:
            return logits.argmax(-1)
        ids = torch.empty(len(rows), 0, dtype=torch.long, device=logits.device)
        shares = self.warpers(ids, logits.float()).softmax(-1).cumsum(-1)
        total = shares[:, -1:]
        draws = torch.tensor([[row.stream.random()] for row in rows], dtype=shares.dtype, device=logits.device)
        aims = torch.minimum(draws * total, torch.nextafter(total, torch.zeros_like(total)))
        return torch.searchsorted(shares, aims, right=True)[:, 0]

    def _ended(self, row: _Row, token: int) -> Completion | None:
        """Take the token; the completion if it was the last."""
        row.ids.append(token)
        if token in self.ends:
            return row.completion(self._text(row.ids[:-1]))
        if self.stop is not None and self._breaks_line(token):
            text = self._text(row.ids)
            end = self.stop(text)
            if end is not None:
                return row.completion(text[:end])
        return row.completion(self._text(row.ids), truncated=True) if len(row.ids) >= row.budget else None

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _breaks_line(self, token: int) -> bool:
        if token not in self.breaks:
            self.breaks[token] = "\n" in self._text([token])
        return self.breaks[token]


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a turn: the generation configuration's (one or a list) and the tokenizer's."""
    named = getattr(model.generation_config, "eos_token_id", None)
    named = named if isinstance(named, (list, tuple)) else [named]
    return frozenset(int(one) for one in (*named, tokenizer.eos_token_id) if one is not None)
