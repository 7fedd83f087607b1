"""Settings that each resume to the same bytes do so together: the average, text encoders, accumulation, micro-batches,
quantised weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.execution.micro_batches import MICRO_BATCHES_FILE  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.atomic import write_json  # noqa: E402
from twinloop.store.models.lora_file import kohya_path  # noqa: E402
from twinloop.store.models.step_saves import step_path  # noqa: E402

TOGETHER = replace(
    TRAINING,
    steps=3,
    checkpoint_every=1,
    batch_size=1,
    gradient_accumulation=2,
    ema_decay=0.9,
    flip=True,
    caption_dropout=0.3,
    output_preservation=0.5,
    trigger="ohwx ana",
    class_word="woman",
    gradient_checkpointing=True,
    learning_rate=0.02,
    tensorboard=False,
)
HEARD = replace(TOGETHER, adapter="dora", text_encoder=True, text_encoder_share=0.5)
QUANTISED = replace(TOGETHER, adapter="lokr", lokr_factor=4, rank=1, prior_weight=0.5)


class Killed(Exception):
    """Stands for a kill between two steps; everything in memory is thrown away."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "how"), [("sdxl", HEARD, None), ("flux", QUANTISED, "int8")], ids=["heard", "quantised"]
)
def test_killed_and_called_again_same_bytes(
    name: str, settings: TrainingSettings, how: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how is not None:
        pytest.importorskip("torchao", reason="the quant extra is not installed")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    base, photos = build_tiny(name, tmp_path / "base"), samples(tmp_path / "photos", count=3)
    photos = (*photos[:2], replace(photos[2], prior=True))

    def train(home: str, kill_after: int = 0) -> Path:
        def progress(step: int, *_: Any) -> None:
            if step == kill_after:
                raise Killed

        path = tmp_path / home / "lora.safetensors"
        trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32", how), FAMILIES[name])
        # LoRAs of steps on the way change nothing, and hold the average as the last one does
        asked = replace(settings, save_every=0 if home == "whole" else 1)
        trainer.train(photos, asked, path, path.parent / "work", {}, progress)
        return path

    for home in ("whole", "killed"):  # as where memory ran out in step 2
        write_json(tmp_path / home / "work" / MICRO_BATCHES_FILE.format(0), [[1, 2], [2, 1]])
    whole = train("whole")
    with pytest.raises(Killed):
        train("killed", kill_after=2)
    killed = train("killed")
    last = step_path(killed, 3)
    assert [step_path(killed, step).exists() for step in (1, 2, 3)] == [True] * 3
    for made, wanted in (
        (killed, whole),
        (kohya_path(killed), kohya_path(whole)),
        (last, whole),
        (kohya_path(last), kohya_path(whole)),
    ):
        assert made.read_bytes() == wanted.read_bytes()
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(whole).values())
