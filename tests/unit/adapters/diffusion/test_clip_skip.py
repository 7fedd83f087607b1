"""SD 1.5's texts are read from another layer of CLIP, when images are made and when a LoRA is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.preflight import Wanted, checks  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.distributed.job import SHARED, NamedFamily, SharedTraining  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES, clip  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402

SD15 = FAMILIES["sd15"]
SHORT, LONG = "photo of ohwx ana smiling", "photo of ohwx ana smiling indoors, " * 12
LEARNS = replace(TRAINING, text_encoder=True, steps=4, checkpoint_every=1, learning_rate=0.02, tensorboard=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("sd15", tmp_path_factory.mktemp("base") / "sd15")


def choice(folder: Path, clip_skip: int) -> BaseChoice:
    return BaseChoice(str(folder), "cpu", "float32", clip_skip=clip_skip)


def opened(folder: Path, clip_skip: int) -> BaseModel:
    return open_base(choice(folder, clip_skip), SD15)


def by_hand(base: BaseModel, text: str, clip_skip: int) -> Any:
    """All layers up to that one and the final norm, chunk by chunk."""
    encoder, tokenizer = base.pipeline.text_encoder, base.pipeline.tokenizer
    inner, said = getattr(encoder, "text_model", encoder), []
    for chunk in clip.split(tokenizer, text).chunks:
        opened = [tokenizer.bos_token_id, *chunk, tokenizer.eos_token_id]
        ids = torch.tensor([opened + [tokenizer.pad_token_id] * (tokenizer.model_max_length - len(opened))])
        with torch.no_grad():
            states = encoder(ids, output_hidden_states=True).hidden_states
            said.append(inner.final_layer_norm(states[len(states) - clip_skip]))
    return torch.cat(said, 1)


@pytest.mark.parametrize("text", ["", SHORT, LONG])
@pytest.mark.parametrize("clip_skip", [1, 2])
def test_words_are_of_that_layer(clip_skip: int, text: str, folder: Path) -> None:
    base = opened(folder, clip_skip)
    made = base.prompts.embed(text)["prompt_embeds"]
    assert torch.allclose(made, by_hand(base, text, clip_skip), atol=1e-5)
    with torch.no_grad():
        trained = SD15.text_encoders().encode(base.pipeline, [text], {"prompt_embeds": made}, "cpu", **base.reading)
    assert torch.allclose(trained["prompt_embeds"], made, atol=1e-5)


def test_the_last_layer_is_what_the_pipeline_reads(folder: Path) -> None:
    base = opened(folder, 1)
    plain, _ = base.pipeline.encode_prompt(SHORT, "cpu", 1, False)
    assert torch.equal(base.prompts.embed(SHORT)["prompt_embeds"], plain)
    assert base.fingerprint == open_base(BaseChoice(str(folder), "cpu", "float32"), SD15).fingerprint


def test_the_layers_are_kept_apart(folder: Path) -> None:
    found = {skip: opened(folder, skip).prompts.embed(SHORT)["prompt_embeds"] for skip in (1, 2)}
    assert not torch.allclose(found[1], found[2], atol=1e-2)
    assert torch.equal(opened(folder, 1).prompts.embed(SHORT)["prompt_embeds"], found[1])
    assert opened(folder, 2).fingerprint == f"{opened(folder, 1).fingerprint}-clip_skip2"
    assert DiffusersLoraTrainer(choice(folder, 2), SD15).fingerprint.endswith("-clip_skip2")


def test_images_follow_it(folder: Path) -> None:
    made = []
    for skip in (1, 2, 2):
        generator = DiffusersGenerator(choice(folder, skip), SD15)
        made.append(np.stack([image for _, image in generator.generate(shots(1), GENERATION)]))
    assert not np.array_equal(made[0], made[1]) and np.array_equal(made[1], made[2])


def train(folder: Path, home: Path, clip_skip: int, photos: Any, stop: int = 0, **changes: Any) -> bytes:
    def progress(step: int, *_: Any) -> None:
        if step == stop:
            raise KeyboardInterrupt

    trainer = DiffusersLoraTrainer(choice(folder, clip_skip), SD15)
    settings = replace(LEARNS, **changes)
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", {"modelspec.date": "then"}, progress)
    return (home / "lora.safetensors").read_bytes()


@pytest.mark.parametrize(
    "changes", [{}, {"text_encoder": False}, {"optimizer": "adafactor"}, {"gradient_checkpointing": True}]
)
def test_a_lora_is_trained_with_it(changes: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    photos = samples(tmp_path / "photos")
    plain, skipped = (train(folder, tmp_path / str(skip), skip, photos, **changes) for skip in (1, 2))
    assert plain != skipped
    told = [header_texts(tmp_path / str(skip) / "lora.safetensors").get("ss_clip_skip") for skip in (1, 2)]
    assert told == [None, "2"]
    with pytest.raises(KeyboardInterrupt):
        train(folder, tmp_path / "killed", 2, photos, stop=2, **changes)
    assert train(folder, tmp_path / "killed", 2, photos, **changes) == skipped


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sdxl", "always read from the last layer but one, here as in sd-scripts"),
        ("flux", "always read as its text encoders were trained"),
    ],
)
def test_other_families_refuse_it(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"clip_skip: 2 is for SD 1\.5; .*'{name}'.*{says}"):
        open_base(BaseChoice(str(tmp_path), "cpu", clip_skip=2), FAMILIES[name])
    with pytest.raises(InputError, match="clip_skip: 2 is for"):
        look_at_all(checks(Wanted(BaseChoice(str(tmp_path), "cpu", clip_skip=2), FAMILIES[name], GENERATION)))


def test_there_are_only_so_many_layers(folder: Path) -> None:
    layers = opened(folder, 1).pipeline.text_encoder.config.num_hidden_layers
    with pytest.raises(InputError, match=rf"clip_skip: {layers + 1}, but .* has {layers} layers"):
        opened(folder, layers + 1)


def test_processes_that_share_a_training_are_told(folder: Path, tmp_path: Path) -> None:
    job = SharedTraining(choice(folder, 2), NamedFamily("sd15", ()), (), LEARNS, tmp_path, tmp_path, {})
    assert SHARED.validate_python(SHARED.dump_python(job, mode="json")).choice.clip_skip == 2
