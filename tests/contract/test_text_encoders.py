"""LoRAs on text encoders, of every family that has ones to adapt: train, kill and go on, write, read in plain
diffusers, take off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import TinyBase, both_files, offline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.prompts import join  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import ENCODER_TARGETS, AdapterPlan  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.errors import InputError, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.unet_names import to_original  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.container import file_bytes  # noqa: E402
from twinloop.loras.lora import Dialect, read_lora  # noqa: E402
from twinloop.loras.write import as_tensors, named_layers  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

SETTINGS = replace(
    TRAINING,
    rank=4,
    alpha=8.0,
    steps=4,
    caption_dropout=0.3,
    keep_trigger=False,
    trigger="ohwx ana",
    class_word="woman",
    output_preservation=0.5,
    ema_decay=0.5,
    text_encoder=True,
    text_encoder_learning_rate=0.04,
    text_encoder_share=0.75,
)
WITH_CLIP = ("flux", "sd15", "sd35", "sdxl")
"""Kontext is Flux in this."""
READ_BY_DIFFUSERS = ("sd15", "sdxl")
"""Families whose copy plain diffusers reads too: of Flux's names it knows those of models of full size, of SD 3.5's
none."""
TEXTS = ("photo of ohwx ana smiling", "")


@dataclass(frozen=True)
class Trained(TinyBase):
    """A tiny base model, its LoRA that was trained without a break, and what the base's encoders held before."""

    lora: Path
    before: dict[str, Any]

    def encoders(self) -> dict[str, Any]:
        """All numbers of the text encoders, by name."""
        pipeline = self.open().pipeline
        return {
            f"{part}.{name}": value.clone()
            for part in self.family.text_encoders().prefixes
            for name, value in getattr(pipeline, part).state_dict().items()
        }


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@pytest.fixture(scope="module", params=WITH_CLIP)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = tmp_path_factory.mktemp(request.param)
    family = FAMILIES[request.param]
    made = Trained(
        family,
        build_tiny(family.name, home / "base"),
        samples(home / "photos", count=3),
        home / "out" / "lora.safetensors",
        {},
    )
    made = replace(made, before=made.encoders())
    made.train(home / "out", SETTINGS)
    return made


def picture(trained: Trained, lora: Path | None) -> ImageArray:
    generator = trained.generator()
    generator.load_lora(lora)
    return next(image for _, image in generator.generate(shots(1), GENERATION))


def plain_picture(trained: Trained, lora: Path) -> ImageArray:
    """The picture that diffusers' own pipeline makes."""
    import diffusers

    family, (shot,) = trained.family, shots(1)
    pipeline = getattr(diffusers, family.pipeline).from_pretrained(trained.base, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(lora), adapter_name="ana")
    unwanted = {"negative_prompt": shot.negative_prompt} if family.guidance.negative else {}
    made = pipeline(
        prompt=shot.prompt,
        num_inference_steps=GENERATION.steps,
        width=SIZE,
        height=SIZE,
        output_type="np",
        generator=torch.Generator().manual_seed(shot.seed),
        **{family.guidance.argument: GENERATION.guidance},
        **unwanted,
    ).images[0]
    return np.asarray((made * 255).round(), np.uint8)


def test_captions_are_read_as_the_generator_reads_them(trained: Trained) -> None:
    """With a LoRA that changes nothing yet; the empty prompt too, which SDXL replaces by zeros."""
    base = trained.open()
    base.lora.use(None)
    words = join(base.prompts.embed_all(TEXTS), trained.family.joining)
    with adapted(base, AdapterPlan(trained.family.targets, 4, 8.0, text_encoder=True), 0) as denoiser:
        read = denoiser.encode(TEXTS, words)
        assert any(part.requires_grad for part in read.values())
        denoiser.train_encoders(False)
        assert not any(part.requires_grad for part in denoiser.encode(TEXTS, words).values())
    assert read.keys() == words.keys()
    for name, part in read.items():
        assert torch.allclose(part, words[name], atol=1e-5), name


def test_computed_again_or_one_by_one_the_gradients_are_the_same(trained: Trained) -> None:
    base = trained.open()
    found = []
    for checkpointing, parts in ((False, [(0, 2)]), (True, [(0, 2)]), (False, [(0, 1), (1, 2)])):
        with adapted(
            base, AdapterPlan(trained.family.targets, 4, 8.0, text_encoder=True), 0, checkpointing=checkpointing
        ) as denoiser:
            for name, parameter in denoiser.parameters.items():
                if name.endswith("lora_B"):
                    torch.nn.init.constant_(parameter, 0.01)
            for start, stop in parts:
                texts = TEXTS[start:stop]
                words = join(base.prompts.embed_all(texts), trained.family.joining)
                read = denoiser.encode(texts, words)
                torch.autograd.backward(sum(part.square().sum() for part in read.values() if part.requires_grad))
            found.append({name: denoiser.parameters[name].grad for name in denoiser.encoder_parameters})
    assert sum(bool(gradient.any()) for gradient in found[0].values() if gradient is not None) > len(found[0]) / 3
    for name, gradient in found[0].items():
        for other in (found[1][name], found[2][name]):
            assert (gradient is None) == (other is None)
            assert gradient is None or torch.allclose(gradient, other, rtol=1e-3, atol=1e-5), name


def test_killed_and_called_again_same_bytes(trained: Trained, tmp_path: Path) -> None:
    """Killed after the last step of the encoders; the newest checkpoint is of one before it."""
    assert trained.killed_then_again(tmp_path, SETTINGS, kill_after=3) == both_files(trained.lora)


def test_every_layer_is_in_the_file_and_has_moved(trained: Trained) -> None:
    """But those that nothing reads: SDXL takes the first encoder's words from the layer before the last, and no
    summary.
    """
    tensors = load_file(trained.lora)
    for encoder in trained.family.text_encoders().prefixes:
        for layer in (0, 1):
            for target in ENCODER_TARGETS:
                block = "mlp" if target.startswith("fc") else "self_attn"
                place = f"{encoder}.text_model.encoder.layers.{layer}.{block}.{target}"
                unread = trained.family.name == "sdxl" and encoder == "text_encoder" and layer == 1
                assert bool(tensors[f"{place}.lora_B.weight"].any()) != unread, place
    texts = header_texts(trained.lora)
    assert (texts["ss_unet_lr"], texts["ss_text_encoder_lr"]) == ("0.05", "0.04")


def test_plain_diffusers_makes_the_same_picture(trained: Trained) -> None:
    ours = picture(trained, trained.lora)
    assert np.array_equal(ours, plain_picture(trained, trained.lora))
    assert np.array_equal(ours, picture(trained, kohya_path(trained.lora)))
    if trained.family.name in READ_BY_DIFFUSERS:
        assert np.array_equal(ours, plain_picture(trained, kohya_path(trained.lora)))


def comfyui_copy(path: Path, trained: Trained) -> None:
    """The same LoRA under the names of ComfyUI's models, as its nodes that save LoRAs write them."""
    adapter = understood(read_lora(trained.lora), trained.family.name)
    named = named_layers(adapter, Dialect.COMFYUI)
    # its kohya names are diffusers', so that `named_layers` has no use for the original ones
    if adapter.family == "sd15":
        named = {
            (
                f"diffusion_model.{to_original(name.removeprefix('diffusion_model.'), 'sd15')}"
                if name.startswith("diffusion_model.")
                else name
            ): layer
            for name, layer in named.items()
        }
    path.write_bytes(file_bytes(*as_tensors(named, Dialect.COMFYUI, {})))


def test_comfyuis_names_are_worn_whole(trained: Trained, tmp_path: Path) -> None:
    """Denoiser and text encoders: the same picture as with the own file, and another one without the encoders' half."""
    from safetensors.torch import save_file

    comfyui = tmp_path / "comfyui.safetensors"
    comfyui_copy(comfyui, trained)
    tensors = load_file(comfyui)
    stems = {name.partition(".transformer.")[0] for name in tensors if name.startswith("text_encoders.")}
    wanted = ("clip_l", "clip_g")[: len(trained.family.text_encoders().prefixes)]
    assert stems == {f"text_encoders.{name}" for name in wanted}
    ours = picture(trained, trained.lora)
    assert np.array_equal(picture(trained, comfyui), ours)
    half = {name: tensor for name, tensor in tensors.items() if not name.startswith("text_encoders.")}
    save_file(half, tmp_path / "half.safetensors")
    assert not np.array_equal(picture(trained, tmp_path / "half.safetensors"), ours)


def test_a_text_encoder_that_comfyui_knows_and_this_base_does_not_is_named(trained: Trained, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    stem = "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q"
    more = {f"{stem}.lora_A.weight": torch.zeros(2, 16), f"{stem}.lora_B.weight": torch.zeros(16, 2)}
    comfyui_copy(tmp_path / "comfyui.safetensors", trained)
    save_file({**load_file(tmp_path / "comfyui.safetensors"), **more}, tmp_path / "more.safetensors")
    with pytest.raises(ModelFileError, match=r"adapts 'text_encoder_[23]', which is no text encoder that can wear"):
        trained.open().lora.use(tmp_path / "more.safetensors")


def test_the_encoders_are_what_they_were(trained: Trained, tmp_path: Path) -> None:
    """After a training, and after a LoRA was worn: to the last bit, in place, with the memory of what they said."""
    from safetensors.torch import save_file

    base = trained.open()
    base.lora.use(None)
    bare, encoded = base.prompts.embed(TEXTS[0]), base.prompts.encoded
    base.lora.use(trained.lora)
    worn = base.prompts.embed(TEXTS[0])
    assert any(not torch.equal(bare[name], worn[name]) for name in bare)
    save_file(
        {name: tensor for name, tensor in load_file(trained.lora).items() if not name.startswith("text_encoder")},
        tmp_path / "denoiser_alone.safetensors",
    )
    base.lora.use(tmp_path / "denoiser_alone.safetensors")
    assert base.prompts.embed(TEXTS[0]) is bare and base.prompts.encoded == encoded + 1
    base.lora.use(None)
    assert not any(
        hasattr(getattr(base.pipeline, name), "peft_config") for name in trained.family.text_encoders().prefixes
    )
    after = trained.encoders()
    assert after.keys() == trained.before.keys()
    assert all(torch.equal(after[name], value) for name, value in trained.before.items())


def test_the_lora_commands_find_the_same_layers_in_both_files(trained: Trained) -> None:
    first, second = (understood(read_lora(path)).layers for path in (trained.lora, kohya_path(trained.lora)))
    assert first.keys() == second.keys() and 2 * len(first) == len(load_file(trained.lora))
    assert {place.component for place in first} == {"denoiser", *trained.family.text_encoders().prefixes}
    assert {layer.alpha for layer in first.values()} == {layer.alpha for layer in second.values()} == {8.0}


@pytest.mark.parametrize("name", sorted({*FAMILIES} - {*WITH_CLIP, "flux-kontext"}))
def test_language_models_are_left_alone(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"training\.text_encoder.*'{name}'.*language model.*Set training\.text_encoder to false"
    ):
        FAMILIES[name].text_encoders()
