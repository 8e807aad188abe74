"""The Space's page: a form, the judge's answer as it grows, and the same as an API and as an MCP tool.

    python app.py           # http://127.0.0.1:7860 with the embedded judge
    GRM_MODEL=org/your-grm GRM_META_MODEL=org/your-meta-rm python app.py

Knows how Gradio serves; what is asked, judged and shown stands in the files beside it. Nothing that a visitor writes is
kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported

import gradio as gr
from asked import Asked
from form import QUIET, asked_of, bind_links, make, settings_of
from judge import Judge
from view import Watched, empty, page, python_code, refusal, scaling_page

import spaces
from modeling_grm import InvalidInput

HERE = Path(__file__).resolve().parent
WAITING = 64  # visitors in line at most
ONE_BY_ONE: dict[str, Any] = {"concurrency_id": "judge", "concurrency_limit": 1}
OWN_STYLE: dict[str, Any] = {"apply_default_css": False, "js_on_load": None}
COPY = "(text) => { navigator.clipboard?.writeText(text).catch(() => {}); }"
FAILED = "judge: it failed on this question ({}), and nothing of it was kept; try again, or with shorter texts"
THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.indigo,
    neutral_hue=gr.themes.colors.slate,
    radius_size=gr.themes.sizes.radius_lg,
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    input_placeholder_color="*neutral_500",
    input_placeholder_color_dark="*neutral_400",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_dark="*primary_600",
    button_primary_text_color="white",
)
Judged = Callable[[Asked], Iterator[dict[str, Any]]]


def reason(error: Exception) -> str:
    """What a visitor is told; the words of errors that are not ours stay here, they may hold another's texts."""
    return str(error) if isinstance(error, InvalidInput) else FAILED.format(type(error).__name__)


def watching(judge: Judge, judged: Judged) -> Callable[..., Iterator[tuple[str, str, str]]]:
    """The form's event: (page, code, JSON) after each judgement."""

    def watch(*fields: Any) -> Iterator[tuple[str, str, str]]:
        try:
            asked = asked_of(*fields)
            watched, code = Watched(asked), python_code(asked, judge.model, judge.meta_model)
            yield watched.html(), code, ""
            for step in judged(asked):
                watched.add(step)
                yield watched.html(), code, watched.json() if step["done"] else ""
        except Exception as error:
            yield refusal(reason(error)), "", ""

    return watch


def scoring(judged: Judged) -> Callable[..., Iterator[dict[str, Any]]]:
    """The API's function and the MCP tool; its signature and words are their documentation."""

    def score(
        conversation: str,
        responses: list[str],
        k: int = 8,
        temperature: float = 0.5,
        meta: bool = False,
        adaptive: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Score responses to a conversation with a generative reward model that votes over k written judgements.

        Streams: each message is the vote so far; the last one, with `done` true, is the result.

        Args:
            conversation: the user's message. Or turns in one text that starts with "User:" or "System:", each turn
                behind "User:", "Assistant:" or "System:" at the start of a line; the last one is the user's.
            responses: 2 to 8 responses to the last turn.
            k: how many judgements, 1 to 32; with `adaptive` the most of them.
            temperature: 0 to 1.5.
            meta: let the meta RM choose which half of the judgements vote, where this judge has one.
            adaptive: draw whole rotations of the responses until the vote is safe.

        Returns:
            `scores` (mean vote of each response, 1 to 10, in your order; null below the quorum), `best` (index of the
            single best; null on a tie), `confidence`, `outcomes`, `stopped`, and `samples` with every judgement's
            principles, critique, scores, order, outcome and meta score.
        """
        try:
            yield from judged(Asked.of(conversation, responses, **settings_of(k, temperature, meta, adaptive)))
        except Exception as error:
            raise gr.Error(reason(error), print_exception=False) from None

    return score


def build(judge: Judge) -> gr.Blocks:
    """The page of a judge."""

    @spaces.GPU(duration=judge.gpu_seconds)
    def judged(asked: Asked) -> Iterator[dict[str, Any]]:
        yield from judge.steps(asked)

    with gr.Blocks(title="Watch a reward model think", analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        gr.HTML(page("header.html.jinja"), elem_classes="grm", **OWN_STYLE)
        with gr.Tabs():
            with gr.Tab("Score"), gr.Row(elem_classes="grm-columns"):
                score_tab(judge, judged)
            with gr.Tab("Scaling"):
                curves = json.loads((HERE / "curves.json").read_text(encoding="utf-8"))
                gr.HTML(scaling_page(curves), elem_classes="grm", **OWN_STYLE)
            with gr.Tab("About"):
                gr.Markdown(card(), elem_classes="grm-about")
        gr.api(scoring(judged), api_name="score", **ONE_BY_ONE)
    return demo.queue(max_size=WAITING)


def card() -> str:
    """The Space's card without its front matter."""
    return (HERE / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]


def score_tab(judge: Judge, judged: Judged) -> None:
    """The form on one side, what the judge says on the other."""
    with gr.Column(scale=5, min_width=320):
        form, go, stop = make(judge)
        share = gr.Button("Copy a link to this question", size="sm", elem_id="share")
        link = gr.Textbox(label="Link", visible=False, interactive=True, elem_id="link")
    with gr.Column(scale=8, min_width=320):
        shown = gr.HTML(empty(judge.name), elem_classes="grm", elem_id="result", **OWN_STYLE)
        with gr.Accordion("As JSON, and in Python", open=False, elem_id="programs"):
            code, result = (_to_copy(label) for label in ("The same in Python", "Result as JSON"))
    run = gr.on(
        [go.click, form.conversation.submit],
        watching(judge, judged),
        form.fields,
        [shown, code, result],
        api_visibility="private",
        scroll_to_output=True,
        show_progress="minimal",
        show_progress_on=shown,
        **ONE_BY_ONE,
    )
    stop.click(None, cancels=[run], **QUIET)
    bind_links(form, share, link, shown)


def _to_copy(label: str) -> gr.Textbox:
    """A box of text with its button; editable, for only such a box can be reached and scrolled with the keyboard."""
    box = gr.Textbox(label=label, lines=8, max_lines=24, interactive=True)
    gr.Button(f"Copy: {label}", size="sm").click(None, box, js=COPY, **QUIET)
    return box


def launch(demo: gr.Blocks) -> None:
    """Serve it, as a page, an API and an MCP server; nobody watches who asks what."""
    unwatched: dict[str, Any] = {"show_error": False, "enable_monitoring": False, "ssr_mode": False}
    demo.launch(theme=THEME, css_paths=HERE / "style.css", mcp_server=True, **unwatched)


if __name__ == "__main__":
    launch(build(Judge.from_environment()))
