"""Blocks that wait in main memory; a second place of the same memory stands for the GPU."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from torch import Tensor, nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from twinloop.adapters.diffusion import block_swap  # noqa: E402
from twinloop.adapters.diffusion.block_swap import (  # noqa: E402
    block_bytes_if,
    pin,
    place,
    staying,
    swappable,
    swapping,
    unpin,
)
from twinloop.adapters.diffusion.quantised.sizes import real_bytes  # noqa: E402

GPU: Any = SimpleNamespace(type="gpu")


class Block(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, inner), nn.Linear(inner, width)
        self.register_buffer("shift", torch.ones(width))
        self.requires_grad_(False)
        self.learned = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.sigmoid(self.first(x * self.learned))
        if bool(torch.isnan(inner).any()):
            raise ValueError("no number")
        return x + self.second(inner) + self.shift


class Denoiser(nn.Module):
    _repeated_blocks = ("Block",)

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(4, 4).requires_grad_(False)
        self.blocks = nn.ModuleList([Block(4, 8), Block(4, 32), Block(4, 8), Block(4, 16)])

    def forward(self, x: Tensor, between: Callable[[], None] = lambda: None) -> Tensor:
        x = self.before(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False)
            between()
        return x


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser()


class Copies:
    """How many numbers are on the stand-in, now and at most; what learns is there by itself."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, int]] = []
        self.most = 0

    def add(self, tensor: Tensor, device: Any) -> Tensor:
        assert device is GPU
        if tensor.requires_grad:
            return tensor
        copy = tensor.detach().clone()
        self._made.append((weakref.ref(copy.untyped_storage()), copy.numel()))
        self.most = max(self.most, self.held)
        return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy

    @property
    def held(self) -> int:
        return sum(count for storage, count in self._made if storage() is not None)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Copies]:
    made = Copies()
    monkeypatch.setattr(block_swap, "_copied", made.add)
    yield made
    assert made.most and not made.held


def frozen(block: nn.Module) -> int:
    tensors = [*block.parameters(), *block.buffers()]
    return sum(tensor.numel() for tensor in tensors if not tensor.requires_grad)


def test_the_same_gradients_with_one_block_at_a_time(denoiser: Denoiser, copies: Copies) -> None:
    x = torch.randn(3, 4)
    denoiser(x).square().sum().backward()
    wanted = [block.learned.grad.clone() for block in denoiser.blocks]
    denoiser.zero_grad()
    before = {name: (id(part), part.clone()) for name, part in denoiser.state_dict(keep_vars=True).items()}
    waiting, between = swappable(denoiser)[:3], list[int]()
    with swapping(waiting, GPU):
        loss = denoiser(x, lambda: between.append(copies.held)).square().sum()
        assert between == [0] * 4, "the pass forward keeps none of them"
        loss.backward()
    assert copies.most == max(map(frozen, waiting))
    for block, gradient in zip(denoiser.blocks, wanted, strict=True):
        assert torch.equal(block.learned.grad, gradient)
    for name, part in denoiser.state_dict(keep_vars=True).items():
        assert id(part) == before[name][0] and torch.equal(part, before[name][1])
    assert "forward" not in vars(denoiser.blocks[0])


@pytest.mark.usefixtures("copies")
def test_weights_come_back_after_an_error(denoiser: Denoiser) -> None:
    before = [id(part) for part in denoiser.parameters()]
    with swapping(swappable(denoiser), GPU), pytest.raises(ValueError, match="no number"):
        denoiser(torch.full((1, 4), float("nan")))
    assert [id(part) for part in denoiser.parameters()] == before


def test_the_largest_blocks_come_first_and_equal_ones_in_their_order(denoiser: Denoiser) -> None:
    blocks = list(denoiser.blocks)
    assert swappable(denoiser) == [blocks[1], blocks[3], blocks[0], blocks[2]]
    sizes = block_bytes_if(denoiser, "int8", torch.float32)
    assert sizes[0] > sizes[1] > sizes[2] == sizes[3] > 0


def test_all_but_the_waiting_blocks_go_to_the_device(denoiser: Denoiser) -> None:
    names = [name for name, _ in denoiser.named_modules()]
    waiting = swappable(denoiser)[:2]
    place(denoiser, torch.device("meta"), waiting)
    there = {name.split(".")[1] for name, part in denoiser.blocks.named_parameters(prefix="blocks") if part.is_meta}
    assert there == {"0", "2"} and denoiser.before.weight.is_meta
    assert [name for name, _ in denoiser.named_modules()] == names


def test_the_waiting_blocks_go_to_main_memory(denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[tuple[nn.Module, Any]] = []
    monkeypatch.setattr(Block, "to", lambda block, where: moved.append((block, where)))
    waiting = swappable(denoiser)[:2]
    place(denoiser, torch.device("meta"), waiting)
    assert moved == [(block, "cpu") for block in waiting]


def test_a_copy_of_a_weight_learns_nothing() -> None:
    learned = nn.Parameter(torch.ones(2))
    copied = block_swap._copied(learned, torch.device("cpu"))
    assert isinstance(copied, nn.Parameter) and not copied.requires_grad and learned.requires_grad


def test_blocks_stay_whoever_moves_the_model(denoiser: Denoiser) -> None:
    waiting = swappable(denoiser)
    with staying(waiting):
        denoiser.to("meta")
        assert denoiser.before.weight.is_meta
        assert not any(part.is_meta for part in denoiser.blocks.parameters())
    denoiser.to("meta")
    assert all(part.is_meta for part in denoiser.parameters())


def test_a_copy_of_a_four_bit_weight_leaves_the_scales_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitsandbytes", reason="the quant extra is not installed")
    from twinloop.adapters.diffusion.quantised.four_bits import FourBits

    layer = FourBits(nn.Linear(64, 128).requires_grad_(False))
    x = torch.randn(3, 64)
    before = layer(x)
    away = block_swap._copied(layer.weight, torch.device("meta"))
    state = away.quant_state
    for part in (away, state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code):
        assert part.is_meta
    assert torch.equal(layer(x), before)
    copied = block_swap._copied
    monkeypatch.setattr(block_swap, "_copied", lambda tensor, _: copied(tensor, torch.device("cpu")))
    block, own = nn.Sequential(layer), layer.weight
    with swapping([block], GPU):
        assert torch.equal(block(x), before)
    assert layer.weight is own


@pytest.mark.parametrize("how", ["int8", "fp8"])
def test_all_tensors_of_a_quantised_weight_are_pinned(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchao", reason="the quant extra is not installed")
    from twinloop.adapters.diffusion.quantised.eight_bits import EightBits

    layer = EightBits(nn.Linear(64, 32, bias=False, dtype=torch.bfloat16).requires_grad_(False), how)
    x = torch.randn(3, 64, dtype=torch.bfloat16)
    before, pinned = layer(x), list[Tensor]()

    def pin_memory(tensor: Tensor) -> Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(block_swap, "main_memory_left", lambda: 1 << 20)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    pin([layer])
    held = [getattr(layer.weight, name) for name in layer.weight.__tensor_flatten__()[0]]
    assert len(held) == len(pinned) >= 2 and all(one is other for one, other in zip(held, pinned, strict=True))
    assert torch.equal(layer(x), before)


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Where memory is that a stand-in for a GPU's driver has pinned."""
    places, kept = set[int](), list[Tensor]()

    def pin_memory(tensor: Tensor) -> Tensor:
        kept.append(tensor.clone())  # another tensor cannot come to lie there
        places.add(kept[-1].data_ptr())
        return kept[-1]

    monkeypatch.setattr(block_swap, "main_memory_left", lambda: 1 << 30)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: tensor.data_ptr() in places)
    return places


def test_pinned_weights_are_given_back_block_by_block(
    denoiser: Denoiser, pinned: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, left, x = list(denoiser.blocks), list[int](), torch.randn(3, 4)
    before = denoiser(x)

    def still_pinned() -> int:
        return sum(part.is_pinned() for part in denoiser.parameters())

    pin(blocks)
    assert still_pinned() == len(pinned) == 4 * 5
    monkeypatch.setattr(block_swap, "release_pinned_memory", lambda: left.append(still_pinned()))
    unpin(blocks)
    assert left == [15, 10, 5, 0] and torch.equal(denoiser(x), before)


@pytest.mark.parametrize("how", ["int8", "fp8"])
def test_all_tensors_of_a_quantised_weight_are_given_back(how: str, pinned: set[int]) -> None:
    pytest.importorskip("torchao", reason="the quant extra is not installed")
    from twinloop.adapters.diffusion.quantised.eight_bits import EightBits

    layer = EightBits(nn.Linear(64, 32, bias=False, dtype=torch.bfloat16).requires_grad_(False), how)
    x = torch.randn(3, 64, dtype=torch.bfloat16)
    before = layer(x)
    pin([layer])
    unpin([layer])
    held = [getattr(layer.weight, name) for name in layer.weight.__tensor_flatten__()[0]]
    assert len(pinned) >= 2 and not any(one.is_pinned() for one in held) and torch.equal(layer(x), before)


@pytest.mark.parametrize(("left", "pinned"), [(None, False), (100, False), (1 << 20, True)])
def test_weights_are_pinned_where_main_memory_has_room(
    left: int | None, pinned: bool, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def pin_memory(tensor: Tensor) -> Tensor:
        asked.append(tensor.numel())
        if len(asked) > 3:
            raise RuntimeError("no more")
        return tensor.clone()

    monkeypatch.setattr(block_swap, "main_memory_left", lambda: left)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    pin(list(denoiser.blocks))
    assert bool(asked) == pinned and len(asked) in (0, 4)


@pytest.mark.parametrize(("share", "pinned"), [(1.5, False), (2.0, True)])
def test_pinned_memory_may_take_twice_as_much(
    share: float, pinned: bool, denoiser: Denoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, asked = list(denoiser.blocks), list[str]()

    def pin_memory(tensor: Tensor) -> Tensor:
        asked.append(tensor.device.type)
        return tensor.clone()

    size = sum(map(real_bytes, blocks))
    monkeypatch.setattr(block_swap, "main_memory_left", lambda: int(share * size))
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    blocks[1].to("meta")
    pin(blocks)
    assert asked == (["cpu"] * 5 * 3 if pinned else []), "the five weights of each block in main memory"
