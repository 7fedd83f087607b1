"""What a training sees of prior images: what is asked for the subject's pictures does not reach them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.data.batches import Batch, Batches  # noqa: E402
from twinloop.adapters.trainers.data.prepare import prepare_data  # noqa: E402
from twinloop.domain.faces import Box  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import nobody_listens  # noqa: E402


def test_settings_of_the_subjects_pictures_do_not_reach_prior_images(full_base: Path, tmp_path: Path) -> None:
    """The same photos as both: only the settings and the seed tell the draws apart."""
    own = [replace(sample, face=Box(20, 20, 60, 60)) for sample in samples(tmp_path / "photos")]
    others = [replace(sample, prior=True, caption="photo of a woman") for sample in own]
    settings = replace(
        TRAINING,
        caption_dropout=1.0,
        output_preservation=0.5,
        face_weight=3.0,
        trigger="ohwx ana",
        class_word="woman",
        keep_trigger=False,
    )
    base = open_base(BaseChoice(str(full_base), "cpu"), FAMILIES["sdxl"])
    data = prepare_data(base, [*own, *others], settings, tmp_path / "work", nobody_listens, lazily=False)
    assert data.prior is not None
    subject, prior = seen(data.subject), seen(data.prior)
    assert all(batch.mask is not None and batch.class_words is not None for batch in subject)
    assert {text for batch in subject for text in batch.texts} == {""}
    assert all(batch.mask is None and batch.class_words is None for batch in prior)
    assert {text for batch in prior for text in batch.texts} == {"photo of a woman"}
    assert [batch.samples for batch in subject] != [batch.samples for batch in prior]


def seen(batches: Batches) -> list[Batch]:
    return [batch for step in range(1, 11) for batch in batches.step(step)]
