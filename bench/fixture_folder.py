"""The folder of photos and models that several benches read.

All of it belongs to others, so no clone of this project has it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

WHAT = (
    "folder with photos/ (caltech_faces_easy, cmu_faces, human_samples, lfw, orl_att, skimage), images/ (imagededup)"
    " and weights/ (headpose, mediapipe_face, mediapipe_hands, mobilefacenet, yolov5_face, yunet); it is read in place."
    " No clone of this project has it: the photos are public sets of those names, and `twinloop models list` says what"
    " the weights are."
)


def with_fixtures(doc: str | None) -> argparse.ArgumentParser:
    """The parser of a bench that reads that folder, its first argument.

    Args:
        doc: of the bench.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixtures", type=Path, metavar="FIXTURES", help=WHAT)
    return parser


def fixtures_of(doc: str | None) -> Path:
    """That folder, of a bench with no other argument."""
    folder: Path = with_fixtures(doc).parse_args().fixtures
    return folder
