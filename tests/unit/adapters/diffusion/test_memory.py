"""What running out of memory looks like."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.memory import Spill, main_memory_left, memory_errors, release_memory  # noqa: E402
from twinloop.errors import OutOfMemory  # noqa: E402


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_memory_errors_name_what_and_what_to_do(error: Exception) -> None:
    with (
        pytest.raises(OutOfMemory, match=r"The picture does not fit into memory\. Make it smaller\."),
        memory_errors("The picture", "Make it smaller."),
    ):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_errors("The picture", "Make it smaller."):
        raise RuntimeError("shapes do not match")


GIB = 1 << 30


@pytest.mark.parametrize(
    ("available", "files", "left"),
    [
        (None, {}, None),
        (2 << 20, {}, 2 << 20),  # Windows and macOS have no such files
        (2 << 20, {"max": "max\n", "current": "5"}, 2 << 20),
        (2 << 20, {"max": "1000", "current": "400"}, 600),
        (None, {"max": "1000", "current": "1400"}, 0),
    ],
)
def test_how_much_main_memory_there_is(
    available: int | None, files: dict[str, str], left: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole() -> SimpleNamespace:
        if available is None:
            raise psutil.AccessDenied
        return SimpleNamespace(available=available)

    def read_text(path: Path) -> str:
        try:
            return files[path.name.removeprefix("memory.")]
        except KeyError as error:
            raise FileNotFoundError(path) from error

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr("psutil.virtual_memory", whole)
    assert main_memory_left() == left


@pytest.mark.parametrize(
    ("free", "held", "spilled"),
    [
        (0, 17 * GIB, True),  # more than the card has
        (0, 13 * GIB, True),  # more than the windows of other programs leave of it
        (0, 12 * GIB, False),  # all of that
        (2 * GIB, 13 * GIB, False),  # another program has ended
    ],
)
def test_main_memory_in_the_place_of_a_gpus(
    free: int, held: int, spilled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card of 16 GiB, of which 4 are somebody else's."""
    now = {"free": 12 * GIB, "held": 0}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (now["free"], 16 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: now["held"])
    spill = Spill(Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16))
    assert not spill.seen()
    now |= {"free": free, "held": held}
    assert spill.seen() == spilled


def test_a_cpu_has_no_other_memory() -> None:
    assert not Spill(Compute(torch.device("cpu"), torch.float32, None)).seen()


@pytest.mark.parametrize("gpu", [True, False])
def test_pinned_main_memory_is_released_with_the_gpus(gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    released = list[str]()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: released.append("GPU"))
    monkeypatch.setattr(torch.accelerator, "empty_host_cache", lambda: released.append("pinned"), raising=False)
    release_memory()
    assert released == (["GPU", "pinned"] if gpu else [])


def test_an_older_pytorch_releases_pinned_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    released = list[str]()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.delattr(torch.accelerator, "empty_host_cache")
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: released.append("pinned"), raising=False)
    release_memory()
    assert released == ["pinned"]
