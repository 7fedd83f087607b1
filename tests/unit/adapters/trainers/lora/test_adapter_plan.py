"""What a training puts on a base model is what the forecast of its memory counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import open_base
from twinloop.adapters.diffusion.pixels import latent_shape
from twinloop.adapters.diffusion.prompts import join
from twinloop.adapters.trainers.lora.adapted_model import adapted
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.memory.dry_run import encoders_footprint, footprint
from twinloop.errors import InputError
from twinloop.families import FAMILIES

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
