"""The Space as programs see it: `/score` as it streams, its refusals, its queue, and the MCP tool, over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from space_served import SCRIPTED, Served

pytestmark = pytest.mark.slow
QUERY = "How long should I boil an egg so that the yolk stays soft?"
RESPONSES = [
    "Boil it for six minutes, then put it in cold water so that it stops cooking.",
    "The night train to the coast leaves at nine and stops in four towns.",
]


@pytest.fixture(scope="module")
def scripted() -> Iterator[Served]:
    with Served(SCRIPTED, SCRIPTED_DELAY="0.02") as served:
        yield served


@pytest.fixture(scope="module")
def embedded() -> Iterator[Served]:
    with Served() as served:
        yield served


def _client(served: Served) -> Any:
    from gradio_client import Client

    return Client(served.url, verbose=False)


def test_score_streams_sample_by_sample(scripted: Served) -> None:
    steps = list(_client(scripted).submit(QUERY, RESPONSES, 8, 0.7, False, False, api_name="/score"))
    assert [step["k"] for step in steps[:-1]] == list(range(1, 9))
    assert not any(step["done"] for step in steps[:-1])
    last = steps[-1]
    assert last["done"]
    assert last["best"] == 1
    assert last["outcomes"] == {"ok": 7, "no_scores": 1}
    assert {"text", "principles", "analysis", "scores", "order", "outcome", "meta_score"} <= set(last["samples"][0])


def test_defaults_will_do(scripted: Served) -> None:
    assert _client(scripted).predict(QUERY, RESPONSES, api_name="/score")["k"] == 8


def test_the_meta_rm_and_the_adaptive_stop(scripted: Served) -> None:
    client = _client(scripted)
    rated = client.predict(QUERY, RESPONSES, 8, 0.7, True, False, api_name="/score")
    assert len(rated["voters"]) == 4
    assert 2 not in rated["voters"]
    assert client.predict(QUERY, RESPONSES, 16, 0.7, False, True, api_name="/score")["stopped"]


@pytest.mark.parametrize(
    ("query", "responses", "k", "message"),
    [
        ("", RESPONSES, 8, "conversation: it is empty"),
        (QUERY, ["a"], 8, "write at least 2"),
        (QUERY, RESPONSES, 99, "k: 99 is not usable"),
        (QUERY, ["x" * 4_001, "y"], 8, "at most 4,000 fit here"),
    ],
)
def test_refusals_say_why(scripted: Served, query: str, responses: list[str], k: int, message: str) -> None:
    with pytest.raises(Exception, match=message):
        _client(scripted).predict(query, responses, k, api_name="/score")


def test_only_the_api_is_open(scripted: Served) -> None:
    assert list(_client(scripted).view_api(return_format="dict")["named_endpoints"]) == ["/score"]


def test_nothing_is_logged(scripted: Served) -> None:
    secret = "a-secret-that-nobody-may-log"
    client = _client(scripted)
    client.predict(secret, RESPONSES, 2, api_name="/score")
    with pytest.raises(Exception, match="conversation"):
        client.predict("", [secret, secret], 2, api_name="/score")
    assert secret not in scripted.log


def test_twenty_at_once_wait_in_line_and_none_is_lost(scripted: Served) -> None:
    client = _client(scripted)
    jobs = [client.submit(f"Question {at}?", RESPONSES, 4, api_name="/score") for at in range(20)]
    ranks = set()
    while not all(job.done() for job in jobs):
        ranks |= {status.rank for job in jobs if (status := job.status()).rank is not None}
        time.sleep(0.05)
    results = [job.result() for job in jobs]
    assert all(result["done"] and result["k"] == 4 for result in results)
    assert len(ranks) >= 10, ranks


def test_visitors_do_not_see_one_another(scripted: Served) -> None:
    def ask(at: int) -> Any:
        return _client(scripted).predict(f"Question {at}?", [f"a{at}", f"b{at}"], 2, api_name="/score")

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(ask, range(4)))
    assert all(result["k"] == 2 for result in results)


def test_the_mcp_tool_scores(scripted: Served) -> None:
    import asyncio

    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def call() -> tuple[list[str], Any]:
        url = f"{scripted.url}/gradio_api/mcp/"
        async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = await session.list_tools()
            said = await session.call_tool(tools.tools[0].name, {"conversation": QUERY, "responses": RESPONSES, "k": 2})
            return [tool.name for tool in tools.tools], said

    names, said = asyncio.run(call())
    assert len(names) == 1
    assert names[0].endswith("score")
    assert not said.isError
    assert '"best"' in said.content[-1].text or "'best'" in said.content[-1].text


def test_the_embedded_judge_answers(embedded: Served) -> None:
    client = _client(embedded)
    began = time.monotonic()
    job = client.submit(QUERY, RESPONSES, 4, api_name="/score")
    first = next(iter(job))
    first_on_screen = time.monotonic() - began
    last = job.result()
    print(json.dumps({"start": embedded.start_seconds, "first": first_on_screen, "engine": first["seconds"]}))
    assert last["best"] == 0
    assert first_on_screen - first["seconds"] < 3
