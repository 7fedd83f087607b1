"""Every image is made once, marked, journaled, and the same wherever a run was stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.unit.things import Recording, shot
from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.errors import StateError
from twinloop.loras.container import file_bytes
from twinloop.loras.tensors import encode
from twinloop.ports import EarlyLook, GenerationSettings, decisive_generation
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext, Hashes, parameters_text
from twinloop.store.atomic import sha256_file
from twinloop.store.journal import Journal
from twinloop.store.models.lora_file import kohya_path
from twinloop.store.pictures.images import load_image
from twinloop.store.run.workspace import GENERATION_METADATA

SHOTS = [shot(n) for n in range(1, 6)]


class Fixed:
    def __init__(self, *stamps: str) -> None:
        self.stamps = list(stamps)

    def stamp(self) -> str:
        return self.stamps.pop(0) if len(self.stamps) > 1 else self.stamps[0]


class Dying(Exception):
    pass


class Painter:
    """Paints by seed; may die after some images."""

    fingerprint = "painter"
    own_sampler = "euler_a"

    def __init__(self, lives: int = 1000) -> None:
        self.lives, self.made, self.loras, self.expected = lives, [], [], []  # type: ignore[var-annotated]

    def load_lora(self, path: Path | None) -> None:
        self.loras.append(path)

    def check(self, settings: GenerationSettings) -> None: ...

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None:
        assert not self.made, "too late: images were made already"
        self.expected += [one.prompt for one in shots]

    def generate(
        self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook | None = None, told: Any = None
    ) -> Iterator[tuple[Shot, ImageArray]]:
        for one in shots:
            if self.lives == 0:
                raise Dying
            self.lives -= 1
            self.made.append(one.key)
            yield one, np.random.default_rng(one.seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        yield from pictures


def context(folder: Path, **changes: object) -> GenerationContext:
    settings = GenerationSettings(steps=30, guidance=7.5, width=8, height=8, batch_size=2)
    data = {
        "prefix": "iter1",
        "folder": folder / "synthetic_iter1",
        "base_model": "nano",
        "lora": None,
        "settings": settings,
        **changes,
    }
    return GenerationContext(**data)  # type: ignore[arg-type]


def made(folder: Path, painter: Painter, clock: Fixed | None = None, **changes: object) -> list[str]:
    journal = Journal(folder / "journal.jsonl")
    images = generate(
        SHOTS, context(folder, **changes), lambda: painter, journal, clock or Fixed("20241226_143022"), Recording()
    )
    return [image.path.name for image in images]


def tree(folder: Path) -> dict[str, str]:
    return {p.name: sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "journal.jsonl"}


def test_the_documented_file_names(tmp_path: Path) -> None:
    assert made(tmp_path, Painter())[:2] == [
        "synthetic_face_angle_profile_001_20241226_143022.png", "synthetic_face_angle_profile_002_20241226_143022.png",
    ]  # fmt: skip


@pytest.mark.parametrize(("lives", "first"), [(0, 0), (3, 2), (4, 4)])
def test_the_generator_is_told_at_once_of_every_shot_that_is_open(tmp_path: Path, lives: int, first: int) -> None:
    """Batches are of two; one that was interrupted is made again as a whole."""
    with pytest.raises(Dying):
        made(tmp_path, Painter(lives))
    second = Painter()
    made(tmp_path, second)
    assert second.expected == [one.prompt for one in SHOTS[first:]]
    third = Painter()
    (tmp_path / "synthetic_iter1" / made(tmp_path, third)[0]).unlink()
    made(tmp_path, third)
    assert third.expected == [one.prompt for one in SHOTS[:2]]


@pytest.mark.parametrize("lives", range(6))
def test_stopped_after_any_image_the_result_is_the_same(tmp_path: Path, lives: int) -> None:
    """Another clock on the second try: the time stamps are those that were chosen first."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    made(whole, Painter(), Fixed("20240101_000000", "20240101_000010", "20240101_000020"))
    try:
        made(broken, Painter(lives), Fixed("20240101_000000", "20240101_000010", "20240101_000020"))
    except Dying:
        done = lives // 2 + 1
        made(
            broken,
            Painter(),
            Fixed(*["20240101_000000", "20240101_000010", "20240101_000020"][done:] or ["29990101_000000"]),
        )
    assert tree(broken) == tree(whole)


def test_a_finished_folder_needs_no_generator(tmp_path: Path) -> None:
    first = made(tmp_path, Painter())
    journal = Journal(tmp_path / "journal.jsonl")

    def nobody() -> Painter:
        pytest.fail("the base model was loaded for nothing")

    again = generate(SHOTS, context(tmp_path), nobody, journal, Fixed("20990101_000000"), Recording())
    assert [image.path.name for image in again] == first


def test_a_picture_that_was_deleted_comes_back_as_it_was(tmp_path: Path) -> None:
    names = made(tmp_path, Painter())
    before = tree(tmp_path)
    (tmp_path / "synthetic_iter1" / names[3]).unlink()
    painter = Painter()
    made(tmp_path, painter)
    assert tree(tmp_path) == before
    assert painter.made == [SHOTS[2].key, SHOTS[3].key], "its batch only"


def test_a_picture_that_comes_out_otherwise_is_no_picture_of_the_record(tmp_path: Path) -> None:
    """Made again at another precision, say: its hash would be that of a picture that is gone."""
    names = made(tmp_path, Painter())
    gone = tmp_path / "synthetic_iter1" / names[3]
    gone.unlink()
    before = tree(tmp_path)

    class Other(Painter):
        def generate(self, *args: Any, **kwargs: Any) -> Iterator[tuple[Shot, ImageArray]]:
            for one, pixels in super().generate(*args, **kwargs):
                yield one, 255 - pixels

    with pytest.raises(StateError, match=rf"{gone.name} is gone or damaged.*another folder"):
        made(tmp_path, Other())
    assert tree(tmp_path) == before
    made(tmp_path, Painter())
    assert gone.exists()


@pytest.mark.parametrize("left", [0, 1, 60])
def test_a_damaged_picture_comes_back_as_it_was(tmp_path: Path, left: int) -> None:
    names = made(tmp_path, Painter())
    before = tree(tmp_path)
    torn = tmp_path / "synthetic_iter1" / names[3]
    torn.write_bytes(torn.read_bytes()[:left])
    made(tmp_path, Painter())
    assert tree(tmp_path) == before


def test_a_damaged_picture_of_which_no_hash_is_known_is_made_again(tmp_path: Path) -> None:
    names = made(tmp_path, Painter())
    torn, other = (tmp_path / "synthetic_iter1" / name for name in names[2:4])
    journal = Journal(tmp_path / "journal.jsonl")
    journal.replace({f"iter1.image.{SHOTS[2].key}": None, f"iter1.image.{SHOTS[3].key}": None})
    whole = torn.read_bytes()
    torn.write_bytes(whole[:100])
    Image.new("RGB", (8, 8)).save(other)
    kept = other.read_bytes()
    made(tmp_path, Painter())
    assert torn.read_bytes() == whole
    assert other.read_bytes() == kept, "it can be read, and nothing says that it is another one"


def test_a_picture_that_was_changed_is_not_written_over(tmp_path: Path) -> None:
    """Somebody may have retouched it."""
    names = made(tmp_path, Painter())
    before = tree(tmp_path)
    edited = tmp_path / "synthetic_iter1" / names[3]
    Image.new("RGB", (8, 8)).save(edited)
    kept = edited.read_bytes()
    with pytest.raises(StateError, match=rf"{edited.name} is not the picture that was made.*delete this one"):
        made(tmp_path, Painter())
    assert edited.read_bytes() == kept
    edited.unlink()
    made(tmp_path, Painter())
    assert tree(tmp_path) == before


def test_the_lora_is_loaded_once(tmp_path: Path) -> None:
    lora = tmp_path / "lora_v1.safetensors"
    lora.write_bytes(b"weights")
    painter = Painter()
    made(tmp_path, painter, lora=lora)
    assert painter.loras == [lora]


def test_every_image_is_marked_and_says_how_it_was_made(tmp_path: Path) -> None:
    lora = tmp_path / "lora_v1.safetensors"
    lora.write_bytes(b"weights")
    name = made(tmp_path, Painter(), lora=lora)[0]
    path = tmp_path / "synthetic_iter1" / name
    assert load_image(path).origin == "synthetic"
    text = Image.open(path).info
    assert text["parameters"].startswith(
        "a photo 1 <lora:lora_v1:1>\nNegative prompt: blurry\nSteps: 30, CFG scale: 7.5, Seed: 1, Size: 8x8, Model:"
        " nano"
    )
    record = json.loads(text["twinloop"])
    assert record["shot"] == SHOTS[0].to_json()
    assert record["lora_sha256"] == sha256_file(lora)
    assert f', Lora hashes: "lora_v1: {sha256_file(lora)[:12]}", Version: ' in text["parameters"]


def test_loras_are_known_by_the_hashes_of_their_copies_for_other_programs(tmp_path: Path) -> None:
    lora, style = tmp_path / "lora_v1.safetensors", tmp_path / "film, soft grain.safetensors"
    for path, value in ((lora, 1), (kohya_path(lora), 2), (style, 3)):
        path.write_bytes(file_bytes({"a": encode(np.full(4, value), "F32")}, {}))
    settings = replace(context(tmp_path).settings, extra_loras=((str(style), 0.5), (str(tmp_path / "gone"), 1.0)))
    name = made(tmp_path, Painter(), lora=lora, settings=settings)[0]
    text = Image.open(tmp_path / "synthetic_iter1" / name).info["parameters"]
    mine, other = (hashlib.sha256(np.full(4, value, np.float32).tobytes()).hexdigest()[:12] for value in (2, 3))
    assert f'Lora hashes: "lora_v1: {mine}, film soft grain: {other}"' in text


def test_loras_that_are_called_alike_are_told_apart(tmp_path: Path) -> None:
    """Also where A1111 makes their names alike; the same file in two folders is one LoRA."""
    files = {name: tmp_path / name for name in ("a/film.safetensors", "b/film.safetensors", "c/film.safetensors")}
    files[","] = tmp_path / "fi,lm.safetensors"
    for path, value in zip(files.values(), (1, 2, 1, 3), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(file_bytes({"a": encode(np.full(4, value), "F32")}, {}))
    settings = replace(context(tmp_path).settings, extra_loras=tuple((str(path), 0.5) for path in files.values()))
    name = made(tmp_path, Painter(), settings=settings)[0]
    text = Image.open(tmp_path / "synthetic_iter1" / name).info["parameters"]
    one, two, three = (hashlib.sha256(np.full(4, value, np.float32).tobytes()).hexdigest()[:12] for value in (1, 2, 3))
    assert f" <lora:film:0.5> <lora:film_{two}:0.5> <lora:film:0.5> <lora:fi,lm_{three}:0.5>\n" in text
    assert f'Lora hashes: "film: {one}, film_{two}: {two}, film_{three}: {three}"' in text


def test_a_base_in_one_file_is_known_by_its_hash_and_its_name_without_its_place(tmp_path: Path) -> None:
    base = tmp_path / "base.safetensors"
    base.write_bytes(b"weights")
    models = tmp_path / "sd_xl_1.0"
    models.mkdir()
    digits = hashlib.sha256(b"weights").hexdigest()[:10]
    for model, said in (
        (str(base), f"Model hash: {digits}, Model: base, "),
        (str(models), "Size: 8x8, Model: sd_xl_1.0, "),
    ):
        folder = tmp_path / digits / Path(model).name
        name = made(folder, Painter(), base_model=model)[0]
        text = Image.open(folder / "synthetic_iter1" / name).info["parameters"]
        assert said in text and str(tmp_path) not in text


def test_the_metadata_lists_every_image_with_its_target_and_hash(tmp_path: Path) -> None:
    names = made(tmp_path, Painter())
    data = json.loads((tmp_path / "synthetic_iter1" / GENERATION_METADATA).read_text())
    assert [image["file"] for image in data["images"]] == names
    for image in data["images"]:
        assert image["sha256"] == sha256_file(tmp_path / "synthetic_iter1" / image["file"])
        assert (image["type"], image["target"]) == ("face_angle", "profile")
    assert data["settings"]["num_inference_steps"] == 30


def test_the_metadata_names_what_is_not_as_usual_about_the_weights(tmp_path: Path) -> None:
    chosen = GenerationSettings(
        steps=30,
        guidance=7.5,
        width=8,
        height=8,
        batch_size=2,
        quantization="nf4",
        compile="regional",
        precision="float16",
    )
    made(tmp_path / "usual", Painter())
    made(tmp_path / "other", Painter(), settings=chosen)
    usual, other = (
        json.loads((tmp_path / name / "synthetic_iter1" / GENERATION_METADATA).read_text())["settings"]
        for name in ("usual", "other")
    )
    assert other == {**usual, "quantization": "nf4", "compile": "regional", "precision": "float16"}


def test_panel_images_carry_no_time(tmp_path: Path) -> None:
    assert made(tmp_path, Painter(), stamped=False)[0] == "face_angle_profile_001.png"


def test_progress_is_told_by_images(tmp_path: Path) -> None:
    reporter = Recording()
    generate(SHOTS, context(tmp_path), Painter, Journal(tmp_path / "j"), Fixed("20240101_000000"), reporter)
    assert reporter.steps == [
        ("Generating: getting the base model ready", 0, 5),
        ("Generating", 2, 5),
        ("Generating", 4, 5),
        ("Generating", 5, 5),
    ]


def test_steps_within_a_batch_are_told_beside_the_images(tmp_path: Path) -> None:
    class Slow(Painter):
        def generate(self, shots: Any, settings: Any, look: Any = None, told: Any = None) -> Any:
            for step in (1, 2):
                told(len(shots) * step / 3, step, 2)
            return super().generate(shots, settings, look)

    reporter = Recording()
    generate(SHOTS[:3], context(tmp_path), Slow, Journal(tmp_path / "j"), Fixed("20240101_000000"), reporter)
    assert [(label, round(done, 2), total) for label, done, total in reporter.steps[1:]] == [
        ("Generating (step 1 of 2)", 0.67, 3),
        ("Generating (step 2 of 2)", 1.33, 3),
        ("Generating", 2, 3),
        ("Generating (step 1 of 2)", 2.33, 3),
        ("Generating (step 2 of 2)", 2.67, 3),
        ("Generating", 3, 3),
    ]


def test_what_the_base_samples_with_by_itself_is_named_and_no_setting(tmp_path: Path) -> None:
    name, *_ = made(tmp_path, Painter())
    with Image.open(tmp_path / "synthetic_iter1" / name) as image:
        assert ", Sampler: Euler a, " in image.info["parameters"]
    kept = json.loads((tmp_path / "synthetic_iter1" / GENERATION_METADATA).read_text())["settings"]
    assert not kept["scheduler"]


def test_what_the_base_was_told_to_be_and_rescaled_guidance_are_on_record(tmp_path: Path) -> None:
    plain = context(tmp_path)
    asked = replace(
        plain.settings, guidance_rescale=0.7, base_prediction="v_prediction", zero_terminal_snr=False,
        timestep_spacing="trailing", scheduler="dpmpp_2m_sde_karras",
    )  # fmt: skip
    made(tmp_path, Painter(), settings=asked)
    kept = json.loads((tmp_path / "synthetic_iter1" / GENERATION_METADATA).read_text())["settings"]
    wanted = {
        "guidance_rescale": 0.7, "base_prediction": "v_prediction", "zero_terminal_snr": False,
        "timestep_spacing": "trailing",
    }  # fmt: skip
    assert wanted.items() <= kept.items()
    text = parameters_text(SHOTS[0], replace(plain, settings=asked), Hashes())
    assert "CFG Rescale: 0.7, Sampler: DPM++ 2M SDE, Schedule type: Karras" in text
    assert kept["scheduler"] == "dpmpp_2m_sde_karras"
    made(tmp_path / "plain", Painter())
    kept = json.loads((tmp_path / "plain" / "synthetic_iter1" / GENERATION_METADATA).read_text())["settings"]
    assert not wanted.keys() & kept.keys()
    assert not wanted.keys() & decisive_generation(plain.settings, ()).keys()
    assert wanted.items() <= decisive_generation(asked, ("steps",)).items()
