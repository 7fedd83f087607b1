"""The diffusers trainer: what is computed once, what a step sees, what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.framing import frame  # noqa: E402
from twinloop.adapters.diffusion.pixels import encode  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers import training_setup  # noqa: E402
from twinloop.adapters.trainers.data import cache  # noqa: E402
from twinloop.adapters.trainers.data.batches import Batches, time_ids  # noqa: E402
from twinloop.adapters.trainers.data.cache import CacheSettings, TrainingCache  # noqa: E402
from twinloop.adapters.trainers.data.prepare import prepare_batches  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.domain.faces import Box  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.errors import InputError, NothingToDo, StateError, TrainingDiverged  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.sizes import Size  # noqa: E402
from twinloop.ports import Trained, TrainingSettings  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402

SDXL = FAMILIES["sdxl"]
CACHE = CacheSettings(resolution=64, step=32, buckets=True, flip=True)


@pytest.fixture
def photos(tmp_path: Path) -> tuple[TrainingSample, ...]:
    return samples(tmp_path / "photos")


@pytest.fixture
def base(full_base: Path) -> BaseModel:
    return open_base(BaseChoice(str(full_base), "cpu"), SDXL)


def train(
    base: Path,
    photos: tuple[TrainingSample, ...],
    home: Path,
    settings: TrainingSettings = TRAINING,
    progress: Callable[[int, int, float], None] = lambda *_: None,
) -> Trained:
    return DiffusersLoraTrainer(BaseChoice(str(base), "cpu"), SDXL).train(
        photos, settings, home / "lora.safetensors", home / "work", {}, progress
    )


def digest(home: Path) -> str:
    """Of the LoRA that `train` wrote there."""
    return sha256_file(home / "lora.safetensors")


def test_latents_and_captions_are_computed_once(
    base: BaseModel, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    base.prompts.forget()
    before = base.prompts.encoded
    first = TrainingCache(tmp_path / "cache", base, CACHE)
    made = first.prepare(photos)
    words = first.embeddings([*(sample.caption for sample in photos), ""])
    assert first.encoded == 2 * len(photos)  # upright and mirrored
    pixels = np.asarray(Image.open(photos[0].path).convert("RGB"))
    flipped = encode(base, made[0].framing.apply(pixels)[:, ::-1])
    assert made[0].mirror is not None and torch.equal(made[0].mirror, flipped)
    assert base.prompts.encoded - before == 3 == len(words)  # two captions and the empty prompt
    base.prompts.forget()
    again = TrainingCache(tmp_path / "cache", base, CACHE)
    kept = again.prepare(photos)
    assert again.encoded == 0
    again.embeddings([*(sample.caption for sample in photos), ""])
    assert base.prompts.encoded - before == 3
    for a, b in zip(made, kept, strict=True):
        assert (
            torch.equal(a.latents, b.latents)
            and a.mirror is not None
            and b.mirror is not None
            and torch.equal(a.mirror, b.mirror)
        )
        assert a.framing == b.framing


def test_other_settings_or_another_base_are_other_latents(
    base: BaseModel, tiny_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    TrainingCache(tmp_path / "cache", base, CACHE).prepare(photos)
    for other, settings in (
        (base, replace(CACHE, resolution=96)),
        (open_base(BaseChoice(str(tiny_base), "cpu"), SDXL), CACHE),
    ):
        cache = TrainingCache(tmp_path / "cache", other, settings)
        cache.prepare(photos)
        assert cache.encoded == 2 * len(photos)


def test_a_damaged_cache_file_is_made_again(
    base: BaseModel, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    TrainingCache(tmp_path / "cache", base, CACHE).prepare(photos)
    victim = next((tmp_path / "cache" / "latents").iterdir())
    victim.write_bytes(victim.read_bytes()[:40])
    again = TrainingCache(tmp_path / "cache", base, CACHE)
    again.prepare(photos)
    assert again.encoded == 2


def test_orientation_is_applied_once(base: BaseModel, tmp_path: Path) -> None:
    """The same picture stored upright, and stored lying with an Exif tag, gives the same latents."""
    pixels = np.random.default_rng(1).integers(0, 255, (96, 64, 3), dtype=np.uint8)
    upright, lying = Image.fromarray(pixels), Image.fromarray(np.rot90(pixels).copy())
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "upright.png")
    lying.save(tmp_path / "lying.png", exif=exif)
    made = TrainingCache(tmp_path / "cache", base, CACHE).prepare(
        [sample_of(tmp_path / "upright.png"), sample_of(tmp_path / "lying.png")]
    )
    assert torch.equal(made[0].latents, made[1].latents)
    assert made[0].framing.original == made[1].framing.original == (64, 96)


def test_latents_show_the_face_of_a_panorama(base: BaseModel, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (64, 384, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    middle = sample_of(tmp_path / "wide.png")
    aside = replace(middle, face=Box(330, 10, 370, 50))
    cache = TrainingCache(tmp_path / "cache", base, CACHE)
    before, after = cache.prepare([middle, aside])
    later = cache.prepare([aside], lazily=True)[0]
    assert before.framing.left + before.framing.width < 330 * before.framing.scaled[0] / 384
    assert after.framing == later.framing and after.framing.left + after.framing.width >= 369 * (
        after.framing.scaled[0] / 384
    )
    assert torch.equal(after.latents, encode(base, after.framing.apply(pixels)))
    assert torch.equal(later.latents, after.latents)


def sample_of(path: Path) -> TrainingSample:
    return TrainingSample(path, hashlib.sha256(path.read_bytes()).hexdigest(), "photo of ohwx ana", 1.0)


def test_size_conditioning() -> None:
    framing = frame(300, 400, 256, 32, buckets=True)
    assert framing.bucket == (224, 288)
    assert time_ids(framing, true_sizes=True) == (400, 300, framing.top, framing.left, 288, 224)
    assert time_ids(framing, true_sizes=False) == (288, 224, 0, 0, 288, 224)


@pytest.mark.parametrize("preset", ["nano", "sdxl", "of my own"])
def test_a_preset_says_whether_shapes_and_sizes_vary(
    preset: str, base: BaseModel, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    batches = prepare_batches(base, photos, replace(TRAINING, preset=preset), tmp_path)
    sizes = {tuple(row.tolist()) for step in range(1, 20) for batch in batches.step(step) for row in batch.sizes}
    if preset == "nano":
        assert sizes == {(64.0, 64.0, 0.0, 0.0, 64.0, 64.0)}
    else:
        assert {size[:2] for size in sizes} == {(72.0 + 30 * n, 96.0) for n in range(5)}
        assert len({size[4:] for size in sizes}) > 1


def test_the_pictures_of_a_step_are_stacked_by_size(
    base: BaseModel, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    cache = TrainingCache(tmp_path / "cache", base, CACHE)
    prepared = cache.prepare(photos)
    words = cache.embeddings([*(sample.caption for sample in photos), ""])
    settings = replace(TRAINING, batch_size=3, caption_dropout=0.5, flip=True)
    batches = Batches(prepared, words, [1.0] * len(photos), settings, torch.device("cpu"), true_sizes=True)
    empty, mixed = 0, 0
    for step in range(1, 13):
        groups = batches.step(step)
        assert sum(len(batch.samples) for batch in groups) == 3
        assert len({batch.latents.shape[2:] for batch in groups}) == len(groups)
        mixed += len(groups) > 1
        for batch in groups:
            assert len(batch.words["prompt_embeds"]) == len(batch.words["pooled_prompt_embeds"]) == len(batch.samples)
            rows = zip(batch.samples, batch.mirrored, batch.texts, batch.latents, batch.sizes, strict=True)
            for number, mirrored, text, latents, sizes in rows:
                sample = prepared[number]
                wanted = sample.mirror if mirrored else sample.latents
                assert wanted is not None and torch.equal(latents, wanted)
                assert text in (sample.caption, "")
                assert tuple(sizes.tolist()) == time_ids(sample.framing, true_sizes=True)
            empty += sum(torch.equal(row, words[""]["prompt_embeds"][0]) for row in batch.words["prompt_embeds"])
    assert mixed > 6 and 8 <= empty <= 28
    assert (words[""]["prompt_embeds"] == 0).all()  # this base says that no prompt is zeros


def test_pictures_are_trained_at_smaller_sizes_too(base: BaseModel, tmp_path: Path) -> None:
    """The last photo is too small for both sizes: it is there once, with all of its weight."""
    photos = samples(tmp_path / "photos")
    small = samples(tmp_path / "small", count=1)[0]
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(small.path)
    photos = (*photos, replace(small, sha256=hashlib.sha256(small.path.read_bytes()).hexdigest()))
    settings = replace(TRAINING, preset="sdxl", resolution=96, smaller_resolutions=(64,), batch_size=4)
    batches = prepare_batches(base, photos, settings, tmp_path)
    drawn = Counter(
        (texts, tuple(sizes[:2].tolist()), tuple(sizes[4:].tolist()))
        for step in range(1, 200)
        for batch in batches.step(step)
        for texts, sizes in zip(batch.texts, batch.sizes, strict=True)
    )
    areas: dict[tuple[float, ...], set[float]] = {}
    for _, original, target in drawn:
        areas.setdefault(original, set()).add(target[0] * target[1])
    assert areas.pop((40.0, 40.0)) == {32 * 32}
    assert all(len(sides) == 2 and max(sides) > 64 * 64 >= min(sides) for sides in areas.values())
    of_small = sum(count for (_, original, _), count in drawn.items() if original == (40.0, 40.0))
    share = photos[-1].weight / sum(photo.weight for photo in photos)
    assert of_small / sum(drawn.values()) == pytest.approx(share, rel=0.1)


def test_captions_come_in_changing_orders_that_are_embedded_before(
    base: BaseModel, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    tagged = [replace(photo, caption=f"ohwx ana, tag {n}, hat, night, smiling") for n, photo in enumerate(photos)]
    settings = replace(TRAINING, shuffle_captions=True, trigger="ohwx ana", output_preservation=0.5, class_word="woman")
    batches = prepare_batches(base, tagged, settings, tmp_path)
    before = base.prompts.encoded
    seen = [
        texts
        for step in range(1, 41)
        for batch in batches.step(step)
        for texts in zip(batch.texts, batch.class_texts, strict=True)
    ]
    assert base.prompts.encoded == before
    for text, of_class in seen:
        assert text == "ohwx ana" or (text.startswith("ohwx ana, ") and of_class == text.replace("ohwx ana", "woman"))
    orders = {text for text, _ in seen if "tag 0" in text}
    assert len(orders) > 3 and len({tuple(sorted(text.split(", "))) for text in orders}) == 1
    batches = prepare_batches(base, tagged, replace(settings, keep_tokens=3, caption_dropout=0.0), tmp_path)
    heads = {text.split(", ")[2] for step in range(1, 41) for batch in batches.step(step) for text in batch.texts}
    assert heads == {"hat"}


def test_tags_are_left_out_of_captions_that_were_embedded_before(
    base: BaseModel, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    tagged = [replace(photo, caption="ohwx ana, 1girl, solo, hat, night, smile, sea, cap") for photo in photos]
    settings = replace(TRAINING, caption_tag_dropout_rate=0.4, trigger="ohwx ana", caption_dropout=0.0)
    batches = prepare_batches(base, tagged, settings, tmp_path)
    before = base.prompts.encoded
    seen = [text for step in range(1, 41) for batch in batches.step(step) for text in batch.texts]
    assert base.prompts.encoded == before
    assert all(text.startswith("ohwx ana, 1girl, solo") for text in seen) and len(set(seen)) > 3
    order = ["hat", "night", "smile", "sea", "cap"]
    assert all([tag for tag in order if tag in text] == text.split(", ")[3:] for text in seen)
    assert seen == [text for step in range(1, 41) for batch in batches.step(step) for text in batch.texts]


def test_captions_that_the_model_does_not_read_whole_are_said(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    said: list[str] = []
    trainer = DiffusersLoraTrainer(BaseChoice(str(full_base), "cpu"), SDXL, notice=said.append)
    long = (replace(photos[0], caption="photo of ohwx ana, " + "smiling " * 90 + "umbrella"), *photos[1:])
    trainer.train(long, TRAINING, tmp_path / "lora.safetensors", tmp_path / "work", {}, lambda *_: None)
    assert any(text.startswith("1 caption of ") and str(photos[0].path) in text for text in said)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"smaller_resolutions": (64,)}, "smaller than training.resolution, which is 64"),
        ({"flow_shift": 2.0}, "for flow models"),
        ({"flow_sampling": "uniform"}, "for flow models"),
        ({"output_preservation": 0.5, "trigger": ""}, "set person_trigger"),
        ({"only_layers": ("mid_block.",), "skip_layers": ("attentions",)}, "leave none of the"),
    ],
)
def test_what_cannot_be_trained_so_is_one_error(
    settings: dict[str, Any], says: str, full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says):
        train(full_base, photos, tmp_path, replace(TRAINING, **settings))


def test_only_the_layers_that_are_wanted_are_adapted(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    train(
        full_base,
        photos,
        tmp_path,
        replace(TRAINING, only_layers=("mid_block.", "up_blocks."), skip_layers=("to_q", ".ff.")),
    )
    names = load_file(tmp_path / "lora.safetensors").keys()
    assert names and all(".mid_block." in name or ".up_blocks." in name for name in names)
    assert any("to_k" in name for name in names) and not any("to_q" in name or ".ff." in name for name in names)


def test_the_header_calls_the_base_by_its_size(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    family = FAMILIES["flux2-klein"]
    tiny = build_tiny(family.name, tmp_path / "base")
    counts = json.loads((tiny / "transformer" / "config.json").read_text())
    size = Size("9B", {name: counts[name] for name in ("num_layers", "num_single_layers")}, architecture="Klein-9b")
    for sizes, name in (((size,), "Klein-9b"), (family.sizes, family.architecture)):
        trainer = DiffusersLoraTrainer(BaseChoice(str(tiny), "cpu"), replace(family, sizes=sizes))
        settings = replace(TRAINING, preset="flux2-klein-base", steps=1, checkpoint_every=1)
        output = tmp_path / name / "lora.safetensors"
        trainer.train(photos, settings, output, tmp_path / name / "work", {}, lambda *_: None)
        assert header_texts(output)["modelspec.architecture"] == f"{name}/lora"


def test_the_base_is_as_it_was_after_a_training(
    full_base: Path, base: BaseModel, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in base.pipeline.unet.state_dict().items()}
    train(full_base, photos, tmp_path)
    after = base.pipeline.unet.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(parameter.requires_grad for parameter in base.pipeline.unet.parameters())


def test_a_generator_on_the_same_base_keeps_its_lora(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    """The loop trains and generates in turns on one base in memory."""
    generator = DiffusersGenerator(BaseChoice(str(full_base), "cpu"), SDXL)
    train(full_base, photos, tmp_path)
    generator.load_lora(tmp_path / "lora.safetensors")
    before = [image for _, image in generator.generate(shots(2), GENERATION)]
    train(full_base, photos, tmp_path / "next")
    after = [image for _, image in generator.generate(shots(2), GENERATION)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_training_lowers_the_loss(full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    seen: list[float] = []
    settings = replace(
        TRAINING,
        steps=16,
        rank=16,
        alpha=16.0,
        learning_rate=0.02,
        batch_size=4,
        schedule="constant",
        checkpoint_every=16,
    )
    train(full_base, photos, tmp_path, settings, lambda step, steps, loss: seen.append(loss))
    assert seen[-1] < 0.97 * seen[0]


def test_the_result_does_not_depend_on_global_random_state(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        train(full_base, photos, tmp_path / str(seed))
        made.append(digest(tmp_path / str(seed)))
    assert made[0] == made[1]


def test_header_texts(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    train(full_base, photos, tmp_path)
    for name in ("lora.safetensors", "lora_kohya.safetensors"):
        texts = header_texts(tmp_path / name)
        required = (
            "sai_model_spec",
            "architecture",
            "implementation",
            "title",
            "resolution",
            "description",
            "author",
            "date",
            "hash_sha256",
        )
        assert all(texts[f"modelspec.{key}"] for key in required)
        assert texts["modelspec.date"] == "2023-11-14T22:13:20Z" and texts["modelspec.sai_model_spec"] == "1.0.1"
        assert (
            texts["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
            and texts["modelspec.prediction_type"] == "epsilon"
        )
        wanted = {
            "ss_network_dim": "4",
            "ss_network_alpha": "2.0",
            "ss_base_model_version": "sdxl_base_v1-0",
            "ss_num_train_images": "5",
            "ss_steps": "6",
            "ss_seed": "7",
        }
        assert wanted.items() <= texts.items()
        assert "ohwx" not in str(texts) and str(tmp_path) not in str(texts)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_damaged_checkpoint_costs_time_not_the_result(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = train(full_base, photos, tmp_path / "whole")
    train(full_base, photos, tmp_path / "hurt")
    for path in sorted((tmp_path / "hurt" / "work").glob("*.checkpoint"), reverse=True)[:cut]:
        path.write_bytes(path.read_bytes()[:-1])
    steps: list[int] = []
    again = train(full_base, photos, tmp_path / "hurt", progress=lambda step, *_: steps.append(step))
    assert digest(tmp_path / "hurt") == digest(tmp_path / "whole") and again == first
    assert steps[0] == (5 if cut == 1 else 1)


def test_other_arguments_start_anew(full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    train(full_base, photos, tmp_path)
    steps: list[int] = []
    train(full_base, photos[:4], tmp_path, progress=lambda step, *_: steps.append(step))
    assert steps[0] == 1


def test_loras_of_steps_are_not_mixed_with_those_of_another_training(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    """A work folder that Ctrl-C left behind may be of a training with other settings."""
    saving = replace(TRAINING, save_every=2, steps=6)

    def stop(step: int, *_: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    def begin(settings: TrainingSettings, progress: Any = lambda *_: None) -> None:
        trainer = DiffusersLoraTrainer(BaseChoice(str(full_base), "cpu"), SDXL)
        trainer.train(photos, settings, tmp_path / "ana.safetensors", tmp_path / "work", {}, progress)

    def kept() -> dict[str, str]:
        return {path.name: sha256_file(path) for path in tmp_path.rglob("*") if path.is_file()}

    with pytest.raises(KeyboardInterrupt):
        begin(saving, stop)
    before = kept()
    assert {"ana-step00000002.safetensors", "ana-step00000004.safetensors"} <= before.keys()
    for other in (replace(saving, seed=3), replace(saving, rank=8, steps=2, save_every=1)):
        with pytest.raises(StateError, match=r"ana-step00000002(_kohya)?\.safetensors is there already"):
            begin(other)
        assert kept() == before
    begin(saving)
    assert kept()["ana-step00000004.safetensors"] == before["ana-step00000004.safetensors"]


def logged(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "lora.metrics.jsonl").read_text().splitlines()]


def test_prior_images_count_neither_in_the_loss_nor_in_the_header(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    """A new LoRA changes nothing: in its first step the subject's loss is that of a training without them."""
    settings = replace(TRAINING, steps=1, prior_weight=0.5)
    reg = tuple(replace(one, prior=True, caption="photo of a woman") for one in samples(tmp_path / "reg", count=3))
    alone = train(full_base, photos, tmp_path / "alone", settings)
    beside = train(full_base, (*photos, *reg), tmp_path / "beside", settings)
    (first,), (second,) = logged(tmp_path / "alone"), logged(tmp_path / "beside")
    assert second["loss"] == first["loss"] and beside.loss == alone.loss
    assert "prior_loss" not in first and second["prior_loss"] > 0
    texts, others = (header_texts(tmp_path / home / "lora.safetensors") for home in ("alone", "beside"))
    for name in ("modelspec.description", "ss_epoch", "ss_num_epochs"):
        assert texts[name] == others[name]
    weighed = replace(settings, prior_weight=2.0)
    train(full_base, (*photos, *reg), tmp_path / "weighed", weighed)
    assert logged(tmp_path / "weighed")[0]["prior_loss"] == second["prior_loss"]


def test_the_logged_rate_is_the_one_that_prodigy_finds(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    pytest.importorskip("prodigyopt")
    settings = replace(TRAINING, steps=6, optimizer="prodigy", learning_rate=1.0, warmup_steps=0, schedule="constant")
    train(full_base, photos, tmp_path, settings)
    rates = [line["rate"] for line in logged(tmp_path)]
    assert rates[0] == 1e-6 and rates == sorted(rates) and rates[-1] < 1e-2


def test_thread_count_is_kept(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def stop(*_: object) -> None:
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    for threads in ("1", "7"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        with pytest.raises(KeyboardInterrupt):
            train(full_base, photos, tmp_path, progress=stop)
    assert seen == [1, 1]


def test_a_loss_that_is_no_number(full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"Lower training\.learning_rate"):
        train(full_base, photos, tmp_path, replace(TRAINING, learning_rate=1e30, warmup_steps=1))
    assert not (tmp_path / "lora.safetensors").exists()


def test_unusable_input(full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="no photo"):
        train(full_base, (), tmp_path)
    with pytest.raises(NothingToDo, match="no photo"):
        train(full_base, (replace(photos[0], weight=0.0),), tmp_path)
    with pytest.raises(InputError, match=r"optimizer.*adamw"):
        train(full_base, photos, tmp_path, replace(TRAINING, optimizer="sgd"))
    with pytest.raises(InputError, match=r"schedule.*'cosine', 'constant'"):
        train(full_base, photos, tmp_path, replace(TRAINING, schedule="wild"))


def test_a_photo_that_changed(full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    shutil.copy(photos[1].path, photos[0].path)
    with pytest.raises(StateError, match="was changed"):
        train(full_base, photos, tmp_path)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_photo_is_encoded_when_it_is_first_drawn(
    kind: str, full_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step waits for its own photos only, and the LoRA is the one of a training that encoded all of them
    before.
    """
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    photos = tuple(stored(sample, tmp_path / "stored", kind) for sample in samples(tmp_path / "photos"))
    encoded, begun = list[int](), list[int]()

    def counted(base: BaseModel, image: Any, *, tiled: bool) -> Any:
        encoded.append(1)
        return encode(base, image, tiled=tiled)

    monkeypatch.setattr(cache, "encode", counted)
    train(full_base, photos, tmp_path / "lazy", progress=lambda *_: begun.append(len(encoded)))
    assert 0 < begun[0] <= TRAINING.batch_size < begun[-1] <= len(photos)
    monkeypatch.setattr(training_setup, "is_small", lambda compute: True)
    begun.clear()
    encoded.clear()
    train(full_base, photos, tmp_path / "eager", progress=lambda *_: begun.append(len(encoded)))
    assert set(begun) == {len(photos)} and digest(tmp_path / "eager") == digest(tmp_path / "lazy")


def stored(sample: TrainingSample, folder: Path, kind: str) -> TrainingSample:
    """Lying on its side, with the Exif tag that turns it."""
    folder.mkdir(exist_ok=True)
    path, exif = folder / f"{sample.path.stem}.{kind}", Image.Exif()
    exif[0x0112] = 6
    Image.open(sample.path).save(path, exif=exif)
    return replace(sample, path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_scale_of_the_loss_that_overflows_is_halved_and_remembered(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in float16; a step whose gradients overflowed is left out."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    base = open_base(BaseChoice(str(full_base), "cpu"), SDXL)
    monkeypatch.setattr(base, "compute", replace(base.compute, loss_scale=2.0**129))
    settings = replace(TRAINING, steps=24, checkpoint_every=20)
    train(full_base, photos, tmp_path / "whole", settings)
    norms = [json.loads(line)["grad_norm"] for line in (tmp_path / "whole/lora.metrics.jsonl").read_text().splitlines()]
    assert norms[0] is None and None not in norms[20:]
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(tmp_path / "whole/lora.safetensors").values())
    train(full_base, photos, tmp_path / "cut", replace(settings, stop_at=20))
    train(full_base, photos, tmp_path / "cut", settings)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_captions_are_embedded_before_the_denoiser_is_brought_over(
    full_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the text encoders and the denoiser need not be there at once."""
    base = open_base(BaseChoice(str(full_base), "cpu"), SDXL)
    base.prompts.forget()
    before, moved = base.prompts.encoded, list[int]()
    monkeypatch.setattr(base, "offload", lambda how: moved.append(base.prompts.encoded - before))
    train(full_base, photos, tmp_path)
    assert moved == [3] == [base.prompts.encoded - before]


def test_the_memory_plan_knows_how_long_a_steps_captions_are(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captions of two and of three chunks are six chunks long in one batch, as in the forecast."""
    asked = list[int]()

    def planned(*_: Any, chunks: int, **__: Any) -> Any:
        asked.append(chunks)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_setup, "memory_plan", planned)
    photos = samples(tmp_path / "photos", count=2)
    told = [replace(photo, caption="woman " * 20 * (row + 1)) for row, photo in enumerate(photos)]
    trainer = DiffusersLoraTrainer(BaseChoice(str(tiny_base), "cpu", "float32"), FAMILIES["sdxl"])
    with pytest.raises(KeyboardInterrupt):
        trainer.train(
            told,
            replace(TRAINING, caption_dropout=0.0),
            tmp_path / "l.safetensors",
            tmp_path / "w",
            {},
            lambda *_: None,
        )
    assert asked == [6]
