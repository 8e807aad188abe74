"""Prompts in, completions out, with a transformers model; the k samples of a prompt share one prefill.

Knows text, token ids, sampling and when a sample ends. Knows nothing about scores, templates or votes: where a text may
end early is told by a `stop` function, and failures come back as completions with an `error`. How many samples decode
at once over one copy of their prompt is `decoding_grm`'s.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from .constraint_grm import ScoresLine, check_reserve
from .decoding_grm import decoder, moves
from .parsing_grm import opens_number
from .slots_grm import slots
from .types_grm import Completion, InvalidInput, Prompt

LOOKAHEAD = 4  # batches read ahead, so that prompts of like length can share one
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


def plain(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The messages without control tokens in their contents: text from outside is data.

    Where a content spells one (`<|im_end|>`, `<s>`, ...), a space is put after its first character, so that it reaches
    the model as plain text (`< |im_end|>`).
    """
    control = re.compile(f"(?=(?:{'|'.join(map(re.escape, _control_tokens(tokenizer))) or '(?!)'}))(.)", re.DOTALL)
    return [{**message, "content": control.sub(r"\1 ", message["content"])} for message in messages]


def encode(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[int]:
    """Chat messages, made `plain`, as the token ids that open the assistant's turn.

    The template alone places BOS, so there is never a second one.

    Raises:
        InvalidInput: the tokenizer has no chat template, or its template refuses the messages.
    """
    if not isinstance(getattr(tokenizer, "chat_template", None), str):
        raise InvalidInput(
            "model: its tokenizer has no chat template; use an instruction-tuned model, or set "
            "tokenizer.chat_template and save the tokenizer into the model's folder"
        )
    try:
        text = tokenizer.apply_chat_template(plain(tokenizer, messages), tokenize=False, add_generation_prompt=True)
    except Exception as error:  # jinja2 is not imported here, and templates raise its errors on purpose
        raise InvalidInput(f"messages: the model's chat template refuses them: {error}") from error
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse a tokenizer that no judge can be asked through.

    Raises:
        InvalidInput: it has no chat template, the template refuses a user's turn, or it loses spaces.
    """
    encode(tokenizer, ({"role": "user", "content": "?"},))
    ids = tokenizer("a b", add_special_tokens=False)["input_ids"]
    if " " not in tokenizer.decode(ids, clean_up_tokenization_spaces=False):
        raise InvalidInput(
            f"model: its tokenizer ({type(tokenizer).__name__}) loses the spaces of a text, as transformers 5.19 does "
            "with DeepSeek-V2's; use a newer transformers"
        )


@dataclass
class _Asked:
    """A distinct prompt of n responses and the samples wanted of it, as (index, seed)."""

    ids: list[int]
    n: int
    samples: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Row:
    """One sample being written."""

    asked: _Asked
    index: int
    stream: Random
    budget: int
    ids: list[int] = field(default_factory=list)
    numbers: dict[int, dict[int, float]] = field(default_factory=dict)
    line: ScoresLine | None = None
    forced: list[int] | None = None  # what is still to be written of the line's opening; None while the text is free

    def completion(self, text: str, truncated: bool = False) -> Completion:
        constrained = self.forced is not None
        counts = (len(self.asked.ids), len(self.ids))
        return Completion(text, truncated, *counts, None, constrained, self.numbers, tuple(self.ids))

    def open_line(self, opening: Sequence[int], ended: bool) -> None:
        """Go on with a scores line, in the place of the token that ended the text if one did."""
        self.forced = list(opening)
        if ended:
            self.ids[-1] = self.forced.pop(0)


class TransformersGenerator:
    """The `Generate` seam over a transformers causal LM; sampling settings are bound here.

    Each sample draws from its own stream, `random.Random(prompt.seed)`, one number a token, through the inverse of the
    cumulative distribution in vocabulary order. So a sample depends on its prompt and seed, not on what else is in the
    batch, up to floating point: matrix products round differently with other batch shapes, the padding and the common
    prefix with other prompts. Greedy text changes only where two logits tie within that rounding; a sampled token
    changes with a probability of about the rounding error itself (1e-6 a token in fp32, 1e-2 in bf16). The same list of
    prompts on the same machine with the same settings repeats exactly.

    Args:
        model: a causal LM on any device and in any dtype, PEFT-wrapped or not; put into evaluation mode.
        tokenizer: its tokenizer, with a chat template.
        temperature: 0 is greedy.
        top_p: nucleus mass, (0, 1]; below 1 each step sorts the vocabulary.
        top_k: how many of the likeliest tokens are sampled from; 0 means all.
        max_new_tokens: budget of one completion; the model's context may end it earlier.
        stop: where the text so far may end, or None to go on; asked whenever a token brings a new line. The text up to
            that place is the completion: a prefix of what would have been written without it.
        line: the scores line for n responses. A judgement that ended without a readable one, at the budget too, then
            goes on with it, masked so that nothing but n scores can stand in it; the budget has room for it.
        batch_size: distinct prompts decoded at once, each with all its samples.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        temperature: float,
        top_p: float = 1.0,
        top_k: int = 0,
        max_new_tokens: int,
        stop: Callable[[str], int | None] | None = None,
        line: Callable[[int], ScoresLine] | None = None,
        batch_size: int = 16,
    ) -> None:
        self.model, self.tokenizer, self.stop, self.batch_size = model.eval(), tokenizer, stop, batch_size
        self.line, self.slots = line, slots(tokenizer)
        self.greedy, self.max_new_tokens = temperature == 0, max_new_tokens
        self.warpers = LogitsProcessorList()
        if temperature not in (0, 1):
            self.warpers.append(TemperatureLogitsWarper(float(temperature)))
        if top_k:
            self.warpers.append(TopKLogitsWarper(top_k))
        if top_p < 1:
            self.warpers.append(TopPLogitsWarper(top_p))
        self.context = context_length(model)
        self.ends = _end_ids(model, tokenizer)
        self.breaks: dict[int, bool] = {}
        self.state = decoder(model)

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
                ids, n = encode(self.tokenizer, prompt.messages), len(prompt.order)
                check_length(len(ids), 1 + self._reserve(n), self.context)
                window[key] = _Asked(ids, n)
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
        left = [_Asked(asked.ids, asked.n, [one for one in asked.samples if one[0] not in finished]) for asked in batch]
        left = [asked for asked in left if asked.samples]
        if len(left) == 1:
            for index, _ in left[0].samples:
                yield index, Completion("", prompt_tokens=len(left[0].ids), error=error)
            return
        for half in (left[: len(left) // 2], left[len(left) // 2 :]):
            yield from self._run(half)

    def _rows(self, batch: list[_Asked]) -> list[_Row]:
        return [
            _Row(asked, index, Random(seed), self._budget(asked), line=self.line(asked.n) if self.line else None)
            for asked in batch
            for index, seed in asked.samples
        ]

    def _reserve(self, n: int) -> int:
        """Tokens kept for a scores line.

        Raises:
            InvalidInput: `max_new_tokens` has no room for one.
        """
        reserve = self.slots.reserve(self.line(n)) if self.line else 0
        check_reserve(reserve, self.max_new_tokens, n)
        return reserve

    def _budget(self, asked: _Asked) -> int:
        return min(self.max_new_tokens, self.context - len(asked.ids)) - self._reserve(asked.n)

    def _decode(self, batch: list[_Asked]) -> Iterator[tuple[int, Completion]]:
        """One batch to its end; rows leave as they finish."""
        rows = self._rows(batch)
        prompt_of = [at for at, asked in enumerate(batch) for _ in asked.samples]
        state = self.state(self.model, [asked.ids for asked in batch], prompt_of)
        logits = state.start()
        while True:
            drawn = self._drawn(self._masked(logits, rows), rows).tolist()
            self._note_numbers(state, logits, rows, drawn)
            done = [self._taken(row, token) for row, token in zip(rows, drawn, strict=True)]
            yield from ((row.index, end) for row, end in zip(rows, done, strict=True) if end is not None)
            order = moves([end is None for end in done])
            if not order:
                return
            if len(order) < len(rows):
                state.keep(order)
                rows = [rows[old] for old in order]
            logits = state.step(torch.tensor([row.ids[-1] for row in rows], device=logits.device))

    def _masked(self, logits: Any, rows: Sequence[_Row]) -> Any:
        """Only what may stand next in the rows that write a scores line."""
        bound = {at: self._legal(row) for at, row in enumerate(rows) if row.forced is not None}
        if bound:
            logits = logits.clone()
        for at, legal in bound.items():
            kept = logits[at, legal]
            logits[at] = -torch.inf
            logits[at, legal] = kept
        return logits

    def _legal(self, row: _Row) -> list[int]:
        assert row.line is not None
        return row.forced[:1] if row.forced else self.slots.legal(row.ids, self._list(row), row.line, self._text)

    def _list(self, row: _Row) -> str:
        return self._text(row.ids).rpartition("{")[2]

    def _note_numbers(self, state: Any, logits: Any, rows: Sequence[_Row], drawn: Sequence[int]) -> None:
        """Keep how likely each number was wherever a score begins."""
        begun = {at: place for at, row in enumerate(rows) if (place := self._number_at(row, drawn[at])) is not None}
        found = {at: self.slots.chances(logits[at]) for at in begun}
        unsure = [at for at, chances in found.items() if self.slots.undecided(chances)]
        if unsure:
            behind = state.peek(unsure, torch.tensor([self.slots.one] * len(unsure), device=logits.device))
            for at, one in zip(unsure, behind, strict=True):
                found[at] = self.slots.decided(found[at], self.slots.digits(one))
        for at, place in begun.items():
            rows[at].numbers[place] = found[at]

    def _number_at(self, row: _Row, token: int) -> int | None:
        """Where in the text a score begins, if the token begins one."""
        digits = self.slots.numbers.get(token)
        if digits is None or not opens_number(self._text(row.ids)):
            return None
        return len(self._text([*row.ids, token])) - len(digits)

    @torch.inference_mode()
    def _drawn(self, logits: Any, rows: Sequence[_Row]) -> Any:
        """One token a row, (rows,)."""
        if self.greedy:
            return logits.argmax(-1)
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        shares = self.warpers(None, scores).softmax(-1).cumsum(-1)  # type: ignore[arg-type]  # no warper reads the ids
        total = shares[:, -1:]
        draws = torch.tensor([[row.stream.random()] for row in rows], dtype=shares.dtype, device=logits.device)
        aims = torch.minimum(draws * total, torch.nextafter(total, torch.zeros_like(total)))
        return torch.searchsorted(shares, aims, right=True)[:, 0]

    def _taken(self, row: _Row, token: int) -> Completion | None:
        """Take the token; the completion if it was the last."""
        row.ids.append(token)
        if row.forced is not None:
            return self._in_line(row)
        end = self._ended(row, token)
        if end is None or row.line is None or not row.line.needed(end):
            return end
        row.open_line(self.slots.opening, ended=token in self.ends)
        return None

    def _in_line(self, row: _Row) -> Completion | None:
        if row.forced:
            row.forced.pop(0)
            return None
        whole = row.line is not None and row.line.ends(self._list(row))
        return row.completion(self._text(row.ids)) if whole else None

    def _ended(self, row: _Row, token: int) -> Completion | None:
        if token in self.ends:
            return row.completion(self._text(row.ids[:-1]))
        if self.stop is not None and self._breaks_line(token):
            text = self._text(row.ids)
            end = self.stop(text)
            if end is not None:
                return row.completion(text[:end])
        return row.completion(self._text(row.ids), truncated=True) if len(row.ids) >= row.budget else None

    def _text(self, ids: Sequence[int]) -> str:
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
