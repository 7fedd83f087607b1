"""Every family of base models through the real code, on a tiny model with random weights: cache, train, kill and go on,
write, read, generate.

No mocks; a guard on the sockets proves that nothing asks the network.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402
from torch import Tensor  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import TinyBase, both_files, offline  # noqa: E402
from tests.helpers.plain_pipelines import plain_pipeline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.prompts import Joined, join  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.data.batches import Batch, Batches, texts_to_embed  # noqa: E402
from twinloop.adapters.trainers.data.cache import CacheSettings, TrainingCache  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import draw_noise, schedule_for  # noqa: E402
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.domain.faces import Box, ImageArray  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.errors import InputError, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES, preset_for  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.lora import read_lora  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

SETTINGS = replace(TRAINING, rank=4, alpha=8.0, steps=4, caption_dropout=0.3)
"""alpha is twice the rank: a file that loses it shows, and halving no half-precision number rounds."""
READ_BY_DIFFUSERS = ("sd15", "sdxl", "flux2", "flux2-klein", "zimage", "qwen-image", "qwen-image-edit")
"""Families whose copy plain diffusers reads too; Flux's only in full size, SD 3.5's not at all (ComfyUI and kohya read
both)."""


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@dataclass(frozen=True)
class Trained(TinyBase):
    """A tiny base model of a family and a LoRA that was trained on it without a break."""

    lora: Path


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = tmp_path_factory.mktemp(request.param)
    family = FAMILIES[request.param]
    base = build_tiny(family.name, home / "base")
    made = Trained(family, base, samples(home / "photos", count=3), home / "out" / "lora.safetensors")
    made.train(home / "out", SETTINGS)
    return made


def pictures(generator: DiffusersGenerator, count: int = 1, **changes: Any) -> list[ImageArray]:
    return [image for _, image in generator.generate(shots(count), replace(GENERATION, **changes))]


def plain_picture(trained: Trained, lora: Path) -> ImageArray:
    """The picture that diffusers' own pipeline makes, as anyone would call it."""
    family, (shot,) = trained.family, shots(1)
    pipeline, guidance = plain_pipeline(family, trained.base, GENERATION.guidance)
    pipeline.load_lora_weights(str(lora), adapter_name="ana")
    words: dict[str, Any] = {"prompt": shot.prompt, **guidance}
    if family.name == "chroma":
        words |= {"prompt": None, **seen_words(pipeline, shot)}
    elif family.name == "flux2-klein":  # takes negative prompts as embeddings only
        words["negative_prompt_embeds"] = pipeline.encode_prompt(shot.negative_prompt)[0]
    elif family.guidance.negative:
        words["negative_prompt"] = shot.negative_prompt
    if "max_area" in inspect.signature(pipeline.__call__).parameters:  # else it makes a megapixel
        words["max_area"] = SIZE * SIZE
    made = pipeline(
        num_inference_steps=GENERATION.steps, width=SIZE, height=SIZE,
        generator=torch.Generator().manual_seed(shot.seed), output_type="np", **words,
    ).images[0]  # fmt: skip
    return np.asarray((made * 255).round(), np.uint8)


def seen_words(pipeline: Any, shot: Shot) -> dict[str, Tensor]:
    """Chroma's texts without the padding that its pipeline masks with numbers, which attention adds to its scores
    (huggingface/diffusers#12116).
    """
    words, _, seen, unwanted, _, unseen = pipeline.encode_prompt(shot.prompt, shot.negative_prompt)
    seen, unseen = seen.bool(), unseen.bool()
    return {
        "prompt_embeds": words[:, seen[0]], "prompt_attention_mask": seen[:, seen[0]],
        "negative_prompt_embeds": unwanted[:, unseen[0]], "negative_prompt_attention_mask": unseen[:, unseen[0]],
    }  # fmt: skip


def test_the_folder_tells_its_family(trained: Trained) -> None:
    assert preset_for(str(trained.base)) in trained.family.presets


def test_all_that_a_step_needs_lies_where_the_denoiser_does(trained: Trained, tmp_path: Path) -> None:
    """On the meta device, which takes nothing from main memory, as little as a GPU would: what is left behind there is
    an error.
    """
    meta = torch.device("meta")
    settings = replace(SETTINGS, trigger="ohwx ana", class_word="woman", output_preservation=0.5, face_weight=2.0)
    photos = [replace(photo, face=Box(0.2, 0.2, 0.6, 0.6)) for photo in trained.photos]
    base = trained.open()
    cache = TrainingCache(tmp_path, base, CacheSettings(SIZE, base.bucket_step, buckets=True, flip=False))
    words = cache.embeddings(texts_to_embed([photo.caption for photo in photos], settings))
    batches = Batches(
        cache.prepare(photos), words, [1.0] * len(photos), settings, meta,
        joining=trained.family.joining, true_sizes=True,
    )  # fmt: skip
    # opened bases are kept, and there is no way back from the meta device
    base = replace(base, pipeline=copy.deepcopy(base.pipeline))
    with adapted(base, AdapterPlan(trained.family.targets, settings.rank, settings.alpha), settings.seed) as model:
        base.denoiser.to(meta)
        schedule = schedule_for(trained.family, base.scheduler_config)
        batch = with_masks_to_look_into(batches.step(1)[0])
        for term in Objective(model, schedule, settings).terms(
            batch, draw_noise(schedule, [tuple(batch.latents.shape)], 0.0, 1, 1)[0]
        ):
            assert term.device == meta
            torch.autograd.backward(term)
        learning = [parameter for parameter in base.denoiser.parameters() if parameter.requires_grad]
        assert any(parameter.grad is not None for parameter in learning)
        assert all(parameter.device == meta for parameter in learning)


def with_masks_to_look_into(batch: Batch) -> Batch:
    """Families look which words count; meta tensors have nothing to see."""

    def seen(words: Joined) -> Joined:
        return {
            name: torch.ones(part.shape, dtype=part.dtype)
            if isinstance(part, torch.Tensor) and not part.is_floating_point()
            else part
            for name, part in words.items()
        }

    return replace(batch, words=seen(batch.words), class_words=seen(batch.class_words or {}))


def test_latents_and_captions_are_computed_once(trained: Trained, tmp_path: Path) -> None:
    base = trained.open()
    base.prompts.forget()
    before = base.prompts.encoded
    settings = CacheSettings(resolution=SIZE, step=base.bucket_step, buckets=True, flip=False)
    captions = [*(photo.caption for photo in trained.photos), ""]
    first = TrainingCache(tmp_path, base, settings)
    made, words = first.prepare(trained.photos), first.embeddings(captions)
    base.prompts.forget()
    again = TrainingCache(tmp_path, base, settings)
    kept, read = again.prepare(trained.photos), again.embeddings(captions)
    assert (first.encoded, again.encoded, base.prompts.encoded - before) == (len(made), 0, 3)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(made, kept, strict=True))
    assert all(torch.equal(words[text][name], read[text][name]) for text in words for name in words[text])


def test_killed_and_called_again_same_bytes(trained: Trained, tmp_path: Path) -> None:
    assert trained.killed_then_again(tmp_path, SETTINGS, kill_after=3) == both_files(trained.lora)


def test_every_target_is_trained_and_nothing_is_zero(trained: Trained) -> None:
    """Each kind of layer that the family names is there, and what the loss reaches has moved from its start."""
    tensors = load_file(trained.lora)
    assert all(name.startswith(f"{trained.family.denoiser}.") for name in tensors)
    for target in trained.family.targets:
        ups = [value for name, value in tensors.items() if name.endswith(f".{target}.lora_B.weight")]
        assert ups and any(bool(up.any()) for up in ups), target


def test_activations_computed_again_give_the_same_gradients(trained: Trained) -> None:
    """As a small GPU trains: nothing of a family's denoiser may stand in the way."""
    base = trained.open()
    words = join(base.prompts.embed_all(["photo of ohwx ana", ""]), trained.family.joining)
    latents = torch.stack(
        [
            TrainingCache(trained.base.parent / "cache", base, CacheSettings(SIZE, base.bucket_step, False, False))
            .prepare(trained.photos[:1])[0]
            .latents
        ]
        * 2
    )
    with adapted(base, AdapterPlan(trained.family.targets, 4, 4.0), 0) as denoiser:
        for name, parameter in denoiser.parameters.items():
            if name.endswith("lora_B"):
                torch.nn.init.constant_(parameter, 0.01)
        found = []
        for again in (False, True):
            (base.denoiser.enable_gradient_checkpointing if again else base.denoiser.disable_gradient_checkpointing)()
            torch.autograd.backward(
                denoiser(latents, torch.tensor([300, 700]), words, torch.zeros(2, 6)).square().mean()
            )
            found.append({name: parameter.grad for name, parameter in denoiser.parameters.items()})
            base.denoiser.zero_grad()
        base.denoiser.disable_gradient_checkpointing()
    for name, gradient in found[0].items():
        other = found[1][name]
        assert (gradient is None) == (other is None)
        assert gradient is None or torch.allclose(gradient, other, rtol=1e-3, atol=1e-7), name


def test_the_header_names_the_family(trained: Trained) -> None:
    texts = header_texts(trained.lora)
    assert texts["modelspec.architecture"] == f"{trained.family.architecture}/lora"
    assert texts["ss_base_model_version"] == trained.family.base_version
    assert (texts["ss_min_snr_gamma"] == "0.0") == trained.family.flow


def test_a_lora_changes_the_images_and_comes_off_without_trace(trained: Trained) -> None:
    generator = trained.generator()
    generator.load_lora(None)
    bare = pictures(generator, 2)
    generator.load_lora(trained.lora)
    worn = pictures(generator, 2)
    assert not np.array_equal(bare, worn)
    generator.load_lora(None)
    assert np.array_equal(bare, pictures(generator, 2))


def test_plain_diffusers_makes_the_same_picture(trained: Trained) -> None:
    generator = trained.generator()
    generator.load_lora(trained.lora)
    assert np.array_equal(pictures(generator)[0], plain_picture(trained, trained.lora))


def test_a_dora_is_worn_as_in_plain_diffusers(trained: Trained, tmp_path: Path) -> None:
    trained.train(tmp_path, replace(SETTINGS, adapter="dora", steps=2, learning_rate=0.01))
    dora = tmp_path / "lora.safetensors"
    generator = trained.generator()
    generator.load_lora(None)
    (bare,) = pictures(generator)
    generator.load_lora(dora)
    (worn,) = pictures(generator)
    assert (worn != bare).any() and (worn == plain_picture(trained, dora)).all()


def test_the_copy_for_other_programs_is_the_same_lora(trained: Trained) -> None:
    generator = trained.generator()
    generator.load_lora(trained.lora)
    first = pictures(generator)[0]
    generator.load_lora(kohya_path(trained.lora))
    assert np.array_equal(first, pictures(generator)[0])
    if trained.family.name in READ_BY_DIFFUSERS:
        assert np.array_equal(first, plain_picture(trained, kohya_path(trained.lora)))


def test_the_lora_commands_find_the_same_layers_in_both_files(trained: Trained) -> None:
    first, second = (understood(read_lora(path)).layers for path in (trained.lora, kohya_path(trained.lora)))
    assert first.keys() == second.keys()
    assert 2 * len(first) == len(load_file(trained.lora))


def test_a_photo_can_be_the_start(trained: Trained) -> None:
    generator = trained.generator()
    generator.load_lora(None)
    shot = replace(shots(1)[0], source=str(trained.photos[0].path))
    if not trained.family.from_photo(trained.family.pipeline):
        with pytest.raises(InputError, match=r"generation\.from_photos: .*cannot start from a photo.*to 0"):
            list(generator.generate([shot], GENERATION))
        return
    (near,), (far,) = (
        [image for _, image in generator.generate([shot], replace(GENERATION, steps=4, strength=strength))]
        for strength in (0.3, 1.0)
    )
    assert near.shape == (SIZE, SIZE, 3)
    assert np.array_equal(near, far) == (trained.family.editing is not None)  # a strength is of no meaning there
    (other,) = [
        image
        for _, image in generator.generate(
            [replace(shot, source=str(trained.photos[1].path))], replace(GENERATION, steps=4, strength=0.3)
        )
    ]
    assert not np.array_equal(near, other)


def test_a_face_can_be_redrawn_or_it_is_said_that_it_cannot(trained: Trained) -> None:
    """With a LoRA that is worn before and after, in batches, and the next images are what they were."""
    generator = trained.generator()
    generator.load_lora(trained.lora)
    before, settings = pictures(generator, 2), replace(GENERATION, steps=4, strength=0.5, batch_size=2)
    given = list(zip(shots(3), [*before, before[0]], strict=True))
    if not trained.family.image_pipeline:
        with pytest.raises(InputError, match=r"generation\.face_detail: .*cannot redraw a face.*to 0"):
            list(generator.redraw(given, settings))
        return
    worn = [image for _, image in generator.redraw(given, settings)]
    assert np.array_equal(worn, [image for _, image in generator.redraw(given, settings)])
    assert all(not np.array_equal(old, new) for (_, old), new in zip(given, worn, strict=True))
    assert np.array_equal(before, pictures(generator, 2))
    generator.load_lora(None)
    assert not np.array_equal(worn, [image for _, image in generator.redraw(given, settings)])


@pytest.mark.parametrize("width", [SIZE, SIZE + 32])
def test_neighbours_do_not_matter(trained: Trained, width: int) -> None:
    """Prompts of several lengths in one batch, and pictures that are not square."""
    generator = trained.generator()
    generator.load_lora(trained.lora)
    wanted = [
        replace(shots(1)[0], key="short", prompt="ohwx ana"),
        replace(shots(1)[0], seed=7, prompt="a photo of ohwx ana smiling indoors"),
    ]
    settings = replace(GENERATION, width=width, batch_size=2)
    together = [image for _, image in generator.generate(wanted, settings)]
    alone = [image for shot in wanted for _, image in generator.generate([shot], settings)]
    for a, b in zip(together, alone, strict=True):
        assert a.shape == (SIZE, width, 3)
        assert np.abs(a.astype(int) - b).max() <= 2  # other places in a batch may round differently


def test_every_scheduler_of_the_family_runs(trained: Trained) -> None:
    generator = trained.generator()
    generator.load_lora(None)
    own = pictures(generator)[0]
    made = {name: pictures(generator, scheduler=name, steps=3)[0] for name in trained.family.schedulers}
    assert len({picture.tobytes() for picture in made.values()}) > 1
    assert np.array_equal(own, pictures(generator)[0])  # the model's own is back
    with pytest.raises(InputError, match=r"generation\.scheduler: 'wild' is not known"):
        pictures(generator, scheduler="wild")


def test_a_lora_of_another_family_is_named(trained: Trained, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    own = trained.family.denoiser == "unet"
    foreign = "transformer.single_transformer_blocks.0.attn.to_q" if own else "unet.down_blocks.1.attentions.0.proj_in"
    path = tmp_path / "foreign.safetensors"
    save_file({f"{foreign}.lora_{part}.weight": torch.zeros(4, 4) for part in "AB"}, path)
    with pytest.raises(ModelFileError, match=r"does not fit this base model.*Use the base model"):
        trained.generator()._base.lora.use(path)
    trained.generator()._base.lora.use(None)
