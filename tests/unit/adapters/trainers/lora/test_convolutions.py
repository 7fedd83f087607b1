"""LoRAs over the convolutions of a U-Net: which layers, at which rank and alpha, in both files, in a training that is
stopped, and in a forecast.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.helpers.training_memory import demand_of  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.loras.reading import read_for_pipeline  # noqa: E402
from twinloop.adapters.diffusion.loras.writing import LoraWeights, copy_tensors  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan, around_attentions  # noqa: E402
from twinloop.adapters.trainers.lora.warm_start import begin_from  # noqa: E402
from twinloop.adapters.trainers.lora.warm_start_file import start_of  # noqa: E402
from twinloop.adapters.trainers.preflight import check_fits, training_checks  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES, Family  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.container import file_bytes, read_tensors, write_new  # noqa: E402
from twinloop.loras.lora import Dialect, Layer, read_lora  # noqa: E402
from twinloop.loras.write import written  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

SETTINGS = replace(
    TRAINING,
    steps=2,
    learning_rate=0.05,
    warmup_steps=1,
    rank=4,
    alpha=8.0,
    conv_rank=2,
    conv_alpha=1.0,
    tensorboard=False,
)


def sd_scripts_layers(unet: Any) -> dict[str, bool]:
    """By the rule of ``networks.lora`` with ``conv_dim``: what lies in these kinds of modules -> whether ``conv_dim``
    is its rank.
    """
    found = {}
    for name, module in unet.named_modules():
        if type(module).__name__ in ("ResnetBlock2D", "Downsample2D", "Upsample2D"):
            for inner, child in module.named_modules():
                if isinstance(child, torch.nn.Linear | torch.nn.Conv2d):
                    found[f"{name}.{inner}"] = isinstance(child, torch.nn.Conv2d) and child.kernel_size == (3, 3)
    return found


def trained(base: Path, home: Path, family: Family, settings: TrainingSettings = SETTINGS, stop: int = 0) -> Path:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    photos, output = samples(home / "photos", count=3), home / "lora.safetensors"
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), family)
    trainer.train(photos, settings, output, home / "work", {}, progress)
    return output


class Trained:
    def __init__(self, name: str, home: Path) -> None:
        self.family, self.base = FAMILIES[name], build_tiny(name, home / "base")
        self.lora = trained(self.base, home, self.family)
        self.choice = BaseChoice(str(self.base), "cpu", "float32")


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(request.param, tmp_path_factory.mktemp(request.param))


def pairs(path: Path, family: Family) -> dict[str, Layer]:
    layers = understood(read_lora(path), family.name).layers
    return {place.path: layer for place, layer in layers.items() if isinstance(layer, Layer)}


def test_the_layers_are_those_of_sd_scripts_at_its_ranks(made: Trained) -> None:
    wanted = sd_scripts_layers(open_base(made.choice, made.family).denoiser)
    for file in (made.lora, kohya_path(made.lora)):
        found = {name: layer for name, layer in pairs(file, made.family).items() if ".attentions." not in name}
        assert found.keys() == wanted.keys() and {True, False} == set(wanted.values())
        for name, wide in wanted.items():
            assert (found[name].rank, found[name].alpha) == ((2, 1.0) if wide else (4, 8.0)), name
            assert found[name].up.values().any(), f"{name} has learned nothing"
    arguments = json.loads(header_texts(made.lora)["ss_network_args"])
    assert arguments == {"conv_dim": "2", "conv_alpha": "1"}


def test_both_files_say_the_same_and_move_without_rounding(made: Trained, tmp_path: Path) -> None:
    one, other = (pairs(path, made.family) for path in (made.lora, kohya_path(made.lora)))
    for name, layer in one.items():
        assert (layer.alpha, layer.down.shape) == (other[name].alpha, other[name].down.shape)
        assert layer.down.same(other[name].down) and layer.up.same(other[name].up)
    tensors, texts = written(understood(read_lora(made.lora), made.family.name), Dialect.KOHYA, {})
    moved = tmp_path / "moved.safetensors"
    write_new(moved, file_bytes(tensors, texts))
    back, _ = written(understood(read_lora(moved), made.family.name), Dialect.DIFFUSERS, {})
    own = read_tensors(made.lora)[1]
    assert back.keys() == own.keys() and all(back[name].same(tensor) for name, tensor in own.items())


def test_the_generator_wears_both_files_alike(made: Trained) -> None:
    generator = DiffusersGenerator(made.choice, made.family)
    drawn = {}
    for name, path in (("bare", None), ("own", made.lora), ("copy", kohya_path(made.lora))):
        generator.load_lora(path)
        drawn[name] = np.stack([image for _, image in generator.generate(shots(1), GENERATION)]).astype(int)
        if path is not None:
            unet = open_base(made.choice, made.family).denoiser
            layer = pairs(path, made.family)["down_blocks.0.resnets.0.conv1"]
            change = np.einsum("or,rikl->oikl", layer.up.values()[:, :, 0, 0], layer.down.values()) * (1.0 / 2)
            worn = unet.get_submodule("down_blocks.0.resnets.0.conv1").get_delta_weight("twinloop")
            np.testing.assert_allclose(worn.detach().numpy(), change, rtol=1e-2, atol=1e-5)
    generator.load_lora(None)
    assert np.abs(drawn["own"] - drawn["copy"]).max() <= 1 and np.abs(drawn["own"] - drawn["bare"]).max() > 1


@pytest.mark.parametrize("made", ["sdxl"], indirect=True)
def test_stopped_and_gone_on_it_ends_in_the_same_bytes(
    made: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    settings = replace(SETTINGS, checkpoint_every=1, adapter="dora")
    whole = trained(made.base, tmp_path / "whole", made.family, settings)
    with pytest.raises(KeyboardInterrupt):
        trained(made.base, tmp_path / "torn", made.family, settings, stop=1)
    assert trained(made.base, tmp_path / "torn", made.family, settings).read_bytes() == whole.read_bytes()
    lengths = [value for name, value in load_file(kohya_path(whole)).items() if "conv1.dora_scale" in name]
    assert lengths and all(value.shape[1:] == (1, 1, 1) for value in lengths)


def test_a_training_begins_from_one(made: Trained) -> None:
    settings = replace(SETTINGS, start_from=str(made.lora), conv_rank=3, conv_alpha=6.0)
    start = start_of(settings, made.family)
    assert start is not None
    base = open_base(made.choice, made.family)
    base.lora.use(None)
    with adapted(base, AdapterPlan.of(settings, made.family), 7) as model:
        begin_from(start, model)
        for (_, path), pair in model.pairs.items():
            layer = pairs(made.lora, made.family)[path]
            first, second = (part.values().reshape(len(part.values()), -1) for part in (layer.down, layer.up))
            begun = (pair.up.flatten(1) @ pair.down.flatten(1) * pair.scale).detach().numpy()
            np.testing.assert_allclose(begun, second @ first * layer.scale, rtol=1e-3, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("made", ["sdxl"], indirect=True)
def test_it_is_forecast(made: Trained) -> None:
    base = open_base(made.choice, made.family)
    base.lora.use(None)
    plain, _ = demand_of(base, replace(SETTINGS, conv_rank=0, conv_alpha=0.0))
    wide, _ = demand_of(base, SETTINGS)
    convolutions = {name: layer for name, layer in pairs(made.lora, made.family).items() if ".attentions." not in name}
    numbers = sum(layer.down.bits.size + layer.up.bits.size for layer in convolutions.values())
    assert wide.footprint.adapter - plain.footprint.adapter == numbers > 0
    assert wide.footprint.forward > plain.footprint.forward


def test_layers_can_be_left_out(made: Trained) -> None:
    base = open_base(made.choice, made.family)
    base.lora.use(None)
    settings = replace(SETTINGS, only_layers=("mid_block.",), skip_layers=("time_emb_proj",))
    with adapted(base, AdapterPlan.of(settings, made.family), 7) as model:
        names = {path for _, path in model.pairs}
    assert "mid_block.resnets.0.conv1" in names
    assert all(name.startswith("mid_block.") and "time_emb_proj" not in name for name in names)


def test_the_copy_of_a_whole_sdxl_has_the_names_of_its_original_code(tmp_path: Path) -> None:
    """All its layers, by their numbers alone: sd-scripts and ComfyUI know SDXL's convolutions by these names only."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=128,
            cross_attention_dim=2048,
            block_out_channels=(320, 640, 1280),
            transformer_layers_per_block=(1, 2, 10),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            attention_head_dim=(5, 10, 20),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
        )
    attentions = [name for name, _ in unet.named_modules() if name.endswith("attn1.to_q")]
    around = around_attentions(unet)
    zeros = torch.zeros(2, 2), torch.zeros(2, 2)
    lora = LoraWeights(dict.fromkeys([*attentions, *around], zeros), 2, 2.0)
    names = {
        name.removesuffix(".alpha")
        for name in copy_tensors(lora, FAMILIES["sdxl"].lora_names)
        if name.endswith(".alpha")
    }
    assert len(names) == len(attentions) + len(around)
    for name in names:
        assert re.match(r"lora_unet_(input_blocks_[1-8]|middle_block|output_blocks_[0-8])_\d_", name), name
    # from sd-scripts' own SDXL U-Net: a resnet without and with a shortcut, both changes of size, the middle
    assert {
        "lora_unet_input_blocks_1_0_in_layers_2",
        "lora_unet_input_blocks_4_0_skip_connection",
        "lora_unet_input_blocks_3_0_op",
        "lora_unet_middle_block_2_out_layers_3",
        "lora_unet_output_blocks_2_2_conv",
        "lora_unet_output_blocks_8_0_emb_layers_1",
    } <= names
    path = tmp_path / "lora_kohya.safetensors"
    save_file({name: tensor.clone() for name, tensor in copy_tensors(lora, FAMILIES["sdxl"].lora_names).items()}, path)
    back = {place.path for place in understood(read_lora(path), "sdxl").layers}
    assert back == {*attentions, *around}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"conv_rank": 1}, "Set training.conv_rank to 2"),
        ({"conv_rank": 0}, "Set training.conv_rank to 2"),
        ({"rank": 3}, "Set training.rank to 4"),
    ],
)
def test_what_it_cannot_begin_from(changes: dict[str, Any], says: str, made: Trained) -> None:
    with pytest.raises(InputError, match=says):
        asked = replace(SETTINGS, start_from=str(made.lora), **changes)
        look_at_all(training_checks(asked, made.family, made.choice, 1))


def test_a_transformer_has_none() -> None:
    with pytest.raises(InputError, match=r"training\.conv_rank is for U-Nets"):
        check_fits(SETTINGS, FAMILIES["flux"])


def test_alpha_follows_rank_where_it_is_not_said() -> None:
    assert replace(SETTINGS, conv_alpha=0.0).convolution_alpha == 4.0


def test_a_file_reads_back_under_diffusers_names(made: Trained, tmp_path: Path) -> None:
    """Ranks and alphas that only the header tells."""
    base = open_base(made.choice, made.family)
    name = "mid_block.resnets.0.conv1"
    layer: Any = base.denoiser.get_submodule(name)
    down, up = torch.ones(2, layer.in_channels, 3, 3), torch.ones(layer.out_channels, 2, 1, 1)
    lora = LoraWeights({name: (down, up)}, 4, 8.0, alphas={name: 1.0})
    write_lora(tmp_path / "lora.safetensors", lora, made.family, {})
    assert read_for_pipeline(tmp_path / "lora.safetensors", base.pipeline, made.family).tensors
    base.lora.use(tmp_path / "lora.safetensors")
    worn: Any = base.denoiser.get_submodule(name)
    assert torch.allclose(worn.get_delta_weight("twinloop"), torch.ones(()))  # 2 x 1 / 2
    base.lora.use(None)
