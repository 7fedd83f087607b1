"""A LoRA in the place of another: the same pictures as afresh, no layer replaced, and files that need more go the usual
way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from peft.tuners.lora import LoraLayer  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from tests.helpers.lora_files import write_lora  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.loras.dora_rows import RowNorms  # noqa: E402
from twinloop.adapters.diffusion.loras.hot_swap import pairs_of  # noqa: E402
from twinloop.adapters.diffusion.loras.reading import read_for_pipeline  # noqa: E402
from twinloop.adapters.diffusion.loras.writing import LoraWeights  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import adapted_layers  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter_settings import ADAPTER_TEXT  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

FAMILY = FAMILIES["sdxl"]


@pytest.fixture
def base(full_base: Path) -> Iterator[BaseModel]:
    opened = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILY)
    opened.lora.hold_steady(False)
    opened.lora.use(None)
    yield opened
    opened.lora.hold_steady(False)
    opened.lora.use(None)


def lora(base: BaseModel, path: Path, *, rank: int = 4, alpha: float = 4.0, seed: int = 0, dora: bool = False) -> Path:
    """A LoRA with random numbers on every layer that is usually trained."""
    base.lora.use(None)
    random = torch.Generator().manual_seed(seed)
    layers: dict[str, Any] = {}
    for name in adapted_layers(base.denoiser, FAMILY.targets):
        weight = base.denoiser.get_submodule(name).weight
        layers[name] = tuple(
            torch.randn(shape, generator=random) * 0.1 for shape in ((rank, weight.shape[1]), (weight.shape[0], rank))
        )
    lengths = {name: torch.rand(up.shape[0], generator=random) for name, (_, up) in layers.items()} if dora else {}
    norms = {name: RowNorms(torch.ones_like(part), torch.ones_like(part)) for name, part in lengths.items()}
    write_lora(path, LoraWeights(layers, rank, alpha, lengths, norms=norms), FAMILY, {})
    return path


def answer(base: BaseModel) -> Any:
    """The denoiser's to one fixed question."""
    with torch.inference_mode():
        return _answer(base)


def _answer(base: BaseModel) -> Any:
    random = torch.Generator().manual_seed(1)
    words = base.prompts.embed("photo of ohwx ana")
    latents = torch.randn(2, 4, 8, 8, generator=random)
    both = {name: part.expand(2, *part.shape[1:]) for name, part in words.items()}
    return FAMILY.denoise(base.denoiser, latents, torch.tensor([300, 700]), both, torch.zeros(2, 6))


def afresh(base: BaseModel, path: Path, scale: float = 1.0) -> Any:
    base.lora.use(None)
    base.lora.use(path, scale)
    return answer(base)


def layers_of(base: BaseModel) -> list[int]:
    return [id(layer) for layer in base.denoiser.modules() if isinstance(layer, LoraLayer)]


def test_another_lora_takes_its_place_to_the_last_bit(base: BaseModel, tmp_path: Path) -> None:
    first, second = lora(base, tmp_path / "a.safetensors"), lora(base, tmp_path / "b.safetensors", alpha=1.0, seed=1)
    whole, half = afresh(base, second), afresh(base, second, 0.5)
    before = afresh(base, first)
    worn = layers_of(base)
    base.lora.use(second)
    assert layers_of(base) == worn and worn
    assert torch.equal(answer(base), whole) and not torch.equal(before, whole)
    base.lora.use(second, 0.5)
    assert torch.equal(answer(base), half) and not torch.equal(half, whole)
    base.lora.use(first)  # at strength 1 again
    assert torch.equal(answer(base), before)


def test_layers_that_offloading_moved_are_exchanged_too(base: BaseModel, tmp_path: Path) -> None:
    first, second = lora(base, tmp_path / "a.safetensors"), lora(base, tmp_path / "b.safetensors", seed=1)
    wanted = afresh(base, second)
    afresh(base, first)
    worn = layers_of(base)
    with torch.no_grad():  # as a pipeline whose parts come and go does
        for layer in base.denoiser.modules():
            if isinstance(layer, LoraLayer):
                layer.lora_A.to(torch.float64).to(torch.float32)
                layer.lora_B.to(torch.float64).to(torch.float32)
    base.lora.use(second)
    assert layers_of(base) == worn
    torch.testing.assert_close(answer(base), wanted)


def test_two_at_once_each_in_its_place(base: BaseModel, tmp_path: Path) -> None:
    one, two, three = (lora(base, tmp_path / f"{n}.safetensors", seed=n, alpha=n + 1.0) for n in range(3))
    base.lora.wear([(one, 1.0), (three, 0.5)])
    wanted = answer(base)
    base.lora.use(None)
    base.lora.wear([(two, 0.7), (three, 0.5)])
    worn = layers_of(base)
    base.lora.wear([(one, 1.0), (three, 0.5)])
    assert layers_of(base) == worn
    assert torch.equal(answer(base), wanted)


def test_two_at_full_strength_are_both_active(base: BaseModel, tmp_path: Path) -> None:
    one, two = (lora(base, tmp_path / f"{n}.safetensors", seed=n) for n in range(2))
    alone = afresh(base, two)
    base.lora.use(None)
    base.lora.wear([(one, 1.0), (two, 1.0)])
    layers = [layer for layer in base.denoiser.modules() if isinstance(layer, LoraLayer)]
    assert layers and all(len(layer.active_adapters) == 2 for layer in layers)
    assert not torch.allclose(answer(base), alone, rtol=1e-3)


@pytest.mark.parametrize("changes", [{"rank": 2}, {"dora": True}])
def test_what_does_not_fit_is_put_on_afresh(base: BaseModel, tmp_path: Path, changes: dict[str, Any]) -> None:
    first, second = lora(base, tmp_path / "a.safetensors"), lora(base, tmp_path / "b.safetensors", seed=1, **changes)
    wanted = afresh(base, second)
    afresh(base, first)
    base.lora.use(second)
    assert torch.equal(answer(base), wanted)


def test_held_steady_a_smaller_rank_goes_into_a_larger_one(base: BaseModel, tmp_path: Path) -> None:
    large, small = (
        lora(base, tmp_path / "a.safetensors"),
        lora(base, tmp_path / "b.safetensors", rank=2, alpha=6.0, seed=1),
    )
    exact = afresh(base, small, 0.5)
    base.lora.use(None)
    base.lora.hold_steady(True)
    base.lora.use(large)
    worn = layers_of(base)
    base.lora.use(small, 0.5)
    assert layers_of(base) == worn
    assert torch.allclose(answer(base), exact, rtol=1e-4, atol=1e-5)
    base.lora.use(None)
    base.lora.use(small, 0.5)  # put on anew it has the same form: what was compiled still fits
    ranks = {
        layer.lora_A["twinloop"].weight.shape[0] for layer in base.denoiser.modules() if isinstance(layer, LoraLayer)
    }
    strengths = {type(layer.scaling["twinloop"]) for layer in base.denoiser.modules() if isinstance(layer, LoraLayer)}
    assert (ranks, strengths) == ({4}, {torch.Tensor})
    base.lora.hold_steady(False)
    base.lora.use(small, 0.5)
    assert torch.equal(answer(base), exact)


def test_only_plain_files_are_read_for_an_exchange(base: BaseModel, tmp_path: Path) -> None:
    plain, dora = lora(base, tmp_path / "a.safetensors", alpha=3.0), lora(base, tmp_path / "b.safetensors", dora=True)

    def read(path: Path) -> Any:
        return pairs_of(read_for_pipeline(path, base.pipeline, FAMILY), path, FAMILY.denoiser)

    pairs = read(plain)
    assert pairs and {pair.alpha for pair in pairs.values()} == {3.0}
    assert pairs.keys() == set(adapted_layers(base.denoiser, FAMILY.targets))
    assert read(dora) is None
    texts = dict(header_texts(plain))
    texts[ADAPTER_TEXT] = json.dumps({**json.loads(texts[ADAPTER_TEXT]), f"{FAMILY.denoiser}.use_rslora": True})
    save_file(load_file(plain), stabilised := tmp_path / "c.safetensors", texts)
    assert read(stabilised) is None, "it divides alpha by the root of the rank"
    folded = read(kohya_path(plain))
    assert folded and folded.keys() == pairs.keys()
    assert all(pair.alpha == pair.down.shape[0] for pair in folded.values()), "its scale lies in the matrices"


def test_a_damaged_file_leaves_nothing_on(base: BaseModel, tmp_path: Path) -> None:
    from twinloop.errors import ModelFileError

    bare = answer(base)
    base.lora.use(lora(base, tmp_path / "a.safetensors"))
    (tmp_path / "b.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelFileError, match="damaged"):
        base.lora.use(tmp_path / "b.safetensors")
    assert torch.equal(answer(base), bare)
