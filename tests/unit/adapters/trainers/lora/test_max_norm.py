"""The longest change of a layer, against sd-scripts' definition of it; and LoRA+ beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from torch import Tensor  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.lora.max_norm import limit_norm, product_norm  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.lora import Layer, read_lora  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402

SDXL = FAMILIES["sdxl"]
LIMIT = 0.02
SETTINGS = replace(
    TRAINING, steps=4, learning_rate=0.05, conv_rank=2, scale_weight_norms=LIMIT, checkpoint_every=1, text_encoder=True
)


def whole(down: Tensor, up: Tensor, scale: float) -> Tensor:
    """The change of the layer, computed as sd-scripts does it."""
    if down.ndim == 4:
        return torch.nn.functional.conv2d(down.permute(1, 0, 2, 3), up).permute(1, 0, 2, 3) * scale
    return (up @ down) * scale


def drawn(down: tuple[int, ...], up: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(down, generator=generator), torch.randn(up, generator=generator)


@pytest.mark.parametrize(("down", "up"), [((4, 9), (7, 4)), ((4, 3, 3, 3), (6, 4, 1, 1)), ((4, 5, 1, 1), (6, 4, 1, 1))])
def test_as_sd_scripts_computes_it(down: tuple[int, ...], up: tuple[int, ...]) -> None:
    first, second = drawn(down, up)
    before = whole(first, second, 0.5)
    assert product_norm(first, second, 0.5).item() == pytest.approx(before.norm().item(), rel=1e-5)
    limit = before.norm().item() / 3
    root = (limit / before.norm()).sqrt()
    wanted = first * root, second * root
    limit_norm(first, second, 0.5, limit)
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip((first, second), wanted, strict=True))
    assert whole(first, second, 0.5).norm().item() == pytest.approx(limit, rel=1e-5)


def test_what_is_short_enough_keeps_every_bit() -> None:
    first, second = drawn((4, 9), (7, 4))
    kept = first.clone(), second.clone()
    limit_norm(first, second, 0.5, whole(first, second, 0.5).norm().item() * 1.01)
    assert torch.equal(first, kept[0]) and torch.equal(second, kept[1])
    limit_norm(first, second.zero_(), 0.5, 1.0)
    assert torch.equal(first, kept[0]) and not second.any()


def test_text_encoders_that_learn_no_more_stay_as_they_are(tmp_path: Path) -> None:
    base = open_base(BaseChoice(str(build_tiny("sdxl", tmp_path / "base")), "cpu", "float32"), SDXL)
    with adapted(base, AdapterPlan(SDXL.targets, 4, 4.0, text_encoder=True), 0) as model:
        for parameter in model.parameters.values():
            torch.nn.init.constant_(parameter, 1.0)
        model.train_encoders(False)
        model.limit_norms(1.0)
        ones = {name: bool((parameter == 1.0).all()) for name, parameter in model.parameters.items()}
        assert {name for name, is_one in ones.items() if is_one} == set(model.encoder_parameters)
        model.train_encoders(True)
        model.limit_norms(1.0)
        assert all((parameter < 1.0).all() for parameter in model.parameters.values())


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    home = tmp_path_factory.mktemp("base")
    trainer = DiffusersLoraTrainer(BaseChoice(str(build_tiny("sdxl", home / "base")), "cpu", "float32"), SDXL)
    photos = samples(home / "photos", count=3)

    def trained(folder: Path, settings: TrainingSettings = SETTINGS, stop: int = 0) -> Path:
        def progress(step: int, steps: int, loss: float) -> None:
            if step == stop:
                raise KeyboardInterrupt

        trainer.train(photos, settings, folder / "lora.safetensors", folder / "work", {}, progress)
        return folder / "lora.safetensors"

    return trained


def norms(path: Path) -> list[float]:
    found = []
    for layer in understood(read_lora(path), "sdxl").layers.values():
        assert isinstance(layer, Layer) and layer.rank is not None and layer.alpha is not None
        down, up = (torch.from_numpy(part.values()) for part in (layer.down, layer.up))
        found.append(whole(down, up, layer.alpha / layer.rank).norm().item())
    return found


def test_no_layer_changes_by_more(train: Callable[..., Path], tmp_path: Path) -> None:
    """Those of text encoders and convolutions too; that would be longer without."""
    free = norms(train(tmp_path / "free", replace(SETTINGS, scale_weight_norms=0.0)))
    held = train(tmp_path / "held")
    # float16 in the file
    assert max(norms(held)) <= LIMIT * 1.01 and sum(norm > LIMIT * 1.5 for norm in free) > len(free) / 2
    assert header_texts(held)["ss_scale_weight_norms"] == str(LIMIT)


def test_with_lora_plus_the_ups_learn_so_many_times_faster(train: Callable[..., Path], tmp_path: Path) -> None:
    """Those of text encoders as well, over their own rate."""
    once = replace(SETTINGS, steps=1, warmup_steps=0, schedule="constant", learning_rate=1e-3, scale_weight_norms=0.0)
    plain, faster = (
        understood(read_lora(train(tmp_path / f"{ratio:g}", replace(once, loraplus_lr_ratio=ratio))), "sdxl").layers
        for ratio in (0.0, 8.0)
    )
    moved = {True: 0, False: 0}
    for place, layer in plain.items():
        other = faster[place]
        assert isinstance(layer, Layer) and isinstance(other, Layer)
        assert layer.down.same(other.down)
        near, far = layer.up.values(), other.up.values()
        # float16 in the file rounds smaller ones too much
        there = abs(near) > 1e-4
        assert far[there] == pytest.approx(8 * near[there], rel=2e-3)
        moved["text" in place.component] += int(there.sum())
    assert min(moved.values()) > 0


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, loraplus_lr_ratio=8.0)], ids=["norms", "both"])
def test_killed_and_started_again_it_is_the_same(
    settings: TrainingSettings, train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", settings, stop=2)
    again, whole_one = train(tmp_path / "killed", settings), train(tmp_path / "whole", settings)
    assert again.read_bytes() == whole_one.read_bytes()
