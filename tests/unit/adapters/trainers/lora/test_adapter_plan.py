"""What a training puts on a base model is what the forecast of its memory counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING
from tests.helpers.training_memory import encoders_footprint
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import open_base
from twinloop.adapters.diffusion.pixels import latent_shape
from twinloop.adapters.diffusion.prompts import join
from twinloop.adapters.trainers.lora.adapted_model import adapted
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.memory.dry_run import footprint
from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import is_wide_shape

SDXL = FAMILIES["sdxl"]


@pytest.mark.parametrize(
    ("changes", "dora", "lokr"),
    [
        ({"adapter": "lora"}, False, 0),
        ({"adapter": "dora"}, True, 0),
        ({"adapter": "lokr", "lokr_factor": 4}, False, 4),
        ({"adapter": "dora", "text_encoder": True}, True, 0),
    ],
)
def test_the_forecast_counts_what_is_trained(
    changes: dict[str, object], dora: bool, lokr: int, full_base: Path
) -> None:
    settings = replace(TRAINING, rank=3, alpha=6.0, **changes)  # type: ignore[arg-type]
    plan = AdapterPlan.of(settings, SDXL)
    assert plan == AdapterPlan(SDXL.targets, 3, 6.0, dora, settings.text_encoder, lokr)
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    words = join([base.prompts.embed("a photo")], SDXL.joining)
    counted = footprint(base, plan, latent_shape(base, 64, 64), words).adapter
    if plan.text_encoder:
        counted += encoders_footprint(base, plan).adapter
    with adapted(base, plan, 0) as model:
        assert counted == sum(parameter.numel() for parameter in model.parameters.values())
        assert any(name.endswith("magnitude_vector") for name in model.parameters) == dora


@pytest.mark.parametrize("dora", [True, False])
def test_each_pair_is_made_of_the_parameters_that_are_trained(dora: bool, full_base: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    plan = AdapterPlan(SDXL.targets, 4, 2.0, dora, text_encoder=True, conv_rank=2, conv_alpha=3.0)
    with adapted(base, plan, 0) as model:
        parts = {"lora_A": "down", "lora_B": "up", "lora_magnitude_vector": "magnitude"}
        of_pairs = {
            f"{pair.name}.{name}": part
            for pair in model.pairs.values()
            for name, field in parts.items()
            if (part := getattr(pair, field)) is not None
        }
        assert of_pairs.keys() == model.parameters.keys()
        assert all(part is model.parameters[name] for name, part in of_pairs.items())
        encoders = {pair.name for place, pair in model.pairs.items() if place.component != DENOISER}
        assert encoders and {name.rpartition(".")[0] for name in model.encoder_parameters} == encoders
        for (_, path), pair in model.pairs.items():
            wide = path.endswith((".conv1", ".conv2", "samplers.0.conv"))
            assert (len(pair.down), pair.scale) == ((2, 1.5) if wide else (4, 0.5)), path


@pytest.mark.parametrize(
    ("shape", "wide"),
    [((4, 8), False), ((4, 8, 1, 1), False), ((4, 8, 3, 3), True), ((4, 8, 1, 3), True), ((4, 8, 3), True)],
)
def test_a_convolution_that_sees_neighbours_is_told_by_its_shape(shape: tuple[int, ...], wide: bool) -> None:
    assert is_wide_shape(shape) == wide


def test_layers_of_one_shape_begin_differently(full_base: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    with adapted(base, AdapterPlan(SDXL.targets, 4, 4.0), 0) as model:
        name = next(name for name in model.parameters if name.endswith("attn1.to_q.lora_A"))
        query, key = model.parameters[name], model.parameters[name.replace("to_q", "to_k")]
        assert query.shape == key.shape and not query.equal(key)


def test_a_base_without_these_layers_is_told_by_both_and_left_as_it_was(full_base: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    plan = AdapterPlan(("no_such_layer",), 4, 4.0)
    words = join([base.prompts.embed("a photo")], SDXL.joining)
    with pytest.raises(InputError, match="no layers named no_such_layer"):
        footprint(base, plan, latent_shape(base, 64, 64), words)
    with pytest.raises(InputError, match="no layers named no_such_layer"), adapted(base, plan, 0):
        pass
    with adapted(base, AdapterPlan(SDXL.targets, 4, 4.0), 0) as model:  # nothing of the other one is in the way
        assert model.parameters
