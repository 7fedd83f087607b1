"""Sample images while a LoRA learns: in the loop and by hand, through interruptions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.functional import loops
from tests.functional.console import twinloop
from twinloop.adapters.fakes import FakeTrainer

FAKES = ("--base-model", "fake", "--models-dir", "fake", "--person", "ohwx ana", "--steps", "9")

pytestmark = pytest.mark.usefixtures("home")


def settings(**training: Any) -> Any:
    return loops.settings(max_iterations=1, training={"preset": "fake", "steps": 9, **training})


def shots(folder: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = json.loads(Path(folder, "generation_metadata.json").read_text())["images"]
    return images


def test_every_version_draws_the_same_prompts_and_seeds_on_its_way() -> None:
    loops.run(settings(sample_every=4))
    folders = sorted(str(path) for path in Path("out").glob("samples_v*/step_*"))
    assert folders == [f"out/samples_v{version}/step_{step:06d}" for version in (1, 2) for step in (4, 8, 9)]
    asked = [[(shot["prompt"], shot["seed"]) for shot in shots(folder)] for folder in folders]
    assert len(asked[0]) == len({seed for _, seed in asked[0]}) == 4 and all(one == asked[0] for one in asked)


def test_the_users_own_prompts_are_drawn_as_they_are() -> None:
    loops.run(settings(sample_every=9, sample_prompts=["ohwx ana on a horse", "a horse"]))
    drawn = shots("out/samples_v1/step_000009")
    assert [shot["prompt"] for shot in drawn] == ["ohwx ana on a horse", "a horse"]
    with Image.open("out/samples_v1/step_000009/sample_02.png") as image:
        assert "a horse" in image.info["parameters"]


def test_samples_decide_nothing() -> None:
    loops.run(settings())
    plain = Path("loras/lora_v1.safetensors").read_bytes()
    shutil.rmtree("out")
    shutil.rmtree("loras")
    loops.run(settings(sample_every=4))
    assert Path("loras/lora_v1.safetensors").read_bytes() == plain
    loops.run(settings(sample_every=0))


def test_stopped_at_any_record_it_ends_in_the_same_files() -> None:
    records: list[str] = []
    chosen = settings(sample_every=4, keep_checkpoints=2, checkpoint_panel=2)
    loops.run(chosen, records.append)
    expected = loops.tree("out", "loras")
    assert sum(name.startswith("out/samples_v1/") and name.endswith(".png") for name in expected) == 12
    at_samples = [key for key in records if "samples" in key]
    assert len(at_samples) == 24
    shutil.rmtree("out")
    shutil.rmtree("loras")
    for wanted in at_samples[::3]:

        def stop(key: str, wanted: str = wanted) -> None:
            if key == wanted:
                raise KeyboardInterrupt(wanted)

        with pytest.raises(KeyboardInterrupt):
            loops.run(chosen, stop)
    loops.run(chosen)
    assert loops.tree("out", "loras") == expected


def test_a_folder_by_hand_keeps_its_samples_beside_the_lora(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "train", "photos", *FAKES, "--output", "plain.safetensors")
    assert said.code == 0, said.err
    sampled = ("--sample-every", "5", "--sample-prompt", "ohwx ana", "--sample-prompt", "a tree")
    said = twinloop(capsys, "train", "photos", *FAKES, *sampled, "--output", "mine.safetensors")
    assert said.code == 0, said.err
    assert sorted(path.as_posix() for path in Path("mine_samples").rglob("*.png")) == [
        f"mine_samples/step_{step:06d}/sample_{number:02d}.png" for step in (5, 9) for number in (1, 2)
    ]
    assert not list(Path().glob(".measuring_*")) and not list(Path().glob(".training_*"))
    first, second = (json.loads(Path(f"{name}.json").read_text()) for name in ("plain", "mine"))
    assert first["asked"] == second["asked"] and first["steps"] == second["steps"] == 9


def test_prompts_without_steps_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "train", "photos", *FAKES, "--sample-prompt", "ohwx ana")
    assert said.code == 2 and "sample_every" in said.err


def test_asked_for_in_the_middle_of_a_training_nothing_is_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses that it has gone past are passed over: each would have to be trained from the first step on."""
    taken: list[int] = []
    real = FakeTrainer.train

    def train(self: FakeTrainer, samples: Any, wanted: Any, *rest: Any) -> Any:
        *head, progress = rest

        def told(step: int, steps: int, loss: float) -> None:
            taken.append(step)
            if len(taken) == 6:
                raise KeyboardInterrupt("stopped")
            progress(step, steps, loss)

        return real(self, samples, wanted, *head, told)

    monkeypatch.setattr(FakeTrainer, "train", train)
    with pytest.raises(KeyboardInterrupt):
        loops.run(settings())
    loops.run(settings(sample_every=2))
    assert taken[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert sorted(path.name for path in Path("out/samples_v1").iterdir()) == [
        "step_000006",
        "step_000008",
        "step_000009",
    ]


def test_other_prompts_are_drawn_anew_and_the_record_is_true() -> None:
    def stop(key: str) -> None:
        if key.startswith("samples_v1_8"):
            raise KeyboardInterrupt(key)

    with pytest.raises(KeyboardInterrupt):
        loops.run(settings(sample_every=4, sample_prompts=["ohwx ana AAA"]), stop)
    loops.run(settings(sample_every=4, sample_prompts=["ohwx ana BBB"]))
    for step in (4, 8, 9):
        folder = f"out/samples_v1/step_{step:06d}"
        (shot,) = shots(folder)
        with Image.open(Path(folder, "sample_01.png")) as image:
            assert shot["prompt"] in image.info["parameters"]
        assert shot["prompt"] == "ohwx ana BBB"


@pytest.mark.parametrize("change", [{"gradient_checkpointing": True}, {"memory": 8}])
def test_a_run_may_go_on_with_what_saves_memory(change: dict[str, Any]) -> None:
    """As the message of a training that did not fit advises."""

    def stop(key: str) -> None:
        if key == "lora_v1":
            raise KeyboardInterrupt(key)

    with pytest.raises(KeyboardInterrupt):
        loops.run(settings(), stop)
    assert loops.run(settings(**change)).loras[0].version == 1


def test_samples_do_not_go_among_the_photos(capsys: pytest.CaptureFixture[str]) -> None:
    """They would be trained on when the same command goes on."""
    said = twinloop(capsys, "train", "photos", *FAKES, "--sample-every", "4", "--output", "photos/mine.safetensors")
    assert said.code == 2 and "among the photos" in said.err and not Path("photos/mine_samples").exists()


def test_samples_of_an_earlier_training_do_not_mix_in(capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", "photos", *FAKES, "--output", "mine.safetensors", "--sample-every")
    assert twinloop(capsys, *train, "4").code == 0
    for path in Path().glob("mine.*"):
        path.unlink()
    assert twinloop(capsys, *train, "6").code == 0
    assert sorted(path.name for path in Path("mine_samples").iterdir()) == ["step_000006", "step_000009"]


def test_loras_on_the_way_count_for_nothing_in_the_loop() -> None:
    loops.run(settings())
    plain = loops.tree("out", "loras")
    shutil.rmtree("out")
    shutil.rmtree("loras")
    loops.run(settings(save_every=4, keep_checkpoints=0))
    with_steps = loops.tree("out", "loras")
    steps = {name for name in with_steps if "-step" in name}
    assert steps == {f"loras/lora_v{version}-step{step:08d}.safetensors" for version in (1, 2) for step in (4, 8)}
    assert {name: data for name, data in with_steps.items() if name not in steps} == plain
    loops.run(settings())  # the same run without them


def test_loras_on_the_way_of_a_measured_training_are_beside_it_under_its_name() -> None:
    loops.run(settings(save_every=4, keep_checkpoints=2, checkpoint_panel=2, sample_every=9))
    found = sorted(path.name for path in Path("loras").glob("*-step*"))
    assert found == [f"lora_v{version}-step{step:08d}.safetensors" for version in (1, 2) for step in (4, 8)]
