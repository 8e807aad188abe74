"""Judge prompts: a table of templates and the one function that fills them.

    render(Request("What is 2+2?", ["4", "5"]), order=(1, 0), template="deepseek-grm") -> chat messages

A template is text with `{conversation}`, `{responses}` and, where wanted, `{n}`, `{example}` and `{extras}` (the caller's
principles and reference answer). Knows nothing about tokens or models; the chat markup is the tokenizer's business.
Source: arXiv 2504.02495, Appendix G.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .types_grm import InvalidInput, Request

_OPENING = (
    "You are a skilled little expert at scoring responses. You should evaluate given responses based on the given "
    "judging criteria.\n"
    "Given the context of the conversation (the last round is the User's query) and multiple responses from the "
    "Assistant, you need to refer to the [General Evaluation Criteria] to score the responses. Based on the general "
    "evaluation criteria, state potential other specific criteria to the query, the weights of different criteria, and "
    "then "
)
_STRICT = "Before scoring, please analyze step by step. Your scoring needs to be as strict as possible.\n\n"
_TEN_POINTS = (
    "provide an overall comprehensive score upon them.\n"
    "Each score is an integer between 1 and 10, with a higher score indicating that the response meets the relevant "
    "criteria more closely. For example, a score of 1 means the response does not meet the criteria at all, a score of 6 "
    "means the response meets only some parts, and a score of 10 means the response perfectly meets the evaluation "
    "criteria.\n"
)
_ZERO_ONE = (
    "provide an overall comprehensive score upon them.\n"
    "The score is 0 or 1, with 1 indicating that the response is correct.\n"
)
_PICK_BEST = "select the best response among all candidates.\n"

_CRITERIA = """#### Evaluation Criteria ####
1. Instruction Adherence:
 - Fully Adhered (9-10 points): The response fully complies with all instructions and requirements of the question.
 - Partially Adhered (6-8 points): The response meets most of the instructions but has some omissions or misunderstandings.
 - Basically Adhered (3-5 points): The response meets some instructions, but the main requirements are not fulfilled.
 - Not Adhered (1-2 points): The response does not meet any instructions.
 Example: If the question requires three examples and the response provides only one, it falls under "Partially Adhered."
2. Usefulness:
 - Highly Useful (9-10 points): The response provides comprehensive and accurate information, fully addressing the issue.
 - Useful but Incomplete (6-8 points): The response provides some useful information, but lacks details or accuracy.
 - Limited Usefulness (3-5 points): The response offers little useful information, with most content being irrelevant or incorrect.
 - Useless or Incorrect (1-2 points): The response is completely irrelevant or incorrect.
 Example: If there are factual errors in the response but the overall direction is correct, it falls under "Useful but Incomplete."
3. Level of Detail:
 - Very Detailed (9-10 points): The response includes ample details covering all aspects of the issue.
 - Detailed but Slightly Lacking (6-8 points): The response is fairly detailed but misses some important details.
 - Basically Detailed (3-5 points): The response provides some details but is not thorough enough overall.
 - Not Detailed (1-2 points): The response is very brief and lacks necessary details.
 Example: If the response provides only a simple conclusion without an explanation, it falls under "Not Detailed."
4. Relevance:
 - Highly Relevant (9-10 points): The response is highly relevant to the question, with information closely aligned with the topic.
 - Generally Relevant (6-8 points): The response is generally relevant but includes some unnecessary information.
 - Partially Relevant (3-5 points): The response has a lot of content that deviates from the topic.
 - Not Relevant (1-2 points): The response is completely irrelevant.
 Example: If the response strays from the topic but still provides some relevant information, it falls under "Partially Relevant."
"""
_SINGLE_CRITERIA = """#### Evaluation Criteria ####
1. Instruction Adherence:
 - Fully Adhered: The response fully complies with all instructions and requirements of the question.
 - Partially Adhered: The response meets most of the instructions but has some omissions or misunderstandings.
 - Basically Adhered: The response meets some instructions, but the main requirements are not fulfilled.
 - Not Adhered: The response does not meet any instructions.
2. Clarity:
 - Very Clear: The response is well organised and easy to follow.
 - Clear but Minor Issues: The response is understandable, with small lapses in wording or order.
 - Basically Clear: The response can be understood with effort.
 - Not Clear: The response is confusing or cannot be understood.
3. Accuracy:
 - Completely Accurate: All statements and the final answer are right.
 - Mostly Accurate: The final answer is right, with slips that do not change it.
 - Some Errors: The response has errors that matter for the answer.
 - Mostly Incorrect: The response or its final answer is wrong.
"""
_CONTEXT = "\n#### Conversation Context ####\n{conversation}\n{extras}\n#### Responses to be Scored ####\n{responses}"
_FORMAT = """
#### Output Format Requirements ####

Output with three lines
Specific Criteria: <Other potential criteria specific to the query and the context, and the weights of each criteria>.
Analysis: <Compare different responses based on given Criteria>.
Scores: """
_ALL_SCORES = (
    "<the overall comprehensive score of all responses in order, separate by comma in the boxed, e.g., \\boxed{x, x} if "
    "there exists 2 responeses>."
)
_CARD_SCORES = _ALL_SCORES.replace("all responses", "all resposnes").replace("separate", "seperate")
_ONE_SCORE = "<the overall comprehensive score of the response, e.g., \\boxed{x}>."
_BEST_INDEX = "<the index of the best response based on the judgement, in the format of \\boxed{x}>."

_COMPACT = """Judge the {n} below to the last user turn. Name the criteria, say what is good or wrong, score from 1 (useless) to 10 (perfect).

# Conversation
{conversation}
{extras}{responses}

# Output
Specific Criteria: ...
Analysis: ...
Scores: {example}"""

_NUMBERED = "[The Begin of Response {i}]\n{response}\n[The End of Response {i}]\n"
_UNNUMBERED = "[The Begin of Response]\n{response}\n[The End of Response]\n"


def _without_points(criteria: str) -> str:
    return re.sub(r" \(\d+-\d+ points\)", "", criteria)


@dataclass(frozen=True)
class Template:
    """One judge prompt.

    Attributes:
        name: key in `TEMPLATES`, or "custom".
        user: text of the user message with its placeholders.
        block: one response, with `{i}` (1-based, as shown) and `{response}`.
        extra: one of the caller's sections (principles, reference answer), with `{title}` and `{text}`.
        separator: what stands between response blocks.
        system: system message, or None for the chat template's own default.
        score_range: lowest and highest legal score; None where the number is no score (an index, a logit).
        reconstructed: True where the paper does not print the text and this project wrote it.
        note: one line for `grm template list`.
    """

    name: str
    user: str
    block: str = _NUMBERED
    extra: str = "\n#### {title} ####\n{text}\n"
    separator: str = ""
    system: str | None = None
    score_range: tuple[int, int] | None = (1, 10)
    reconstructed: bool = False
    note: str = ""


_SMALL = Template(
    "compact",
    _COMPACT,
    block="# Response {i}\n{response}",
    extra="# {title}\n{text}\n",
    separator="\n",
    system="You judge responses.",
    reconstructed=True,
    note="this project's own, under 150 tokens, for small models",
)
_TABLE = (
    Template(
        "deepseek-grm",
        _OPENING + _TEN_POINTS + _STRICT + _CRITERIA + _CONTEXT + _FORMAT + _ALL_SCORES,
        note="the paper's default, any number of responses (Appendix G)",
    ),
    Template(
        "deepseek-grm-card",
        _OPENING + _TEN_POINTS + _STRICT + _CRITERIA + _CONTEXT + _FORMAT + _CARD_SCORES,
        note="the same with the spelling that users of the released checkpoints carry in its last line",
    ),
    Template(
        "deepseek-grm-single",
        _OPENING + _ZERO_ONE + _STRICT + _SINGLE_CRITERIA + _CONTEXT + _FORMAT + _ONE_SCORE,
        block=_UNNUMBERED,
        score_range=(0, 1),
        reconstructed=True,
        note="one response, right (1) or wrong (0); a training form",
    ),
    Template(
        "llm-as-a-judge",
        _OPENING + _PICK_BEST + _STRICT + _without_points(_CRITERIA) + _CONTEXT + _FORMAT + _BEST_INDEX,
        score_range=None,
        reconstructed=True,
        note="baseline: names the best response's index; it gives no scores",
    ),
    Template(
        "meta-rm",
        "Please score the responses.\n" + _CONTEXT,
        score_range=None,
        note="the meta RM's input; the critique follows as the assistant's turn",
    ),
    _SMALL,
    replace(
        _SMALL,
        name="compact-closed",
        block="# Response {i}\n{response}\n# End of Response {i}",
        note="the same; each response is closed by its number, where a judge can be taught to weigh it",
    ),
)
TEMPLATES: dict[str, Template] = {template.name: template for template in _TABLE}

_PLACEHOLDER = re.compile(r"\{(conversation|responses|extras|example|n)\}")
_GAP = r"[^\S\n]"
_DELIMITER = re.compile(
    r"\[(?=\s*(?:The\s+)?(?:Begin|End)\s+of\s+(?:the\s+)?Response)"
    rf"|(?<!#)(?:(?P<many>#{{2,}}){_GAP}*|(?P<one>#){_GAP}+)"
    r"(?=(?:Conversation|(?:End\s+of\s+(?:the\s+)?)?Responses?|Output|Evaluation|Principles?|Reference)(?![A-Za-z_]))",
    re.IGNORECASE,
)
_ROLE_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


def find_template(name_or_text: str) -> Template:
    """The template of that name, or a custom one made from its text.

    Raises:
        InvalidInput: neither a known name nor a text with both `{conversation}` and `{responses}`.
    """
    if name_or_text in TEMPLATES:
        return TEMPLATES[name_or_text]
    if "{conversation}" in name_or_text and "{responses}" in name_or_text:
        return Template("custom", name_or_text)
    raise InvalidInput(
        f"template: {name_or_text[:60]!r} is unknown; use one of {sorted(TEMPLATES)}, or a text of your own that has "
        "{conversation} and {responses}"
    )


def neutralize(text: str) -> str:
    """The text with this project's own section markers defused, so that a response cannot open or close a section.

    `[The End of Response 1]` becomes `(The End of Response 1]` and `# Output` becomes `#-Output`, in any case and however
    spaced: still readable, still a comment where it was one in code, no longer a marker.
    """
    return _DELIMITER.sub(lambda found: f"{hashes}-" if (hashes := found["many"] or found["one"]) else "(", text)


def conversation_text(turns: Sequence[dict[str, str]]) -> str:
    """A single user turn as it is; several turns as `User: ...` / `Assistant: ...` lines (Appendix G)."""
    if len(turns) == 1:
        return neutralize(turns[0]["content"])
    return "\n".join(f"{_ROLE_NAMES[turn['role']]}: {neutralize(turn['content'])}" for turn in turns)


def _responses_text(responses: Sequence[str], template: Template) -> str:
    blocks = (
        template.block.replace("{i}", str(i)).replace("{response}", neutralize(text))
        for i, text in enumerate(responses, 1)
    )
    return template.separator.join(blocks)


def _extras_text(request: Request, template: Template) -> str:
    sections = (("Principles", request.principles), ("Reference Answer", request.reference))
    return "".join(
        template.extra.replace("{title}", title).replace("{text}", neutralize(text)) for title, text in sections if text
    )


def _check_shows(request: Request, template: Template) -> None:
    """Nothing that the caller gave may silently stay out of the prompt."""
    if template.block == _UNNUMBERED and request.n != 1:
        raise InvalidInput(f"template: {template.name!r} takes one response, {request.n} given; use 'deepseek-grm'")
    if (request.principles or request.reference) and "{extras}" not in template.user:
        raise InvalidInput(
            f"template: {template.name!r} has no {{extras}}, where principles and a reference answer would stand; "
            "add it, or leave them out"
        )


def render(
    request: Request, order: Sequence[int], template: str | Template = "deepseek-grm"
) -> tuple[dict[str, str], ...]:
    """Chat messages that show the responses in `order` (`order[shown] = caller's index`).

    Raises:
        InvalidInput: an unknown template, more than one response for a template that takes one, or principles or a
            reference answer for a template without a place for them.
    """
    chosen = find_template(template) if isinstance(template, str) else template
    _check_shows(request, chosen)
    values = {
        "conversation": conversation_text(request.query),
        "responses": _responses_text([request.responses[i] for i in order], chosen),
        "extras": _extras_text(request, chosen),
        "example": "\\boxed{" + ", ".join("x" * request.n) + "}",
        "n": "response" if request.n == 1 else f"{request.n} responses",
    }
    user = {"role": "user", "content": _PLACEHOLDER.sub(lambda found: values[found.group(1)], chosen.user)}
    return (user,) if chosen.system is None else ({"role": "system", "content": chosen.system}, user)
