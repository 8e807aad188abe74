"""Lets tests import the Space's modules, which are top-level files in a folder of their own."""

from __future__ import annotations

import sys
from pathlib import Path

SPACE = Path(__file__).resolve().parent.parent / "spaces" / "reward_scoring"
if str(SPACE) not in sys.path:
    sys.path.append(str(SPACE))
