"""Adding a family of base models touches one file: the example trains and generates, and each shipped family is named
by one file only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

import twinloop  # noqa: E402
from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.functional.console import twinloop as console  # noqa: E402
from tests.helpers.tiny_families import build_auraflow  # noqa: E402
from tests.unit.loras.makers import layer, saved  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.assistant_lora_file import assistant_file  # noqa: E402
from twinloop.domain.choices import TAG_PRESETS  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES, Family, family_of_preset, preset_for, register_family  # noqa: E402
from twinloop.families.recognise import family_of_lora  # noqa: E402
from twinloop.loras.adapter import Adapter, Place, families_name  # noqa: E402
from twinloop.loras.components import DENOISER  # noqa: E402
from twinloop.loras.lora import Dialect, read_lora  # noqa: E402
from twinloop.registry import load_plugin  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples" / "auraflow_family.py"
PACKAGE = Path(twinloop.__file__).parent


@pytest.fixture
def example() -> Iterator[Family]:
    load_plugin(EXAMPLE)
    yield FAMILIES["auraflow"]
    del FAMILIES["auraflow"]


def test_one_file_brings_a_family(example: Family, tmp_path: Path) -> None:
    base = build_auraflow(tmp_path / "base")
    assert family_of_preset(preset_for(str(base))) is example
    settings = replace(TRAINING, preset="auraflow", steps=2)
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), example)
    trainer.train(
        samples(tmp_path / "photos", count=3),
        settings,
        tmp_path / "lora.safetensors",
        tmp_path / "work",
        {},
        lambda *_: None,
    )
    generator = DiffusersGenerator(BaseChoice(str(base), "cpu", "float32"), example)
    ((_, bare),) = generator.generate(shots(1), GENERATION)
    generator.load_lora(tmp_path / "lora.safetensors")
    ((shot, worn),) = generator.generate(shots(1), GENERATION)
    assert np.array_equal(worn, plain_picture(base, tmp_path / "lora.safetensors", shot)) and not np.array_equal(
        worn, bare
    )


def plain_picture(base: Path, lora: Path, shot: Any) -> Any:
    from diffusers import AuraFlowPipeline

    pipeline: Any = AuraFlowPipeline.from_pretrained(base, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(lora), adapter_name="ana")
    made = pipeline(
        shot.prompt,
        negative_prompt=shot.negative_prompt,
        num_inference_steps=GENERATION.steps,
        guidance_scale=GENERATION.guidance,
        width=SIZE,
        height=SIZE,
        generator=torch.Generator().manual_seed(shot.seed),
        output_type="np",
    ).images[0]
    return np.asarray((made * 255).round(), np.uint8)


def test_without_a_pipeline_for_photos_that_is_said(example: Family, tmp_path: Path) -> None:
    generator = DiffusersGenerator(BaseChoice(str(build_auraflow(tmp_path / "base")), "cpu", "float32"), example)
    with pytest.raises(InputError, match=r"generation\.from_photos.*cannot start from a photo"):
        list(generator.generate([replace(shots(1)[0], source="a.jpg")], GENERATION))


def test_a_preset_belongs_to_one_family(example: Family) -> None:
    with pytest.raises(InputError, match=r"preset auraflow belongs to the family 'auraflow'"):
        register_family(replace(example, name="other"))


def test_its_loras_are_told_and_converted(example: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though FLUX.1 has layers of the same names; the header says what it was trained for, and keeps saying so."""
    places = ("joint_transformer_blocks.0.attn.add_q_proj", "single_transformer_blocks.0.attn.to_q")
    layers = {Place(DENOISER, path): layer(8, 8, 2, 1.0) for path in places}
    texts = {"modelspec.architecture": f"{example.architecture}/lora"}
    source = saved(tmp_path / "a.safetensors", Adapter(example.name, layers), Dialect.DIFFUSERS, texts).path
    assert console(capsys, "lora", "info", source, "--json").data["family"] == example.name
    for number, (dialect, prefix) in enumerate({"kohya": "lora_unet_", "comfyui": "diffusion_model."}.items()):
        copy, back = (tmp_path / f"{name}{number}.safetensors" for name in ("copy", "back"))
        made = console(capsys, "lora", "convert", source, "--to", dialect, "--output", copy, "--json").data
        assert made["family"] == example.name and all(name.startswith(prefix) for name in read_lora(copy).layers)
        assert console(capsys, "lora", "convert", copy, "--to", "diffusers", "--output", back).code == 0
        assert back.read_bytes() == source.read_bytes()
        assert family_of_lora(read_lora(copy).texts) is example


def test_a_training_adapter_without_a_header_is_not_taken_for_another_familys(example: Family, tmp_path: Path) -> None:
    layers = {Place(DENOISER, "single_transformer_blocks.0.attn.to_q"): layer(8, 8, 2, 1.0)}
    path = saved(tmp_path / "a.safetensors", Adapter(example.name, layers), Dialect.DIFFUSERS).path
    assert families_name(read_lora(path)) == "flux"
    worn = assistant_file(replace(TRAINING, assistant_lora=str(path)), example)
    assert worn.layers.keys() == layers.keys()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_shipped_family_is_named_by_one_file(name: str) -> None:
    """Its pipeline, its denoiser's and its model's name: all that tells it from others is in one place."""
    family = FAMILIES[name]
    words = re.compile("|".join(rf"(?<![\w-]){re.escape(word)}(?![\w-])" for word in (*family.kinds, family.reference)))
    files = [path for path in PACKAGE.rglob("*.py") if words.search(path.read_text(encoding="utf-8"))]
    # the configuration's default base model, and what the commands say of it, are the seed's
    homes = [path for path in files if path.parent.name == "families"]
    others = {path.relative_to(PACKAGE).as_posix() for path in files} - {f"families/{path.name}" for path in homes}
    assert len(homes) == 1
    assert name == "sdxl" or not others


def test_no_code_decides_by_the_name_of_a_family() -> None:
    """What differs is a property of the family; only what other programs call it stands elsewhere."""
    names = {*FAMILIES, "sd2"}
    told = {
        path.relative_to(PACKAGE).as_posix(): {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and node.value in names
        }
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in ("families", "foreign")
    }
    assert len(told) > 100
    assert told.pop("domain/choices.py") == {*TAG_PRESETS} & names  # presets, of which one is called like its family
    assert {path for path, found in told.items() if found} == {"exporters/drop_in.py"}
