"""What the header of a LoRA that was trained here tells other programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.trainers.records.header import base_header, lora_header
from twinloop.families import FAMILIES
from twinloop.families.sizes import Size
from twinloop.loras.header_facts import adapter_facts
from twinloop.store.atomic import sha256_file
from twinloop.store.models.part_hashes import BASE_PARTS


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
        ("chroma", "lora", "networks.lora_flux"),
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


def test_only_what_is_unusual_is_said_of_the_base(tmp_path: Path) -> None:
    family, vae = FAMILIES["flux2-klein"], tmp_path / "vae.safetensors"
    vae.write_bytes(b"weights")
    assert base_header(BaseChoice("base"), family, {}) == {}
    choice = BaseChoice("base", quantization="nf4", parts=(("vae", str(vae)), ("transformer", "not there")))
    size = Size("9B", {"num_layers": 8}, architecture="Klein-9b")
    said = base_header(choice, replace(family, sizes=(size,)), {"num_layers": 8})
    assert said == {
        "twinloop.quantization": "nf4",
        BASE_PARTS: json.dumps({"vae": sha256_file(vae)}),
        "modelspec.architecture": "Klein-9b/lora",
    }
