"""The whole method in miniature: a small Llama becomes a judge of a world in which every judgement can be checked.

    python recipes/tiny/run.py --config recipes/tiny/tiny.yaml

Every stage is a recipe's own script with its `tiny.yaml`: cold start on a careless teacher's judgements (recipes/rft),
rejective sampling (recipes/sample) and fine-tuning (recipes/rft), GRPO (recipes/grpo), meta RM (recipes/meta_rm).
Beside each training stage stands its control: the stage before, trained on for as many steps. A stage that is done is
not done again, so the same command goes on where it was stopped. The table compares them on items that no stage saw.
"""

from __future__ import annotations

import json
from pathlib import Path

from stages import Arguments, Miniature
from table import figures, table

from modeling_grm.recipes import script


def main(args: Arguments) -> None:
    """All stages, then the table; `report.json` has the figures."""
    found = figures(Miniature(args)) | {"settings": vars(args)}
    (Path(args.out) / "report.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(table(found, args.k))


if __name__ == "__main__":
    script(main, Arguments)
