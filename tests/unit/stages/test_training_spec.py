"""What the record of a LoRA keeps of what specified its training, and when it counts as trained on the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from twinloop.domain.records import Mask
from twinloop.ports import TrainingSettings, decisive_settings
from twinloop.stages.pauses import Pauses
from twinloop.stages.samples import Beside
from twinloop.stages.training_spec import TrainingSpec
from twinloop.stages.trial import Trial

SETTINGS = TrainingSettings("nano", 10, 4, 4.0, 1e-3, 2, 64, 7)
SPEC = TrainingSpec("ohwx ana", SETTINGS, base={"precision": "auto"})


def measured(patience: int = 2) -> TrainingSpec:
    trial = Trial((5, 10), lambda lora, step: None, Path("choice.json"), patience)  # type: ignore[arg-type, return-value]
    return replace(SPEC, pauses=Pauses(trial))


def test_settings_then_checkpoints_then_the_base() -> None:
    assert SPEC.asked == {**decisive_settings(SETTINGS), "precision": "auto"}
    assert list(measured().asked)[-3:] == ["checkpoints", "early_stop", "precision"]
    assert (measured().asked["checkpoints"], measured().asked["early_stop"]) == ([5, 10], 2)
    assert "memory" not in SPEC.asked, "it decides nothing"


def test_each_term_that_decides_the_weights_must_be_the_same() -> None:
    record = {"asked": measured().asked}
    assert measured().met_by(record)
    assert replace(measured(), settings=replace(SETTINGS, memory=12)).met_by(record)
    for other in (
        SPEC,
        measured(3),
        replace(measured(), base={}),
        replace(measured(), settings=replace(SETTINGS, seed=8)),
    ):
        assert not other.met_by(record)


def test_arguments_of_the_optimizer_survive_the_record() -> None:
    argued = replace(SPEC, settings=replace(SETTINGS, optimizer_args=(("betas", (0.9, 0.99)),)))
    assert argued.met_by({"asked": json.loads(json.dumps(argued.asked))})
    assert not SPEC.met_by({"asked": argued.asked}) and not argued.met_by({"asked": SPEC.asked})


def test_other_masks_are_another_training() -> None:
    masked, other = (
        replace(SPEC, beside=Beside(masks={Path("a.jpg"): Mask(Path("a.png"), sha256, "photo")}))
        for sha256 in ("one", "two")
    )
    moved = replace(SPEC, beside=Beside(masks={Path("b.jpg"): Mask(Path("b.png"), "one", "photo")}))
    record = {"asked": json.loads(json.dumps(masked.asked))}
    assert masked.met_by(record) and moved.met_by(record), "where they lie does not matter"
    first, second, swapped = (
        Mask(Path("a.png"), "one", "p"),
        Mask(Path("b.png"), "two", "q"),
        Mask(Path("a.png"), "two", "p"),
    )
    both = replace(SPEC, beside=Beside(masks={Path("a.jpg"): first, Path("b.jpg"): second}))
    turned = Beside(masks={Path("a.jpg"): swapped, Path("b.jpg"): Mask(Path("b.png"), "one", "q")})
    assert not replace(SPEC, beside=turned).met_by({"asked": both.asked}), "the same masks, each for another photo"
    assert not other.met_by(record) and not SPEC.met_by(record) and not masked.met_by({"asked": SPEC.asked})


def test_other_prior_images_are_another_training(tmp_path: Path) -> None:
    def beside(**pictures: bytes) -> TrainingSpec:
        folder = tmp_path / "-".join(pictures)
        folder.mkdir(exist_ok=True)
        for name, content in pictures.items():
            (folder / f"{name}.png").write_bytes(content)
        return replace(SPEC, beside=Beside(prior=folder))

    one, two = beside(a=b"1"), beside(a=b"1", b=b"2")
    record = {"asked": json.loads(json.dumps(one.asked))}
    assert one.met_by(record) and beside(c=b"1").met_by(record), "what they are called does not matter"
    assert not two.met_by(record) and not SPEC.met_by(record) and not one.met_by({"asked": SPEC.asked})
    (tmp_path / "a" / "a.txt").write_text("a woman in a garden")
    assert not one.met_by(record), "another caption"


def test_masks_are_kept_under_the_name_that_records_have() -> None:
    masked = replace(SPEC, beside=Beside(masks={Path("a.jpg"): Mask(Path("a.png"), "one", "photo")}))
    assert masked.asked.keys() - SPEC.asked.keys() == {"masks"}
