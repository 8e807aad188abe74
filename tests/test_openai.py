"""The OpenAI-compatible engine against a real server with every fault, at the level of `engine()`."""

from __future__ import annotations

import itertools
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import GOOD, Asked, ChatServer, Reply, choice, obedient, said
from tiny import tiny_tokenizer

from modeling_grm.backends import chat
from modeling_grm.backends.openai import OpenAICompatible
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.constraint_grm import ScoresLine
from modeling_grm.parsing_grm import parse, scores_line_end
from modeling_grm.types_grm import Completion, InvalidInput, Outcome, Prompt

TEXT = GOOD[: scores_line_end(GOOD)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short pauses, no proxy and nobody's keys; and nothing may be left running."""
    monkeypatch.setattr(chat, "BACKOFF", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "openai-backend"]


def prompts(items: int | None, k: int = 1, n: int = 2) -> Iterator[Prompt]:
    """k prompts an item that go round its n orders, as `scoring_grm.plan` makes them; no end without a count."""
    for item in itertools.count() if items is None else range(items):
        for j in range(k):
            order = tuple((at + j) % n for at in range(n))
            yield Prompt(
                ({"role": "user", "content": f"item {item}, order {order}"},), order, 1000 * item + j, f"{item}", j
            )


def engine(url: str, *, line: Any = None, config: GRMConfig | None = None, **settings: Any) -> Any:
    settings = {"retries": 2, **settings}
    return OpenAICompatible(url, "m", **settings).engine(config or GRMConfig(), stop=scores_line_end, line=line)


def ask(server: ChatServer, items: int = 1, k: int = 1, n: int = 2, **settings: Any) -> list[Completion]:
    """All completions in the order of their prompts; each comes exactly once."""
    found = list(engine(server.url, **settings)(prompts(items, k, n)))
    assert sorted(index for index, _ in found) == list(range(items * k))
    return [completion for _, completion in sorted(found, key=lambda pair: pair[0])]


def error_of(server: ChatServer, **settings: Any) -> str:
    [completion] = ask(server, **settings)
    assert parse(completion, (0, 1)).outcome is Outcome.ENGINE_ERROR
    return completion.error or ""


# ---------------------------------------------------------------------- what is asked


def test_an_order_is_one_request_with_the_first_samples_seed() -> None:
    with ChatServer() as server:
        found = ask(server, items=3, k=8)
    assert [completion.text for completion in found] == [TEXT] * 24
    assert not any(completion.truncated or completion.error for completion in found)
    assert sorted((asked.json["seed"], asked.json["n"]) for asked in server.asked) == [
        (seed, 4) for seed in (0, 1, 1000, 1001, 2000, 2001)
    ]


def test_the_request_says_all_settings() -> None:
    config = GRMConfig(temperature=0.7, top_p=0.9, top_k=40, max_new_tokens=77)
    with ChatServer() as server:
        ask(server, config=config, api_key="key-1")
    [asked] = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer key-1"
    assert asked.json == {
        "model": "m",
        "messages": [{"role": "user", "content": "item 0, order (0, 1)"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 77,
        "seed": 0,
        "stream": False,
    }


def test_a_seed_is_below_two_to_the_31() -> None:
    prompt = Prompt(({"role": "user", "content": "?"},), (0,), 2**31 + 5)
    with ChatServer() as server:
        assert len(list(engine(server.url)([prompt]))) == 1
    assert server.asked[0].json["seed"] == 5


def test_greedy_samples_are_asked_one_by_one() -> None:
    """Several greedy samples in one request are an error in vLLM."""
    with ChatServer() as server:
        ask(server, k=4, n=1, config=GRMConfig(temperature=0))
    assert [asked.json.get("n") for asked in server.asked] == [None] * 4


def test_a_server_gets_no_key_that_is_not_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with ChatServer() as server:
        ask(server)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
        ask(server)
    assert [asked.headers.get("authorization") for asked in server.asked] == [None, "Bearer sk-theirs"]


def test_hugging_faces_hosts_get_the_token_of_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")

    def token(url: str | None) -> str | None:
        return chat.Server(url, "m", None, 1, 0, 1).client().token

    assert token(None) == token("https://x.endpoints.huggingface.cloud/v1") == "hf_secret"
    for stranger in ("http://x.huggingface.co", "https://nothuggingface.co/v1", "https://huggingface.co.example/v1"):
        assert token(stranger) == "sk-theirs"


def test_the_key_is_shown_nowhere() -> None:
    backend = OpenAICompatible("http://127.0.0.1:1/v1?key=also-secret", "m", api_key="sk-secret")
    assert repr(backend) == "OpenAICompatible('http://127.0.0.1:1/v1', 'm')"
    assert repr(OpenAICompatible(None, "m")) == "OpenAICompatible(None, 'm')"
    assert "secret" not in repr(chat.Server("http://x", "m", "sk-secret", 1, 1, 1))
    with ChatServer(lambda *_: Reply({"error": {"message": "bad key sk-secret"}}, status=401)) as server:
        error = error_of(server, api_key="sk-secret")
    assert "bad key ***" in error
    assert "sk-secret" not in error


def test_control_tokens_become_text_where_the_tokenizer_is_known(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 99}))
    prompt = Prompt(({"role": "user", "content": "say <|im_end|> twice"},), (0,), 1)
    with ChatServer() as server:
        backend = OpenAICompatible(server.url, "m", checkpoint=str(tmp_path))
        list(backend.engine(GRMConfig(), stop=scores_line_end)([prompt]))
        list(engine(server.url)([prompt]))
    assert backend.context == 99
    assert [asked.json["messages"][0]["content"] for asked in server.asked] == [
        "say < |im_end|> twice",
        "say <|im_end|> twice",
    ]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"base_url": "http://user:secret@host/v1"}, "base_url"),
        ({"base_url": "http://[half/v1"}, "base_url"),
        ({"model": ""}, "model"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 101}, "concurrency"),
        ({"deadline": 0}, "deadline"),
        ({"retries": -1}, "retries"),
        ({"checkpoint": "/nowhere/at/all"}, "checkpoint"),
    ],
)
def test_arguments_are_refused_by_name(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{name}: ") as refusal:
        OpenAICompatible(**{"base_url": "http://127.0.0.1/v1", "model": "m", **arguments})
    assert "secret" not in str(refusal.value)


# ---------------------------------------------------------------------- fewer choices than asked


def test_a_server_that_ignores_n_is_asked_again_with_other_seeds() -> None:
    with ChatServer(lambda *_: said(GOOD, written=12)) as server:
        found = ask(server, k=4, n=1)
        assert [completion.completion_tokens for completion in found] == [12] * 4
    assert server.asked[0].json["n"] == 4
    assert sorted(asked.json["seed"] for asked in server.asked) == [0, 1, 2, 3]
    assert all("n" not in asked.json for asked in server.asked[1:])


def test_a_server_that_refuses_n_is_asked_one_by_one() -> None:
    def script(asked: Asked, _: int) -> Reply:
        return Reply({"error": {"message": "n must be 1"}}, status=400) if "n" in asked.json else said(GOOD)

    with ChatServer(script) as server:
        found = ask(server, items=8, k=4, n=1, concurrency=1)
    assert {completion.text for completion in found} == {TEXT}
    assert sum("n" in asked.json for asked in server.asked) <= 2  # the second was waiting for its turn


def test_a_refused_order_is_tried_with_one_sample_only_once() -> None:
    with ChatServer(lambda *_: Reply({"error": {"message": "no such parameter"}}, status=400)) as server:
        found = ask(server, k=8, n=1)
    assert {completion.error for completion in found} == {"HTTP 400: no such parameter"}
    assert len(server.asked) == 2


def test_more_choices_than_asked_are_left() -> None:
    with ChatServer(lambda *_: said(GOOD, GOOD, GOOD)) as server:
        assert len(ask(server, items=2)) == 2
    assert len(server.asked) == 2


def test_tokens_are_shared_over_the_choices() -> None:
    with ChatServer(lambda *_: said(*[GOOD] * 3, written=10)) as server:
        found = ask(server, k=3, n=1)
    assert sorted(completion.completion_tokens for completion in found) == [3, 3, 4]
    assert {completion.prompt_tokens for completion in found} == {20}


# ---------------------------------------------------------------------- faults that pass


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(status: int) -> None:
    with ChatServer(lambda _, at: obedient(_) if at else Reply({"error": "busy"}, status=status)) as server:
        assert [completion.text for completion in ask(server)] == [TEXT]
    assert len(server.asked) == 2


def test_a_dropped_connection_is_tried_again() -> None:
    with ChatServer(lambda asked, at: obedient(asked) if at else Reply(drops=True)) as server:
        assert [completion.error for completion in ask(server)] == [None]


def test_retry_after_is_honoured() -> None:
    def script(asked: Asked, at: int) -> Reply:
        return obedient(asked) if at else Reply({}, status=429, headers={"retry-after": "0.3"})

    with ChatServer(script) as server:
        began = time.monotonic()
        assert ask(server)[0].error is None
        assert time.monotonic() - began >= 0.3


def test_a_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    when = format_datetime(datetime.now(timezone.utc) + timedelta(hours=1))
    with ChatServer(lambda *_: Reply({"error": "quota"}, status=429, headers={"retry-after": when})) as server:
        began = time.monotonic()
        assert error_of(server, deadline=30).startswith("HTTP 429: quota")
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("after", ["", "soon", "-1", "nan", "1e999", "9" * 400, "Thu, 99 Foo 2020"])
def test_an_unreadable_retry_after_is_none(after: str) -> None:
    assert chat._seconds(after) == 0


def test_a_storm_ends_with_the_reason() -> None:
    with ChatServer(lambda *_: Reply({"error": {"message": "slow down"}}, status=429)) as server:
        error = error_of(server)
    assert error.startswith("HTTP 429: slow down; the server is asked too often")
    assert error.endswith("(after 3 tries)")
    assert len(server.asked) == 3


def test_a_hanging_server_ends_at_the_deadline() -> None:
    def script(asked: Asked, _: int) -> Reply:
        return Reply(hangs=True) if "item 1," in asked.json["messages"][0]["content"] else obedient(asked)

    with ChatServer(script) as server:
        began = time.monotonic()
        found = ask(server, items=3, deadline=0.5)
        assert time.monotonic() - began < 5
    assert [completion.error for completion in found] == [None, "no answer within 0.5 s, the deadline", None]


def test_the_deadline_covers_all_requests_of_an_order() -> None:
    with ChatServer(lambda asked, at: said(GOOD, delay=0.4)) as server:
        found = ask(server, k=3, n=1, deadline=0.6)
    assert [completion.error is None for completion in found] == [True, False, False]


# ---------------------------------------------------------------------- faults that stay


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_that_is_down_costs_moments_whatever_there_is_to_do() -> None:
    began = time.monotonic()
    found = list(engine(f"http://127.0.0.1:{closed_port()}/v1", retries=8)(prompts(1000, k=2)))
    assert time.monotonic() - began < 20
    assert sorted(index for index, _ in found) == list(range(2000))
    reasons = {completion.error or "" for _, completion in found}
    assert all("no connection to the server: ConnectError" in reason for reason in reasons)
    assert any(reason.startswith("not asked: 16 requests in a row failed") for reason in reasons)


def test_a_server_that_hangs_for_all_is_given_up() -> None:
    with ChatServer(lambda *_: Reply(hangs=True)) as server:
        found = ask(server, items=40, concurrency=4, deadline=0.3)
        assert len(server.asked) <= 8
    assert all(completion.error for completion in found)


def test_a_server_that_dies_keeps_what_is_finished() -> None:
    def script(asked: Asked, at: int) -> Reply:
        return obedient(asked) if at < 5 else Reply(drops=True)

    with ChatServer(script) as server:
        found = ask(server, items=60, concurrency=2)
        assert len(server.asked) < 40
    assert sum(completion.error is None for completion in found) == 5
    assert "no connection" in (found[-1].error or "")


def test_one_refusal_a_time_does_not_make_a_server_lost() -> None:
    with ChatServer(lambda *_: Reply({"error": "no"}, status=404)) as server:
        ask(server, items=50, concurrency=4)
    assert len(server.asked) == 50


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            401,
            {"error": {"message": "Invalid key"}},
            "HTTP 401: Invalid key; the server refuses the token; give api_key",
        ),
        (403, {"error": "gated"}, "HTTP 403: gated; the token may not use this model"),
        (404, {"error": {"message": "no model"}}, "HTTP 404: no model; the server does not serve 'm'"),
        (400, b"<html>\n  Bad  </html>", "HTTP 400: <html> Bad </html>"),
        (422, [], "HTTP 422: []"),
        (400, {"object": "error", "message": "nope"}, "HTTP 400: nope"),
        (418, b"", "HTTP 418: no reason given"),
    ],
)
def test_a_refusal_is_final_and_names_the_way_out(status: int, body: Any, says: str) -> None:
    with ChatServer(lambda *_: Reply(body, status=status)) as server:
        assert error_of(server).startswith(says)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens"),
        (400, "The decoder prompt (length 900) is longer than the maximum model length of 512."),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."),
        (400, "context_length_exceeded"),
    ],
)
def test_a_context_overflow_is_said(status: int, message: str) -> None:
    with ChatServer(lambda *_: Reply({"error": {"message": message}}, status=status)) as server:
        found = ask(server, k=4, n=1)
    assert len(server.asked) == 1
    assert all("the prompt does not fit the server's context: shorten it" in (one.error or "") for one in found)


NO_TEXT = "the server's answer has no text"
NO_CHOICES = "the server's answer has no choices"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>nginx</html>", "the server's answer is not JSON: b'<html>nginx</html>'"),
        (b"\xff\xfe", "the server's answer is not JSON"),
        (b"[" * 100_000, "the server's answer is not JSON"),
        (b"", "the server's answer is not JSON"),
        ([], NO_CHOICES),
        ({"choices": []}, NO_CHOICES),
        ({"choices": "text"}, NO_CHOICES),
        ({"error": "with status 200"}, NO_CHOICES),
        ({"choices": [choice(None)]}, f"{NO_TEXT}: content is None, finish_reason is 'stop'"),
        ({"choices": [choice("")]}, NO_TEXT),
        ({"choices": [choice(["text"])]}, NO_TEXT),
        ({"choices": [choice(None, "tool_calls")]}, NO_TEXT),
        ({"choices": [None]}, NO_TEXT),
        ({"choices": [{"message": "text"}]}, NO_TEXT),
        ({"choices": [choice("half", "content_filter")]}, "the server's content filter cut the answer"),
    ],
)
def test_a_malformed_answer_is_an_error_by_name(body: Any, says: str) -> None:
    with ChatServer(lambda *_: Reply(body)) as server:
        assert error_of(server).startswith(says)
    assert len(server.asked) == 1


def test_an_answer_has_a_largest_size() -> None:
    body = b'{"choices": "' + b" " * 34 * 2**20
    with ChatServer(lambda *_: Reply(body)) as server:
        assert error_of(server) == "the server's answer is larger than 33,554,432 bytes"


def test_a_compressed_answer_is_not_unpacked() -> None:
    with ChatServer(lambda *_: Reply(b"\x1f\x8b", headers={"content-encoding": "gzip"})) as server:
        assert "compressed" in error_of(server)
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_what_ran_into_the_budget_is_truncated() -> None:
    with ChatServer(lambda *_: said("Analysis: it goes on and", finish="length")) as server:
        [completion] = ask(server)
        assert completion.truncated
        assert parse(completion, (0, 1)).outcome is Outcome.TRUNCATED


def test_a_reasoner_without_a_word_is_truncated() -> None:
    with ChatServer(lambda *_: said(None, finish="length")) as server:
        assert ask(server)[0] == Completion("", True, 20, 0)


def test_a_text_ends_with_its_scores_line() -> None:
    with ChatServer(lambda *_: said(GOOD + "I hope this", finish="length")) as server:
        [completion] = ask(server)
    assert (completion.text, completion.truncated) == (TEXT, False)


def test_half_characters_do_not_get_in() -> None:
    with ChatServer(lambda *_: said("half \ud83d of it")) as server:
        assert ask(server)[0].text == "half ? of it"


# ---------------------------------------------------------------------- flow


def test_never_more_in_flight_than_allowed() -> None:
    with ChatServer(lambda asked, at: said(GOOD, delay=0.2)) as server:
        ask(server, items=10, k=4, concurrency=16)
    assert server.most_in_flight == 16


def test_a_batch_size_is_a_concurrency() -> None:
    with ChatServer(lambda asked, at: said(GOOD, delay=0.05)) as server:
        backend = OpenAICompatible(server.url, "m")
        assert len(list(backend.engine(GRMConfig(), stop=scores_line_end, batch_size=3)(prompts(9)))) == 9
    assert server.most_in_flight == 3


def test_prompts_are_read_as_they_are_needed() -> None:
    read = 0

    def counted() -> Iterator[Prompt]:
        nonlocal read
        for prompt in prompts(None, k=4):
            read += 1
            yield prompt

    with ChatServer() as server:
        found = engine(server.url, concurrency=4)(counted())
        first = [next(found) for _ in range(40)]
        found.close()
    assert {index for index, _ in first} <= set(range(read))
    assert read <= 40 + 4 * (2 * 4 + 2)


def test_requests_start_while_prompts_are_still_read() -> None:
    with ChatServer() as server:
        asked_then = []

        def slow() -> Iterator[Prompt]:
            for prompt in prompts(3):
                yield prompt
                time.sleep(0.2)
                asked_then.append(len(server.asked))

        assert len(list(engine(server.url)(slow()))) == 3
    assert asked_then[1:] == [1, 2]


def test_closing_early_cancels_what_is_in_flight() -> None:
    with ChatServer(lambda asked, at: obedient(asked) if not at else Reply(hangs=True)) as server:
        found = engine(server.url, concurrency=1)(prompts(None))
        assert next(found)[0] == 0
        began = time.monotonic()
        found.close()
        assert time.monotonic() - began < 5
    assert not [thread for thread in threading.enumerate() if thread.name == "openai-backend"]


def test_what_the_prompts_raise_comes_through() -> None:
    def broken() -> Iterator[Prompt]:
        yield from prompts(2)
        raise InvalidInput("row: bad")

    with ChatServer(lambda *_: Reply(hangs=True)) as server, pytest.raises(InvalidInput, match="row: bad"):
        list(engine(server.url)(broken()))


def test_what_stop_raises_comes_through() -> None:
    def broken(_: str) -> int | None:
        raise ZeroDivisionError

    with ChatServer() as server, pytest.raises(ZeroDivisionError):
        list(OpenAICompatible(server.url, "m").engine(GRMConfig(), stop=broken)(prompts(3)))


def test_no_prompts_no_requests() -> None:
    with ChatServer() as server:
        assert ask(server, items=0) == []
    assert server.asked == []


def test_two_runs_at_once() -> None:
    with ChatServer() as server:
        run = engine(server.url)
        pairs = list(zip(run(prompts(5)), run(prompts(5)), strict=True))
    assert len(pairs) == 5


FAULTS: list[Reply] = [
    said(GOOD),
    said(GOOD, GOOD, GOOD),
    said(None),
    said(),
    said("no scores here"),
    Reply(b"not JSON"),
    Reply({}, status=500),
    Reply({}, status=429, headers={"retry-after": "0"}),
    Reply({}, status=400),
    Reply({}, status=404),
    Reply(drops=True),
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=12),
    items=st.integers(0, 6),
    k=st.integers(1, 5),
    n=st.integers(1, 3),
    concurrency=st.integers(1, 4),
)
def test_every_prompt_has_one_completion_whatever_happens(
    faults: list[Reply], items: int, k: int, n: int, concurrency: int
) -> None:
    with ChatServer(lambda _, at: faults[at % len(faults)]) as server:
        found = ask(server, items, k, n, concurrency=concurrency, retries=1)
        assert server.most_in_flight <= concurrency
    assert all(completion.text or completion.error for completion in found)


# ---------------------------------------------------------------------- the constrained line


def lined(n: int) -> ScoresLine:
    return ScoresLine(n, 1, 10)


def follows(asked: Asked) -> bool:
    return "structured_outputs" in asked.json


def test_a_judgement_without_scores_is_continued() -> None:
    def script(asked: Asked, _: int) -> Reply:
        return (
            said("7, 10}", prompt=30, written=5) if follows(asked) else said("It rambles", finish="length", written=9)
        )

    with ChatServer(script) as server:
        found = ask(server, k=2, n=2, line=lined, config=GRMConfig(max_new_tokens=100, top_k=5))
    for completion in found:
        assert completion == Completion("It rambles\nScores: \\boxed{7, 10}", False, 50, 14, constrained=True)
        assert parse(completion, (0, 1)).scores == (7, 10)
    first = [asked for asked in server.asked if asked.json["seed"] == 0]
    free, follow = (next(a.json for a in first if follows(a) is kind) for kind in (False, True))
    assert (free["max_tokens"], follow["max_tokens"]) == (84, 16)
    assert follow["messages"][-1] == {"role": "assistant", "content": "It rambles\nScores: \\boxed{"}
    assert follow["structured_outputs"] == {"regex": lined(2).regex}
    assert (follow["continue_final_message"], follow["add_generation_prompt"]) == (True, False)
    assert follow["top_k"] == 5


def test_a_judgement_with_scores_stays_free() -> None:
    with ChatServer() as server:
        assert [one.constrained for one in ask(server, items=3, line=lined)] == [False] * 3
    assert len(server.asked) == 3


@pytest.mark.parametrize("answer", [said("I would say 7"), said("7}"), said(None), Reply(b"?"), Reply({}, status=500)])
def test_a_server_that_does_not_obey_leaves_the_text_as_it_is(answer: Reply) -> None:
    with ChatServer(lambda asked, _: answer if follows(asked) else said("It rambles")) as server:
        assert ask(server, line=lined) == [Completion("It rambles", False, 20, 0)]


def test_a_refusal_of_the_constraint_is_said_at_once() -> None:
    refusal = Reply({"error": "extra field structured_outputs"}, status=422)
    with (
        ChatServer(lambda asked, _: refusal if follows(asked) else said("It rambles")) as server,
        pytest.raises(InvalidInput, match=r"constrain: the server refuses structured outputs .*constrain='none'"),
    ):
        ask(server, items=500, concurrency=4, line=lined)
    assert len(server.asked) <= 3 * 4 + 8


def test_an_error_is_not_continued() -> None:
    with ChatServer(lambda *_: Reply({}, status=404)) as server:
        assert "404" in error_of(server, line=lined)


def test_the_budget_must_have_room_for_the_line() -> None:
    with ChatServer() as server, pytest.raises(InvalidInput, match="max_new_tokens: 16 has no room"):
        ask(server, line=lined, config=GRMConfig(max_new_tokens=16))


# ---------------------------------------------------------------------- probabilities


def token(text: str, **likely: float) -> dict[str, Any]:
    """A token and the probabilities there; `_8` spells " 8"."""
    told = {name.replace("_", " "): share for name, share in likely.items()} or {text: 1.0}
    top = [{"token": name, "logprob": math.log(share), "bytes": list(name.encode())} for name, share in told.items()]
    return {"token": text, "logprob": math.log(told.get(text, 0.01)), "bytes": list(text.encode()), "top_logprobs": top}


def test_numbers_are_asked_for_and_kept() -> None:
    tokens = [token("Scores"), token(": \\"), token("boxed"), token("{")]
    tokens += [token("8", **{"8": 0.5, "7": 0.25, "_8": 0.25}), token(","), token(" 3", _3=1.0), token("}\n")]
    text = "".join(entry["token"] for entry in tokens)
    answer = {"choices": [choice(text, logprobs={"content": tokens})], "usage": {"prompt_tokens": 9}}
    with ChatServer(lambda *_: Reply(answer)) as server:
        [completion] = ask(server, logprobs=True)
    assert (server.asked[0].json["logprobs"], server.asked[0].json["top_logprobs"]) == (True, 20)
    assert completion.completion_tokens == len(tokens)
    assert {place: dict(chances) for place, chances in completion.numbers.items()} == {
        text.index("8"): pytest.approx({8: 0.75, 7: 0.25}),
        text.index("3"): pytest.approx({3: 1.0}),
    }
    assert parse(completion, (0, 1)).expected == pytest.approx((7.75, 3.0))


def test_a_constrained_line_keeps_its_numbers() -> None:
    """The continuation does not repeat the text that it goes on from; places count from the start of the whole."""
    line = [token("7", **{"7": 0.75, "9": 0.25}), token(","), token(" 3", _3=0.5, _5=0.5), token("}")]
    answer = {"choices": [choice("7, 3}", logprobs={"content": line})], "usage": {}}

    def script(asked: Asked, _: int) -> Reply:
        return Reply(answer) if follows(asked) else said("It rambles")

    with ChatServer(script) as server:
        [completion] = ask(server, line=lined, logprobs=True)
    assert completion.text == "It rambles\nScores: \\boxed{7, 3}"
    assert sorted(completion.numbers) == [completion.text.index("7"), completion.text.index("3")]
    assert parse(completion, (1, 0)).expected == pytest.approx((4.0, 7.5))


def test_large_answers_are_shared_over_requests() -> None:
    """With probabilities a token takes kilobytes, so that few samples fit an answer."""
    with ChatServer() as server:
        ask(server, k=32, n=1, logprobs=True)
    assert {asked.json["n"] for asked in server.asked} == {8}
