r"""One judgement's text in, scores or a named failure out.

    Specific Criteria: accuracy (60%), clarity (40%).
    Analysis: Response 1 is right. Response 2 is a guess.
    Scores: \boxed{8, 3}

Knows the shapes in which judges write their scores, and nothing about prompts, models or votes. Scores are read, never
made: no clipping, rounding, dropping, guessing or joining of lists.

Which list is final. A *header* is a line that starts with `Scores:`, `Final Score:`, `### Output:` and the like (bold,
markdown heading, bullet, any case; a line quoted with `>` is none). Behind the last header, or in the whole text where
there is no header, the last `\boxed{...}` counts, and without any box the last `[...]` that holds only numbers. A list
of one number in bare brackets looks like a footnote, so it counts only alone on its line or behind a colon at the
line's end. A last header without a list has no scores, even if an earlier text quotes some.

What a list says. Its parts, split at commas or semicolons, must all be integers in ASCII digits, or `8/10` where 10 is
the top of the range; `\text{}`, bold marks and full-width punctuation around them are ignored. Anything else (`8.5`,
`8.0`, `80%`, `x`, `Response 1: 8`, an empty part, a box never closed, a list in a list) makes the judgement NO_SCORES.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from .types_grm import Completion, Critique, Outcome

_FULL_WIDTH = tuple(zip("：，；、｛｝［］【】＼", ":,;,{}[][]\\", strict=True))

_FLAGS = re.ASCII | re.IGNORECASE
_HEADER = re.compile(
    r"\n(?P<mark>[ \t#*_\-]{0,12})(?:[0-9]{1,2}[.)][ \t*_]{0,4})?"
    r"(?:(?P<principles>(?:(?:specific|evaluation)[ \t]{1,4})?criteria|principles)"
    r"|(?P<analysis>(?:detailed[ \t]{1,4})?analysis)"
    r"|(?P<scores>(?:(?:final|overall|total)[ \t]{1,4})?scores?)"
    r"|(?P<output>output))"
    r"(?:[ \t]{1,4}\([^():\n]{0,60}\))?[*_ \t]{0,6}(?::[*_]{0,3}|(?=\r?\n|\Z))",
    _FLAGS,
)
_BOX = re.compile(r"\\boxed\s*\{", re.ASCII)
_BRACE = re.compile("[{}]")
_BARE = re.compile(r"\[([0-9+\-.,;/*\s]*)\\?\](?!\()", re.ASCII)
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:\s*/\s*[0-9]+)?"
_NUMBERS = re.compile(rf"[\s*]*{_NUMBER}[\s*]*(?:[,;][\s*]*{_NUMBER}[\s*]*)*", re.ASCII)
_REST = r"(?:[ \t*_$`.]|\\[)\]]){0,12}"
_LINE_REST = re.compile(_REST + r"\r?(?:\n|\Z)")
_SCORES_LINE = re.compile(
    r"(?P<gap>[\s*_$`]{0,12}(?:\\[(\[]\s{0,4})?)"
    r"(?P<list>\\{1,4}boxed\s{0,4}\{[^{}]{0,400}\}|\[[0-9+\-.,;/*\s]{1,400}\\?\])"
    rf"(?P<rest>{_REST})\r?(?P<newline>\n|\Z)",
    re.ASCII,
)
_MARKUP = re.compile(
    r"\\(?:text|textbf|mathbf|mathrm|boldsymbol|bf|quad|qquad)(?![A-Za-z])|\\[,;:! ]|[{}$*`~\s]+", re.ASCII
)
_SEPARATOR = re.compile("[,;]")
_SCORE = re.compile(r"([+-]?[0-9]+)(?: ?/ ?([0-9]+))?")
_WRAPPED = {"[": "]", "(": ")"}
_DIGITS = re.compile("[0-9]+")
_OPEN_BOX = re.compile(r"\\boxed\s{0,4}\{[0-9,; ]*\Z", re.ASCII)
_KNOWN = 0.9  # share of the probability that legal scores must have for their expectation to be given
_LONGEST_SCORE = 9  # digits; more is out of any range, and `int` refuses thousands of them

_COUNTED = r"[0-9]{1,2}(?![0-9]|\.[0-9])"
_AROUND = r"[*_`#()\[\]]{0,3}"
_OR = r"and|or|&|/|vs\.?|versus"
_ALSO = rf"{_AROUND}\s{{0,3}}(?:{_OR})\s{{0,3}}{_AROUND}{_COUNTED}"
_ALSO_MANY = rf"{_AROUND}\s{{0,3}}(?:,\s{{0,3}}(?:and|or)?|{_OR}|-|–|to|through)\s{{0,3}}{_AROUND}{_COUNTED}"
_MENTION = re.compile(
    rf"(?<![A-Za-z])(?:responses[\s\u00a0]{{0,3}}{_AROUND}{_COUNTED}(?:{_ALSO_MANY})*"
    rf"|response[\s\u00a0]{{0,3}}{_AROUND}{_COUNTED}(?:{_ALSO})*)",
    _FLAGS,
)
_RANGE = re.compile(r"([0-9]{1,2})\s{0,3}(?:-|–|to|through)\s{0,3}([0-9]{1,2})")


_Number = TypeVar("_Number", int, float)


class _List(NamedTuple):
    """A list of scores as written; `end` is None where it was opened and never closed."""

    start: int
    end: int | None
    body: str


class _Headers(NamedTuple):
    """The headers that divide a judgement: the first of each section, the last of the scores."""

    principles: re.Match[str] | None
    analysis: re.Match[str] | None
    scores: re.Match[str] | None


def _page(text: str) -> str:
    """The text behind one newline, so that every line has one in front, with full-width punctuation as ASCII's."""
    if not text.isascii():
        for wide, plain in _FULL_WIDTH:  # many times faster than `str.translate` on what is not ASCII
            text = text.replace(wide, plain)
    return "\n" + text


def _headers_of(page: str) -> Iterator[tuple[str, re.Match[str]]]:
    """(kind, match) of each header; without a colon, and for `Output`, it must look like a heading or be bold."""
    for found in _HEADER.finditer(page):
        kind = found.lastgroup or ""
        decorated = "#" in found["mark"] or "*" in found["mark"]
        if decorated or (":" in found.group() and kind != "output"):
            yield kind, found


def _dividing(page: str) -> _Headers:
    principles = analysis = scores = None
    for kind, found in _headers_of(page):
        if kind == "principles":
            principles = principles or (found if analysis is None else None)
        elif kind == "analysis":
            analysis = analysis or found
        else:
            scores = found
    return _Headers(principles, analysis, scores)


def _closing(page: str, at: int) -> int | None:
    """Where the brace opened just before `at` is closed."""
    depth = 1
    for brace in _BRACE.finditer(page, at):
        depth += 1 if brace.group() == "{" else -1
        if not depth:
            return brace.start()
    return None


def _last_box(page: str, begin: int) -> _List | None:
    at = page.rfind("\\boxed", begin)
    while at >= 0:
        opening = _BOX.match(page, at)
        if opening:
            close = _closing(page, opening.end())
            return _List(at, None if close is None else close + 1, page[opening.end() : close])
        at = page.rfind("\\boxed", begin, at)
    return None


def _stands_alone(page: str, start: int, end: int) -> bool:
    """Whether nothing else is on the line, or only what ends with a colon in front."""
    before = page[max(0, start - 80) : start].rstrip(" \t*_$`")
    return before[-1:] in ("", "\n", ":") and _LINE_REST.match(page, end) is not None


def _last_bare(page: str, begin: int) -> _List | None:
    last = None
    for found in _BARE.finditer(page, begin):
        many = _SEPARATOR.search(found[1]) is not None
        if _NUMBERS.fullmatch(found[1]) and (many or _stands_alone(page, found.start(), found.end())):
            last = found
    if last is None:
        return None
    nested = page[last.end() : last.end() + 8].lstrip()[:1] == "]"
    return _List(last.start(), last.end(), last[1] + "]" * nested)  # the bracket makes a list in a list unreadable


def _final_list(page: str, headers: _Headers) -> _List | None:
    begin = 0 if headers.scores is None else headers.scores.end()
    return _last_box(page, begin) or _last_bare(page, begin)


def _on_scores_line(page: str, header: re.Match[str] | None, final: _List) -> bool:
    """Whether the list is all that its header's line says, so that a cut behind it took nothing from it."""
    line = None if header is None else _SCORES_LINE.match(page, header.end())
    return line is not None and line.end("list") == final.end


def _written(body: str) -> list[tuple[str, str | None]] | None:
    """Each part as (integer, "out of" integer or None), all as written; None where a part is anything else."""
    body = _MARKUP.sub(" ", body).strip()
    if body and _WRAPPED.get(body[0]) == body[-1]:
        body = body[1:-1]
    parts = [_SCORE.fullmatch(part.strip()) for part in _SEPARATOR.split(body)]
    return None if None in parts else [(part[1], part[2]) for part in parts if part]


def _legal(digits: str, low: int, high: int) -> int | None:
    digits = digits.lstrip("+0") or "0"
    value = int(digits) if len(digits) <= _LONGEST_SCORE else None
    return value if value is not None and low <= value <= high else None


def _read(body: str, n: int, score_range: tuple[int, int]) -> tuple[Outcome, list[int] | None]:
    """The scores in the order shown, or what is wrong with the list: its parts, then their count, then the range."""
    written = _written(body)
    if written is None or any(top not in (None, str(score_range[1])) for _, top in written):
        return Outcome.NO_SCORES, None
    if len(written) != n:
        return Outcome.WRONG_COUNT, None
    scores = [value for digits, _ in written if (value := _legal(digits, *score_range)) is not None]
    return (Outcome.OK, scores) if len(scores) == n else (Outcome.OUT_OF_RANGE, None)


def _judged(
    page: str, headers: _Headers, final: _List | None, truncated: bool, n: int, score_range: tuple[int, int]
) -> tuple[Outcome, list[int] | None]:
    if truncated and (final is None or not _on_scores_line(page, headers.scores, final)):
        return Outcome.TRUNCATED, None
    if final is None or final.end is None:
        return Outcome.NO_SCORES, None
    return _read(final.body, n, score_range)


def _sections(text: str, headers: _Headers, final: _List | None) -> tuple[str | None, str | None]:
    """(principles, analysis): what stands behind each header up to the next, to the scores, or to the end."""
    ends = [found.start() for found in (headers.analysis, headers.scores) if found]
    if headers.scores is None and final is not None:
        ends.append(final.start)

    def section(header: re.Match[str] | None) -> str | None:
        if header is None:
            return None
        end = min((end for end in ends if end >= header.end()), default=len(text) + 1)
        return text[header.end() - 1 : end - 1].strip() or None

    return section(headers.principles), section(headers.analysis)


def _by_caller(shown: Sequence[_Number], order: Sequence[int]) -> tuple[_Number, ...]:
    scores = dict(zip(order, shown, strict=True))
    return tuple(scores[at] for at in range(len(order)))


def _expectation(chances: Mapping[int, float], low: int, high: int, least: float) -> float | None:
    legal = {score: chance for score, chance in chances.items() if low <= score <= high}
    known = sum(legal.values())
    return sum(score * chance for score, chance in legal.items()) / known if known > least else None


def _expected(
    completion: Completion, page: str, final: _List | None, n: int, score_range: tuple[int, int]
) -> list[float] | None:
    """Each shown score's expectation, where the engine told what else could have stood there, for every one of them."""
    if final is None or not completion.numbers:
        return None
    places = [found.start() - 1 for found in _DIGITS.finditer(page, final.start, final.end or len(page))]
    least = 0.0 if completion.constrained else _KNOWN  # a constraint draws from the legal scores' share alone
    found = [_expectation(completion.numbers.get(place, {}), *score_range, least) for place in places]
    means = [mean for mean in found if mean is not None]
    return means if len(means) == len(found) == n else None


def parse(
    completion: Completion, order: Sequence[int], seed: int = 0, score_range: tuple[int, int] = (1, 10)
) -> Critique:
    r"""Read one judgement of n = `len(order)` responses; never raises on a text, whatever it holds.

    Args:
        completion: what the engine returned.
        order: `order[shown] = caller's index`, a permutation of 0..n-1.
        seed: this sample's own, kept in the critique.
        score_range: lowest and highest legal score, both included.

    Returns:
        A critique whose scores stand in the caller's order, `scores[order[shown]]`, or are None with the outcome
        ENGINE_ERROR (the completion has an error), TRUNCATED (it was cut before its final scores line was complete;
        a list that stands alone behind the last header is complete), NO_SCORES (no final list, or one that is not
        made of integers), WRONG_COUNT (not n of them) or OUT_OF_RANGE. Time is linear in the text's length.

    Example:
        >>> parse(Completion("Scores: \\boxed{8, 3}"), order=(1, 0)).scores
        (3, 8)
    """
    page = _page(completion.text)
    headers = _dividing(page)
    final = _final_list(page, headers)
    if completion.error is not None:
        outcome, shown = Outcome.ENGINE_ERROR, None
    else:
        outcome, shown = _judged(page, headers, final, completion.truncated, len(order), score_range)
    expected = None if shown is None else _expected(completion, page, final, len(order), score_range)
    principles, analysis = _sections(completion.text, headers, final)
    return Critique(
        text=completion.text,
        outcome=outcome,
        order=tuple(order),
        seed=seed,
        scores=None if shown is None else _by_caller(shown, order),
        principles=principles,
        analysis=analysis,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        error=completion.error,
        expected=None if expected is None else _by_caller(expected, order),
        constrained=completion.constrained,
    )


def _opens_final_line(page: str, kind: str, header: re.Match[str]) -> bool:
    """`Scores:` at a line's very start, bold or a heading; no indent, bullet, number or other word, no colon before."""
    mark = header["mark"]
    plain = kind == "scores" and header["scores"].lower() == "scores" and header.start("scores") == header.end("mark")
    introduced = page[max(0, header.start() - 80) : header.start()].rstrip()[-1:] == ":"
    return plain and not mark[:1].isspace() and "-" not in mark and not introduced


def _line_end(page: str, header: re.Match[str]) -> int | None:
    """Where the header's line ends, if it is whole and one readable list is all it says."""
    line = _SCORES_LINE.match(page, header.end())
    if line is None or not line["newline"] or "\n" in line["gap"]:
        return None
    said = page[header.end() : line.end("rest")]
    final = _last_box(said, 0) or _last_bare(said, 0)
    whole = final is not None and final.end == line.end("list") - header.end() and _written(final.body)
    return line.end("rest") if whole else None


def scores_line_end(text: str) -> int | None:
    r"""Where a judgement may stop: the end of its first complete scores line, before the newline; None to go on.

    The line starts with `Scores:` (any case, bold or a heading), holds one boxed or bracketed list of integers and
    nothing else but markup, and is ended by a newline. What looks like a sub-score or a quote goes on: an indent, a
    bullet or a number in front, a line before it that ends with a colon, an open code fence, or a criteria header that
    no analysis header has followed yet. Whatever is not certain goes on: that costs tokens, never scores.

    No longer text that starts with `text` has another end, so it does not matter how often this is asked. `parse` of
    `text[:end]` reads exactly this line's list. What it cannot know is whether the model would have written another
    scores line afterwards: the first one that looks final is final. Time is linear in the text's length.

    Example:
        >>> scores_line_end("Scores: \\boxed{8, 3}\nI hope")
        20
    """
    page = _page(text)
    kinds: set[str] = set()
    fences = counted = 0
    for kind, header in _headers_of(page):
        kinds.add(kind)
        fences += page.count("```", counted, header.start())
        counted = header.start()
        in_order = "analysis" in kinds or "principles" not in kinds
        if in_order and fences % 2 == 0 and _opens_final_line(page, kind, header):
            end = _line_end(page, header)
            if end is not None:
                return end - 1
    return None


def opens_number(text: str) -> bool:
    r"""Whether a score may begin here: the text ends in an open box that so far holds only numbers.

    Example:
        >>> opens_number("Scores: \\boxed{8, "), opens_number("Scores: \\boxed{8")
        (True, False)
    """
    return not text[-1:].isdigit() and _OPEN_BOX.search(text, max(0, len(text) - 80)) is not None


def remap_mentions(text: str, order: Sequence[int]) -> str:
    """The text with every "Response i" (as shown) renamed to the caller's number, `order[i - 1] + 1`, for display.

    Knows "Response 1", "response #2", "[Response 1]", "**Response 2**", "Response 1 and 2", "Responses 1, 2 and 3" and
    "Responses 1-3" (spelt out). Numbers outside 1..n stay, and so do words ("the first response") and the scores line.

    Example:
        >>> remap_mentions("Responses 1 and 2 are short; Response 2 is wrong.", order=(1, 0))
        'Responses 2 and 1 are short; Response 1 is wrong.'
    """

    def spelt_out(found: re.Match[str]) -> str:
        first, last = int(found[1]), int(found[2])
        return ", ".join(map(str, range(first, last + 1))) if 1 <= first < last <= len(order) else found.group()

    def renamed(found: re.Match[str]) -> str:
        shown = int(found.group())
        return str(order[shown - 1] + 1) if 1 <= shown <= len(order) else found.group()

    return _MENTION.sub(lambda mention: re.sub("[0-9]+", renamed, _RANGE.sub(spelt_out, mention.group())), text)
