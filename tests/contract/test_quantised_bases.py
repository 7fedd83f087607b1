"""A LoRA trained on quantised weights (QLoRA): the loss falls, a killed training resumes to the same bytes, the file
fits the float base.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("torchao", reason="the quant extra is not installed")
pytest.importorskip("bitsandbytes", reason="the quant extra is not installed")

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.quantised import QUANTIZATIONS  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.families import FAMILIES, Family  # noqa: E402
from twinloop.loras.lora import read_lora  # noqa: E402
from twinloop.store.models.lora_file import kohya_path  # noqa: E402

SETTINGS = replace(TRAINING, steps=16, learning_rate=0.02)
NEAR = {"int8": 1.0, "fp8": 1.5, "nf4": 6.0}
"""Mean distance in shades of 255 between pictures of a tiny model and of the same with float weights."""


class Stopped(Exception):
    """The training is cut off here."""


@dataclass
class Bench:
    """One tiny base under one kind of weights."""

    family: Family
    base: Path
    how: str
    home: Path
    photos: tuple[TrainingSample, ...]
    losses: list[float] = field(default_factory=list)

    @property
    def lora(self) -> Path:
        return self.home / "lora.safetensors"

    def train(self, home: Path, stop_at: int = 0, **changes: Any) -> Path:
        def progress(step: int, steps: int, loss: float) -> None:
            self.losses.append(loss)
            if step == stop_at:
                raise Stopped

        trainer = DiffusersLoraTrainer(BaseChoice(str(self.base), "cpu", quantization=self.how), self.family)
        trainer.train(self.photos, replace(SETTINGS, **changes), home / "lora.safetensors", home / "work", {}, progress)
        return home / "lora.safetensors"

    def pictures(self, how: str | None, lora: Path | None) -> list[ImageArray]:
        generator = DiffusersGenerator(BaseChoice(str(self.base), "cpu", quantization=how), self.family)
        generator.load_lora(lora)
        made = [image for _, image in generator.generate(shots(2), GENERATION)]
        generator.load_lora(None)
        return made


@pytest.fixture(scope="module", autouse=True)
def one_date() -> Iterator[None]:
    """A training that is not resumed but done again carries its own date."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        yield


@pytest.fixture(scope="module", params=[*(("flux", how) for how in QUANTIZATIONS), ("sdxl", "int8")], ids="-".join)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, one_date: None) -> Bench:
    name, how = request.param
    home = tmp_path_factory.mktemp(f"{name}-{how}")
    made = Bench(FAMILIES[name], build_tiny(name, home / "base"), how, home, samples(home / "photos", count=3))
    made.train(home)
    return made


def test_the_loss_falls(bench: Bench) -> None:
    first, last = np.mean(bench.losses[:5]), np.mean(bench.losses[11:16])
    assert np.isfinite(bench.losses).all() and last < first


def test_cut_off_and_called_again_same_bytes(bench: Bench, tmp_path: Path) -> None:
    """Also after pictures were made on the same base in between."""
    with pytest.raises(Stopped):
        bench.train(tmp_path, stop_at=5)
    bench.pictures(bench.how, None)
    bench.train(tmp_path)
    for made in (Path, kohya_path):
        assert made(tmp_path / "lora.safetensors").read_bytes() == made(bench.lora).read_bytes()


def test_the_lora_fits_the_float_base_and_does_there_what_it_does_here(bench: Bench) -> None:
    ours, theirs = (
        [np.stack(bench.pictures(how, lora)).astype(int) for lora in (None, bench.lora)] for how in (bench.how, None)
    )
    for quantised, plain in zip(ours, theirs, strict=True):
        assert np.abs(quantised - plain).mean() < NEAR[bench.how]
    changed = [(worn - bare).ravel() for bare, worn in (ours, theirs)]
    assert all(np.abs(change).mean() > 1 for change in changed)
    assert np.corrcoef(*changed)[0, 1] > 0.9


def test_taking_a_lora_off_leaves_no_trace(bench: Bench) -> None:
    """Quantised layers are never fused: what comes apart again is exactly what was there."""
    before = bench.pictures(bench.how, None)
    bench.pictures(bench.how, bench.lora)
    assert np.array_equal(before, bench.pictures(bench.how, None))


@pytest.mark.parametrize("adapter", ["dora", "lokr"])
def test_other_adapters_train_on_quantised_weights_too(bench: Bench, adapter: str, tmp_path: Path) -> None:
    made = bench.train(tmp_path, adapter=adapter, steps=3)
    bare, worn = (np.stack(bench.pictures(bench.how, lora)).astype(int) for lora in (None, made))
    assert np.abs(worn - bare).mean() > 0.1


def test_the_lora_says_what_it_was_trained_on(bench: Bench) -> None:
    for path in (bench.lora, kohya_path(bench.lora)):
        assert read_lora(path).texts["twinloop.quantization"] == bench.how
