"""Leaving out parts of a LoRA: how many, which, and that nothing but (seed, step, picture, layer, place) decides it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.prompts import join  # noqa: E402
from twinloop.adapters.diffusion.regions import REGIONAL  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.execution.fallbacks import COMPILED_FILE  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.lora.dropout import BITS, Dropout, Thinning, kept  # noqa: E402
from twinloop.adapters.trainers.records.header import lora_header  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402

SDXL = FAMILIES["sdxl"]
CPU = torch.device("cpu")
ALL: dict[str, Any] = {"network_dropout": 0.2, "rank_dropout": 0.25, "module_dropout": 0.1}
TWO = replace(
    TRAINING,
    batch_size=2,
    steps=3,
    checkpoint_every=1,
    trigger="ohwx ana",
    learning_rate=0.05,
    text_encoder=True,
    **ALL,
)
Photos = tuple[TrainingSample, ...]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """With captions of one, two and three chunks of 14 tokens."""
    made = samples(tmp_path / "photos")
    return tuple(replace(photo, caption=photo.caption + ", smiling" * 7 * (row % 3)) for row, photo in enumerate(made))


@given(st.floats(0.01, 0.99), st.integers(0, BITS), st.integers(0, BITS))
@settings(deadline=None, max_examples=60)
def test_so_many_are_left_out(share: float, key: int, layer: int) -> None:
    """Within six standard deviations; and no rank or place more than others."""
    lots = kept(torch.tensor([key, key ^ 1]), layer, "number", (250, 16), share)
    for part in (lots, lots[0], lots[1], lots[:, :, 3], lots[:, 7:20]):
        assert abs(float((~part).double().mean()) - share) < 6 * (share * (1 - share) / part.numel()) ** 0.5


def test_keys_layers_and_kinds_have_lots_of_their_own() -> None:
    def lots(key: int = 5, layer: int = 9, what: str = "number") -> Any:
        return kept(torch.tensor([key]), layer, what, (100, 16), 0.5)

    for other in (lots(key=6), lots(layer=10), lots(what="rank")):
        assert 0.4 < float((other == lots()).double().mean()) < 0.6
    assert torch.equal(lots(), lots())


def test_a_place_has_the_same_lot_whatever_comes_after_it() -> None:
    """So that captions that are filled up to the longest of a batch do not matter."""
    short, long = (kept(torch.tensor([7]), 1, "number", (places, 8), 0.3) for places in (5, 50))
    assert torch.equal(short, long[:, :5])


def thinned(dropout: Dropout, places: Any, hidden: Any, step: int = 1, conv: bool = False, seed: int = 3) -> Any:
    down = nn.Conv2d(1, 1, 1) if conv else nn.Linear(1, 1)
    thinning = Thinning(dropout, {"blocks.0.to_q": down})
    thinning.at(seed, step, places, CPU)
    (hook,) = down._forward_hooks.values()
    return hook(down, (), hidden)


def test_what_stays_makes_up_for_what_goes() -> None:
    made = thinned(Dropout(numbers=0.25), range(2), torch.ones(2, 300, 8))
    assert sorted(set(made.flatten().tolist())) == pytest.approx([0.0, 4 / 3])
    assert float(made.mean()) == pytest.approx(1.0, abs=0.05)
    ranks = thinned(Dropout(ranks=0.5), range(4), torch.ones(4, 5, 64))
    assert set(ranks.flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(ranks[:, :1].expand_as(ranks), ranks), "a rank is there or not at all places of a picture"
    assert not torch.equal(ranks[0], ranks[1]), "each picture has ranks of its own"


def test_a_layer_is_there_for_all_pictures_or_for_none() -> None:
    made = [float(thinned(Dropout(layers=0.3), range(3), torch.ones(3, 2, 4), step).mean()) for step in range(1, 201)]
    assert set(made) == {0.0, 1.0} and 0.2 < made.count(0.0) / 200 < 0.4


@pytest.mark.parametrize(
    "dropout", [Dropout(numbers=0.3), Dropout(ranks=0.3), Dropout(layers=0.5), Dropout(0.2, 0.2, 0.2)]
)
@pytest.mark.parametrize("shape", [(4, 6, 8), (4, 8), (4, 2, 3, 8), (8, 3, 8)], ids=str)
def test_micro_batches_leave_out_what_the_whole_does(shape: tuple[int, ...], dropout: Dropout) -> None:
    hidden = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    for step in range(1, 5):
        whole = thinned(dropout, range(4), hidden, step)
        size = shape[0] // 2
        parts = [thinned(dropout, range(at, at + 2), hidden[at // 2 * size :][:size], step) for at in (0, 2)]
        assert torch.equal(torch.cat(parts), whole)


def test_convolutions_have_their_ranks_second() -> None:
    hidden = torch.ones(2, 16, 5, 5)
    made = thinned(Dropout(ranks=0.5), range(2), hidden, conv=True)
    assert made.shape == hidden.shape and torch.equal(made[..., :1, :1].expand_as(made), made)
    assert 0 < float((made == 0).double().mean()) < 1


def test_rows_that_all_pictures_share_are_the_steps() -> None:
    shared = torch.ones(1, 400)
    whole = thinned(Dropout(numbers=0.5), range(4), shared)
    assert torch.equal(thinned(Dropout(numbers=0.5), (2, 3), shared), whole)
    assert not torch.equal(thinned(Dropout(numbers=0.5), range(4), shared, step=2), whole)
    assert not torch.equal(thinned(Dropout(numbers=0.5), range(4), shared, seed=4), whole)


def hook_of(thinning: Thinning, down: nn.Module) -> Callable[[Any], Any]:
    (hook,) = down._forward_hooks.values()
    return lambda hidden: hook(down, (), hidden)


@pytest.mark.parametrize("dropout", [Dropout(numbers=0.3), Dropout(ranks=0.3), Dropout(0.2, 0.2, 0.2)])
def test_chunks_of_a_text_lose_the_same_whoever_its_neighbours_are(dropout: Dropout) -> None:
    """Text encoders see three chunks of one caption and one of another as four rows."""
    down = nn.Linear(1, 1)
    thinning = Thinning(dropout, {"text_encoder.q_proj": down}, lambda name: name.startswith("text_encoder."))
    hook, chunks = hook_of(thinning, down), (3, 1, 2)
    hidden = torch.randn(6, 5, 8, generator=torch.Generator().manual_seed(1))
    for step in range(1, 5):
        thinning.at(3, step, range(3), CPU)
        thinning.reads(chunks, 6)
        whole, alone = hook(hidden), []
        for place, (first, last) in enumerate(((0, 3), (3, 4), (4, 6))):
            thinning.at(3, step, (place,), CPU)
            thinning.reads(chunks[place : place + 1], chunks[place])
            alone.append(hook(hidden[first:last]))
        assert torch.equal(torch.cat(alone), whole)
    made = hook(torch.ones(2, 500, 8))
    if dropout.numbers:
        assert not torch.equal(made[0] == 0, made[1] == 0), "each chunk has places of its own"
    else:
        assert torch.equal(made[0] == 0, made[1] == 0), "a rank is there or not in all of a text"


def test_words_that_are_said_over_again_lose_the_same_each_time() -> None:
    down = nn.Linear(1, 1)
    thinning = Thinning(Dropout(0.2, 0.2, 0.0), {"mid_block.attn2.to_k": down})
    hook, hidden = hook_of(thinning, down), torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1))
    thinning.at(3, 1, (1,), CPU)
    thinning.reads([2], 2)
    alone = hook(hidden)
    thinning.at(3, 1, (0, 1), CPU)
    thinning.reads([3, 2], 6)
    assert torch.equal(hook(hidden.repeat(2, 3, 1))[1:], alone.repeat(1, 3, 1))


def train(
    base: Path,
    photos: Photos,
    home: Path,
    settings: TrainingSettings,
    stop: int = 0,
    notice: Callable[[str], None] = pytest.fail,
) -> dict[str, Any]:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), SDXL, notice)
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, progress)
    weights: dict[str, Any] = load_file(home / "lora.safetensors")
    return weights


def losses(home: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (home / "lora.metrics.jsonl").read_text().splitlines()]


def test_a_training_with_it(tiny_base: Path, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed to the same bytes; with checkpointing and in micro-batches the same loss curve; another one without it,
    or with each kind alone.
    """
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    train(tiny_base, photos, tmp_path / "whole", TWO)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_base, photos, tmp_path / "torn", TWO, stop=2)
    train(tiny_base, photos, tmp_path / "torn", TWO)
    for name in ("lora.safetensors", "lora.metrics.jsonl"):
        assert (tmp_path / "torn" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    # what is computed again leaves out the same
    parts = replace(TWO, batch_size=1, gradient_accumulation=2, gradient_checkpointing=True)
    train(tiny_base, photos, tmp_path / "parts", parts)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=2e-5)
    curves = [losses(tmp_path / "whole")[:2]]
    for name in ("none", *ALL):
        alone: dict[str, Any] = {other: ALL[other] if other == name else 0.0 for other in ALL}
        train(tiny_base, photos, tmp_path / name, replace(TWO, stop_at=2, **alone))
        curves.append(losses(tmp_path / name))
    assert len({tuple(curve) for curve in curves}) == len(curves)
    # a LoRA begins as no change, so nothing can be left out of the first step
    assert len({curve[0] for curve in curves}) == 1


def test_text_encoders_are_thinned_too_and_all_is_gone_afterwards(tiny_base: Path) -> None:
    base = open_base(BaseChoice(str(tiny_base), "cpu", "float32"), SDXL)
    plan = AdapterPlan(SDXL.targets, 4, 4.0, text_encoder=True, dropout=Dropout(numbers=0.5))
    cached = join([base.prompts.embed("photo of ohwx ana")], SDXL.joining)
    parts = (base.denoiser, base.pipeline.text_encoder, base.pipeline.text_encoder_2)
    hooks = sum(len(module._forward_hooks) for part in parts for module in part.modules())
    with adapted(base, plan, 0) as model:
        for name, parameter in model.parameters.items():
            if name.endswith("lora_B"):
                parameter.data.fill_(0.5)
        said = []
        for step in (1, 2, 1):
            model.thin(1, step, range(1))
            said.append(next(iter(model.encode(["photo of ohwx ana"], cached).values())).detach())
        assert torch.equal(said[0], said[2]) and not torch.equal(said[0], said[1])
    assert sum(len(module._forward_hooks) for part in parts for module in part.modules()) == hooks


def test_blocks_are_not_compiled_with_it(tiny_base: Path, photos: Photos, tmp_path: Path) -> None:
    said = list[str]()
    train(tiny_base, photos, tmp_path, replace(TWO, steps=1, compile=REGIONAL), notice=said.append)
    assert said == ["The blocks are not compiled in a training with dropout."]
    assert json.loads((tmp_path / "work" / COMPILED_FILE.format(0)).read_text()) == {"until": 1}


def test_the_header_names_it() -> None:
    def header(**changes: Any) -> dict[str, str]:
        texts = lora_header(replace(TRAINING, **changes), SDXL, "epsilon", 10, "2026-01-01T00:00:00Z", {})
        return {name: text for name, text in texts.items() if name in ("ss_network_dropout", "ss_network_args")}

    assert header() == {}
    assert header(network_dropout=0.1) == {"ss_network_dropout": "0.1"}
    assert json.loads(header(rank_dropout=0.1, module_dropout=0.2, loraplus_lr_ratio=8.0)["ss_network_args"]) == {
        "rank_dropout": "0.1", "module_dropout": "0.2", "loraplus_lr_ratio": "8",
    }  # fmt: skip
    assert json.loads(header(adapter="dora")["ss_network_args"]) == {"algo": "lora", "dora_wd": "True"}


def test_the_places_of_a_texts_chunks_follow_one_another() -> None:
    """Two chunks of five tokens lose what one of ten would; overlapping places would lose the same twice."""
    down = nn.Linear(1, 1)
    thinning = Thinning(Dropout(numbers=0.5), {"text_encoder.q_proj": down}, lambda name: True)
    hook = hook_of(thinning, down)
    thinning.at(3, 1, (0,), CPU)
    thinning.reads([2], 2)
    chunks = hook(torch.ones(2, 5, 8))
    thinning.reads([1], 1)
    assert torch.equal(chunks.reshape(1, 10, 8), hook(torch.ones(1, 10, 8)))


@pytest.mark.parametrize("layer", ["attn2.to_k", "attn2.to_v"])
def test_all_layers_that_take_words_lose_the_same_each_time(layer: str) -> None:
    down = nn.Linear(1, 1)
    thinning = Thinning(Dropout(numbers=0.3), {f"mid_block.{layer}": down})
    thinning.at(3, 1, (1,), CPU)
    thinning.reads([2], 6)
    made = hook_of(thinning, down)(torch.ones(1, 12, 8))
    assert torch.equal(made[:, :4].repeat(1, 3, 1), made)


def test_each_setting_is_its_own_share() -> None:
    asked = replace(TRAINING, network_dropout=0.1, rank_dropout=0.2, module_dropout=0.3)
    assert Dropout.of(asked) == Dropout(numbers=0.1, ranks=0.2, layers=0.3)
