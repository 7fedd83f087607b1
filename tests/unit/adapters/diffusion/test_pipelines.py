"""Pipelines that diffusers has as blocks only, in the form of all others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from safetensors.torch import save_file  # noqa: E402

from tests.helpers.plain_pipelines import plain_pipeline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.pipelines import BlockPipeline, is_of_blocks, pipeline_class  # noqa: E402
from twinloop.errors import ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.recognise import INDEX, INDEX_OF_BLOCKS, index_of, kind_of_folder  # noqa: E402

ANIMA = FAMILIES["anima"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("anima", tmp_path_factory.mktemp("blocks") / "base")


@pytest.fixture
def base(folder: Path) -> BaseModel:
    return opened(folder)


def opened(folder: Path) -> BaseModel:
    return open_base(BaseChoice(str(folder), "cpu", "float32"), ANIMA)


def drawn(base: BaseModel, **given: Any) -> Any:
    words = {"prompt_embeds": base.pipeline.encode_prompt("ohwx ana", CPU)}
    size = {"height": 64, "width": 64, "num_inference_steps": 3, "generator": torch.Generator().manual_seed(1)}
    return base.pipeline(**{**words, **size, **given}).images


def test_others_are_diffusers_own() -> None:
    assert pipeline_class("StableDiffusionXLPipeline") is diffusers.StableDiffusionXLPipeline
    assert not is_of_blocks("StableDiffusionXLPipeline") and is_of_blocks(ANIMA.pipeline)
    made = pipeline_class(ANIMA.pipeline)
    assert made is pipeline_class(ANIMA.pipeline) and made.__name__ == ANIMA.pipeline
    assert issubclass(made, BlockPipeline) and issubclass(made, getattr(diffusers, ANIMA.pipeline))


def test_parts_wait_in_the_order_of_their_use() -> None:
    assert pipeline_class(ANIMA.pipeline).model_cpu_offload_seq == "text_encoder->text_conditioner->transformer->vae"


def test_a_folder_that_was_moved_is_opened_where_it_is(folder: Path, tmp_path: Path) -> None:
    """Its index says where each part was written to or fetched from."""
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    index = json.loads((moved / INDEX_OF_BLOCKS).read_text())
    for entry in index.values():
        if isinstance(entry, list):
            entry[2]["pretrained_model_name_or_path"] = "nobody/nothing"
    (moved / INDEX_OF_BLOCKS).write_text(json.dumps(index))
    found = opened(moved).pipeline
    assert all(part is not None for part in found.components.values())


def test_a_folder_whose_index_was_written_before_its_parts_were_loaded_is_opened(folder: Path, tmp_path: Path) -> None:
    """It names no classes but those of its hints, by which diffusers opens it, too."""
    early = Path(shutil.copytree(folder, tmp_path / "early"))
    index = json.loads((early / INDEX_OF_BLOCKS).read_text())
    hinted = {name: [None, None, *entry[2:]] for name, entry in index.items() if isinstance(entry, list)}
    (early / INDEX_OF_BLOCKS).write_text(json.dumps({**index, **hinted}))
    found, usual = opened(early), opened(folder)
    assert all(part is not None for part in found.pipeline.components.values())
    assert torch.equal(drawn(found), drawn(usual))
    made = found.pipeline.save_pretrained(tmp_path / "again")
    assert made is None and torch.equal(drawn(opened(tmp_path / "again")), drawn(usual))


def test_the_usual_index_comes_first(folder: Path, tmp_path: Path) -> None:
    both = Path(shutil.copytree(folder, tmp_path / "both"))
    assert index_of(both).name == INDEX_OF_BLOCKS and kind_of_folder(both) == ANIMA.pipeline
    (both / INDEX).write_text(json.dumps({"_class_name": "ZImagePipeline"}))
    assert index_of(both).name == INDEX and kind_of_folder(both) == "ZImagePipeline"
    assert index_of(tmp_path).name == INDEX


@pytest.mark.parametrize("part", ["text_conditioner", "t5_tokenizer"])
def test_what_reads_prompts_is_missed_by_its_name(part: str, folder: Path, tmp_path: Path) -> None:
    less = Path(shutil.copytree(folder, tmp_path / "less"))
    shutil.rmtree(less / part)
    with pytest.raises(ModelFileError, match=rf"comes without {part}.*the entry in {INDEX_OF_BLOCKS}"):
        opened(less)


def test_texts_are_embedded_as_the_blocks_do_it(base: BaseModel, folder: Path) -> None:
    """The empty one, too, of which a tokenizer may give nothing."""
    plain, _ = plain_pipeline(ANIMA, folder, 1.0)
    for text in ("photo of ohwx ana smiling", ""):
        theirs = plain(prompt=text, height=64, width=64, num_inference_steps=1, output="prompt_embeds")
        assert torch.equal(base.pipeline.encode_prompt(text, CPU), theirs), text
    assert base.pipeline.guider.guidance_scale == 4.0, "put back"


def test_guidance_without_negative_words_is_none(base: BaseModel) -> None:
    plain, guided = drawn(base, guidance_scale=1.0), drawn(base, guidance_scale=7.0)
    assert torch.equal(plain, guided)
    away = {"negative_prompt_embeds": base.pipeline.encode_prompt("woman", CPU)}
    assert not torch.equal(plain, drawn(base, guidance_scale=7.0, **away))


def test_a_call_can_be_ended_early(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, taken = base.pipeline, []
    step = pipeline.scheduler.step

    def last(*args: Any, **named: Any) -> Any:
        taken.append(pipeline.num_timesteps)
        pipeline._interrupt = True
        return step(*args, **named)

    monkeypatch.setattr(pipeline.scheduler, "step", last, raising=False)
    drawn(base)
    assert taken == [3]


@pytest.mark.parametrize(
    ("own", "theirs", "down", "up"),
    [
        (
            "diffusion_model.blocks.0.self_attn.q_proj",
            "diffusion_model.llm_adapter.blocks.0.self_attn.q_proj",
            "A",
            "B",
        ),
        ("lora_unet_blocks_0_self_attn_q_proj", "lora_unet_llm_adapter_blocks_0_self_attn_q_proj", "down", "up"),
        ("blocks.0.self_attn.q_proj", "llm_adapter.blocks.0.self_attn.q_proj", "A.default", "B.default"),
        ("transformer.transformer_blocks.0.attn1.to_q", "text_conditioner.blocks.0.self_attn.q_proj", "A", "B"),
    ],
    ids=["comfyui", "kohya", "bare", "diffusers"],
)
def test_a_lora_of_what_reads_prompts_is_refused(
    own: str, theirs: str, down: str, up: str, base: BaseModel, tmp_path: Path
) -> None:
    """It would not change words that are remembered, and parts of it may not be passed over in silence."""
    pairs = {f"{own}.lora_{down}.weight": 24, f"{own}.lora_{up}.weight": 24}
    pairs |= {f"{theirs}.lora_{down}.weight": 16, f"{theirs}.lora_{up}.weight": 16}
    file = tmp_path / "lora.safetensors"
    save_file(
        {name: torch.ones((2, side) if f"lora_{down}" in name else (side, 2)) for name, side in pairs.items()}, file
    )
    with pytest.raises(ModelFileError, match="adapts 'text_conditioner', which is no text encoder that can wear a"):
        base.lora.use(file)
    base.lora.use(None)
