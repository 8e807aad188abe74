"""The data file: one record for each engine and point with the seconds of every repeat, saved after each of them.

    {"machine": {...}, "versions": {...},
     "runs": [{"engine": "ours", "point": {"prompt": 900, ...}, "tokens": 1024, "seconds": [10.2], ...}],
     "measures": {...}}

Knows nothing about engines. A file of another machine or of other versions is not gone on with.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .points import Point


class DataFile:
    """What has been measured so far, on disk at any moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = {"machine": None, "versions": None, "runs": [], "measures": {}}
        if path.is_file():
            self.data = json.loads(path.read_text(encoding="utf-8"))

    def save(self) -> None:
        """Put the whole file in place in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")
        os.replace(part, self.path)

    def bind(self, machine: dict[str, Any], versions: dict[str, Any]) -> None:
        """Note where this is measured.

        Raises:
            SystemExit: the file holds figures from elsewhere.
        """
        for name, found in (("machine", machine), ("versions", versions)):
            if self.data[name] not in (None, found):
                raise SystemExit(
                    f"{self.path}: measured with another {name} ({self.data[name]}, now {found}); give another --out"
                )
            self.data[name] = found
        self.save()

    def find(self, engine: str, point: Point) -> dict[str, Any] | None:
        """The record of an engine at a point."""
        wanted = (engine, point.to_dict())
        return next((run for run in self.data["runs"] if (run["engine"], run["point"]) == wanted), None)

    def done(self, engine: str, point: Point) -> int:
        """How many repeats there are."""
        found = self.find(engine, point)
        return len(found["seconds"]) if found else 0

    def add(self, engine: str, point: Point, seconds: float, load: float, **facts: Any) -> None:
        """One more repeat, saved at once; `load` is the machine's load average when it began."""
        found = self.find(engine, point)
        if found is None:
            found = {"engine": engine, "point": point.to_dict(), "tokens": point.tokens, "seconds": [], "load": []}
            self.data["runs"].append(found)
        found.update(facts)
        found["seconds"].append(seconds)
        found["load"].append(load)
        self.save()

    def drop(self, work: Iterable[tuple[str, Point, int]]) -> None:
        """Forget what is to be measured again, and where: a file left empty takes another machine."""
        again = {(engine, point) for engine, point, _ in work}
        self.data["runs"] = [run for run in self.data["runs"] if (run["engine"], Point(**run["point"])) not in again]
        self.data["measures"] = {}
        if not self.data["runs"]:
            self.data["machine"] = self.data["versions"] = None
        self.save()

    def speeds(self, engine: str, point: Point) -> list[float]:
        """Tokens a second of each repeat; none where it was not measured."""
        found = self.find(engine, point)
        return [found["tokens"] / seconds for seconds in found["seconds"]] if found else []

    def speed(self, engine: str, point: Point) -> float | None:
        """Their median."""
        speeds = self.speeds(engine, point)
        return statistics.median(speeds) if speeds else None

    def ratio(self, engine: str, other: str, point: Point, other_point: Point | None = None) -> float | None:
        """How many times as fast: the median over the repeats, in pairs where both have as many."""
        ours, theirs = self.speeds(engine, point), self.speeds(other, other_point or point)
        if not ours or not theirs:
            return None
        if len(ours) == len(theirs):
            return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        return statistics.median(ours) / statistics.median(theirs)
