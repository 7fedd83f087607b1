"""What lies on disk is held against what the run wrote: what was damaged or edited is named, or made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop
from twinloop.adapters.fakes import FakeTrainer
from twinloop.errors import StateError
from twinloop.stages import decide
from twinloop.stages.rounds import RunResult
from twinloop.steps import run as running
from twinloop.steps.how_far import standing
from twinloop.store.journal import Journal
from twinloop.store.run.workspace import Workspace

FIXED = (
    "out/dataset_iter0.json",
    "out/dataset_iter1.json",
    "out/identity_reference.json",
    "out/panel.json",
    "out/panel_v1.json",
)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(home)
        patched.setenv("SOURCE_DATE_EPOCH", "1735223422")
        loops.write_photos(Path("photos"))
        again()
    return home


@pytest.fixture
def finished(whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A finished run to spoil; its tree."""
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1735223422")
    yield loops.tree("out", "loras")


def again(**changes: Any) -> RunResult:
    return loops.run(loops.settings(max_iterations=1, **changes))


def edited(path: str) -> str:
    """As a person's editor would write it: the same fields, one number other."""
    data = json.loads(Path(path).read_text())
    text = json.dumps(data, indent=4)
    assert text.encode() != Path(path).read_bytes()
    return text


@pytest.mark.parametrize("record", FIXED)
@pytest.mark.parametrize("damage", ["edited", "cut short"])
def test_a_changed_record_is_named_and_comes_back_when_it_is_deleted(
    finished: dict[str, str], record: str, damage: str
) -> None:
    path = Path(record)
    path.write_text(edited(record) if damage == "edited" else path.read_text()[:-40])
    with pytest.raises(StateError, match=rf"{path.name} is not what this run wrote.*delete it") as caught:
        again()
    assert caught.value.exit_code == 2
    path.unlink()
    again()
    assert loops.tree("out", "loras") == finished


@pytest.mark.parametrize("record", ["loras/lora_v1.json", "loras/lora_v2.json"])
def test_so_is_that_of_a_lora(finished: dict[str, str], record: str) -> None:
    path = Path(record)
    path.write_text(edited(record))
    for _ in range(2):
        with pytest.raises(StateError, match=rf"{path.name} is not what this run wrote.*delete it"):
            again()
    path.unlink()
    again()
    assert loops.tree("out", "loras") == finished


@pytest.mark.parametrize("lost", ["loras/lora_v1.json", "loras/lora_v1.safetensors"])
def test_a_lora_that_is_trained_once_more_may_have_another_date(
    finished: dict[str, str], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(lost).unlink()
    trained = FakeTrainer.train

    def dated(self: FakeTrainer, samples: Any, settings: Any, output: Path, work: Path, texts: Any, told: Any) -> Any:
        return trained(self, samples, settings, output, work, {**texts, "date": "another"}, told)

    monkeypatch.setattr(FakeTrainer, "train", dated)
    again()
    again()
    assert loops.tree("out", "loras")["loras/lora_v1.json"] != finished["loras/lora_v1.json"]


@pytest.mark.parametrize(
    "record", ["out/gaps_iter1.json", "out/shots_iter1.json", "out/verdicts_iter1.json", "out/run.json"]
)
def test_what_people_may_change_is_taken_as_it_is(finished: dict[str, str], record: str) -> None:
    Path(record).write_text(edited(record))
    again()
    after = loops.tree("out", "loras")
    assert [name for name in after if after[name] != finished.get(name)] == [record]


@pytest.mark.parametrize("record", FIXED)
def test_a_run_that_knows_no_hash_goes_on(finished: dict[str, str], record: str) -> None:
    Path(record).write_text(edited(record))
    Path("out/journal.jsonl").unlink()
    again()


@pytest.mark.parametrize(
    ("record", "changes", "told"),
    [
        ("loras/final.json", {"version": 7}, r"final\.json names v7, and there is no such LoRA.*delete that file"),
        ("loras/final.json", {"version": "v1"}, r'final\.json .*"version": a text in the place of a whole number'),
        ("loras/lora_v2.json", {"version": 1}, r"lora_v2\.json says that it is of v1"),
        ("out/panel_v2.json", {"metrics": {}}, r'panel_v2\.json .*"metrics" lacks diversity.*Delete it'),
        (
            "out/panel_v2.json",
            {"samples": {"overall": [1.0]}},
            r'panel_v2\.json .*"overall": 1 images in the place of 4',
        ),
        ("out/run.json", {"settings": []}, r'run\.json .*"settings": a list in the place of an object.*delete it'),
    ],
)
def test_a_record_that_cannot_be_is_named_with_its_field(
    finished: dict[str, str], record: str, changes: dict[str, Any], told: str
) -> None:
    Path("out/journal.jsonl").unlink()
    path = Path(record)
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))
    with pytest.raises(StateError, match=told):
        again()


def test_a_run_whose_own_record_was_deleted_goes_on(finished: dict[str, str]) -> None:
    Path("out/run.json").unlink()
    again()
    assert loops.tree("out", "loras") == finished


def test_a_panel_that_comes_out_otherwise_is_refused(finished: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a later version asks for other prompts: the images that are there were made by the old ones."""
    Path("out/panel.json").unlink()
    with monkeypatch.context() as patched:
        patched.setattr("twinloop.steps.panels.fixed_shots.plan_panel", lambda *_: [])
        with pytest.raises(StateError, match=r"panel\.json is gone, and made again it comes out otherwise"):
            again()
    assert not Path("out/panel.json").exists()
    again()
    assert loops.tree("out", "loras") == finished


@pytest.mark.parametrize("folder", ["synthetic_iter1", "panel_v1"])
def test_a_torn_image_of_a_run_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1735223422")
    loops.write_photos(Path("photos"))
    again(output_dir="whole", lora_output_dir="whole_loras")

    def killed(key: str) -> None:
        if key.startswith("panel_v1.score" if folder == "panel_v1" else "iter1.verdicts"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loops.run(loops.settings(max_iterations=1), killed)
    Path("out/verdicts_iter1.json").unlink(missing_ok=True)  # killed before it was written
    image = sorted(Path("out", folder).glob("*.png"))[1]
    image.write_bytes(image.read_bytes()[:200])
    again()
    assert image.read_bytes() == (Path("whole") / image.relative_to("out")).read_bytes()
    assert Path("out/verdicts_iter1.json").read_bytes() == Path("whole/verdicts_iter1.json").read_bytes()


def test_a_damaged_copy_of_an_approved_image_is_replaced(finished: dict[str, str]) -> None:
    copy = next(Path("out/approved_iter1").iterdir())
    copy.write_bytes(copy.read_bytes()[:150])
    again()
    assert loops.tree("out", "loras") == finished


def test_killed_between_a_record_and_its_hash_a_run_takes_its_own_record_for_no_changed_one(
    finished: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it comes out otherwise than before, as a dataset does after another review."""
    path = Path("out/dataset_iter0.json")
    path.unlink()
    wrong = Journal(Path("out/journal.jsonl"))
    wrong.replace({"collect": "0" * 64})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(running, "write_bytes", killed)
        again()
    again()
    assert loops.tree("out", "loras") == finished


def a_made_image() -> Path:
    """One of the dataset after round 1."""
    members = json.loads(Path("out/dataset_iter1.json").read_text())["members"]
    return next(Path(member["path"]) for member in members if member["round"] == 1)


def test_a_made_image_of_the_dataset_that_is_gone_is_copied_back_from_the_approved_ones(
    finished: dict[str, str],
) -> None:
    a_made_image().unlink()
    again()
    assert loops.tree("out", "loras") == finished
    a_made_image().unlink()
    assert len(loops.run(loops.settings(max_iterations=2)).rounds) == 2 and a_made_image().exists()


def test_a_made_image_that_was_changed_is_no_photo_and_comes_back_when_it_is_deleted(
    finished: dict[str, str],
) -> None:
    kept = a_made_image().read_bytes()
    a_made_image().write_bytes(b"another")
    with pytest.raises(StateError, match=r"an image that this run made.*copied back from out/approved_iter1\."):
        loops.run(loops.settings(max_iterations=2))
    a_made_image().unlink()
    assert len(loops.run(loops.settings(max_iterations=2)).rounds) == 2 and a_made_image().read_bytes() == kept


def test_a_made_image_without_any_copy_is_made_once_more(finished: dict[str, str]) -> None:
    kept = a_made_image().read_bytes()
    a_made_image().unlink()
    shutil.rmtree("out/approved_iter1")
    with pytest.raises(StateError, match=r"without one, delete out/verdicts_iter1\.json") as caught:
        loops.run(loops.settings(max_iterations=2))
    assert "photo" not in str(caught.value)
    Path("out/verdicts_iter1.json").unlink()
    assert len(loops.run(loops.settings(max_iterations=2)).rounds) == 2
    assert a_made_image().read_bytes() == kept and list(Path("out/approved_iter1").iterdir())


@pytest.mark.parametrize(
    "place", ["out/panel.json", "out/report.html", "out/journal.jsonl", "loras/lora_v1.safetensors", "loras/.run.json"]
)
def test_a_folder_in_the_place_of_a_file_is_named(
    finished: dict[str, str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(Path(), **loops.settings(max_iterations=1).model_dump(mode="json", exclude_unset=True))
    Path(place).unlink()
    Path(place).mkdir()
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and place in said.err and "is a folder" in said.err and "Move it away" in said.err


@pytest.mark.parametrize(
    ("stop", "gaps", "rounds", "told"),
    [
        (decide.NO_GAPS, [], 3, "This run is finished (gap count is 0"),
        (decide.NO_GAPS, None, 3, "goes on in round 2"),
        (decide.NO_GAPS, None, 1, "This run is finished (1 iteration done"),
        (None, [], 3, "This run is finished (gap count is 0"),
        (None, None, 3, "goes on in round 2"),
    ],
)
def test_after_gaps_were_changed_by_hand_it_is_told_what_the_run_then_does(
    finished: dict[str, str], stop: decide.Stop | None, gaps: list[Any] | None, rounds: int, told: str
) -> None:
    """``stop``: why it had ended; None = the budget. ``gaps``: of round 2; None = those of round 1."""
    history, space = Path("out/iteration_history.json"), Workspace(Path("out"), Path("loras"))
    if stop is not None:
        history.write_text(json.dumps(json.loads(history.read_text()) | {"stop": stop.to_json()}))
    first = json.loads(Path("out/gaps_iter1.json").read_text())
    Path("out/gaps_iter2.json").write_text(
        json.dumps(first | {"recommendations": first["recommendations"] if gaps is None else gaps})
    )
    chosen = loops.settings(max_iterations=rounds)
    said = standing(chosen, space)
    assert told in said
    came_to = loops.run(chosen)
    assert came_to.stop is not None
    assert (f"({came_to.stop.reason})" in said) == ("finished" in said) == (len(came_to.rounds) == 1)
