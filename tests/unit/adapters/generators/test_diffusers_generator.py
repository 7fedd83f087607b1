"""The diffusers generator: prompts once, photos as a start, large pictures in tiles, clear refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion import base_model  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.pixels import decode, encode, encode_raw, ready_vae  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import ONE_STEP, DiffusersGenerator  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.errors import InputError, ModelFileError, OutOfMemory, UnreadableImage  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402


@pytest.fixture(params=["tiny_base", "full_base"])
def generator(request: pytest.FixtureRequest) -> DiffusersGenerator:
    made = DiffusersGenerator(BaseChoice(str(request.getfixturevalue(request.param)), "cpu"), FAMILIES["sdxl"])
    made.load_lora(None)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.tile(np.linspace(0, 255, 120, dtype=np.uint8)[None, :, None], (90, 1, 3))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def images(generator: DiffusersGenerator, wanted: list[Shot], **changes: Any) -> list[ImageArray]:
    return [image for _, image in generator.generate(wanted, replace(GENERATION, **changes))]


def test_each_distinct_prompt_is_embedded_once(generator: DiffusersGenerator) -> None:
    wanted = [
        replace(shot, prompt=f"photo of ohwx ana {shot.index % 2}", negative_prompt="blurry") for shot in shots(5)
    ]
    generator._base.prompts.forget()
    before = generator._base.prompts.encoded
    images(generator, wanted)
    assert generator._base.prompts.encoded - before == 3  # two prompts, one negative
    images(generator, wanted[::-1])
    assert generator._base.prompts.encoded - before == 3


def test_plain_diffusers_makes_the_same_picture(generator: DiffusersGenerator) -> None:
    """No magic between the user's model and the pixels: its own pipeline in float32 agrees."""
    pipeline = generator._base.pipeline
    (ours,) = images(generator, shots(1))
    shot = shots(1)[0]
    theirs = pipeline(
        shot.prompt,
        negative_prompt=shot.negative_prompt,
        num_inference_steps=GENERATION.steps,
        guidance_scale=GENERATION.guidance,
        width=SIZE,
        height=SIZE,
        generator=torch.Generator().manual_seed(shot.seed),
        output_type="np",
    ).images[0]
    assert np.abs(ours / 255 - theirs).max() <= 1 / 255


def test_a_photo_is_kept_more_the_lower_the_strength(generator: DiffusersGenerator, photo: Path) -> None:
    wanted = [replace(shots(1)[0], source=str(photo))]
    settings = {"steps": 10, "guidance": 1.0}
    image = np.asarray(Image.open(photo).convert("RGB").resize((85, 64)), np.uint8)[:, 10:74]
    start = decode(generator._base, encode_raw(generator._base, image)).astype(float)
    far, near = (
        np.abs(images(generator, wanted, strength=strength, **settings)[0] - start).mean() for strength in (1.0, 0.1)
    )
    assert near < far


def test_photos_and_texts_mix_in_one_batch(generator: DiffusersGenerator, photo: Path) -> None:
    wanted = shots(3)
    wanted[1] = replace(wanted[1], source=str(photo))
    mixed = images(generator, wanted)
    alone = [images(generator, [shot])[0] for shot in wanted]
    for a, b in zip(mixed, alone, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2


def test_a_strength_that_leaves_no_step_still_makes_an_image(generator: DiffusersGenerator, photo: Path) -> None:
    (image,) = images(generator, [replace(shots(1)[0], source=str(photo))], strength=0.01)
    assert image.shape == (SIZE, SIZE, 3)


def test_a_source_photo_that_is_gone(generator: DiffusersGenerator, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage):
        images(generator, [replace(shots(1)[0], source=str(tmp_path / "gone.png"))])


def test_guidance_off_and_other_shapes(generator: DiffusersGenerator) -> None:
    (image,) = images(generator, shots(1), guidance=1.0, width=96, height=SIZE)
    assert image.shape == (SIZE, 96, 3)


def test_a_size_that_the_model_cannot_make(generator: DiffusersGenerator) -> None:
    with pytest.raises(InputError, match=r"width 100.*multiples of (8|16)"):
        images(generator, shots(1), width=100)


def test_lora_scale_zero_is_the_bare_base(generator: DiffusersGenerator, tmp_path: Path) -> None:
    from tests.helpers.lora_files import write_lora
    from tests.unit.adapters.diffusion.loras.random_loras import random_lora

    write_lora(tmp_path / "ana.safetensors", random_lora(generator._base.pipeline.unet), FAMILIES["sdxl"], {})
    bare = images(generator, shots(2))
    generator.load_lora(tmp_path / "ana.safetensors")
    worn, off = images(generator, shots(2)), images(generator, shots(2), lora_scale=0.0)
    assert np.array_equal(bare, off) and not np.array_equal(bare, worn)
    assert np.array_equal(images(generator, shots(2)), worn)


def test_out_of_memory_names_the_setting(generator: DiffusersGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(generator, "_from_text", full)
    with pytest.raises(OutOfMemory, match=r"batch 3.*generation\.batch_size"):
        images(generator, shots(1))


def test_a_size_that_the_model_cannot_make_is_known_before_an_image_is_asked_for(generator: DiffusersGenerator) -> None:
    step = generator._base.size_step
    generator.check(replace(GENERATION, width=3 * step, height=5 * step))
    with pytest.raises(InputError, match=rf"height {4 * step + 4}.*multiples of {step}, such as height {4 * step}"):
        generator.check(replace(GENERATION, height=4 * step + 4))


def test_words_beyond_what_the_model_reads_are_named_once(tiny_base: Path) -> None:
    """The tiny encoders read three times 14 tokens; a real one three times 75."""
    said: list[str] = []
    generator = DiffusersGenerator(BaseChoice(str(tiny_base), "cpu"), FAMILIES["sdxl"], said.append)
    generator.load_lora(None)
    short, long = "a photo of ohwx ana", " ".join(["blurry"] * 42 + ["Woman", "smiling"])
    wanted = [replace(shot, prompt=short, negative_prompt=long) for shot in shots(4)]
    images(generator, wanted)
    images(generator, wanted)
    (line,) = said
    assert line.startswith("Only the first 42 tokens of this prompt are read; left out: Woman smiling (of: blurry")
    images(generator, [replace(shot, prompt=f"{long} {shot.index}", negative_prompt="") for shot in shots(9)])
    assert len(said) == 6 and said[-1].startswith("More prompts are cut off")


def test_what_no_one_reads_is_not_named(tiny_base: Path) -> None:
    said: list[str] = []
    generator = DiffusersGenerator(BaseChoice(str(tiny_base), "cpu"), FAMILIES["sdxl"], said.append)
    generator.load_lora(None)
    images(generator, [replace(shots(1)[0], negative_prompt="blurry " * 20)], guidance=1.0)
    assert said == []


@pytest.mark.parametrize("compiled", ["regional", "off"])
def test_out_of_memory_on_the_way_to_the_gpu(
    generator: DiffusersGenerator, compiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(how: str) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(generator._base, "offload", full)
    with pytest.raises(OutOfMemory, match=r"generation\.batch_size"):
        images(generator, shots(1), compile=compiled)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory, "does not fit into memory"),
        (AssertionError(), ModelFileError, "does not fit this base model: AssertionError"),
    ],
)
def test_a_lora_that_cannot_be_put_on_leaves_nothing_behind(
    generator: DiffusersGenerator,
    said: Exception,
    kind: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.helpers.lora_files import write_lora
    from tests.unit.adapters.diffusion.loras.random_loras import random_lora

    write_lora(tmp_path / "ana.safetensors", random_lora(generator._base.pipeline.unet), FAMILIES["sdxl"], {})
    bare = images(generator, shots(1))
    put_on = generator._base.pipeline.load_lora_weights

    def halfway(*args: Any, **named: Any) -> None:
        put_on(*args, **named)
        raise said

    monkeypatch.setattr(generator._base.pipeline, "load_lora_weights", halfway)
    with pytest.raises(kind, match=words):
        generator.load_lora(tmp_path / "ana.safetensors")
    assert np.array_equal(images(generator, shots(1)), bare)


def test_large_pictures_are_tiled_where_the_autoencoder_can(generator: DiffusersGenerator) -> None:
    vae = ready_vae(generator._base, 2048, 1024)
    assert vae.use_tiling == (type(vae).__name__ == "AutoencoderKL")
    assert not ready_vae(generator._base, 1024, 1024).use_tiling


def test_latents_are_the_mean_and_come_back_in_shape(generator: DiffusersGenerator) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    first, second = encode(generator._base, image), encode(generator._base, image)
    assert torch.equal(first, second)
    scale = generator._base.vae_scale
    assert first.shape == (generator._base.pipeline.unet.config.in_channels, 64 // scale, 96 // scale)
    assert decode(generator._base, encode_raw(generator._base, image)).shape == image.shape


@pytest.mark.parametrize("family", ["sd15", "sdxl", "flux"])
def test_half_precision_from_a_photo(family: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some autoencoders decode in float32 there, but are handed photos in float16 by the image pipelines."""
    half = Compute(torch.device("cpu"), torch.float16, None, exact=True)
    monkeypatch.setattr(base_model, "choose_compute", lambda *_: half)
    generator = DiffusersGenerator(BaseChoice(str(build_tiny(family, tmp_path / family))), FAMILIES[family])
    vae = generator._base.pipeline.vae
    assert vae.dtype == torch.float16 and vae.config.force_upcast
    wanted = [replace(shot, source=str(photo) if shot.index % 2 else None) for shot in shots(4)]
    made = images(generator, wanted)
    assert vae.dtype == torch.float32 and all(image.std() > 1 for image in made)
    assert all(np.array_equal(a, b) for a, b in zip(made, images(generator, wanted), strict=True))


def test_the_least_strength_leaves_one_step_whatever_their_number() -> None:
    """The pipelines take int(steps * strength); the 49th part of 49 steps is a little less than one."""
    assert int(49 * (1.0 / 49)) == 0
    assert all(int(steps * min(1.0, ONE_STEP / steps)) == 1 for steps in range(1, 1000))
