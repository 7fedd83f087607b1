"""Texts beyond one chunk of CLIP, in the families whose words come from it alone: read, drawn and trained.

A chunk of the tiny models is 14 tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import CLIP_ALONE, LORA, TinyBase, both_files, offline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.helpers.training_memory import demand_of  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.prompts import alike, join, said_again  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.data.cache import CacheSettings, TrainingCache  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.families import FAMILIES, clip  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402

ROOM = 14
ONE, TWO, THREE = "photo of ohwx ana", "photo of ohwx ana smiling " * 4, "a photo of a woman indoors profile " * 6
"""4, 20 and 42 tokens."""
SETTINGS = replace(
    TRAINING, steps=4, batch_size=3, caption_dropout=0.3, trigger="ohwx ana", class_word="woman", keep_trigger=False
)
ROUNDING = 1
"""Levels by which pixels may differ where sums were taken in another order."""


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@pytest.fixture(scope="module", params=CLIP_ALONE)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyBase:
    """Its photos' captions are one, two and three chunks long; one of the photos is of somebody else of the class."""
    home = tmp_path_factory.mktemp(request.param)
    texts = (ONE, TWO, THREE, "woman " * 20)
    photos = [
        replace(photo, caption=text, prior=text.startswith("woman"))
        for photo, text in zip(samples(home / "photos", count=len(texts)), texts, strict=True)
    ]
    return TinyBase(FAMILIES[request.param], build_tiny(request.param, home / "base"), tuple(photos))


def chunk_by_chunk(pipeline: Any, text: str) -> dict[str, Any]:
    """What a text comes to, one chunk after the other: words of known tokens only, so a chunk is so many of them."""
    tokenizers = [pipeline.tokenizer, getattr(pipeline, "tokenizer_2", None)]
    encoders = [pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)]
    words, said, pooled = text.split(), [], None
    for start in range(0, max(1, len(words)), ROOM):
        sides = []
        for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
            if encoder is None:
                continue
            numbers = tokenizer(" ".join(words[start : start + ROOM])).input_ids
            numbers += [tokenizer.pad_token_id] * (ROOM + 2 - len(numbers))
            with torch.no_grad():
                output = encoder(torch.tensor([numbers]), output_hidden_states=True)
            sides.append(output.last_hidden_state if encoders[1] is None else output.hidden_states[-2])
        pooled = output.text_embeds if pooled is None and encoders[1] is not None else pooled
        said.append(torch.cat(sides, -1))
    return {"prompt_embeds": torch.cat(said, 1), **({} if pooled is None else {"pooled_prompt_embeds": pooled})}


@pytest.mark.parametrize(("text", "chunks"), [(ONE, 1), ("woman " * ROOM, 1), (TWO, 2), (THREE, 3), (THREE * 2, 3)])
def test_a_text_is_its_chunks_one_after_the_other(tiny: TinyBase, text: str, chunks: int) -> None:
    base = tiny.open()
    read, wanted = base.prompts.embed(text), chunk_by_chunk(base.pipeline, " ".join(text.split()[: chunks * ROOM]))
    assert read.keys() == wanted.keys() and read["prompt_embeds"].shape[1] == chunks * (ROOM + 2)
    for name, part in wanted.items():
        assert torch.allclose(read[name], part, atol=1e-6), name


def test_each_encoder_is_filled_up_with_its_own_tokens(tiny: TinyBase) -> None:
    """SDXL's second one takes another than the first."""
    tokenizer = tiny.open().pipeline.tokenizer
    other = copy.deepcopy(tokenizer)
    other.pad_token = "a</w>"
    split = [clip.split(tokenizer, "woman " * 16)]
    for one in (tokenizer, other):
        numbers = clip.read(lambda numbers, **_: numbers, one, split, "cpu").tolist()
        (woman,) = one("woman", add_special_tokens=False).input_ids
        assert numbers[0] == [one.bos_token_id, *[woman] * ROOM, one.eos_token_id]
        assert numbers[1] == [one.bos_token_id, woman, woman, one.eos_token_id, *[one.pad_token_id] * 12]
    assert tokenizer.pad_token_id != other.pad_token_id


def test_what_fits_into_one_chunk_is_read_by_the_pipeline_to_the_last_bit(tiny: TinyBase) -> None:
    base = tiny.open()
    made = base.pipeline.encode_prompt(
        ONE, device=torch.device("cpu"), num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    read = base.prompts.embed(ONE)
    assert torch.equal(read["prompt_embeds"], made[0])
    assert "pooled_prompt_embeds" not in read or torch.equal(read["pooled_prompt_embeds"], made[2])


def test_words_of_later_chunks_count_and_the_summary_is_the_first_ones(tiny: TinyBase) -> None:
    prompts = tiny.open().prompts
    first, other = prompts.embed("woman " * ROOM + "smiling"), prompts.embed("woman " * ROOM + "blurry")
    assert torch.equal(first["prompt_embeds"][:, : ROOM + 2], other["prompt_embeds"][:, : ROOM + 2])
    assert not torch.allclose(first["prompt_embeds"], other["prompt_embeds"], atol=1e-3)
    if "pooled_prompt_embeds" in first:
        assert torch.equal(first["pooled_prompt_embeds"], other["pooled_prompt_embeds"])


def test_words_that_are_said_again_mean_the_same(tiny: TinyBase) -> None:
    """So a text's neighbours in a batch do not matter; zeros behind it, as other families have them, would."""
    base = tiny.open()
    base.lora.use(None)
    latents = torch.randn(1, base.denoiser.config.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))

    def answer(words: Any) -> Any:
        with torch.no_grad():
            return tiny.family.denoise(base.denoiser, latents, torch.tensor([500]), words, torch.zeros(1, 6))

    words = base.prompts.embed(TWO)
    alone = answer(words)
    assert torch.allclose(answer(said_again(words, 3)), alone, atol=1e-5)
    texts = [base.prompts.embed(text) for text in (ONE, TWO, THREE)]
    assert [text["prompt_embeds"].shape[1] for text in alike(texts, "repeat")] == [6 * (ROOM + 2)] * 3
    assert torch.allclose(answer(alike(texts, "repeat")[1]), alone, atol=1e-5)
    zeros = {**words, "prompt_embeds": torch.cat([words["prompt_embeds"], words["prompt_embeds"] * 0], 1)}
    assert not torch.allclose(answer(zeros), alone, atol=1e-3)


def pictures(tiny: TinyBase, wanted: list[Shot], **changes: Any) -> dict[str, ImageArray]:
    return {shot.key: image for shot, image in tiny.generator().generate(wanted, replace(GENERATION, **changes))}


def said(*prompts: tuple[str, str], source: str | None = None) -> list[Shot]:
    return [
        replace(shot, prompt=prompt, negative_prompt=negative, source=source)
        for shot, (prompt, negative) in zip(shots(len(prompts)), prompts, strict=True)
    ]


def apart(first: ImageArray, second: ImageArray) -> int:
    return int(np.abs(first.astype(int) - second).max())


def test_a_picture_does_not_depend_on_how_long_its_neighbours_prompts_are(tiny: TinyBase) -> None:
    wanted = said((ONE, "blurry"), (THREE, TWO), (TWO, "blurry " * 30))
    together = pictures(tiny, wanted)
    for shot in wanted:
        assert apart(pictures(tiny, [shot])[shot.key], together[shot.key]) <= ROUNDING
    fellows = said((ONE, "blurry"), (ONE, "blurry"), (ONE, "blurry"))
    assert apart(pictures(tiny, fellows)[wanted[0].key], together[wanted[0].key]) <= ROUNDING


@pytest.mark.parametrize("from_photo", [False, True])
def test_in_half_precision_neighbours_of_another_length_change_nothing(
    tiny: TinyBase, from_photo: bool, tmp_path: Path
) -> None:
    """Words that are said over again for a neighbour's sake would be rounded otherwise; redrawn
    pictures as new ones.
    """
    half = DiffusersGenerator(BaseChoice(str(tiny.base), "cpu", "bfloat16"), tiny.family)
    drawn = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)

    def made(wanted: list[Shot]) -> list[tuple[str, Any]]:
        found = (
            half.redraw([(shot, drawn) for shot in wanted], GENERATION)
            if from_photo
            else half.generate(wanted, GENERATION)
        )
        return [(shot.key, image) for shot, image in found]

    wanted = said((ONE, "blurry"), (THREE, "blurry"), (ONE, "blurry"))
    together, alone = made(wanted), dict(made([wanted[0], wanted[2]]))
    assert [key for key, _ in together] == [shot.key for shot in wanted], "in the order of the shots"
    for key, image in (together[0], together[2]):
        assert np.array_equal(image, alone[key])


def test_in_half_precision_neighbours_whose_negative_prompts_are_longer_change_nothing(tiny: TinyBase) -> None:
    """A picture is drawn from both texts; the longer of them may be either one."""
    half = DiffusersGenerator(BaseChoice(str(tiny.base), "cpu", "bfloat16"), tiny.family)
    wanted = said((ONE, "blurry"), (ONE, THREE), (ONE, TWO))
    together = {shot.key: image for shot, image in half.generate(wanted, GENERATION)}
    for shot in wanted:
        ((_, alone),) = half.generate([shot], GENERATION)
        assert np.array_equal(together[shot.key], alone)


def test_it_is_the_picture_of_the_plain_pipeline_with_these_words(tiny: TinyBase) -> None:
    """Two and three chunks, which plain diffusers takes only if they are of one length."""
    import diffusers

    (shot,) = said((TWO, THREE))
    pipeline = getattr(diffusers, tiny.family.pipeline).from_pretrained(tiny.base, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    wanted, unwanted = chunk_by_chunk(pipeline, TWO), chunk_by_chunk(pipeline, THREE)
    wanted["prompt_embeds"] = torch.cat([wanted["prompt_embeds"]] * 3, 1)
    unwanted["prompt_embeds"] = torch.cat([unwanted["prompt_embeds"]] * 2, 1)
    made = pipeline(
        **wanted,
        **{f"negative_{name}": part for name, part in unwanted.items()},
        num_inference_steps=GENERATION.steps,
        guidance_scale=GENERATION.guidance,
        width=SIZE,
        height=SIZE,
        output_type="np",
        generator=torch.Generator().manual_seed(shot.seed),
    ).images[0]
    ours = pictures(tiny, [shot])[shot.key]
    assert apart(ours, np.asarray((made * 255).round(), np.uint8)) <= ROUNDING


@pytest.mark.parametrize("from_photo", [False, True])
def test_later_words_change_the_picture(tiny: TinyBase, tmp_path: Path, from_photo: bool) -> None:
    source = str(tmp_path / "photo.png") if from_photo else None
    if source is not None:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(source)
    before = "woman " * ROOM
    made = [
        pictures(tiny, said((before + last, "blurry"), source=source), guidance=9.0, strength=0.9)
        for last in ("smiling", "indoors blurry")
    ]
    assert apart(*(next(iter(one.values())) for one in made)) > ROUNDING


def test_captions_of_a_step_are_read_with_the_lora_as_without(tiny: TinyBase) -> None:
    """Of one length each, mixed, cut into micro-batches and empty; with gradients through every chunk."""
    base, plan = tiny.open(), AdapterPlan(tiny.family.targets, 4, 8.0, text_encoder=True)
    base.lora.use(None)
    texts = (ONE, THREE, "", TWO)
    words = join(base.prompts.embed_all(texts), tiny.family.joining)
    with adapted(base, plan, 0) as denoiser:
        for name, parameter in denoiser.parameters.items():
            if name.endswith("lora_B"):
                torch.nn.init.zeros_(parameter)
        for rows in (slice(0, 4), slice(0, 1), slice(2, 4)):
            read = denoiser.encode(texts[rows], {name: part[rows] for name, part in words.items()})
            for name, part in read.items():
                assert torch.allclose(part, words[name][rows], atol=1e-5), name


def test_gradients_are_those_of_the_texts_one_by_one(tiny: TinyBase) -> None:
    base, texts, found = tiny.open(), (TWO, ONE, THREE), []
    base.lora.use(None)
    words = join(base.prompts.embed_all(texts), tiny.family.joining)
    for checkpointing, parts in ((False, [(0, 3)]), (True, [(0, 3)]), (False, [(0, 1), (1, 2), (2, 3)])):
        plan = AdapterPlan(tiny.family.targets, 4, 8.0, text_encoder=True)
        with adapted(base, plan, 0, checkpointing=checkpointing) as denoiser:
            for name, parameter in denoiser.parameters.items():
                if name.endswith("lora_B"):
                    torch.nn.init.constant_(parameter, 0.01)
            for start, stop in parts:
                read = denoiser.encode(texts[start:stop], {name: part[start:stop] for name, part in words.items()})
                later = read["prompt_embeds"][:, ROOM + 2 :]
                torch.autograd.backward(later.square().sum())
            found.append({name: denoiser.parameters[name].grad for name in denoiser.encoder_parameters})
    assert sum(bool(gradient.any()) for gradient in found[0].values() if gradient is not None) > len(found[0]) / 3
    for name, gradient in found[0].items():
        for other in (found[1][name], found[2][name]):
            assert (gradient is None) == (other is None)
            assert gradient is None or torch.allclose(gradient, other, rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize(("tiny", "text_encoder"), [("sd15", False), ("sdxl", True)], indirect=["tiny"])
def test_killed_and_called_again_same_bytes(tiny: TinyBase, tmp_path: Path, text_encoder: bool) -> None:
    """Captions of all lengths in a step, dropped ones, those of the class, and pictures of others."""
    settings = replace(
        SETTINGS, output_preservation=0.5, prior_weight=0.5, text_encoder=text_encoder,
        text_encoder_learning_rate=0.04 if text_encoder else 0.0, text_encoder_share=0.75 if text_encoder else 1.0,
    )  # fmt: skip
    tiny.train(tmp_path / "whole", settings)
    texts = header_texts(tmp_path / "whole" / LORA)
    assert texts["ss_max_token_length"] == "225"
    assert tiny.killed_then_again(tmp_path / "killed", settings, kill_after=2) == both_files(tmp_path / "whole" / LORA)


def test_a_training_learns_from_later_words(tiny: TinyBase, tmp_path: Path) -> None:
    made = []
    for last in ("smiling", "blurry"):
        photos = [replace(photo, caption="woman " * ROOM + last) for photo in tiny.photos if not photo.prior]
        replace(tiny, photos=tuple(photos)).train(tmp_path / last, replace(SETTINGS, steps=1))
        made.append((tmp_path / last / LORA).read_bytes())
        assert header_texts(tmp_path / last / LORA)["ss_max_token_length"] == "150"
    assert made[0] != made[1]


def test_without_long_captions_the_header_says_nothing(tiny: TinyBase, tmp_path: Path) -> None:
    replace(tiny, photos=tiny.photos[:1]).train(tmp_path, replace(SETTINGS, steps=1))
    assert "ss_max_token_length" not in header_texts(tmp_path / LORA)


def test_a_long_caption_is_not_taken_for_itself_cut_off(tiny: TinyBase, tmp_path: Path, monkeypatch: Any) -> None:
    """On disk a text lies under its chunks too; one of a single chunk where it always did."""
    base = tiny.open()
    settings = CacheSettings(resolution=SIZE, step=base.bucket_step, buckets=True, flip=False)
    with monkeypatch.context() as patch:
        patch.setattr(base.prompts, "chunks", lambda text: 1)
        TrainingCache(tmp_path, base, settings).embeddings([ONE, TWO])
    base.prompts.forget()
    before = base.prompts.encoded
    TrainingCache(tmp_path, base, settings).embeddings([ONE, TWO])
    assert base.prompts.encoded == before + 1
    base.prompts.forget()
    TrainingCache(tmp_path, base, settings).embeddings([ONE, TWO])
    assert base.prompts.encoded == before + 1


@pytest.mark.parametrize("tiny", ["sdxl"], indirect=True)
def test_longer_captions_need_more_memory(tiny: TinyBase) -> None:
    settings = replace(SETTINGS, preset=next(iter(tiny.family.presets)), text_encoder=True)
    (short, cached), (long, cached_long) = (demand_of(tiny.open(), settings, chunks) for chunks in (1, 3))
    assert long.footprint.activations > short.footprint.activations
    assert long.footprint.encoder_forward == 3 * short.footprint.encoder_forward
    assert cached_long > cached
