"""Images that carry the mark of a generator in the folder of photos: put there by hand, or a
character's only pictures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.functional import loops
from tests.functional.console import twinloop
from tests.unit.things import Recording
from twinloop.domain.records import Dataset
from twinloop.store.pictures.provenance import synthetic_png

pytestmark = pytest.mark.usefixtures("at_home")


def mark(*paths: Path) -> None:
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        path.write_bytes(synthetic_png(pixels, "made", {}))


def first_dataset() -> tuple[Dataset, dict[str, Any]]:
    data = json.loads(Path("out/dataset_iter0.json").read_text())
    return Dataset.from_json(data), data


def test_approved_images_that_were_merged_by_hand_are_trained_on_by_a_new_run() -> None:
    loops.write_photos(Path("photos"), 20)
    mark(*sorted(Path("photos").iterdir())[14:])
    reporter = Recording()
    loops.run(loops.settings(max_iterations=1), reporter=reporter)
    dataset, _ = first_dataset()
    assert (len(dataset.real), len(dataset.synthetic)) == (12, 6), "two photos are near duplicates"
    weights = {member.weight for member in dataset.synthetic}
    assert len(weights) == 1 and 0 < weights.pop() <= 1
    assert any("12 photos and 6 generated images, which weigh less, used" in line for line in reporter.lines)


def test_more_of_them_than_photos_are_left_out_by_name() -> None:
    loops.write_photos(Path("photos"), 16)
    mark(*sorted(Path("photos").iterdir())[6:])
    loops.run(loops.settings(max_iterations=1))
    dataset, data = first_dataset()
    assert (len(dataset.real), len(dataset.synthetic)) == (6, 6)
    assert sum("max_synthetic_share" in item["reason"] for item in data["left_out"]) == 2


def test_a_character_that_was_only_ever_drawn_is_learned_from_its_pictures() -> None:
    """Pictures by a generator are all there is of it: they count as photos do, and the rounds'
    images less than they.
    """
    loops.write_photos(Path("photos"))
    mark(*Path("photos").iterdir())
    reporter = Recording()
    outcome = loops.run(loops.settings(max_iterations=1), reporter=reporter)
    dataset, _ = first_dataset()
    assert len(dataset.real) == 12 and {member.weight for member in dataset.real} == {1.0}
    assert json.loads(Path("out/identity_reference.json").read_text())["measured"]
    assert any("originals of a character" in line for line in reporter.lines)
    after = Dataset.from_json(json.loads(Path("out/dataset_iter1.json").read_text()))
    assert outcome.rounds[0].merged == len(after.synthetic) > 0
    assert max(member.weight for member in after.synthetic) <= 1.0


def test_its_pictures_can_be_analysed_trained_and_exported_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("photos"))
    mark(*Path("photos").iterdir())
    said = twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--output", "gaps.json", "--json")
    assert said.code == 0 and said.data["synthetic_images"] == 0, said.err
    fakes = ("--base-model", "fake", "--models-dir", "fake", "--person", "ohwx ana", "--steps", "3")
    assert twinloop(capsys, "train", "photos", *fakes, "--output", "lora.safetensors").code == 0
    sdxl = ("--base-model", "sdxl-base.safetensors", "--preset", "sdxl", "--person", "ohwx ana")
    said = twinloop(capsys, "export", "kohya", "--dataset", "photos", *sdxl, "--output", "set", "--json")
    assert said.code == 0, said.err
    assert len(said.data["items"]) == 14 and {item["origin"] for item in said.data["items"]} == {"synthetic"}


def test_an_export_says_what_a_training_would(capsys: pytest.CaptureFixture[str]) -> None:
    """The trigger is in every caption, wherever it lies, and made images are repeated less than photos."""
    loops.write_photos(Path("photos"), 8)
    names = [path.name for path in sorted(Path("photos").iterdir())]
    mark(*(Path("photos", name) for name in names[4:]))
    Path("photos", names[0]).with_suffix(".txt").write_bytes(b"\xef\xbb\xbf[trigger], smiling  in a park\nanother")
    Path("photos", names[1]).with_suffix(".txt").write_text("smiling, indoors")
    Path("photos", names[2]).with_suffix(".caption").write_text("ohwx ana asleep")
    Path("photos", "metadata.jsonl").write_text(json.dumps({"file_name": names[3], "text": "on a horse"}) + "\n")
    sdxl = ("--base-model", "sdxl-base.safetensors", "--preset", "sdxl", "--person", "ohwx ana")
    said = twinloop(capsys, "export", "kohya", "--dataset", "photos", *sdxl, "--output", "set", "--json")
    assert said.code == 0, said.err
    found = {item["source"]["file"]: item for item in said.data["items"]}
    assert [found[name]["caption"] for name in names[:4]] == [
        "ohwx ana, smiling in a park", "ohwx ana, smiling, indoors", "ohwx ana asleep", "ohwx ana, on a horse"
    ]  # fmt: skip
    assert {found[name]["origin"] for name in names[4:]} == {"synthetic"}
    assert max(found[n]["repeats"] for n in names[4:]) < min(found[n]["repeats"] for n in names[:4])


def test_made_images_do_not_hide_that_there_are_few_photos(capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("photos"), 8)
    mark(*sorted(Path("photos").iterdir())[4:])
    fakes = ("--base-model", "fake", "--models-dir", "fake", "--person", "ohwx ana", "--steps", "3")
    said = twinloop(capsys, "train", "photos", *fakes, "--output", "lora.safetensors")
    assert said.code == 0 and "synthetic)" in said.out, said.out
    assert "only 4 real photos" in said.err
