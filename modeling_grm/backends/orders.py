"""The samples of one distinct prompt, asked of a chat server in as few requests as it takes.

Knows what a request says, and what is asked again: samples that the server did not give, and scores that a judgement
lacks. Knows nothing about HTTP, nor about threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any

from ..configuration_grm import GRMConfig
from ..constraint_grm import ScoresLine, check_reserve
from ..generation_grm import plain
from ..types_grm import Completion, InvalidInput
from .answers import Unreadable, completions
from .base import Group, ended
from .chat import Chat, Clock, Fault

LIKELIEST = 20  # alternatives of a token that a server tells

Results = SimpleQueue["tuple[int, Completion] | BaseException | None"]
Samples = list[tuple[int, int]]


@dataclass
class Way:
    """How samples are asked for; `most` is how many a request may ask, which a server can teach us."""

    config: GRMConfig
    stop: Callable[[str], int | None]
    line: Callable[[int], ScoresLine] | None
    tokenizer: Any
    legal: range
    deadline: float
    most: int

    def room(self, n: int) -> int:
        """Tokens of the free text.

        Raises:
            InvalidInput: the scores line takes all there are.
        """
        reserve = _reserve(n) if self.line else 0
        check_reserve(reserve, self.config.max_new_tokens, n)
        return self.config.max_new_tokens - reserve

    def sampling(self, seed: int, **extra: Any) -> dict[str, Any]:
        """What every request says; `extra` is what the client knows no name for."""
        extra = {**({"top_k": self.config.top_k} if self.config.top_k else {}), **extra}
        chosen = {"temperature": self.config.temperature, "top_p": self.config.top_p, "seed": seed % 2**31}
        return {**chosen, **({"extra_body": extra} if extra else {})}

    def asked(self, n: int, samples: Samples) -> dict[str, Any]:
        """The settings of a request for samples of a prompt with n responses."""
        several = {"n": len(samples)} if len(samples) > 1 else {}
        return {**self.sampling(samples[0][1]), **self.likely, "max_tokens": self.room(n), **several}

    @property
    def likely(self) -> dict[str, Any]:
        """What asks for probabilities, where they are wanted."""
        return {"logprobs": True, "top_logprobs": LIKELIEST} if self.legal else {}


def _reserve(n: int) -> int:
    """Tokens for the scores line of n responses, its opening included."""
    return 8 + 4 * n


@dataclass
class Orders:
    """Each distinct prompt with all its samples, asked for until each is finished or has failed."""

    chat: Chat
    way: Way
    results: Results
    obeyed: bool = field(default=False, init=False)  # the server has written a scores line under the constraint

    async def whole(self, group: Group) -> None:
        """All samples of a group, then a None; what is no failure of the server is raised in the caller's thread."""
        try:
            messages = [dict(message) for message in group.messages]
            messages = messages if self.way.tokenizer is None else plain(self.way.tokenizer, messages)
            await self._shared(replace(group, messages=tuple(messages)), Clock(self.way.deadline))
        except Exception as error:
            self.results.put(error)
        finally:
            self.results.put(None)

    async def _shared(self, group: Group, clock: Clock) -> None:
        """The samples in as few requests as the server takes, all at once."""
        most, samples = self.way.most, group.samples
        parts = [replace(group, samples=samples[at : at + most]) for at in range(0, len(samples), most)]
        await asyncio.gather(*(self._asked(part, replace(clock)) for part in parts))

    async def _asked(self, group: Group, clock: Clock) -> bool:
        """One request, and whatever it leaves open; False where it was refused or failed."""
        settings = self.way.asked(group.n, group.samples)
        try:
            found = completions(await self.chat.ask(list(group.messages), clock, **settings), self.way.legal)
        except Unreadable as error:
            return self._failed(group, str(error))
        except Fault as fault:
            if fault.refused and len(group.samples) > 1:
                return await self._one_by_one(group, clock, str(fault))
            return self._failed(group, str(fault))
        got, rest = found[: len(group.samples)], group.samples[len(found) :]
        if rest:
            self.way.most = min(self.way.most, len(found))
        finishing = [
            self._finished(group, sample, completion, replace(clock))
            for sample, completion in zip(group.samples, got, strict=False)
        ]
        await asyncio.gather(*finishing, self._shared(replace(group, samples=rest), clock))
        return True

    async def _one_by_one(self, group: Group, clock: Clock, reason: str) -> bool:
        """Some servers refuse to give several samples: one alone shows whether that was it."""
        first, rest = (replace(group, samples=part) for part in (group.samples[:1], group.samples[1:]))
        if not await self._asked(first, clock):
            return self._failed(rest, reason)
        self.way.most = 1
        await self._shared(rest, clock)
        return True

    def _failed(self, group: Group, reason: str) -> bool:
        for index, _ in group.samples:
            self.results.put((index, Completion("", error=reason)))
        return False

    async def _finished(self, group: Group, sample: tuple[int, int], completion: Completion, clock: Clock) -> None:
        index, seed = sample
        completion = ended(completion, self.way.stop)
        line = self.way.line(group.n) if self.way.line and not completion.error else None
        if line is not None and line.needed(completion):
            completion = await self._lined(group, seed, completion, line, clock)
        self.results.put((index, completion))

    async def _lined(
        self, group: Group, seed: int, completion: Completion, line: ScoresLine, clock: Clock
    ) -> Completion:
        """The completion with one more line, in which only scores stand; as it was where the server gives none."""
        opened = completion.text + line.opening
        messages = [*group.messages, {"role": "assistant", "content": opened}]
        if self.way.tokenizer is not None:
            messages = plain(self.way.tokenizer, messages)
        form = {"continue_final_message": True, "add_generation_prompt": False}
        settings = self.way.sampling(seed, **form, structured_outputs={"regex": line.regex}) | self.way.likely
        try:
            body = await self.chat.ask(messages, clock, **settings, max_tokens=_reserve(group.n))
            written = completions(body, self.way.legal, opened)[0]
        except Unreadable:
            return completion
        except Fault as fault:
            if fault.refused and not self.obeyed:
                raise InvalidInput(
                    f"constrain: the server refuses structured outputs ({fault}); give constrain='none', or ask a "
                    "server that has them, such as vllm serve"
                ) from fault
            return completion
        return self._joined(completion, opened, written, line)

    def _joined(self, completion: Completion, opened: str, written: Completion, line: ScoresLine) -> Completion:
        """Text and counts of both; the line's probabilities may be those under the constraint, as vLLM's are, or those
        without: `expected` is the mean over the legal scores, which a constraint leaves as it is."""
        if written.error or not line.ends(written.text.strip()):
            return completion
        self.obeyed = True
        return replace(
            completion,
            text=opened + written.text.rstrip(),
            truncated=False,
            constrained=True,
            numbers={**completion.numbers, **written.numbers},
            prompt_tokens=completion.prompt_tokens + written.prompt_tokens,
            completion_tokens=completion.completion_tokens + written.completion_tokens,
        )
