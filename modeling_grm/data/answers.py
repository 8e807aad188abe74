"""Whether a worked answer arrives at the reference's: mathematics compared as mathematics, by `math-verify`.

    matches("... so it is \\\\boxed{\\\\frac{1}{2}}", "The answer is 0.5")    True

Knows nothing about datasets.
"""

from __future__ import annotations

from ..types_grm import InvalidInput


def matches(reference: str, answer: str) -> bool:
    """Whether the final answer of `answer` equals that of `reference`.

    An answer without a final one is wrong, and so is one that takes longer than math-verify's 5 seconds to compare.
    In the main thread only: its clock is a signal.

    Raises:
        ImportError: without math-verify.
        InvalidInput: the reference itself has no final answer that can be read.
    """
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise ImportError("matching answers needs math-verify: pip install 'modeling-grm[math]'") from error
    gold = parse(reference)
    if not gold:
        raise InvalidInput(f"reference: no final answer can be read in {reference[-60:]!r}")
    return bool(verify(gold, parse(answer)))
