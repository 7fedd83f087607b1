"""Whether the analysis agrees with the poses in the file names of the CMU portraits.

    python gap_analysis.py FIXTURES/photos/cmu_faces/png --models-dir FIXTURES/weights \\
        --output gaps.json --observations seen.jsonl
    python bench/cmu_agreement.py seen.jsonl

Reads the observations, not the photos: what is counted here is what the command wrote down. A face that was not found
is a miss.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twinloop.domain.statistics import wilson

TURNED = ("three_quarter", "profile")


def looking(lines: list[dict[str, Any]], *sides: str) -> list[dict[str, Any]]:
    """The portraits whose names say that they look there: person_SIDE_mood_eyes.png."""
    return [line for line in lines if Path(line["path"]).stem.split("_")[1] in sides]


def share(name: str, hits: int, n: int) -> None:
    e = wilson(hits, n)
    print(f"{name:<42} {100 * e.value:5.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]   {hits} of {n}")


def main(observations: Path) -> None:
    lines = [json.loads(text) for text in observations.read_text().splitlines()]
    forward, turned = looking(lines, "forward"), looking(lines, "left", "right")
    sides = [(line["faces"][0]["yaw"] > 0) == bool(looking([line], "right")) for line in turned if line["faces"]]
    share("forward read as front", sum(line["facets"]["face_angle"] == "front" for line in forward), len(forward))
    share(
        "left and right told from forward", sum(line["facets"]["face_angle"] in TURNED for line in turned), len(turned)
    )
    share("turned to the right side, of faces found", sum(sides), len(sides))
    share("faces found", sum(bool(line["faces"]) for line in lines), len(lines))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: python {sys.argv[0]} OBSERVATIONS.jsonl")
    main(Path(sys.argv[1]))
