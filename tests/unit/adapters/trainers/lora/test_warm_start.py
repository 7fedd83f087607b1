"""A training that begins from a LoRA: the same change of the base at first, in any rank and from any dialect; and what
it cannot begin from.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.lora.warm_start import begin_from  # noqa: E402
from twinloop.adapters.trainers.lora.warm_start_file import start_of  # noqa: E402
from twinloop.adapters.trainers.preflight import training_checks  # noqa: E402
from twinloop.errors import InputError, ModelFileError, StateError, TwinLoopError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.lora import Layer, read_lora  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402

SDXL = FAMILIES["sdxl"]
CPU = BaseChoice("base", "cpu")
FIRST = replace(TRAINING, steps=2, learning_rate=0.05, warmup_steps=1, rank=4, alpha=2.0, tensorboard=False)


def trained(base: Path, home: Path, settings: TrainingSettings = FIRST, stop: int = 0) -> Path:
    """A LoRA that changes something."""

    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    photos, output = samples(home / "photos"), home / "lora.safetensors"
    DiffusersLoraTrainer(BaseChoice(str(base), "cpu"), SDXL).train(
        photos, settings, output, home / "work", {}, progress
    )
    return output


@pytest.fixture(scope="module")
def base(full_base: Path) -> Path:
    return full_base


@pytest.fixture(scope="module")
def first(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(base, tmp_path_factory.mktemp("first"), replace(FIRST, text_encoder=True))


def updates(path: Path) -> dict[Any, Any]:
    """What the file does to each layer: up @ down x scale."""
    layers = understood(read_lora(path)).layers
    assert all(isinstance(layer, Layer) for layer in layers.values())
    return {place: product(layer) for place, layer in layers.items() if isinstance(layer, Layer)}


def product(layer: Layer) -> Any:
    down, up = layer.down.values(), layer.up.values()
    return up.reshape(len(up), -1) @ down.reshape(len(down), -1) * layer.scale


@pytest.mark.parametrize("copy", ["lora.safetensors", "lora_kohya.safetensors"])
@pytest.mark.parametrize(("rank", "alpha"), [(4, 2.0), (6, 12.0)])
def test_it_begins_as_the_same_change(copy: str, rank: int, alpha: float, base: Path, first: Path) -> None:
    path = first.with_name(copy)
    settings = replace(FIRST, rank=rank, alpha=alpha, text_encoder=True, start_from=str(path))
    opened, start = open_base(BaseChoice(str(base), "cpu", "float32"), SDXL), start_of(settings, SDXL)
    assert start is not None
    with adapted(opened, AdapterPlan.of(settings, SDXL), 7) as model:
        begin_from(start, model)
        found = {
            place: (pair.up.flatten(1) @ pair.down.flatten(1) * pair.scale).detach().numpy()
            for place, pair in model.pairs.items()
        }
        rest = [pair.down[4:] for pair in model.pairs.values()]
    wanted = updates(first)
    assert found.keys() == wanted.keys()
    for place, change in wanted.items():
        np.testing.assert_allclose(found[place], change, rtol=1e-3, atol=1e-6)
    assert max(float(np.abs(change).max()) for change in wanted.values()) > 1e-4
    assert all(part.abs().max() > 0 for part in rest if part.numel())


def test_stopped_and_gone_on_it_ends_in_the_same_bytes(
    base: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the file it began from lies meanwhile."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    settings = replace(FIRST, steps=4, checkpoint_every=2, text_encoder=True, start_sha256=sha256_file(first))
    whole = trained(base, tmp_path / "whole", replace(settings, start_from=str(first)))
    with pytest.raises(KeyboardInterrupt):
        trained(base, tmp_path / "torn", replace(settings, start_from=str(first)), stop=3)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(first.read_bytes())
    torn = trained(base, tmp_path / "torn", replace(settings, start_from=str(moved)))
    assert torn.read_bytes() == whole.read_bytes()
    cold = trained(base, tmp_path / "cold", replace(settings, start_sha256=""))
    assert cold.read_bytes() != whole.read_bytes()


def test_a_layer_that_the_file_lacks_begins_as_no_change(base: Path, tmp_path: Path) -> None:
    narrow = trained(base, tmp_path, replace(FIRST, only_layers=("mid_block.",)))
    start = start_of(replace(FIRST, start_from=str(narrow)), SDXL)
    assert start is not None
    with adapted(open_base(BaseChoice(str(base), "cpu"), SDXL), AdapterPlan.of(FIRST, SDXL), 7) as model:
        begin_from(start, model)
        for (_, path), pair in model.pairs.items():
            assert bool(pair.up.abs().max() > 0) == path.startswith("mid_block.")


@pytest.mark.parametrize("name", ["lora.safetensors", "lora_kohya.safetensors"])
@pytest.mark.parametrize(
    ("family", "only"), [("flux", ()), ("flux", ("attn.to_q", "attn.to_v")), ("sd35", ()), ("sd35", ("attn.to_q",))]
)
def test_parts_of_fused_layers_have_their_own_rank(
    family: str, only: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    """The copy for other programs has several layers in one, with zeros for those that were not trained."""
    known = FAMILIES[family]
    opened = open_base(BaseChoice(str(build_tiny(family, tmp_path / "base")), "cpu", "float32"), known)
    settings = replace(FIRST, only_layers=only, start_from=str(tmp_path / name))
    plan = AdapterPlan.of(settings, known)
    with adapted(opened, plan, 0) as model, torch.no_grad():
        for key, parameter in model.parameters.items():
            if key.endswith("lora_B"):
                parameter.normal_(std=0.3)
        write_lora(tmp_path / "lora.safetensors", model.weights(torch.float32), known, {})
        wanted = {place: pair.up @ pair.down for place, pair in model.pairs.items()}
    with pytest.raises(InputError, match="has rank 4, and the training 3"):
        start_of(replace(settings, rank=3), known)
    start = start_of(settings, known)
    assert start is not None
    with adapted(opened, plan, 7) as model:
        begin_from(start, model)
        for place, pair in model.pairs.items():
            assert torch.allclose(pair.up @ pair.down, wanted[place], atol=1e-5), place


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        (
            {"rank": 2, "text_encoder": True},
            InputError,
            "Set training.rank to 4, or make the file smaller: twinloop lora resize",
        ),
        ({"start_sha256": "0" * 64}, StateError, "was changed"),
        ({"start_from": "nowhere.safetensors"}, InputError, "no such file: nowhere.safetensors"),
    ],
)
def test_what_it_cannot_begin_from_is_told_before_a_model_is_loaded(
    changes: dict[str, Any], error: type[TwinLoopError], says: str, base: Path, first: Path
) -> None:
    asked = replace(FIRST, **{"start_from": str(first), **changes})
    with pytest.raises(error, match=says):
        look_at_all(training_checks(asked, SDXL, BaseChoice(str(base), "cpu"), 1))


def test_a_lokr_is_nothing_to_begin_from(base: Path, tmp_path: Path) -> None:
    lokr = trained(base, tmp_path, replace(FIRST, adapter="lokr", steps=1))
    with pytest.raises(ModelFileError, match="is a LoKr"):
        look_at_all(training_checks(replace(FIRST, start_from=str(lokr)), SDXL, BaseChoice(str(base), "cpu"), 1))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({}, InputError, "set training.text_encoder to true"),
        ({"text_encoder": True, "only_layers": ("mid_block.",)}, ModelFileError, "leaves alone"),
    ],
)
def test_layers_that_would_be_lost_are_an_error(
    changes: dict[str, Any], error: type[TwinLoopError], says: str, base: Path, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        trained(base, tmp_path, replace(FIRST, start_from=str(first), **changes))
    assert not (tmp_path / "lora.safetensors").exists()
    with pytest.raises(error, match=says):  # and before a model is loaded
        look_at_all(training_checks(replace(FIRST, start_from=str(first), **changes), SDXL, CPU, 1))


@pytest.mark.parametrize("family", ["sd15", "flux", "zimage"])
@pytest.mark.parametrize("told_by", ["header", "layers"])
def test_one_of_another_family_is_told_before_a_model_is_loaded(
    family: str, told_by: str, first: Path, tmp_path: Path
) -> None:
    path, known = tmp_path / "given.safetensors", FAMILIES[family]
    save_file(load_file(first), path, header_texts(first) if told_by == "header" else {})
    asked = replace(FIRST, text_encoder=True, start_from=str(path))
    if told_by == "layers" and known.denoiser == "unet":
        return  # the tiny one has no size that tells
    with pytest.raises(ModelFileError, match=f"the base model is of '{family}'|a {family} model has a transformer"):
        look_at_all(training_checks(asked, known, CPU, 1))
    look_at_all(training_checks(asked, SDXL, CPU, 1))
