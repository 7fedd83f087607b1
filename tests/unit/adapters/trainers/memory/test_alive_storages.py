"""What a dry run counts beside activations: tensors that a model holds, and what a layer with a LoRA works in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.pixels import latent_shape  # noqa: E402
from twinloop.adapters.diffusion.prompts import join  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.memory.alive_storages import AliveStorages  # noqa: E402
from twinloop.adapters.trainers.memory.dry_run import footprint  # noqa: E402
from twinloop.adapters.trainers.memory.saved_activations import SavedActivations, id_of  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

META = torch.device("meta")


def test_what_is_there_counts_once_and_until_it_is_given_back() -> None:
    weight = torch.empty(1000, device=META)
    with AliveStorages({id_of(weight)}.__contains__) as alive:
        one = torch.empty(10, device=META)
        half = one[:5]
        two = one + 1
        assert weight.view(10, 100) is not None and alive.total == 80
        del one
        assert alive.total == 80, "a view holds it"
        del half
        assert alive.total == 40
        alive.forget(id_of(two))
        alive.forget(id_of(two))
        assert alive.total == 0
        del two
    assert alive.total == 0


def test_what_autograd_saves_counts_as_an_activation_and_no_longer_beside() -> None:
    weight = torch.empty(10, device=META, requires_grad=True)
    saved = SavedActivations({id_of(weight)})
    with saved.counting(), saved.alive:
        held = torch.empty(10, device=META)
        made = saved.checkpoint(lambda given: (given * weight).exp(), held)
        saved.works_in(1000)
        block = saved.checkpoint(lambda given: _noting(saved, given * weight), made)
    assert saved.total() == 80, "the input of the first, and its answer, which is the second's input"
    assert saved.alive.total == block.nbytes == 40
    assert saved.fullest == 80 + 1000 and saved.fullest_block == 7, "both are inputs of blocks"


def _noting(saved: SavedActivations, made: torch.Tensor) -> torch.Tensor:
    saved.works_in(7)
    return made


@pytest.mark.parametrize("name", ["flux", "sd35"])
def test_the_fullest_moment_of_a_transformers_block_is_more_than_its_two_largest_tensors(
    name: str, tmp_path: Path
) -> None:
    """On a GPU: the input of a feed-forward's last layer is four or five times as wide as the model, and PEFT has it in
    float32 beside.
    """
    base = open_base(BaseChoice(str(build_tiny(name, tmp_path / name)), "cpu", "float32"), FAMILIES[name])
    words = join([base.prompts.embed("photo of ohwx ana")], base.family.joining)
    on_gpu = replace(base, compute=Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16))
    found = footprint(on_gpu, AdapterPlan(base.family.targets, 4, 4), latent_shape(base, 128, 128), words)
    assert found.fullest_block > found.largest_block + 2 * found.largest_tensor
    assert found.activations < found.fullest < found.activations + found.fullest_block
