"""What the header of a LoRA that was trained here tells other programs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING
from twinloop.adapters.trainers.records.header import lora_header
from twinloop.families import FAMILIES
from twinloop.loras.header_facts import adapter_facts


def test_pictures_of_a_pass_and_of_a_step() -> None:
    settings = replace(TRAINING, steps=30, batch_size=2, gradient_accumulation=3)
    texts = lora_header(settings, FAMILIES["sdxl"], "epsilon", 10, "2026-01-01T00:00:00Z", {})
    assert (texts["ss_batch_size_per_device"], texts["ss_total_batch_size"]) == ("2", "6")
    assert texts["ss_epoch"] == texts["ss_num_epochs"] == "18"  # 30 steps x 6 of 10 pictures


@pytest.mark.parametrize(
    ("family", "adapter", "module"),
    [
        ("sdxl", "lora", "networks.lora"),
        ("flux", "lora", "networks.lora_flux"),
        ("sd35", "lora", "networks.lora_sd3"),
        ("zimage", "lora", "networks.lora"),
        ("flux", "dora", "lycoris.kohya"),
        ("flux", "lokr", "lycoris.kohya"),
    ],
)
def test_the_module_is_the_one_that_would_make_it_elsewhere_and_is_read_again(
    family: str, adapter: str, module: str
) -> None:
    texts = lora_header(replace(TRAINING, adapter=adapter), FAMILIES[family], "flow", 10, "2026-01-01T00:00:00Z", {})
    assert texts["ss_network_module"] == module
    assert adapter_facts(texts).adapter == adapter
    if adapter == "dora":
        assert json.loads(texts["ss_network_args"]) == {"algo": "lora", "dora_wd": "True"}


def test_what_the_program_may_choose_is_not_said() -> None:
    for asked, said in ((None, None), (True, "True"), (False, "False")):
        settings = replace(TRAINING, gradient_checkpointing=asked)
        texts = lora_header(settings, FAMILIES["sdxl"], "epsilon", 10, "2026-01-01T00:00:00Z", {})
        assert texts.get("ss_gradient_checkpointing") == said
        assert "None" not in texts.values()
