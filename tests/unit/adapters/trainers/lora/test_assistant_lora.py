"""A training adapter: the base that wears it is the base with it merged in, and it is nowhere but in the steps of the
training.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.gguf_files import build_gguf_zimage  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.helpers.training_memory import demand_of  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.pixels import latent_shape  # noqa: E402
from twinloop.adapters.diffusion.prompts import join  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel, adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.lora.assistant_lora import NAME, assistant_of  # noqa: E402
from twinloop.adapters.trainers.lora.assistant_lora_file import check_assistant  # noqa: E402
from twinloop.errors import InputError, ModelFileError, StateError, TwinLoopError  # noqa: E402
from twinloop.families import FAMILIES, Family  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.lora import Layer, read_lora  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402
from twinloop.store.models.lora_file import kohya_path  # noqa: E402

SDXL = FAMILIES["sdxl"]
ONE = replace(TRAINING, steps=2, learning_rate=0.1, warmup_steps=1, rank=3, alpha=6.0, tensorboard=False)
"""Trains an adapter that changes something."""
SETTINGS = replace(ONE, rank=2, alpha=2.0, learning_rate=1e-3, seed=5)


def choice(base: Path) -> BaseChoice:
    return BaseChoice(str(base), "cpu", "float32")


def trained(
    base: Path,
    home: Path,
    settings: TrainingSettings,
    family: Family = SDXL,
    stop: int = 0,
    notices: list[str] | None = None,
) -> Path:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    photos, output = samples(home / "photos", count=3), home / "lora.safetensors"
    told: list[str] = [] if notices is None else notices
    DiffusersLoraTrainer(choice(base), family, told.append).train(photos, settings, output, home / "work", {}, progress)
    return output


@pytest.fixture(scope="module")
def base(full_base: Path) -> Path:
    return full_base


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(base, tmp_path_factory.mktemp("adapter"), ONE)


@pytest.fixture(scope="module")
def bare(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training without it."""
    return trained(base, tmp_path_factory.mktemp("bare"), SETTINGS)


@pytest.fixture(scope="module")
def worn(base: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training with it."""
    return trained(base, tmp_path_factory.mktemp("worn"), replace(SETTINGS, assistant_lora=str(adapter)))


def changes(path: Path, family: Family) -> Mapping[str, Any]:
    """What a LoRA file adds to each weight of the denoiser, by the definition."""
    found = {}
    for place, layer in understood(read_lora(path), family.name).layers.items():
        assert isinstance(layer, Layer)
        down, up = layer.down.values(), layer.up.values()
        found[place.path] = torch.from_numpy(up.reshape(len(up), -1) @ down.reshape(len(down), -1) * layer.scale)
    return found


@contextmanager
def merged(base: BaseModel, path: Path) -> Iterator[None]:
    """The base with the file's changes in its weights, inside."""
    kept = {name: value.clone() for name, value in base.denoiser.state_dict().items()}
    for name, change in changes(path, base.family).items():
        weight = base.denoiser.get_submodule(name).weight
        weight.data += change.to(weight).reshape(weight.shape)
    yield
    base.denoiser.load_state_dict(kept)


def asked(base: BaseModel) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(latent_shape(base, 64, 64), generator=generator)
    words = join([base.prompts.embed("photo of ohwx ana")], base.family.joining)
    return noisy, torch.tensor([500.0]) if not base.family.flow else torch.tensor([0.5]), words, torch.zeros(1, 6)


def moved(model: AdaptedModel) -> None:
    """A LoRA that has learned something, so that its gradients are more than zero everywhere."""
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters.values()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)) * 0.05)


def step(base: BaseModel, plan: AdapterPlan, worn: Path | None, checkpointing: bool) -> tuple[Any, dict[str, Any]]:
    """Answer and gradients of a LoRA in training, beside the training adapter where one is named."""
    settings = replace(SETTINGS, assistant_lora=str(worn or ""))
    assistant = assistant_of(settings, base)
    with adapted(base, plan, 3, checkpointing=checkpointing) as model:
        moved(model)
        with nullcontext() if assistant is None else assistant.worn(base.denoiser):
            answer = model(*asked(base))
            torch.autograd.backward(answer.square().mean())
        return answer.detach(), {name: parameter.grad for name, parameter in model.parameters.items()}


@pytest.mark.parametrize("way", ["lora", "lokr", "checkpointing", "kohya", "convolutions"])
def test_the_steps_are_those_of_a_base_with_it_merged_in(way: str, base: Path, adapter: Path, tmp_path: Path) -> None:
    opened, file = open_base(choice(base), SDXL), kohya_path(adapter) if way == "kohya" else adapter
    if way == "convolutions":
        file = trained(base, tmp_path, replace(ONE, conv_rank=2, conv_alpha=1.0))
    plan = AdapterPlan(SDXL.targets, 2, 3.0, lokr=4 if way == "lokr" else 0)
    answer, gradients = step(opened, plan, file, way == "checkpointing")
    with merged(opened, file):
        wanted, wanted_gradients = step(opened, plan, None, False)
    bare, _ = step(opened, plan, None, False)
    torch.testing.assert_close(answer, wanted, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == wanted_gradients.keys()
    for name, gradient in wanted_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=2e-3, atol=1e-6, msg=name)
    assert (answer - bare).abs().mean() > 100 * (answer - wanted).abs().mean()


@pytest.mark.parametrize("name", ["zimage", "flux", "qwen-image"])
def test_transformers_wear_it_under_the_names_of_other_programs(name: str, tmp_path: Path) -> None:
    """FLUX.1's own code has one layer where diffusers has four."""
    family, folder = FAMILIES[name], build_tiny(name, tmp_path / "base")
    file = kohya_path(trained(folder, tmp_path, replace(ONE, steps=1), family))
    opened, plan = open_base(choice(folder), family), AdapterPlan(family.targets, 2, 3.0, blocks=family.blocks)
    answer, gradients = step(opened, plan, file, False)
    with merged(opened, file):
        wanted, wanted_gradients = step(opened, plan, None, False)
    torch.testing.assert_close(answer, wanted, rtol=1e-3, atol=1e-5)
    for layer, gradient in wanted_gradients.items():
        assert (gradient is None) == (gradients[layer] is None)
        if gradient is not None:
            torch.testing.assert_close(gradients[layer], gradient, rtol=5e-3, atol=1e-6, msg=layer)


def test_a_dora_keeps_the_lengths_of_the_bases_own_weights(base: Path, adapter: Path) -> None:
    """Its file meets these again when images are made; beside the adapter it begins as no change as well."""
    opened = open_base(choice(base), SDXL)
    assistant = assistant_of(replace(SETTINGS, assistant_lora=str(adapter)), opened)
    assert assistant is not None
    with torch.no_grad():
        with adapted(opened, AdapterPlan(SDXL.targets, 2, 2.0, dora=True), 3) as model:
            bare = model(*asked(opened))
            with assistant.worn(opened.denoiser):
                answer = model(*asked(opened))
            lengths = {name: value.clone() for name, value in model.parameters.items() if "magnitude" in name}
        with merged(opened, adapter), adapted(opened, AdapterPlan(SDXL.targets, 2, 2.0), 3) as model:
            wanted = model(*asked(opened))
        for name, value in lengths.items():
            weight = opened.denoiser.get_submodule(name.removesuffix(".lora_magnitude_vector")).weight
            torch.testing.assert_close(value.flatten(), weight.norm(dim=1))
    torch.testing.assert_close(answer, wanted, rtol=1e-3, atol=1e-4)
    assert (answer - bare).abs().mean() > 100 * (answer - wanted).abs().mean()


def test_the_base_that_holds_the_class_word_wears_it_too(base: Path, adapter: Path) -> None:
    """Else the second term of the loss would teach the LoRA to undo the adapter, before it has learned anything."""
    opened = open_base(choice(base), SDXL)
    assistant = assistant_of(replace(SETTINGS, assistant_lora=str(adapter)), opened)
    assert assistant is not None
    for lokr in (0, 4):
        with adapted(opened, AdapterPlan(SDXL.targets, 2, 2.0, lokr=lokr), 3) as model, torch.no_grad():
            with assistant.worn(opened.denoiser):
                fresh = model(*asked(opened))
                moved(model)
                with model.without_lora():
                    torch.testing.assert_close(model(*asked(opened)), fresh)
                assert not torch.allclose(model(*asked(opened)), fresh)
            worn = [parameter for name, parameter in opened.denoiser.named_parameters() if NAME in name.split(".")]
            assert not worn
            with model.without_lora():
                assert not torch.allclose(model(*asked(opened)), fresh)


def losses(lora: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in lora.with_suffix(".metrics.jsonl").read_text().splitlines()]


def test_a_whole_training_is_that_of_a_base_with_it_merged_in(base: Path, adapter: Path, tmp_path: Path) -> None:
    other = tmp_path / "merged"
    shutil.copytree(base, other)
    weights = next((other / "unet").glob("*.safetensors"))
    tensors = load_file(weights)
    for name, change in changes(adapter, SDXL).items():
        tensors[f"{name}.weight"] += change.to(torch.float32).reshape(tensors[f"{name}.weight"].shape)
    save_file(tensors, weights, metadata={"format": "pt"})
    settings = replace(SETTINGS, trigger="ohwx ana", output_preservation=0.5, text_encoder=True)
    worn = trained(base, tmp_path / "worn", replace(settings, assistant_lora=str(adapter)))
    by_hand = trained(other, tmp_path / "hand", settings)
    bare = trained(base, tmp_path / "bare", settings)
    np.testing.assert_allclose(losses(worn), losses(by_hand), rtol=1e-4)
    assert not np.allclose(losses(worn), losses(bare), rtol=1e-3)


def test_in_half_precision_it_computes_as_the_base_does(
    base: Path, adapter: Path, worn: Path, bare: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    settings = replace(SETTINGS, assistant_lora=str(adapter), gradient_checkpointing=True)
    half, output = BaseChoice(str(base), "cpu", "bfloat16"), tmp_path / "lora.safetensors"
    photos = samples(tmp_path / "photos", count=3)
    DiffusersLoraTrainer(half, SDXL, told.append).train(
        photos, settings, output, tmp_path / "work", {}, lambda *_: None
    )
    np.testing.assert_allclose(losses(output), losses(worn), rtol=0.02)
    assert not np.allclose(losses(bare), losses(worn), rtol=0.02)
    opened = open_base(half, SDXL)
    assistant = assistant_of(settings, opened)
    assert assistant is not None
    with assistant.worn(opened.denoiser):
        added = [value for name, value in opened.denoiser.named_parameters() if NAME in name.split(".")]
    assert added and {value.dtype for value in added} == {torch.bfloat16}
    assert not any(value.requires_grad for value in added)


def test_it_is_in_no_file_and_in_no_picture(base: Path, adapter: Path, bare: Path, tmp_path: Path) -> None:
    """Also in the middle of a training, where samples are drawn and checkpoints measured."""

    def drawn() -> Any:
        return np.stack([image for _, image in DiffusersGenerator(choice(base), SDXL).generate(shots(1), GENERATION)])

    before = drawn()
    weights = {name: value.clone() for name, value in open_base(choice(base), SDXL).denoiser.state_dict().items()}
    settings = replace(SETTINGS, assistant_lora=str(adapter))
    half = trained(base, tmp_path, replace(settings, stop_at=1))
    assert np.array_equal(drawn(), before)
    opened = open_base(choice(base), SDXL)
    assert not any(isinstance(module, BaseTunerLayer) for module in opened.denoiser.modules())
    after = opened.denoiser.state_dict()
    assert after.keys() == weights.keys() and all(torch.equal(after[name], value) for name, value in weights.items())
    assert load_file(half).keys() == load_file(bare).keys()
    assert {key: value.shape for key, value in load_file(half).items()} == {
        key: value.shape for key, value in load_file(bare).items()
    }


def test_stopped_and_gone_on_it_ends_in_the_same_bytes(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the file lies meanwhile; its content is part of what the training is."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    settings = replace(SETTINGS, checkpoint_every=1, assistant_sha256=sha256_file(adapter))
    whole = trained(base, tmp_path / "whole", replace(settings, assistant_lora=str(adapter)))
    with pytest.raises(KeyboardInterrupt):
        trained(base, tmp_path / "torn", replace(settings, assistant_lora=str(adapter)), stop=1)
    elsewhere = tmp_path / "elsewhere.safetensors"
    elsewhere.write_bytes(adapter.read_bytes())
    told: list[str] = []
    torn = trained(base, tmp_path / "torn", replace(settings, assistant_lora=str(elsewhere)), notices=told)
    assert torn.read_bytes() == whole.read_bytes() and not told
    with pytest.raises(KeyboardInterrupt):
        trained(base, tmp_path / "other", replace(settings, assistant_lora=str(adapter)), stop=1)
    bare = trained(base, tmp_path / "other", replace(settings, assistant_sha256=""), notices=told)
    assert "begins at step 1" in told[0] and bare.read_bytes() != whole.read_bytes()


def test_its_memory_and_its_work_are_forecast(base: Path, adapter: Path) -> None:
    opened = open_base(choice(base), SDXL)
    plain, _ = demand_of(opened, SETTINGS)
    worn, _ = demand_of(opened, replace(SETTINGS, assistant_lora=str(adapter)))
    numbers = sum(tensor.numel() for tensor in load_file(adapter).values()) + len(changes(adapter, SDXL))
    assert worn.resident - plain.resident == 4 * numbers
    assert {
        how: sizes.resident - plain.quantised_sizes[how].resident for how, sizes in worn.quantised_sizes.items()
    } == dict.fromkeys(worn.quantised_sizes, 4 * numbers)
    assert worn.footprint.adapter == plain.footprint.adapter
    assert plain.footprint.forward < worn.footprint.forward < 1.5 * plain.footprint.forward
    # of a frozen matrix's product nothing is kept for the way back but the number it is multiplied with
    assert 0 <= worn.footprint.activations - plain.footprint.activations <= 4 * len(changes(adapter, SDXL))


def effect(base: BaseModel, lokr: Path) -> tuple[Any, bool]:
    """What a training adapter changes about the answer of a fresh LoRA's base, and whether nothing of it is left
    afterwards.
    """
    assistant = assistant_of(replace(SETTINGS, assistant_lora=str(lokr)), base)
    assert assistant is not None
    plan = AdapterPlan(base.family.targets, 2, 2.0, blocks=base.family.blocks)
    with torch.no_grad(), adapted(base, plan, 3) as model:
        before = model(*asked(base))
        with assistant.worn(base.denoiser):
            answer = model(*asked(base))
        return answer - before, torch.equal(model(*asked(base)), before)


@pytest.mark.parametrize(("name", "how"), [("sdxl", "int8"), ("flux", "nf4"), ("zimage", "gguf")])
def test_packed_weights_stay_as_they_are(name: str, how: str, tmp_path: Path) -> None:
    """Worn, never fused: a LoKr too."""
    for module in ("gguf",) if how == "gguf" else ("torchao", "bitsandbytes"):
        pytest.importorskip(module, reason="the quant extra is not installed")
    family, folder = FAMILIES[name], tmp_path / "float"
    if how == "gguf":
        packed = choice(build_gguf_zimage(tmp_path, "Q8_0"))
    else:
        packed = BaseChoice(str(build_tiny(name, folder)), "cpu", quantization=how)
    settings = replace(ONE, adapter="lokr", lokr_factor=4, steps=1, learning_rate=0.3)
    lokr = trained(folder, tmp_path / "lokr", settings, family)
    (wanted, _), (found, restored) = (effect(open_base(one, family), lokr) for one in (choice(folder), packed))
    assert restored and torch.nn.functional.cosine_similarity(found.flatten(), wanted.flatten(), 0) > 0.9


def test_its_layers_are_compiled_with_the_others(base: Path, adapter: Path) -> None:
    """One graph for the layer, the LoRA in training and the adapter around both: nothing in it asks for a number on the
    way.
    """
    opened = open_base(choice(base), SDXL)
    assistant = assistant_of(replace(SETTINGS, assistant_lora=str(adapter)), opened)
    assert assistant is not None
    path = next(iter(assistant.layers))
    with adapted(opened, AdapterPlan(SDXL.targets, 2, 2.0), 3, checkpointing=False), assistant.worn(opened.denoiser):
        layer: Any = opened.denoiser.get_submodule(path)
        tokens = torch.randn(1, 4, layer.in_features)
        compiled = torch.compile(layer, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(tokens), layer(tokens))
    torch._dynamo.reset()


def of_text_encoders(adapter: Path, home: Path, alone: bool = False) -> Path:
    layer = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    width = 16
    tensors = {f"{layer}.lora_A.weight": torch.zeros(2, width), f"{layer}.lora_B.weight": torch.zeros(width, 2)}
    path = home / "both.safetensors"
    save_file(tensors if alone else {**load_file(adapter), **tensors}, path)
    return path


def test_its_text_encoders_are_left_out_and_said(base: Path, adapter: Path, tmp_path: Path) -> None:
    told: list[str] = []
    opened = open_base(choice(base), SDXL)
    both = of_text_encoders(adapter, tmp_path)
    assistant = assistant_of(replace(SETTINGS, assistant_lora=str(both)), opened, told.append)
    assert assistant is not None and assistant.layers.keys() == changes(adapter, SDXL).keys()
    assert len(told) == 1 and "its layers of text_encoder are left out" in told[0]


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ("nowhere", InputError, r"training\.assistant_lora: no such file"),
        ("changed", StateError, "was changed"),
        ("pickle", ModelFileError, "can run code when loaded"),
        ("flux", ModelFileError, "adapts a transformer"),
        ("sd15", ModelFileError, "made for the family 'sd15'"),
        ("dora", ModelFileError, "holds DoRA weights"),
        ("encoders", ModelFileError, "adapts text encoders alone"),
        ("cut", ModelFileError, "cut off"),
    ],
)
def test_what_cannot_be_worn_is_told_before_a_model_is_loaded(
    wrong: str, error: type[TwinLoopError], says: str, adapter: Path, tmp_path: Path
) -> None:
    path, sha256 = tmp_path / "wrong.safetensors", ""
    pair = {"lora_A": torch.zeros(2, 768), "lora_B": torch.zeros(320, 2)}
    if wrong == "changed":
        path, sha256 = adapter, "0" * 64
    elif wrong == "pickle":
        path = tmp_path / "wrong.pt"
        torch.save({}, path)
    elif wrong == "flux":
        save_file(
            {f"transformer.single_transformer_blocks.0.proj_out.{name}.weight": part for name, part in pair.items()},
            path,
        )
    elif wrong == "sd15":
        layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
        save_file({f"{layer}.{name}.weight": part for name, part in pair.items()}, path)
    elif wrong == "dora":
        layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_k"
        save_file(
            {
                **{f"{layer}.{name}.weight": part for name, part in pair.items()},
                f"{layer}.lora_magnitude_vector.weight": torch.ones(320),
            },
            path,
        )
    elif wrong == "encoders":
        path = of_text_encoders(adapter, tmp_path, alone=True)
    elif wrong == "cut":
        path.write_bytes(adapter.read_bytes()[:-100])
    with pytest.raises(error, match=says):
        check_assistant(replace(SETTINGS, assistant_lora=str(path), assistant_sha256=sha256), SDXL)


def test_layers_of_another_size_are_told_before_a_step(base: Path, adapter: Path, tmp_path: Path) -> None:
    tensors = load_file(adapter)
    name = next(name for name in tensors if name.endswith("to_q.lora_A.weight"))
    tensors[name] = torch.zeros(tensors[name].shape[0], tensors[name].shape[1] + 1)
    path = tmp_path / "wide.safetensors"
    save_file(tensors, path)
    with pytest.raises(ModelFileError, match="does not fit this base model"):
        trained(base, tmp_path, replace(SETTINGS, assistant_lora=str(path)))
    assert not (tmp_path / "work" / "cache").exists()


def test_its_memory_is_that_of_the_denoisers_precision(base: Path, adapter: Path) -> None:
    for precision in ("float32", "bfloat16"):
        opened = open_base(BaseChoice(str(base), "cpu", precision), SDXL)
        assistant = assistant_of(replace(SETTINGS, assistant_lora=str(adapter)), opened)
        assert assistant is not None
        with assistant.worn(opened.denoiser):
            added = sum(value.nbytes for name, value in opened.denoiser.named_parameters() if NAME in name.split("."))
        assert assistant.nbytes(opened.denoiser) == added
