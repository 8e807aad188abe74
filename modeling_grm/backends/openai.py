"""Any OpenAI-compatible server: Inference Providers, Inference Endpoints, TGI, `vllm serve`.

    pipeline("reward-scoring", model=OpenAICompatible("http://127.0.0.1:8000/v1", "org/model"))

Requests run in the event loop of one background thread, which ends with the iterator; prompts are read in the caller's.
What is asked for a prompt's samples is `orders`', how a request fails `chat`'s, and what an answer says `answers`'.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

from ..configuration_grm import GRMConfig
from ..constraint_grm import ScoresLine
from ..generation_grm import context_length
from ..prompts_grm import find_template
from ..types_grm import Completion, InvalidInput, Prompt
from .base import Backend, Group, grouped, read_checkpoint
from .chat import Chat, Server
from .orders import Orders, Results, Way

CONNECTIONS = 100  # that the HTTP session keeps
LARGEST = 32 * 2**20  # bytes of an answer, unless one sample needs more
TOKEN, LIKELY_TOKEN = 64, 4096  # bytes of a token in an answer, without and with its alternatives, and then some
ENVELOPE = 2**20


class OpenAICompatible(Backend):
    """A model behind an OpenAI-compatible chat endpoint.

    Each distinct prompt is one request for all its samples (`n`); a server that returns fewer choices, or refuses `n`,
    is asked again for the rest. 429, 5xx and lost connections are tried again with growing pauses. Whatever fails in
    the end is a completion with an error that says why, and the other prompts go on.

    `constrain="scores"` needs a server that continues an assistant's message under a regular expression, as vLLM does
    (`continue_final_message`, `structured_outputs`). A server that refuses this is an `InvalidInput`; one that silently
    ignores it, as most hosted ones do, cannot be constrained: its judgements stay as they are.

    Args:
        base_url: the server's address up to `/v1`; None for Hugging Face's Inference Providers.
        model: the name that the server knows the model by; for Inference Providers, its Hub id.
        checkpoint: Hub id or folder of what the server serves; then its `grm` settings hold, texts are counted and cut
            before they are sent, and control tokens in them become plain text.
        api_key: by default the token that huggingface_hub finds, for Hugging Face's own hosts, and the environment's
            `OPENAI_API_KEY` for all others.
        concurrency: requests in flight at most, 1..100.
        deadline: seconds for one prompt's requests, retries and pauses included; waiting for its turn is not.
        retries: tries after the first.
        logprobs: ask how likely each score was (`Critique.expected`); the answers get a hundred times as large. Where
            the model writes 10 as two tokens, the shares of 1 and 10 are known only where one of them was written.

    Raises:
        InvalidInput: an argument that cannot be used, by name.
    """

    def __init__(
        self,
        base_url: str | None,
        model: str,
        *,
        checkpoint: str | None = None,
        api_key: str | None = None,
        concurrency: int = 16,
        deadline: float = 300.0,
        retries: int = 8,
        logprobs: bool = False,
    ) -> None:
        _require(isinstance(model, str) and bool(model), "model", model, "give the name that the server knows it by")
        _require(_is_address(base_url), "base_url", _shown(base_url), "give http(s)://host/v1, a key as api_key=...")
        _require(concurrency in range(1, CONNECTIONS + 1), "concurrency", concurrency, f"give 1..{CONNECTIONS}")
        _require(0 < deadline < float("inf"), "deadline", deadline, "give a positive number of seconds")
        _require(isinstance(retries, int) and retries >= 0, "retries", retries, "give a whole number, at least 0")
        self.name_or_path, self.base_url, self.logprobs = model, base_url, logprobs
        self.concurrency, self.deadline, self.retries = concurrency, deadline, retries
        self._api_key = api_key
        if checkpoint is not None:
            self._describe(checkpoint)

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.base_url and _shown(self.base_url)!r}, {self.name_or_path!r})"

    def _describe(self, checkpoint: str) -> None:
        self.config, self.tokenizer = read_checkpoint("checkpoint", checkpoint)
        self.context = context_length(self.config)

    def engine(
        self,
        config: GRMConfig,
        *,
        stop: Callable[[str], int | None],
        line: Callable[[int], ScoresLine] | None = None,
        batch_size: int | None = None,
    ) -> Callable[[Iterable[Prompt]], Iterator[tuple[int, Completion]]]:
        """As `Backend.engine`; a batch size is another concurrency."""
        concurrency = min(batch_size or self.concurrency, CONNECTIONS)
        a_sample = config.max_new_tokens * (LIKELY_TOKEN if self.logprobs else TOKEN)
        limit = max(LARGEST, a_sample + ENVELOPE)
        server = Server(self.base_url, self.name_or_path, self._api_key, concurrency, self.retries, limit)
        legal = find_template(config.template).score_range if self.logprobs else None
        way = Way(
            config,
            stop,
            line,
            tokenizer=self.tokenizer,
            legal=range(legal[0], legal[1] + 1) if legal else range(0),
            deadline=self.deadline,
            most=1 if config.temperature == 0 else max(1, LARGEST // a_sample),  # vLLM refuses several greedy samples
        )

        def generate(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
            """Yield (index, completion) as samples finish; about 2 x concurrency distinct prompts are read ahead."""
            with _Loop(server, way) as loop:
                for group in grouped(prompts):
                    loop.begin(group)
                    yield from loop.finished(most_open=2 * concurrency - 1)
                yield from loop.finished(most_open=0)

        return generate


def _require(ok: bool, name: str, value: object, way_out: str) -> None:
    if not ok:
        raise InvalidInput(f"{name}: {value!r} is not usable; {way_out}")


def _is_address(url: object) -> bool:
    if url is None:
        return True
    try:
        parts = urlsplit(str(url))
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def _shown(url: object) -> str:
    """The address without what may be secret in it."""
    return re.sub(r"(?<=//)[^/]*@|[?#].*", "", str(url))


# ---------------------------------------------------------------------- from the loop to the iterator


class _Loop:
    """An event loop in a thread of its own: groups in, finished samples out; nothing of it is left on exit."""

    def __init__(self, server: Server, way: Way) -> None:
        self.server, self.way = server, way
        self.results: Results = SimpleQueue()
        self.open = 0
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Orders]] = Future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._run, name="openai-backend", daemon=True)

    def __enter__(self) -> _Loop:
        self._thread.start()
        self._loop, self._over, self._orders = self._ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def begin(self, group: Group) -> None:
        """Start on a group's samples."""
        self.open += 1
        self._loop.call_soon_threadsafe(self._start, group)

    def finished(self, most_open: int) -> Iterator[tuple[int, Completion]]:
        """What is finished, waiting until no more than so many groups are open."""
        while self.open > most_open or not self.results.empty():
            found = self.results.get()
            if found is None:
                self.open -= 1
            elif isinstance(found, BaseException):
                raise found
            else:
                yield found

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if self._ready.done():
                self.results.put(error)
            else:
                self._ready.set_exception(error)

    async def _main(self) -> None:
        over = asyncio.Event()
        async with Chat(self.server) as chat:
            self._ready.set_result((asyncio.get_running_loop(), over, Orders(chat, self.way, self.results)))
            await over.wait()
            while left := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in left:
                    task.cancel()
                await asyncio.wait(left, timeout=0.1)  # again: `wait_for` can lose a cancellation before Python 3.12

    def _start(self, group: Group) -> None:
        task = self._loop.create_task(self._orders.whole(group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
