"""Training once per version, from the photos that may be trained on, and never somebody else's LoRA."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.fake_makers import fake_makers
from tests.unit.things import Recording, dataset, member
from twinloop.adapters.fakes import fake_pack
from twinloop.domain.records import Dataset, TrainingSample
from twinloop.domain.validation_loss import TimeLoss, ValidationLoss
from twinloop.domain.vault import Consent
from twinloop.errors import ModelFileError, NothingToDo, StateError
from twinloop.facets import BUILTIN
from twinloop.ports import Trained, TrainingSettings
from twinloop.stages.observe import Observer
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.train import adopt, train, train_file
from twinloop.stages.training_spec import TrainingSpec
from twinloop.store.atomic import sha256_file
from twinloop.store.clock import SystemClock
from twinloop.store.models.step_saves import step_path
from twinloop.store.run.workspace import Workspace, shown_path

SETTINGS = TrainingSettings("nano", 10, 4, 4.0, 1e-3, 2, 64, 7)
SPEC = TrainingSpec("ohwx ana", SETTINGS)
AUTO = replace(SPEC, base={"precision": "auto"})


def weights(**texts: str) -> bytes:
    """A safetensors file without tensors, with these texts in its header."""
    header = json.dumps({"__metadata__": texts}).encode()
    return len(header).to_bytes(8, "little") + header


class Trainer:
    fingerprint = "t"

    def __init__(self, **texts: str) -> None:
        self.texts = texts
        self.calls: list[list[TrainingSample]] = []

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Callable[[int, int, float], None],
    ) -> Trained:
        self.calls.append(list(samples))
        for folder in (work, output.parent):
            folder.mkdir(parents=True, exist_ok=True)
        (work / "checkpoint").write_bytes(b"x")
        progress(settings.steps, settings.steps, 0.25)
        output.write_bytes(weights(**self.texts))
        self.metadata = dict(metadata)
        return Trained(settings.steps, 0.25)


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "out", tmp_path / "loras")


def toolbox(trainer: Any, base: str = "nano") -> Toolbox:
    return Toolbox(
        makers=fake_makers(
            generator=lambda: pytest.fail("no generator is needed"), trainer=lambda: trainer, base_model=base
        ),
        observer=Observer(fake_pack(), BUILTIN),
        clock=SystemClock(),
        reporter=Recording(),
        tell_device=lambda: None,
    )


def test_a_version_is_trained_once_and_its_workshop_cleared(space: Workspace) -> None:
    trainer, data = Trainer(), dataset(5)
    first = train(data, 2, SPEC, space, toolbox(trainer))
    again = train(data, 2, SPEC, space, toolbox(trainer))
    assert first == again and len(trainer.calls) == 1
    assert (first.version, first.dataset_id, first.base_model, first.sha256) == (
        2,
        data.id,
        "nano",
        sha256_file(space.lora(2)),
    )
    assert (first.steps, first.seed, first.preset, first.final_loss) == (10, 7, "nano", 0.25)
    assert first.path == shown_path(space.lora(2)) and not space.training_work(2).exists()


def test_a_kill_before_the_record_trains_again_and_after_it_clears_up(space: Workspace) -> None:
    trainer, data = Trainer(), dataset(5)
    train(data, 1, SPEC, space, toolbox(trainer))
    space.lora_record(1).unlink()
    train(data, 1, SPEC, space, toolbox(trainer))
    assert len(trainer.calls) == 2
    space.training_work(1).mkdir()
    train(data, 1, SPEC, space, toolbox(trainer))
    assert len(trainer.calls) == 2 and not space.training_work(1).exists()


def test_held_out_photos_are_never_trained_on(space: Workspace) -> None:
    trainer = Trainer()
    data = Dataset((member("a"), member("held out", weight=0.0), member("made", "synthetic", 1, 0.3)))
    train(data, 1, SPEC, space, toolbox(trainer))
    assert [(sample.path.name, sample.weight) for sample in trainer.calls[0]] == [("a.png", 1.0), ("made.png", 0.3)]
    assert trainer.metadata["twinloop.images"] == "1 real, 1 synthetic"
    assert trainer.metadata["ss_num_train_images"] == "2"


def test_held_out_photos_are_what_the_validation_loss_is_measured_on(space: Workspace) -> None:
    measured = ValidationLoss(10, (TimeLoss(500, 0.125),))

    class Validating(Trainer):
        def train(self, *args: Any) -> Trained:
            super().train(*args)
            args[-1](10, 10, 0.25, 0.125)
            return Trained(10, 0.25, measured)

    trainer, spec = Validating(), replace(SPEC, settings=replace(SETTINGS, validate_every=5))
    data = Dataset(
        (member("a"), member("held out", weight=0.0), replace(member("made", "synthetic", 1, 0.0), sha256="m"))
    )
    tools = toolbox(trainer)
    lora = train(data, 1, spec, space, tools)
    assert [(sample.path.name, sample.weight) for sample in trainer.calls[0]] == [("a.png", 1.0), ("held out.png", 0.0)]
    assert lora.validation == measured
    assert json.loads(space.lora_record(1).read_text())["validation_loss"] == 0.125
    assert isinstance(tools.reporter, Recording)
    assert tools.reporter.steps[-1][0] == "Training LoRA v1 (loss 0.250, validation 0.1250)"
    assert spec.asked == SPEC.asked, "it decides no weight"
    with pytest.raises(NothingToDo):
        train(Dataset((member("held out", weight=0.0),)), 2, spec, space, tools)


SAVING = replace(SPEC, settings=replace(SETTINGS, save_every=5))


def test_loras_on_the_way_are_no_other_trainings_and_decide_nothing(space: Workspace) -> None:
    trainer, data = Trainer(), dataset(5)
    lora = train(data, 1, SAVING, space, toolbox(trainer))
    assert train(data, 1, SPEC, space, toolbox(trainer)) == lora and len(trainer.calls) == 1
    mine = step_path(space.lora(2), 10)
    mine.write_text("of somebody else")
    with pytest.raises(StateError, match=r"lora_v2-step00000010\.safetensors is there already"):
        train(data, 2, SAVING, space, toolbox(trainer))
    assert mine.read_text() == "of somebody else" and len(trainer.calls) == 1
    space.training_work(2).mkdir()  # of a training that was killed: they are its own
    train(data, 2, SAVING, space, toolbox(trainer))


def test_nothing_to_train_on(space: Workspace) -> None:
    with pytest.raises(NothingToDo, match="no photo to train on"):
        train(Dataset((member("a", weight=0.0),)), 1, SPEC, space, toolbox(Trainer()))


@pytest.mark.parametrize("change", ["photos", "base"])
def test_a_lora_of_another_run_is_not_taken_for_ours(space: Workspace, change: str) -> None:
    """The LoRA folder is shared by name: a second run with other photos must not go on with the first one's LoRA."""
    train(dataset(5), 1, SPEC, space, toolbox(Trainer()))
    other = dataset(6) if change == "photos" else dataset(5)
    with pytest.raises(StateError, match="LoRAs of another run"):
        train(other, 1, SPEC, space, toolbox(Trainer(), "nano" if change == "photos" else "other base"))
    assert space.lora(1).read_bytes() == weights()


def test_a_lora_of_the_users_is_copied_not_moved(space: Workspace, tmp_path: Path) -> None:
    given = tmp_path / "mine.safetensors"
    given.write_bytes(weights(ss_network_module="networks.lora", ss_network_dim="16", ss_network_alpha="8.0"))
    lora = adopt(given, dataset(3), space, toolbox(None))
    assert given.read_bytes() == space.lora(1).read_bytes()
    assert (lora.version, lora.preset) == (1, "given")
    assert (lora.adapter, lora.rank, lora.alpha) == ("lora", 16, 8.0)
    given.unlink()
    assert adopt(given, dataset(3), space, toolbox(None)) == lora


def test_a_version_that_was_damaged_or_exchanged_is_not_taken_for_the_trained_one(
    space: Workspace, tmp_path: Path
) -> None:
    trainer, data, given = Trainer(), dataset(5), tmp_path / "mine.safetensors"
    given.write_bytes(weights(ss_network_dim="16"))
    train(data, 2, SPEC, space, toolbox(trainer))
    adopt(given, data, space, toolbox(None))
    for version in (1, 2):
        space.lora(version).write_bytes(space.lora(version).read_bytes()[:-1] + b"x")
    with pytest.raises(StateError, match=r"not the file that lora_v2\.json tells of"):
        train(data, 2, SPEC, space, toolbox(trainer))
    with pytest.raises(StateError, match=r"not the file that lora_v1\.json tells of"):
        adopt(given, data, space, toolbox(None))
    for path in (space.lora(2), space.lora_record(2), space.lora(1), space.lora_record(1)):
        path.rename(tmp_path / path.name)
    train(data, 2, SPEC, space, toolbox(trainer))
    assert len(trainer.calls) == 2 and adopt(given, data, space, toolbox(None)).version == 1


def test_a_lora_that_is_not_there_is_named_by_its_field(space: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match=r"training\.initial_lora: no file at .*mine"):
        adopt(tmp_path / "mine.safetensors", dataset(3), space, toolbox(None))


def test_what_is_no_lora_file_is_not_adopted(space: Workspace, tmp_path: Path) -> None:
    given = tmp_path / "mine.safetensors"
    given.write_bytes(b"\x80\x02 a pickle")
    with pytest.raises(ModelFileError, match="mine"):
        adopt(given, dataset(3), space, toolbox(None))
    assert not space.lora(1).exists()


def test_the_record_says_kind_rank_and_alpha(space: Workspace) -> None:
    lokr = replace(SETTINGS, adapter="lokr", rank=8, alpha=2.0)
    train(dataset(5), 1, replace(SPEC, settings=lokr), space, toolbox(Trainer()))
    record = json.loads(space.lora_record(1).read_text())
    assert (record["adapter"], record["rank"], record["alpha"]) == ("lokr", 8, 2.0)


@pytest.mark.parametrize(("dim", "rank"), [("32", 32), ("Dynamic", None)])
def test_another_program_that_was_told_otherwise_is_believed(space: Workspace, dim: str, rank: int | None) -> None:
    trainer = Trainer(ss_network_dim=dim, ss_network_alpha="1")
    lora = train(dataset(5), 1, SPEC, space, toolbox(trainer))
    assert (lora.adapter, lora.rank, lora.alpha) == ("lora", rank, 1.0)


def test_a_file_is_not_taken_for_that_of_other_settings(tmp_path: Path) -> None:
    trainer, output = Trainer(), tmp_path / "mine.safetensors"
    first = train_file(dataset(5), output, SPEC, toolbox(trainer))
    free = replace(SETTINGS, memory=12, tensorboard=False, gradient_checkpointing=True)
    assert train_file(dataset(5), output, replace(SPEC, settings=free), toolbox(trainer)) == first
    for other in ({"rank": 8}, {"learning_rate": 2e-3}, {"adapter": "dora"}, {"optimizer": "prodigy"}):
        with pytest.raises(StateError, match="other photos or settings"):
            train_file(dataset(5), output, replace(SPEC, settings=replace(SETTINGS, **other)), toolbox(trainer))
    assert len(trainer.calls) == 1


def test_another_programs_notes_are_no_record_of_a_file(tmp_path: Path) -> None:
    trainer, output = Trainer(), tmp_path / "mine.safetensors"
    train_file(dataset(5), output, SPEC, toolbox(trainer))
    output.with_suffix(".json").write_text('{"activation text": "ohwx ana"}')
    with pytest.raises(StateError, match=r"mine\.json .*Another program may have written it\. Name another --output"):
        train_file(dataset(5), output, SPEC, toolbox(trainer))
    output.unlink()
    with pytest.raises(StateError, match=r"mine\.json is not the record of a LoRA"):
        train_file(dataset(5), output, SPEC, toolbox(trainer))


@pytest.mark.parametrize("dies_in", ["write_json", "copy_whole"])
def test_killed_between_the_file_and_its_record_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    trainer, output = Trainer(), tmp_path / "mine.safetensors"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(f"twinloop.stages.train.{dies_in}", killed)
        train_file(dataset(5), output, SPEC, toolbox(trainer))
    assert not output.exists()
    lora = train_file(dataset(5), output, SPEC, toolbox(trainer))
    assert (lora.path, lora.version, lora.sha256) == (shown_path(output), 0, sha256_file(output))
    assert train_file(dataset(5), output, SPEC, toolbox(trainer)) == lora
    assert not (tmp_path / ".training_mine").exists()


def test_a_version_is_not_taken_for_that_of_another_run_with_other_settings(space: Workspace) -> None:
    """Two runs of one person share a folder of LoRAs unless they name one of their own."""
    trainer = Trainer()
    first = train(dataset(5), 1, AUTO, space, toolbox(trainer))
    free = replace(SETTINGS, memory=12, tensorboard=False, gradient_checkpointing=True)
    assert train(dataset(5), 1, replace(AUTO, settings=free), space, toolbox(trainer)) == first
    for other, base in (
        (replace(SETTINGS, steps=99), "auto"),
        (replace(SETTINGS, rank=8), "auto"),
        (SETTINGS, "bfloat16"),
    ):
        with pytest.raises(StateError, match=r"other settings.*lora_output_dir"):
            train(dataset(5), 1, TrainingSpec("ohwx ana", other, base={"precision": base}), space, toolbox(trainer))
    assert len(trainer.calls) == 1


def test_a_given_lora_and_a_trained_one_are_not_mistaken_for_each_other(space: Workspace, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.safetensors", tmp_path / "other.safetensors"
    mine.write_bytes(weights())
    other.write_bytes(weights(title="other"))
    first = adopt(mine, dataset(5), space, toolbox(Trainer()))
    with pytest.raises(StateError, match="initial_lora"):
        adopt(other, dataset(5), space, toolbox(Trainer()))
    with pytest.raises(StateError, match="other settings"):
        train(dataset(5), 1, SPEC, space, toolbox(Trainer()))
    mine.unlink()  # the copy is enough to go on
    assert adopt(mine, dataset(5), space, toolbox(Trainer())) == first


def test_a_file_of_somebody_else_with_the_records_name_is_left_alone(tmp_path: Path) -> None:
    trainer, output = Trainer(), tmp_path / "alice.safetensors"
    configuration = tmp_path / "alice.json"
    configuration.write_text('{"person_name": "alice"}')
    with pytest.raises(StateError, match="Name another --output"):
        train_file(dataset(5), output, SPEC, toolbox(trainer))
    assert (configuration.read_text(), trainer.calls) == ('{"person_name": "alice"}', [])


def test_the_consent_goes_into_the_file_and_is_never_made_up(space: Workspace, tmp_path: Path) -> None:
    trainer = Trainer()
    train(dataset(5), 1, SPEC, space, toolbox(trainer))
    assert trainer.metadata["twinloop.consent"] == "not recorded"
    given = Consent("written", "Ana", "2024-05-06", "training")
    train(dataset(5), 2, replace(SPEC, consent=given), space, toolbox(trainer))
    assert trainer.metadata["twinloop.consent"] == "written consent; by: Ana; on: 2024-05-06; for: training"
    train_file(dataset(5), tmp_path / "mine.safetensors", replace(SPEC, consent=given), toolbox(trainer))
    assert trainer.metadata["twinloop.consent"].startswith("written consent")


def test_the_header_names_the_base_without_its_place(space: Workspace, tmp_path: Path) -> None:
    trainer, base = Trainer(), tmp_path / "models" / "base_1.0.safetensors"
    lora = train(dataset(5), 1, SPEC, space, toolbox(trainer, str(base)))
    assert trainer.metadata["ss_sd_model_name"] == "base_1.0.safetensors" and lora.base_model == str(base)
    assert not any(str(tmp_path) in text for text in trainer.metadata.values())
    train(dataset(5), 2, SPEC, space, toolbox(trainer, "org/model"))
    assert trainer.metadata["ss_sd_model_name"] == "org/model"


class Resuming(Trainer):
    """One that goes on after step ``begun``, as it finds its checkpoint."""

    def __init__(self, begun: int) -> None:
        super().__init__()
        self.begun = begun

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Callable[[int, int, float], None],
    ) -> Trained:
        for step in range(self.begun + 1, settings.steps + 1):
            progress(step, settings.steps, 0.25)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(weights())
        return Trained(settings.steps, 0.25)


@pytest.mark.parametrize(("begun", "said"), [(0, []), (6, ["Training LoRA v1 goes on at step 7 of 10"])])
def test_a_training_that_was_stopped_says_where_it_goes_on(space: Workspace, begun: int, said: list[str]) -> None:
    box = toolbox(Resuming(begun))
    train(dataset(5), 1, SPEC, space, box)
    assert isinstance(box.reporter, Recording) and box.reporter.lines == said
    assert len(box.reporter.steps) == 10 - begun
