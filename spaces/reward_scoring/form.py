"""The form: what a visitor fills in, its examples, its boxes that come and go, and links to it.

Knows Gradio's components and nothing of judging. Its fields always travel in the order of `Form.fields`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from asked import HOTTEST, LEAST_RESPONSES, MOST_K, MOST_RESPONSES, QUERY_CHARACTERS, RESPONSE_CHARACTERS, Asked
from judge import Judge
from links import PARAMETER, boxes, pack, unpack
from view import refusal

from modeling_grm import InvalidInput

EXAMPLES = Path(__file__).resolve().parent / "examples.json"
NO_META = "This judge has no meta RM, so every readable judgement votes."
WITH_META = "It rates every judgement; the half that it trusts most votes."
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
"""Of events that change the form alone: no endpoint, no spinner, no waiting in line."""
ONE_OF_TWO = "(on, other) => on ? false : other"
COPY_LINK = """(query) => {
    if (!query) return "";
    const link = window.location.origin + window.location.pathname + "?" + query;
    navigator.clipboard?.writeText(link).catch(() => {});
    return link;
}"""


@dataclass(frozen=True)
class Form:
    """The form's components."""

    count: gr.State
    conversation: gr.Textbox
    k: gr.Slider
    temperature: gr.Slider
    meta: gr.Checkbox
    adaptive: gr.Checkbox
    texts: list[gr.Textbox]

    @property
    def fields(self) -> list[Any]:
        """All that `asked_of` reads, in its order."""
        return [self.count, self.conversation, self.k, self.temperature, self.meta, self.adaptive, *self.texts]

    @property
    def responses(self) -> list[Any]:
        """How many boxes there are, and the boxes."""
        return [self.count, *self.texts]


def asked_of(count: int, conversation: str, *fields: Any) -> Asked:
    """What the filled-in form asks.

    Raises:
        InvalidInput: see `Asked`.
    """
    settings, texts = fields[:4], fields[4:]
    return Asked.of(conversation, list(texts[:count]), **settings_of(*settings))


def settings_of(k: Any, temperature: Any, meta: Any, adaptive: Any) -> dict[str, Any]:
    """Settings by name; JSON may spell a whole number as 8.0."""
    whole = int(k) if isinstance(k, float) and k.is_integer() else k
    return {"k": whole, "temperature": temperature, "meta": meta, "adaptive": adaptive}


def examples() -> list[dict[str, Any]]:
    """`{"name", "conversation", "responses"}`, written for this page and for the package's own demo."""
    found: list[dict[str, Any]] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    return found


def make(judge: Judge) -> tuple[Form, gr.Button, gr.Button]:
    """Put the form on the page, filled with the first example; returns it with its buttons that judge and stop."""
    picks = _example_buttons()
    conversation = gr.Textbox(
        label="What the user asks",
        info='One message; or turns that start with "User:" and "Assistant:"',
        value=examples()[0]["conversation"],
        lines=2,
        max_lines=12,
        max_length=2 * QUERY_CHARACTERS,
        elem_id="conversation",
    )
    texts = _response_boxes(examples()[0]["responses"])
    with gr.Row():
        add = gr.Button("Add a response", size="sm", min_width=120, elem_id="add")
        remove = gr.Button("Remove the last", size="sm", min_width=120, elem_id="remove")
    with gr.Row():
        go = gr.Button("Judge", variant="primary", elem_id="go", scale=3, min_width=120)
        stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=80)
    form = Form(gr.State(len(examples()[0]["responses"])), conversation, *_settings(judge), texts)
    for button, one in zip(picks, examples(), strict=True):
        button.click(_filled(one), None, [form.conversation, *form.responses], **QUIET)
    add.click(_more, form.responses, form.responses, **QUIET)
    remove.click(_fewer, form.responses, form.responses, **QUIET)
    return form, go, stop


def _example_buttons() -> list[gr.Button]:
    with gr.Row(elem_classes="grm-examples"):
        return [gr.Button(one["name"], size="sm", scale=0, min_width=0) for one in examples()]


def _response_boxes(shown: list[str]) -> list[gr.Textbox]:
    return [
        gr.Textbox(
            label=f"Response {at + 1}",
            value=shown[at] if at < len(shown) else "",
            visible=at < len(shown),
            lines=2,
            max_lines=12,
            max_length=2 * RESPONSE_CHARACTERS,
            elem_id=f"response-{at + 1}",
        )
        for at in range(MOST_RESPONSES)
    ]


def _settings(judge: Judge) -> tuple[gr.Slider, gr.Slider, gr.Checkbox, gr.Checkbox]:
    """k, temperature, meta RM, adaptive stop."""
    with gr.Group():
        k = gr.Slider(1, MOST_K, judge.default_k, step=1, label="Judgements (k)", elem_id="k")
        temperature = gr.Slider(0, HOTTEST, judge.default_temperature, step=0.1, label="Temperature", elem_id="heat")
        meta = gr.Checkbox(
            value=judge.meta is not None,
            label="Let the meta RM choose who votes",
            info=WITH_META if judge.meta else NO_META,
            interactive=judge.meta is not None,
            elem_id="meta",
        )
        adaptive = gr.Checkbox(
            value=judge.meta is None,
            label="Stop as soon as the vote is safe",
            info="Then k is the most that it may take; it goes without the meta RM.",
            elem_id="adaptive",
        )
    for on, other in ((meta, adaptive), (adaptive, meta)):
        on.input(None, [on, other], other, js=ONE_OF_TWO, **QUIET)
    return k, temperature, meta, adaptive


def _shown(texts: list[str]) -> list[Any]:
    """Updates of the count and all boxes: these texts, and the others empty and out of sight."""
    rest = MOST_RESPONSES - len(texts)
    seen = [gr.update(value=text, visible=True) for text in texts]
    return [len(texts), *seen, *([gr.update(value="", visible=False)] * rest)]


def _filled(one: dict[str, Any]) -> Callable[[], list[Any]]:
    return lambda: [one["conversation"], *_shown(one["responses"])]


def _more(count: int, *texts: str) -> list[Any]:
    return _shown([*texts[:count], ""][:MOST_RESPONSES])


def _fewer(count: int, *texts: str) -> list[Any]:
    return _shown(list(texts[: max(LEAST_RESPONSES, count - 1)]))


def bind_links(form: Form, share: gr.Button, link: gr.Textbox, shown: gr.HTML) -> None:
    """A button that makes a link to the question; and the form filled from the page's own address when it is opened."""
    query = gr.Textbox(visible=False)
    made = share.click(_link, form.fields, [query, link, shown], **QUIET)
    made.success(None, query, link, js=COPY_LINK, **QUIET)
    gr.on(None, _linked, None, [shown, *form.fields], **QUIET)


def _link(*fields: Any) -> tuple[Any, ...]:
    """(query string, the link's box, the result) for a question that fits a link; else why not."""
    try:
        return f"{PARAMETER}={pack(asked_of(*fields))}", gr.update(visible=True), gr.skip()
    except InvalidInput as error:
        return "", gr.update(visible=False), refusal(str(error))


def _linked(request: gr.Request) -> list[Any]:
    """(the result, every field) as the address asks for it; what is there already where it asks for nothing."""
    as_it_is = [gr.skip()] * (6 + MOST_RESPONSES)
    value = request.query_params.get(PARAMETER)
    if not value:
        return [gr.skip(), *as_it_is]
    try:
        asked = unpack(value)
    except InvalidInput as error:
        return [refusal(str(error)), *as_it_is]
    conversation, texts = boxes(asked)
    count, *updates = _shown(texts)
    return [gr.skip(), count, conversation, asked.k, asked.temperature, asked.meta, asked.adaptive, *updates]
