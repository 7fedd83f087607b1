"""The file of a LoRA in training holds the weights as they are, under the settings of the step that it is written
after.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import TRAINING  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.records.export import LoraExport  # noqa: E402
from twinloop.errors import TrainingDiverged  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.lora_names import places_of  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

SDXL = FAMILIES["sdxl"]
DATE = "2026-01-01T00:00:00Z"


def test_a_lora_is_written_as_it_is_after_a_step(full_base: Path, tmp_path: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    first, last = tmp_path / "first.safetensors", tmp_path / "last.safetensors"
    with adapted(base, AdapterPlan.of(TRAINING, SDXL), TRAINING.seed) as model:
        attentions = places_of(name for name, _ in base.denoiser.named_modules())
        lora = LoraExport(SDXL, model, "v_prediction", attentions, 5, DATE, {"modelspec.title": "ana v1"})
        lora.write(first, replace(TRAINING, stop_at=2))
        for parameter in model.parameters.values():
            parameter.data.fill_(1.0)
        lora.write(last, TRAINING)
    for path, steps in ((first, "2"), (last, str(TRAINING.steps))):
        for texts in (header_texts(path), header_texts(kohya_path(path))):
            said = (texts["modelspec.title"], texts["modelspec.prediction_type"], texts["modelspec.date"])
            assert said == ("ana v1", "v", DATE)
            assert (texts["ss_num_train_images"], texts["ss_steps"]) == ("5", steps)
    before, after = load_file(first), load_file(last)
    assert all(bool((tensor == 0).all()) for name, tensor in before.items() if "lora_B" in name)
    assert all(tensor.dtype == torch.float16 and bool((tensor == 1).all()) for tensor in after.values())


def test_numbers_too_large_for_the_file_are_no_lora(full_base: Path, tmp_path: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    with adapted(base, AdapterPlan.of(TRAINING, SDXL), TRAINING.seed) as model:
        lora = LoraExport(SDXL, model, "v_prediction", frozenset(), 5, DATE, {})
        name, parameter = sorted(model.parameters.items())[3]
        parameter.data.view(-1)[0] = 70_000.0
        with pytest.raises(TrainingDiverged, match=f"1 matrices .* after step 2, such as {name}"):
            lora.write(tmp_path / "lora.safetensors", replace(TRAINING, stop_at=2))
    assert list(tmp_path.iterdir()) == []
