"""A loop that gives images up early: the counts are honest, the finished images are the same, and killed anywhere it
ends the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop
from tests.unit.things import Recording
from twinloop.config import Settings

EARLY = {"num_per_gap": 4, "early_reject": 0.6}


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def one_round(**generation: Any) -> Settings:
    return loops.settings(max_iterations=1, generation={**EARLY, **generation})


def test_approval_is_of_all_shots_and_equal_to_that_without(home: Path) -> None:
    """The fake's previews are its pictures, so the same images are approved either way."""
    reporter = Recording()
    loops.run(one_round(), reporter=reporter)
    early = read("out/iteration_history.json")["iterations"][0]
    said = read("out/verdicts_iter1.json")
    given_up = [item for item in said["verdicts"] if "rejected_early" in item]
    approved = sorted(item["image"] for item in said["verdicts"] if item["outcome"] == "approved")
    assert early["rejected_early"] == len(given_up) > 0
    assert len(list(Path("out/synthetic_iter1").glob("*.png"))) == early["generated"] - len(given_up)
    assert any(f"{len(given_up)} more given up early" in line for line in reporter.lines)
    shutil.rmtree("out")
    shutil.rmtree("loras")
    loops.run(one_round(early_reject=None))
    plain = read("out/iteration_history.json")["iterations"][0]
    assert (early["generated"], early["approved"], early["rejected"], early["unsure"]) == tuple(
        plain[n] for n in ("generated", "approved", "rejected", "unsure")
    )
    assert early["approval_rate"] == plain["approval_rate"]
    assert approved == sorted(
        item["image"] for item in read("out/verdicts_iter1.json")["verdicts"] if item["outcome"] == "approved"
    )
    assert "rejected_early" not in plain


def test_the_report_says_how_many_and_why_and_shows_no_empty_frames(home: Path) -> None:
    loops.run(one_round())
    count = read("out/iteration_history.json")["iterations"][0]["rejected_early"]
    page = Path("out/report.html").read_text()
    assert f"{count} images given up after 60% of the steps, because a preview failed: on target" in page
    assert "picture not available" not in page


def stop_after(wanted: str) -> Callable[[str], None]:
    def boundary(key: str) -> None:
        if key == wanted:
            raise KeyboardInterrupt(key)

    return boundary


def test_stopped_at_any_record_of_the_round_it_ends_the_same(home: Path) -> None:
    keys: list[str] = []
    loops.run(one_round(), keys.append)
    expected = loops.tree("out", "loras")
    given_up = [key for key in keys if key.startswith("iter1.given_up.")]
    for key in (given_up[0], given_up[-1], "iter1.verdicts"):
        shutil.rmtree("out")
        shutil.rmtree("loras")
        with pytest.raises(KeyboardInterrupt):
            loops.run(one_round(), stop_after(key))
        loops.run(one_round())
        assert loops.tree("out", "loras") == expected, key


def test_a_person_is_asked_about_finished_images_only(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, review="first_round", generation=EARLY)
    said = twinloop(capsys, "run", "--config", config)
    images = sorted(path.name for path in Path("out/synthetic_iter1").glob("*.png"))
    given_up = [item["image"] for item in read("out/verdicts_iter1.json")["verdicts"] if "rejected_early" in item]
    assert f"{len(images)} images" in said.out and given_up
    assert twinloop(capsys, "review", "out", "--approve", given_up[0]).code != 0
    listed = twinloop(capsys, "review", "out", "--approve", images[0], "--finish")
    assert listed.code == 0 and given_up[0] not in listed.out
    assert twinloop(capsys, "run", "--config", config).code == 0


def test_by_hand_the_counts_are_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--output", "gaps.json")
    order = (
        "generate",
        "gaps.json",
        "--base-model",
        "fake",
        "--person",
        "ohwx ana",
        "--output",
        "made",
        "--num-per-gap",
        "4",
    )
    made = twinloop(capsys, *order, "--early-reject", "0.6", "--models-dir", "fake")
    assert made.code == 0 and "Given up early: " in made.out
    count = len(read("made/generation_metadata.json")["rejected_early"])
    judged = twinloop(capsys, "validate", "made", "--models-dir", "fake", "--rejected", "rejected", "--no-reference")
    assert judged.code == 0 and f"({count} of them early, before they were finished)" in judged.out
    again = twinloop(capsys, *order)
    assert again.code != 0 and "early_reject" in again.err
    assert twinloop(capsys, *order, "--early-reject", "1", "--models-dir", "fake").code != 0
