"""Text encoders and autoencoder from files of their own: images and LoRAs are those of a whole folder with the same
weights, to the last bit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import both_files, offline  # noqa: E402
from tests.helpers.anima_file import write_anima_file  # noqa: E402
from tests.helpers.part_files import as_comfyui_has_it, without_weights  # noqa: E402
from tests.helpers.single_file import write_single_file  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.pickles import safetensors_header  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402
from twinloop.store.models.lora_file import header_texts, with_texts  # noqa: E402
from twinloop.store.models.part_hashes import BASE_PARTS, parts_in  # noqa: E402

PARTS = {
    "sd15": ("vae", "text_encoder"),
    "sdxl": ("vae", "text_encoder", "text_encoder_2"),
    "sd35": ("vae", "text_encoder", "text_encoder_2", "text_encoder_3"),
    "flux": ("vae", "text_encoder", "text_encoder_2"),
    "chroma": ("vae", "text_encoder"),
    "flux2": ("vae", "text_encoder"),
    "flux2-klein": ("vae", "text_encoder"),
    "zimage": ("vae", "text_encoder"),
    "anima": ("vae", "text_encoder"),
    "krea2": ("vae", "text_encoder"),
    "qwen-image": ("vae", "text_encoder"),
    "qwen-image-edit": ("vae", "text_encoder"),
}
SETTINGS = replace(TRAINING, steps=3)


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@dataclass(frozen=True)
class Split:
    """A whole folder, and the same model as files: the denoiser alone with configurations beside it, and its parts."""

    name: str
    folder: Path
    parts: tuple[tuple[str, str], ...]

    def choice(self, *, whole: bool, base: Path | None = None) -> BaseChoice:
        if whole:
            return BaseChoice(str(self.folder), "cpu", "float32")
        return BaseChoice(str(base or self.folder.parent / "mine.safetensors"), "cpu", "float32", parts=self.parts)


@pytest.fixture(scope="module", params=PARTS)
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Split:
    name, home = request.param, tmp_path_factory.mktemp(request.param)
    folder = build_tiny(name, home / "folder")
    if name.startswith(("qwen", "krea", "anima")):
        with_real_blocks(folder / "vae")
    if name == "flux2":
        with_more_layers(folder / "text_encoder")
    files = home / "ComfyUI"
    parts = tuple((part, str(as_comfyui_has_it(folder, part, files / f"{part}.safetensors"))) for part in PARTS[name])
    family = FAMILIES[name]
    if family.single_file.whole:
        return Split(name, folder, parts)
    if name == "anima":
        write_anima_file(folder, home / "mine.safetensors")
    else:
        shutil.copy(next((folder / family.denoiser).glob("*.safetensors")), home / "mine.safetensors")
    apart = (family.denoiser, *family.single_file.carries, *PARTS[name])
    without_weights(Path(shutil.copytree(folder, home / "mine")), *apart)
    return Split(name, folder, parts)


def with_real_blocks(vae: Path) -> None:
    """As many blocks as the real one has, which is what the conversion of its names is for."""
    from diffusers import AutoencoderKLQwenImage

    config = json.loads((vae / "config.json").read_text())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        make = AutoencoderKLQwenImage
        made = make(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 2, 4, 4],
            num_res_blocks=2,
            latents_mean=config["latents_mean"],
            latents_std=config["latents_std"],
        )
        made.save_pretrained(vae)


def with_more_layers(encoder: Path) -> None:
    """More than prompts are read with, as the real one has; ComfyUI's file leaves those out, and the last norm."""
    from transformers import Mistral3ForConditionalGeneration

    config = Mistral3ForConditionalGeneration.config_class.from_pretrained(encoder)
    config.text_config.num_hidden_layers = 33
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        Mistral3ForConditionalGeneration(config).save_pretrained(encoder)


def cut_to_what_is_read(parts: tuple[tuple[str, str], ...]) -> None:
    file = dict(parts)["text_encoder"]
    tensors = {
        name: value
        for name, value in load_file(file).items()
        if name != "model.norm.weight" and not name.startswith(tuple(f"model.layers.{n}." for n in range(30, 33)))
    }
    save_file({**tensors, "tekken_model": torch.zeros(9, dtype=torch.uint8)}, file)


def pictures(choice: BaseChoice, name: str) -> list[ImageArray]:
    generator = DiffusersGenerator(choice, FAMILIES[name])
    return [image for _, image in generator.generate(shots(1), GENERATION)]


def trained(choice: BaseChoice, name: str, home: Path) -> tuple[bytes, bytes]:
    photos = samples(home / "photos", count=2)
    trainer = DiffusersLoraTrainer(choice, FAMILIES[name])
    trainer.train(photos, SETTINGS, home / "lora.safetensors", home / "work", {}, lambda *_: None)
    told = parts_in(header_texts(home / "lora.safetensors"))
    assert told == {part: sha256_file(Path(file)) for part, file in choice.parts}
    one, two = (without_parts(file) for file in both_files(home / "lora.safetensors"))
    return one, two


def without_parts(lora: bytes) -> bytes:
    """The file as it would be if its header did not name the files of the base's parts."""
    texts = safetensors_header.of_bytes(lora).texts
    return with_texts(lora, {name: text for name, text in texts.items() if name != BASE_PARTS})


@pytest.mark.slow
def test_all_parts_from_files(split: Split, tmp_path: Path) -> None:
    base = None
    if split.name == "flux2":
        cut_to_what_is_read(split.parts)
    if FAMILIES[split.name].single_file.whole:
        base = without_weights(Path(shutil.copytree(split.folder, tmp_path / "rest")), *PARTS[split.name])
    whole, apart = split.choice(whole=True), split.choice(whole=False, base=base)
    (wanted,), (found,) = (pictures(choice, split.name) for choice in (whole, apart))
    assert np.array_equal(wanted, found) and wanted.std() > 0
    assert trained(whole, split.name, tmp_path / "one") == trained(apart, split.name, tmp_path / "two")
    fingerprints = {open_base(choice, FAMILIES[split.name]).fingerprint for choice in (whole, apart)}
    assert len(fingerprints) == 2


@pytest.mark.parametrize("names", [("vae",), ("vae", "text_encoder", "text_encoder_2")], ids=["vae", "all"])
def test_other_parts_than_the_checkpoint_has(names: tuple[str, ...], tmp_path: Path) -> None:
    """In a folder and in a single file, SDXL's parts give way to those that are named."""
    folder, other = build_tiny("sdxl", tmp_path / "one"), build_tiny("sdxl", tmp_path / "two", seed=1)
    files = {name: as_comfyui_has_it(other, name, tmp_path / "ComfyUI" / f"{name}.safetensors") for name in names}
    write_single_file(folder, tmp_path / "mine.safetensors")
    shutil.copytree(folder, tmp_path / "mine")
    plain = BaseChoice(str(folder), "cpu", "float32")
    parts = tuple((name, str(file)) for name, file in files.items())
    swapped = (replace(plain, base=str(base), parts=parts) for base in (folder, tmp_path / "mine.safetensors"))
    before, *after = (pictures(choice, "sdxl")[0] for choice in (plain, *swapped))
    for name in names:
        shutil.rmtree(folder / name)
        shutil.copytree(other / name, folder / name)
    (wanted,) = pictures(plain, "sdxl")
    assert not np.array_equal(before, wanted)
    assert all(np.array_equal(found, wanted) for found in after)


def test_another_autoencoder_uses_no_old_latents(tmp_path: Path) -> None:
    """With the same cache, training on another autoencoder gives what it gives with a cache of its own."""
    folder, other = build_tiny("sdxl", tmp_path / "one"), build_tiny("sdxl", tmp_path / "two", seed=1)
    file = as_comfyui_has_it(other, "vae", tmp_path / "vae.safetensors")
    plain = BaseChoice(str(folder), "cpu", "float32")
    swapped = replace(plain, parts=(("vae", str(file)),))
    before = trained(plain, "sdxl", tmp_path / "shared")
    (tmp_path / "shared" / "lora.safetensors").unlink()
    after = trained(swapped, "sdxl", tmp_path / "shared")
    assert after != before and after == trained(swapped, "sdxl", tmp_path / "fresh")
    shutil.copy(as_comfyui_has_it(folder, "vae", tmp_path / "again.safetensors"), file)
    assert open_base(swapped, FAMILIES["sdxl"]).fingerprint != open_base(plain, FAMILIES["sdxl"]).fingerprint
    (found,), (wanted,) = (pictures(choice, "sdxl") for choice in (swapped, plain))
    assert np.array_equal(found, wanted), "the file was changed, and it is read anew"
