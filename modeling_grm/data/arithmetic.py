"""GSM8K's worked solutions with one step miscalculated, and everything after it worked out from the wrong number.

    solution = read("He sold 96/2 = <<96/2=48>>48 clips.\\nThat is 96+48 = <<96+48=144>>144 clips.\\n#### 144")
    solution.right.text         "He sold 96/2 = 48 clips.\\nThat is 96+48 = 144 clips.\\nThe answer is 144."
    solution.wrong(0, 2).text   "He sold 96/2 = 50 clips.\\nThat is 96+50 = 146 clips.\\nThe answer is 146."
    solution.wrong(0, 2).checks (Check("96/2", "48", "50"), Check("96+50", "146", "146"))

The source marks its calculations, so they can be done again. Where a number could stand for two things (it is in the
question, or two steps come to it), nothing is carried and there is no wrong solution. Knows nothing about items.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+")
_MARK = re.compile(r"<<([^<>=]*)=([^<>=]*)>>(\S*)")
SHIFTS = tuple(sign * size for size in (1, 2, 3, 4, 5, 10, 20, 100) for sign in (1, -1))
"""By how much a step may be off, as far as that is at most half of its result."""
_SMALL = 12
_CONSTANTS = {Fraction(number) for number in (24, 30, 31, 50, 52, 60, 90, 100, 360, 365, 1000)}
_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Unclear(ValueError):
    """A solution whose calculations cannot be followed."""


def value(text: str) -> Fraction:
    """The number that a text writes.

    Raises:
        Unclear: it writes none.
    """
    if not NUMBER.fullmatch(text):
        raise Unclear(f"{text!r} is no number")
    return Fraction(text.replace(",", ""))


def calculated(expression: str) -> Fraction:
    """What a calculation of numbers, + - * / and brackets comes to.

    Raises:
        Unclear: it holds anything else, or divides by nothing.
    """
    try:
        tree = ast.parse(re.sub(r"\b0+(?=\d)", "", expression.replace(",", "").strip()), mode="eval")
        return _of(tree.body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise Unclear(f"{expression!r:.60} cannot be calculated") from error


def _of(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_of(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_of(node.left), _of(node.right))
    raise Unclear("no plain calculation")


def written(number: Fraction, like: str) -> str:
    """A number in the style of another: whole where that one is, with two places where it has places.

    Raises:
        Unclear: it cannot be written so, or is not positive.
    """
    places = len(like.partition(".")[2])
    shown = number * 10**places
    if number <= 0 or shown.denominator != 1:
        raise Unclear(f"{number} cannot be written like {like!r}")
    return f"{float(number):,.{places}f}" if "," in like else f"{float(number):.{places}f}"


@dataclass(frozen=True)
class Step:
    """A marked calculation: the text before it, what is calculated, and the result as it is written."""

    before: str
    expression: str
    result: str

    @property
    def value(self) -> Fraction:
        """The result."""
        return value(self.result)


@dataclass(frozen=True)
class Check:
    """A calculation as a solution has it, what it comes to, and what the solution says that it comes to."""

    expression: str
    comes_to: str
    said: str

    @property
    def agrees(self) -> bool:
        """Whether what the solution says is what the calculation comes to."""
        return self.comes_to == self.said


@dataclass(frozen=True)
class Worked:
    """A solution to show: its text, its answer, and all of its calculations, whose numbers may stand in the text."""

    text: str
    answer: str
    checks: tuple[Check, ...]
    written_out: bool


@dataclass(frozen=True)
class Solution:
    """A worked solution: its calculations, the text behind the last one, the answer, and the question's numbers.

    It is shown with the source's marks if `marked`, and its answer as `ending` says.
    """

    steps: tuple[Step, ...]
    rest: str
    answer: str
    asked: frozenset[Fraction] = frozenset()
    marked: bool = False
    ending: str = "The answer is {answer}."

    @property
    def right(self) -> Worked:
        """As the source has it, with its answer at the end."""
        checks = tuple(Check(_tidy(step.expression), step.result, step.result) for step in self.steps)
        return Worked(self._written(checks, {}), self.answer, checks, self._written_out)

    def wrong(self, at: int, shift: int) -> Worked:
        """The solution with step `at` off by `shift`, and all that follows from it.

        Raises:
            Unclear: a number would have to stand for two things, a result could not be written like the right one, or
                the answer would stay right.
        """
        changed: dict[Fraction, Fraction] = {}
        checks: list[Check] = []
        for number, step in enumerate(self.steps):
            expression = _replaced(step.expression, changed)
            right = calculated(expression)
            found = right + (shift if number == at else 0)
            if found != step.value:
                self._check_clear(number)
                changed[step.value] = found
            elif step.value in changed:
                raise Unclear("a later step comes to the number that was wrong")
            checks.append(Check(_tidy(expression), written(right, step.result), written(found, step.result)))
        answer = written(changed.get(value(self.answer), value(self.answer)), self.answer)
        if value(answer) == value(self.answer):
            raise Unclear("the answer stays right")
        return Worked(self._written(checks, changed), answer, tuple(checks), self._written_out)

    @property
    def _written_out(self) -> bool:
        """Whether the numbers of each calculation stand in its mark, or last before its result in their order."""
        asked = ((NUMBER.findall(step.expression), NUMBER.findall(step.before)) for step in self.steps)
        return self.marked or all(numbers == before[-len(numbers) :] for numbers, before in asked)

    def _check_clear(self, at: int) -> None:
        """Whether a result names one thing only: nothing before it is that number, and no constant or small one is."""
        number = self.steps[at].value
        earlier = [*self.steps[: at + 1]]
        texts = "".join(step.before + step.expression for step in earlier)
        if number in self.asked | _numbers(texts) or number in [step.value for step in earlier[:-1]]:
            raise Unclear(f"{number} is there before")
        later = "".join(step.before + step.expression for step in self.steps[at + 1 :]) + self.rest
        if (number <= _SMALL or number in _CONSTANTS) and number in _numbers(later):
            raise Unclear(f"{number} may be another thing later")

    def _written(self, checks: Sequence[Check], changed: Mapping[Fraction, Fraction]) -> str:
        """Every text with the numbers that had changed before it."""
        known: dict[Fraction, Fraction] = {}
        parts: list[str] = []
        for step, check in zip(self.steps, checks, strict=True):
            mark = f"<<{check.expression}={check.said.replace(',', '')}>>" if self.marked else ""
            parts += [_replaced(step.before, known), mark, check.said]
            if step.value in changed:
                known[step.value] = changed[step.value]
        answer = written(changed.get(value(self.answer), value(self.answer)), self.answer)
        working = "".join(parts) + _replaced(self.rest, known)
        return f"{working.rstrip()}\n{self.ending.format(answer=answer)}"


def _tidy(expression: str) -> str:
    return "".join(expression.split())


def _numbers(text: str) -> frozenset[Fraction]:
    return frozenset(value(found) for found in NUMBER.findall(text))


def _replaced(text: str, changed: Mapping[Fraction, Fraction]) -> str:
    def put(found: re.Match[str]) -> str:
        number = value(found[0])
        return written(changed[number], found[0]) if number in changed else found[0]

    return NUMBER.sub(put, text) if changed else text


def read(working: str, question: str = "") -> Solution:
    """A solution as GSM8K writes it; no number of the question may come to mean another thing in a wrong one.

    Raises:
        Unclear: a calculation without a mark, one that does not come to its result, or an answer that is not the last.
    """
    body, _, answer = working.partition("\n#### ")
    steps, end = [], 0
    for found in _MARK.finditer(body):
        steps.append(_step(body[end : found.start()], found))
        end = found.end() - len(found[3]) + len(steps[-1].result)
    rest = body[end:]
    if not steps or "=" in rest or steps[-1].value != value(answer.strip()):
        raise Unclear("the last calculation does not give the answer")
    return Solution(tuple(steps), rest.rstrip(), answer.strip(), _numbers(question))


def _step(before: str, found: re.Match[str]) -> Step:
    shown = NUMBER.match(found[3])
    if not shown or value(shown[0]) != calculated(found[1]) or "=" in re.sub(r"=\s*[$€£]?\s*$", "", before):
        raise Unclear("a calculation without a mark, or with another result")
    return Step(before, found[1], shown[0])


def wrong_solutions(solution: Solution, random: Random) -> Iterator[Worked]:
    """Wrong solutions with different answers; the wrong step is never the last one of several."""
    answers = {value(solution.answer)}
    steps = range(max(1, len(solution.steps) - 1))
    tries = [
        (at, shift) for at in steps for shift in SHIFTS if 2 * abs(shift) <= max(Fraction(4), solution.steps[at].value)
    ]
    for at, shift in random.sample(tries, len(tries)):
        try:
            worked = solution.wrong(at, shift)
        except Unclear:
            continue
        if value(worked.answer) not in answers:
            answers.add(value(worked.answer))
            yield worked
