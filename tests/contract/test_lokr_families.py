"""LoKr over every kind of base model, and every pipeline that loads it, on a tiny model with random weights: train,
kill and go on, write, read, wear, and plain diffusers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import OF_A_KIND, TinyBase, both_files, offline  # noqa: E402
from tests.helpers.plain_pipelines import plain_pipeline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.unit.loras.makers import delta  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.kronecker import Kronecker  # noqa: E402
from twinloop.loras.lora import read_lora  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

PAIRS = replace(
    TRAINING, adapter="lokr", lokr_factor=4, rank=1, alpha=2.0, steps=2, checkpoint_every=1, learning_rate=0.05
)
"""alpha is twice the rank: a file that loses it shows."""
WHOLE = replace(PAIRS, lokr_factor=-1, rank=10000, alpha=1.0, steps=1)
READ_BY_DIFFUSERS = ("flux2", "flux2-klein", "zimage")
"""Families whose pipelines load LoKr."""


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@dataclass(frozen=True)
class Trained(TinyBase):
    """A tiny base model of a family, and LoKrs that were trained on it without a break."""

    home: Path

    @property
    def pairs(self) -> Path:
        return self.home / "pairs" / "lora.safetensors"

    @property
    def whole(self) -> Path:
        return self.home / "whole" / "lora.safetensors"


@pytest.fixture(scope="module", params=(*OF_A_KIND, "flux2-klein"))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = tmp_path_factory.mktemp(request.param)
    family = FAMILIES[request.param]
    made = Trained(family, build_tiny(family.name, home / "base"), samples(home / "photos", count=2), home)
    made.train(home / "pairs", PAIRS)
    made.train(home / "whole", WHOLE)
    return made


@pytest.mark.slow
def test_killed_and_called_again_same_bytes(trained: Trained, tmp_path: Path) -> None:
    assert trained.killed_then_again(tmp_path, PAIRS, kill_after=1) == both_files(trained.pairs)


def test_every_target_is_trained(trained: Trained) -> None:
    """Pairs for a small rank, whole matrices for a huge one; and what the loss reaches has moved from its start at
    zero.
    """
    for file, part, other in ((trained.pairs, "w2_b", "w2"), (trained.whole, "w2", "w2_b")):
        tensors = load_file(file)
        for target in trained.family.targets:
            moved = [
                value
                for name, value in tensors.items()
                if f".{target}.lokr_" in name and name.endswith(f".lokr_{part}")
            ]
            assert moved and any(bool(value.any()) for value in moved), (target, part)
        if other == "w2_b":
            assert not any(name.endswith((".lokr_w2_a", ".lokr_w2_b")) for name in tensors)


def lycoris(parts: dict[str, Any], alpha: float) -> Any:
    """LyCORIS's formula: kron(w1, w2) x alpha / rank, where w2 is a pair; without the quotient where it is whole."""
    if "w2" in parts:
        return torch.kron(parts["w1"], parts["w2"].flatten(1))
    return torch.kron(parts["w1"], parts["w2_a"] @ parts["w2_b"]) * (alpha / parts["w2_a"].shape[1])


@pytest.mark.parametrize("kind", ["pairs", "whole"])
def test_the_generator_wears_what_lycoris_says(trained: Trained, kind: str) -> None:
    """Every layer, from the file's numbers alone, at full strength and at a third of it."""
    base, path = trained.open(), getattr(trained, kind)
    parts: dict[str, dict[str, Any]] = {}
    for name, tensor in load_file(path).items():
        layer, _, part = name.removeprefix(f"{trained.family.denoiser}.").rpartition(".lokr_")
        parts.setdefault(layer, {})[part] = tensor.float()
    for strength in (1.0, 1 / 3):
        base.lora.use(path, strength)
        for layer, own in parts.items():
            worn: Any = base.denoiser.get_submodule(layer)
            wanted = lycoris(own, PAIRS.alpha).reshape(worn.get_base_layer().weight.shape) * strength
            assert torch.allclose(worn.get_delta_weight("twinloop"), wanted, atol=1e-6), layer
            if isinstance(worn.get_base_layer(), torch.nn.Linear):
                unit = torch.eye(worn.in_features)
                with torch.no_grad():
                    found = worn(unit) - worn.get_base_layer()(unit)
                assert torch.allclose(found.T, wanted, atol=1e-5), layer
    base.lora.use(None)


def test_what_is_written_is_what_was_trained(trained: Trained) -> None:
    """The denoiser in training answers as the generator's with the file does."""
    base = trained.open()
    plan = AdapterPlan.of(PAIRS, trained.family)
    with (
        adapted(base, plan, 0) as denoiser,
        torch.no_grad(),
    ):
        tensors = load_file(trained.pairs)
        for name, parameter in denoiser.parameters.items():
            parameter.copy_(tensors[f"{trained.family.denoiser}.{name}"])
        wanted = {
            name: layer.get_delta_weight("in_training")
            for name, layer in base.denoiser.named_modules()
            if hasattr(layer, "lokr_w1")
        }
    base.lora.use(trained.pairs)
    assert wanted
    for name, update in wanted.items():
        worn: Any = base.denoiser.get_submodule(name)
        assert torch.equal(worn.get_delta_weight("twinloop"), update)
    base.lora.use(None)


def pictures(generator: DiffusersGenerator, **changes: Any) -> Any:
    ((_, image),) = generator.generate(shots(1), replace(GENERATION, **changes))
    return image


def test_it_changes_the_images_and_comes_off_without_trace(trained: Trained) -> None:
    """Swapped on a loaded base; the copy for other programs makes the same picture."""
    generator = trained.generator()
    generator.load_lora(None)
    bare = pictures(generator)
    generator.load_lora(trained.whole)
    whole = pictures(generator)
    generator.load_lora(trained.pairs)
    first = pictures(generator)
    assert not np.array_equal(first, bare) and not np.array_equal(whole, bare)
    assert np.array_equal(pictures(generator, lora_scale=0.0), bare)
    generator.load_lora(kohya_path(trained.pairs))
    assert np.array_equal(pictures(generator), first)
    generator.load_lora(None)
    assert np.array_equal(pictures(generator), bare)


@pytest.mark.parametrize("kind", ["pairs", "whole"])
def test_the_copy_for_other_programs_is_the_same_bit_for_bit(trained: Trained, kind: str) -> None:
    path = getattr(trained, kind)
    first, second = (understood(read_lora(file), trained.family.name).layers for file in (path, kohya_path(path)))
    assert first.keys() == second.keys()
    for place, one in first.items():
        other = second[place]
        assert isinstance(one, Kronecker) and isinstance(other, Kronecker) and one.scale == other.scale
        assert all(raw.same(other.parts[part]) for part, raw in one.parts.items())
    assert all(name.rpartition(".")[2].startswith(("lokr_w", "alpha")) for name in load_file(kohya_path(path)))


def test_plain_diffusers_wears_the_same_where_it_reads_lokr(trained: Trained) -> None:
    pipeline, _ = plain_pipeline(trained.family, trained.base, 1.0)
    for path in (trained.pairs, trained.whole, kohya_path(trained.pairs), kohya_path(trained.whole)):
        if trained.family.name not in READ_BY_DIFFUSERS:
            with suppress(ValueError, KeyError):  # some pass over names that they do not know in silence
                pipeline.load_lora_weights(str(path), adapter_name="ana")
            assert not getattr(getattr(pipeline, trained.family.denoiser), "peft_config", {})
            continue
        pipeline.load_lora_weights(str(path), adapter_name="ana")
        found = {place.path: layer for place, layer in understood(read_lora(path), trained.family.name).layers.items()}
        for name, layer in found.items():
            assert isinstance(layer, Kronecker)
            worn = getattr(pipeline, trained.family.denoiser).get_submodule(name).get_delta_weight("ana")
            # the scale was rounded into half precision
            assert torch.allclose(worn.float(), torch.from_numpy(delta(layer)).float(), atol=1e-3), name
        pipeline.unload_lora_weights()


def test_the_header_says_what_it_is(trained: Trained) -> None:
    texts = header_texts(trained.pairs)
    assert (
        texts["ss_network_module"] == "lycoris.kohya" and texts["ss_network_args"] == '{"algo": "lokr", "factor": "4"}'
    )
    assert (texts["ss_network_dim"], texts["ss_network_alpha"]) == ("1", "2.0")
