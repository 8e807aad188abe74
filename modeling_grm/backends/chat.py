"""Chat requests over HTTP: how long each is tried, what is read of its answer, and why one failed, by name.

Knows HTTP, patience and secrets. Knows nothing about prompts, samples or scores, nor what an answer means.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from random import uniform
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import AsyncInferenceClient, get_async_session, get_token

CONNECT = 10.0  # seconds that a connection may take
BACKOFF = 0.5  # seconds before the first retry; doubled each time
LONGEST_BACKOFF = 30.0
FIRST_CONTACT = 3  # retries of a connection where the server has never answered yet
SAID = 300  # characters of the server's own words that an error repeats
TRANSIENT = frozenset({408, 425, 429})  # and all 5xx
OWN_HOSTS = ("huggingface.co", "huggingface.cloud", "hf.space")  # where the token that huggingface_hub finds may go

_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size|limit)|max(imum)?[ _](model|context|input)|max_model_len"
    r"|too (long|many (input )?tokens)|inputs?`? (tokens|must have less)|longer than the max",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\s*[0-9]{1,9}(\.[0-9]{0,9})?\s*")
_WAYS_OUT = {
    401: "the server refuses the token; give api_key=..., set OPENAI_API_KEY, or run `hf auth login` for Hugging Face",
    402: "the account behind the token has no credit left; top it up, or give another api_key=...",
    403: "the token may not use this model; give another api_key=..., or ask for access",
    404: "the server does not serve {model!r}, or has another path; `GET base_url/models` names what it serves",
    429: "the server is asked too often; give a smaller concurrency or a longer deadline",
}


class Fault(Exception):
    """Why a request has no answer; `status` is 0 where HTTP never got so far, `after` the seconds to wait at least."""

    def __init__(self, reason: str, status: int = 0, after: float = 0.0, transient: bool = False) -> None:
        super().__init__(reason)
        self.status, self.after, self.transient = status, after, transient

    @property
    def overflow(self) -> bool:
        """The prompt does not fit the server's context."""
        return self.status in (400, 413, 422) and _TOO_LONG.search(str(self)) is not None

    @property
    def refused(self) -> bool:
        """The server does not take the request's form."""
        return self.status in (400, 422) and not self.overflow


@dataclass
class Clock:
    """Seconds that a piece of work may still spend on requests; waiting for one's turn is free."""

    left: float


@dataclass(frozen=True)
class Server:
    """Where requests go and how patient they are.

    Attributes:
        base_url: None for Hugging Face's Inference Providers.
        model: the name that the server knows it by.
        api_key: None for huggingface_hub's own at Hugging Face's hosts, and `OPENAI_API_KEY` at all others.
        concurrency: requests in flight at most.
        retries: tries after the first, where the fault may pass.
        limit: bytes of an answer at most.
    """

    base_url: str | None
    model: str
    api_key: str | None
    concurrency: int
    retries: int
    limit: int

    def __repr__(self) -> str:
        return f"Server({self.base_url!r}, {self.model!r})"

    def client(self) -> _Client:
        """A client with its own session; open it in the event loop that uses it."""
        own = self.base_url is None or _is_own(self.base_url)
        key = self.api_key or (get_token() if own else os.environ.get("OPENAI_API_KEY"))  # nobody gets another's
        headers: dict[str, Any] = {"accept-encoding": "identity", **({} if key else {"authorization": None})}
        timeout: Any = (CONNECT, None, None, None)  # to connect, read, write and get a connection
        client = _Client(base_url=self.base_url, api_key=key, headers=headers, timeout=timeout)
        client.limit, client.secret = self.limit, key
        return client


def _is_own(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and any(host == own or host.endswith(f".{own}") for own in OWN_HOSTS)


class _Client(AsyncInferenceClient):
    """Routes and words requests as its parent does, but reads answers itself: bounded, and left unparsed as `body`.

    The parent makes an object of every log-probability, which takes twelve times as long as reading the JSON.
    """

    limit: int
    secret: str | None
    session: Any

    async def __aenter__(self) -> _Client:
        session = get_async_session()
        if self.model is not None:  # a server named by its URL is no Hub, so HF_HUB_OFFLINE does not forbid it
            session.event_hooks = {}
        self.session = await self.exit_stack.enter_async_context(session)
        return self

    async def _inner_post(self, request_parameters: Any, *, stream: bool = False) -> Any:
        asked = request_parameters
        post = self.session.stream("POST", asked.url, json=asked.json, headers=asked.headers, timeout=self.timeout)
        async with post as response:
            body = await self._body(response)
            if not 200 <= response.status_code < 300:
                raise self._refusal(response.status_code, response.headers, body, asked.json["model"])
            return {"body": body}  # the parent hands on what it does not know as attributes

    async def _body(self, response: Any) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Fault("the server's answer is compressed, which was not asked for", response.status_code)
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self.limit:
                raise Fault(f"the server's answer is larger than {self.limit:,} bytes", response.status_code)
        return bytes(body)

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes, model: str) -> Fault:
        said = _said(body)
        said = said.replace(self.secret, "***") if self.secret else said
        way_out = _WAYS_OUT.get(status, "").format(model=model)
        reason = f"HTTP {status}: " + ("; ".join(part for part in (said, way_out) if part) or "no reason given")
        after, transient = _seconds(headers.get("retry-after", "")), status in TRANSIENT or status >= 500
        found = Fault(reason, status, after, transient)
        if found.overflow:
            found.args = (
                f"{reason}; the prompt does not fit the server's context: shorten it or lower max_new_tokens",
            )
        return found


def _said(body: bytes) -> str:
    """The server's own words, shortened."""
    text = body.decode("utf-8", "replace")
    try:
        found: Any = json.loads(text)
        for name in ("error", "message", "detail"):
            found = found[name] if isinstance(found, dict) and found.get(name) else found
        text = found if isinstance(found, str) else text
    except (ValueError, RecursionError):
        pass
    text = " ".join(text[: 10 * SAID].split())
    return text if len(text) <= SAID else text[: SAID - 3] + "..."


def _seconds(after: str) -> float:
    """What a Retry-After header asks for, as seconds or as a date; 0 where it cannot be read."""
    try:
        if _NUMBER.fullmatch(after):
            return float(after)
        when = parsedate_to_datetime(after)
        return max(0.0, (when - datetime.now(when.tzinfo or timezone.utc)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def _fault(error: Exception) -> Fault:
    """Any failure of the client as a fault; what the network did may pass, what we did will not."""
    if isinstance(error, Fault):
        return error
    families = {family.__name__ for family in type(error).__mro__}  # of httpx or httpx2, whichever the client uses
    network = "TransportError" in families and "UnsupportedProtocol" not in families
    reason = f"{type(error).__name__}: {error}".removesuffix(": ")
    return Fault(f"no connection to the server: {reason}" if network else reason, transient=network)


class Chat:
    """Requests to one server: never more than `server.concurrency` at once, each tried again while that can help.

    As many requests in a row as may be in flight (3 at least) that were given up, with no answer to any other between
    them, mean that the server is lost: from then on the rest fail at once, with the reason, until a late answer comes.
    """

    def __init__(self, server: Server) -> None:
        self.server, self.client = server, server.client()
        self.turns = asyncio.Semaphore(server.concurrency)
        self.answered = False
        self.given_up = 0
        self.lost = ""  # why, once it is

    async def __aenter__(self) -> Chat:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def ask(self, messages: list[dict[str, str]], clock: Clock, **settings: Any) -> bytes:
        """The body of the answer, retries included, within what the clock has left.

        Raises:
            Fault: there is none.
        """
        async with self.turns:
            if self.lost:
                raise Fault(self.lost)
            began = time.monotonic()
            try:
                body = await self._within(messages, clock.left, settings)
            except Fault as fault:
                self._note(fault)
                raise
            finally:
                clock.left -= time.monotonic() - began
            self._note(None)
            return body

    async def _within(self, messages: list[dict[str, str]], left: float, settings: dict[str, Any]) -> bytes:
        """As `_tried`; the deadline cuts it off, whatever it does then."""
        try:
            return await asyncio.wait_for(self._tried(messages, time.monotonic() + left, settings), left)
        except asyncio.TimeoutError:
            raise Fault(f"no answer within {max(left, 0):.3g} s, the deadline", transient=True) from None

    async def _tried(self, messages: list[dict[str, str]], until: float, settings: dict[str, Any]) -> bytes:
        tried = 0
        while True:
            try:
                answer: Any = await self.client.chat_completion(messages, model=self.server.model, **settings)
                return bytes(answer.body)
            except Exception as error:
                fault = _fault(error)
            self.answered = self.answered or fault.status > 0
            pause = max(fault.after, min(BACKOFF * 2**tried, LONGEST_BACKOFF) * uniform(0.5, 1.0))
            if not fault.transient or tried >= self._patience(fault) or time.monotonic() + pause > until:
                raise Fault(
                    f"{fault}{f' (after {tried + 1} tries)' if tried else ''}", fault.status, 0, fault.transient
                )
            tried += 1
            await asyncio.sleep(pause)

    def _patience(self, fault: Fault) -> int:
        known = self.answered or fault.status > 0
        return self.server.retries if known else min(self.server.retries, FIRST_CONTACT)

    def _note(self, fault: Fault | None) -> None:
        """A server that answers, be it with a refusal, is there."""
        if fault is None or not fault.transient:
            self.answered, self.given_up, self.lost = self.answered or fault is None, 0, ""
            return
        self.given_up += 1
        if self.given_up >= max(3, self.server.concurrency):
            self.lost = f"not asked: {self.given_up} requests in a row failed; the last: {fault}"
