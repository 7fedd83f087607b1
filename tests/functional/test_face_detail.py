"""A run whose images have their small faces redrawn: its panel has not, killed anywhere it ends the same, and by hand
it is the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop
from tests.unit.things import Recording
from twinloop.adapters.fakes import FakeGenerator
from twinloop.config import Settings
from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.domain.wording import plural
from twinloop.ports import GenerationSettings

DETAIL = {"num_per_gap": 4, "face_detail": 0.4, "face_detail_below": 0.5}
FACETS = {"facets": ["face_angle", "framing"]}
VALIDATION = {"min_face_quality": 0.75}
"""Some of the fakes' faces have it: those stay as they are."""
TRAINING = {"preset": "fake", "steps": 4, "keep_checkpoints": 2, "checkpoint_panel": 2, "sample_every": 4}


@pytest.fixture
def redrawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the shots whose faces are redrawn, as it happens."""
    keys: list[str] = []
    plain = FakeGenerator.redraw

    def noted(
        self: FakeGenerator, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        keys.extend(shot.key for shot, _ in pictures)
        return plain(self, pictures, settings)

    monkeypatch.setattr(FakeGenerator, "redraw", noted)
    return keys


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def one_round(**generation: Any) -> Settings:
    return loops.settings(
        max_iterations=1, generation={**DETAIL, **generation}, analysis=FACETS, training=TRAINING, validation=VALIDATION
    )


def afresh() -> None:
    shutil.rmtree("out")
    shutil.rmtree("loras")


def stop_after(wanted: str) -> Callable[[str], None]:
    def boundary(key: str) -> None:
        if key == wanted:
            raise KeyboardInterrupt(key)

    return boundary


def test_the_rounds_images_are_redrawn_and_what_measures_a_lora_is_not(home: Path, redrawn: list[str]) -> None:
    reporter = Recording()
    loops.run(one_round(), reporter=reporter)
    data = read("out/synthetic_iter1/generation_metadata.json")
    small = {item["key"] for item in data["images"] if "face_detail" in item}
    assert small and set(redrawn) == small < {item["key"] for item in data["images"]}
    verdicts = {item["image"]: item["checks"] for item in read("out/verdicts_iter1.json")["verdicts"]}
    for item in data["images"]:
        good = next(c for c in verdicts[item["file"]] if c["check"] == "face_quality")["outcome"] == "approved"
        assert not (good and "face_detail" in item), "the fakes' redrawn faces are as good as they were"
    assert any(f", {plural(len(small), 'face')} redrawn" in line for line in reporter.lines)
    with_detail = loops.tree("out", "loras")
    afresh()
    loops.run(one_round(face_detail=0.0))
    without = loops.tree("out", "loras")
    measured = [name for name in without if name.endswith(".png") and name.startswith(("out/panel", "out/check"))]
    assert any("panel_v1" in name for name in measured) and any("checkpoints_v1" in name for name in measured)
    assert any("samples_v1" in name for name in without)
    # of the first LoRA: the second one has learned from other images
    first = [name for name in (*measured, *without) if name.endswith(".png") and "_v1/" in name]
    assert {name: with_detail[name] for name in first} == {name: without[name] for name in first}
    assert "face_detail" not in json.dumps(read("out/synthetic_iter1/generation_metadata.json"))
    assert "face_prompt" not in Path("out/shots_iter1.json").read_text()


def test_stopped_at_any_of_its_records_it_ends_the_same(home: Path) -> None:
    keys: list[str] = []
    loops.run(one_round(), keys.append)
    expected = loops.tree("out", "loras")
    details = [key for key in keys if key.startswith("iter1.face_detail.")]
    images = [key for key in keys if key.startswith("iter1.image.")]
    for key in (details[0], details[-1], images[1], "iter1.verdicts"):
        afresh()
        with pytest.raises(KeyboardInterrupt):
            loops.run(one_round(), stop_after(key))
        loops.run(one_round())
        assert loops.tree("out", "loras") == expected, key


def test_what_was_given_up_early_is_not_redrawn(home: Path, redrawn: list[str]) -> None:
    loops.run(one_round(early_reject=0.6))
    data = read("out/synthetic_iter1/generation_metadata.json")
    given_up = {item["key"] for item in data["rejected_early"]}
    assert given_up and redrawn and not given_up & set(redrawn)


def test_by_hand(home: Path, capsys: pytest.CaptureFixture[str], redrawn: list[str]) -> None:
    config = configuration(home, validation=VALIDATION, generation={"num_per_gap": 2})
    twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--output", "gaps.json")
    order = ("generate", "gaps.json", "--config", config, "--output", "made")
    wanted = ("--face-detail", "0.4", "--face-detail-below", "0.5")
    said = twinloop(capsys, *order, *wanted)
    small = {item["key"] for item in read("made/generation_metadata.json")["images"] if "face_detail" in item}
    assert small and small == set(redrawn)
    assert said.code == 0 and f", {plural(len(small), 'face')} redrawn in made" in said.out
    other = twinloop(capsys, *order, "--face-detail", "0.3")
    assert other.code != 0 and "face_detail" in other.err
    without = twinloop(capsys, *order)
    assert without.code != 0 and "face_detail" in without.err
    assert twinloop(capsys, *order, "--face-detail", "1.5").code != 0
