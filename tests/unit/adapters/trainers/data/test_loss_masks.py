"""The weights of the error inside and outside of a face, and where a mask says what is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

pytest.importorskip("diffusers")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.framing import frame  # noqa: E402
from twinloop.adapters.trainers.data.loss_masks import MARGIN, combined, face_mask, mask_cells  # noqa: E402
from twinloop.adapters.trainers.data.prepare import prepare_batches  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.domain.faces import Box  # noqa: E402
from twinloop.domain.records import Mask, TrainingSample  # noqa: E402
from twinloop.errors import StateError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402

FRAMING = frame(256, 256, 128, 32, buckets=False)
SHAPE = (16, 16)


def test_inside_counts_so_many_times_as_much_as_outside() -> None:
    # with its margin the box covers the left half, from the 4th to the 12th cell of 16 pixels
    face = Box(64 - 0.0, 64 + MARGIN * 64, 64 + 128 / 1.5, 64 + 128)
    mask = face_mask(face, FRAMING, SHAPE, 5.0)[0]
    assert mask.max() / mask.min() == pytest.approx(5.0)
    assert float(mask.mean()) == pytest.approx(1.0)


def test_the_box_lands_where_the_face_is_after_scaling_and_cropping() -> None:
    framing = frame(400, 200, 128, 32, buckets=False)  # scaled to 256 x 128, 64 pixels cut off left and right
    mask = face_mask(Box(190, 90, 210, 110), framing, SHAPE, 9.0)[0]
    heavy = (mask > mask.min() * 1.01).nonzero()
    assert (heavy.float().mean(0) == 7.5).all()  # the middle of the photo is the middle of the picture
    outside = face_mask(Box(0, 90, 20, 110), framing, SHAPE, 9.0)[0]
    assert float(outside.max()) == float(outside.min()) == 1.0


def test_the_margin_is_a_quarter_of_the_face_on_each_side() -> None:
    """A face at 96 to 160 of 256 pixels is heavy from 80 to 176: the cells 5 to 10 of 16, both ways."""
    mask = face_mask(Box(96, 96, 160, 160), FRAMING, SHAPE, 5.0)[0]
    heavy = mask > mask.min() * 1.01
    for axis in (0, 1):
        assert heavy.any(axis).nonzero().flatten().tolist() == list(range(5, 11))


@given(st.floats(0, 250), st.floats(0, 250), st.floats(1, 200), st.floats(1, 50))
@settings(max_examples=50, deadline=None)
def test_the_mean_is_one_and_nothing_is_negative(x: float, y: float, size: float, weight: float) -> None:
    mask = face_mask(Box(x, y, x + size, y + size), FRAMING, SHAPE, weight)
    assert mask.shape == (1, *SHAPE) and float(mask.mean()) == pytest.approx(1.0, abs=1e-4)
    assert float(mask.min()) > 0 and float(mask.max() / mask.min()) <= weight * 1.001


def test_no_face_and_no_weight_are_flat() -> None:
    for mask in (face_mask(None, FRAMING, SHAPE, 5.0), face_mask(Box(10, 10, 90, 90), FRAMING, SHAPE, 1.0)):
        assert torch.equal(mask, torch.ones(1, *SHAPE))


def mask_file(path: Path, grey: Any) -> Mask:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(grey, np.uint8)).save(path)
    return Mask(path, sha256_file(path))


@given(
    st.integers(64, 400),
    st.integers(64, 400),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cells_hold_the_mean_of_what_is_framed(
    tmp_path: Path, width: int, height: int, smaller: int, buckets: bool, corners: tuple[float, ...], seed: int
) -> None:
    """A white box and grey noise, in a mask of the photo's size or a smaller one, against every cell's mean by counting
    fine points.
    """
    framing, shape = frame(width, height, 128, 32, buckets=buckets), (16, 16)
    wide, tall = max(1, width // smaller), max(1, height // smaller)
    grey = np.random.default_rng(seed).integers(0, 128, (tall, wide))
    (x0, x1), (y0, y1) = sorted(corners[:2]), sorted(corners[2:])
    grey[int(y0 * tall) : int(y1 * tall), int(x0 * wide) : int(x1 * wide)] = 255
    made = mask_cells(mask_file(tmp_path / f"{seed}.png", grey), framing, shape)[0].numpy()
    assert made.shape == shape
    fine = 40  # points per cell, along each side
    across = (
        (framing.left + (np.arange(shape[1] * fine) + 0.5) / fine * framing.width / shape[1]) * wide / framing.scaled[0]
    )
    down = (
        (framing.top + (np.arange(shape[0] * fine) + 0.5) / fine * framing.height / shape[0]) * tall / framing.scaled[1]
    )
    points = grey[np.minimum(down.astype(int), tall - 1)][:, np.minimum(across.astype(int), wide - 1)] / 255
    counted = points.reshape(shape[0], fine, shape[1], fine).mean((1, 3))
    assert float(np.abs(made - counted).max()) < 0.07 and float(np.abs(made - counted).mean()) < 0.01


def test_a_mask_lies_where_its_photo_does(tmp_path: Path) -> None:
    """The same white box as a mask and as a face has its weights in the same cells, also after scaling and cropping."""
    framing = frame(400, 200, 128, 32, buckets=False)  # scaled to 256 x 128, 64 pixels cut off left and right
    grey = np.zeros((200, 400))
    grey[50:150, 150:250] = 255
    cells = mask_cells(mask_file(tmp_path / "a.png", grey), framing, SHAPE)[0]
    side = 100 / (1 + 2 * MARGIN)
    box = Box(200 - side / 2, 100 - side / 2, 200 + side / 2, 100 + side / 2)
    face = face_mask(box, framing, SHAPE, 2.0)[0]
    assert torch.allclose(cells, face / face.min() - 1, atol=0.02)


def test_black_counts_as_much_as_the_floor_says(tmp_path: Path) -> None:
    grey = np.zeros((256, 256))
    grey[:, 128:] = 255
    learned = mask_cells(mask_file(tmp_path / "a.png", grey), FRAMING, SHAPE)
    flat = torch.ones(1, *SHAPE)
    for floor in (0.0, 0.25):
        made = combined(flat, learned, floor)
        assert float(made.mean()) == pytest.approx(1.0)
        assert float(made[..., :8].max() / made.max()) == pytest.approx(floor)
    assert torch.equal(combined(flat, None, 0.25), flat)
    face = face_mask(Box(96, 96, 160, 160), FRAMING, SHAPE, 5.0)
    both = combined(face, learned, 0.0)
    assert float(both[..., :8].max()) == 0 and float(both[0, 8, 8] / both[0, 0, 15]) == pytest.approx(5.0)
    nothing = combined(face, torch.zeros(1, *SHAPE), 0.0)
    assert torch.equal(nothing, torch.zeros(1, *SHAPE)), "and no number that is none"


def test_a_mask_that_changed_is_named(tmp_path: Path) -> None:
    mask = mask_file(tmp_path / "a.png", np.full((64, 64), 255))
    mask_file(tmp_path / "a.png", np.full((64, 64), 100))
    with pytest.raises(StateError, match="was changed since this run began"):
        mask_cells(mask, FRAMING, SHAPE)


SDXL = FAMILIES["sdxl"]
TWO = replace(TRAINING, batch_size=2, steps=2, checkpoint_every=1, trigger="ohwx ana", learning_rate=0.02)


def with_masks(photos: tuple[TrainingSample, ...], folder: Path, grey: int = 255) -> tuple[TrainingSample, ...]:
    """Each photo but the last with a mask that is black on its left half."""
    made = []
    for photo in photos:
        with Image.open(photo.path) as image:
            pixels = np.zeros((image.height, image.width))
        pixels[:, pixels.shape[1] // 2 :] = grey
        made.append(replace(photo, mask=mask_file(folder / f"{photo.path.stem}.png", pixels)))
    return (*made[:-1], photos[-1])


@pytest.fixture
def photos(tmp_path: Path) -> tuple[TrainingSample, ...]:
    return samples(tmp_path / "photos")


def train(
    base: Path,
    photos: tuple[TrainingSample, ...],
    home: Path,
    settings: TrainingSettings = TWO,
    stop: int = 0,
    notices: Any = None,
) -> dict[str, Any]:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    notice = pytest.fail if notices is None else notices.append
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), SDXL, notice)
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, progress)
    weights: dict[str, Any] = load_file(home / "lora.safetensors")
    return weights


def test_batches_have_them_mirrored_with_their_pictures(
    tiny_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    choice = BaseChoice(str(tiny_base), "cpu")
    masked = with_masks(photos, tmp_path / "masks")
    made = prepare_batches(open_base(choice, SDXL), masked, replace(TWO, flip=True), tmp_path)
    seen = set()
    for step in range(1, 17):
        for batch in made.step(step):
            assert batch.mask is not None
            for mask, mirrored, number in zip(batch.mask, batch.mirrored, batch.samples, strict=True):
                half = mask.shape[-1] // 2
                assert float(mask.mean()) == pytest.approx(1.0)
                if number == len(photos) - 1:
                    assert torch.equal(mask, torch.ones_like(mask)), "one without a mask is learned everywhere"
                else:
                    assert (float(mask[..., :half].sum()) == 0, float(mask[..., -half:].sum()) == 0) == (
                        not mirrored,
                        mirrored,
                    )
                seen.add((mirrored, number == len(photos) - 1))
    assert len(seen) == 4


def test_a_training_with_masks(
    tiny_base: Path, photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumed to the same bytes; another one than without, or with another floor; a mask that changes makes it begin
    anew.
    """
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    masked = with_masks(photos, tmp_path / "masks")
    whole = train(tiny_base, masked, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tiny_base, masked, tmp_path / "torn", stop=1)
    train(tiny_base, masked, tmp_path / "torn")
    for name in ("lora.safetensors", "lora.metrics.jsonl"):
        assert (tmp_path / "torn" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    for name, others, told in (
        ("without", photos, TWO),
        ("floor", masked, replace(TWO, mask_floor=0.5)),
    ):
        made = train(tiny_base, others, tmp_path / name, told)
        assert not all(torch.equal(made[key], whole[key]) for key in whole)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_base, masked, tmp_path / "changed", stop=1)
    said = list[str]()
    train(tiny_base, with_masks(photos, tmp_path / "masks", grey=100), tmp_path / "changed", notices=said)
    assert len(said) == 1 and "this one begins at step 1" in said[0]
