"""Of a model on the hub only what is needed is fetched, by the printed command and the program; and that is enough."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

import huggingface_hub  # noqa: E402
from huggingface_hub.errors import GatedRepoError  # noqa: E402

from tests.helpers.anima_file import write_anima_file  # noqa: E402
from tests.helpers.part_files import as_comfyui_has_it  # noqa: E402
from tests.helpers.single_file import write_single_file  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.unit.adapters.diffusion.hubs import Hub  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_files import find_base  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.errors import MissingModel, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.base import Family  # noqa: E402

SDXL = FAMILIES["sdxl"]
JUNK = (
    "model.safetensors",
    "README.md",
    "{denoiser}/model.onnx",
    "{denoiser}/model.onnx_data",
    "{denoiser}/diffusion_flax_model.msgpack",
    "{denoiser}/diffusion_pytorch_model.bin",
    "vae_decoder/openvino_model.bin",
)
"""What repositories of models hold beside what is needed."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made, real = Hub(tmp_path / "repository", tmp_path / "cache"), huggingface_hub.snapshot_download

    def snapshot_download(name: str, **how: Any) -> str:
        if how.get("local_files_only"):
            return str(real(name, **how))
        return str(made.fetch(name, how.get("allow_patterns"), how.get("ignore_patterns")))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(made.cache))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return made


@pytest.fixture
def by_diffusers(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models that diffusers was asked to fetch, all of them."""
    asked: list[str] = []

    def download(name: str, *, use_safetensors: bool) -> str:
        assert use_safetensors
        asked.append(name)
        return str(hub.fetch(name, None))

    monkeypatch.setattr("diffusers.DiffusionPipeline.download", download)
    return asked


def publish(hub: Hub, family: Family, *, half: bool | None = None) -> None:
    """A tiny model with all that lies around in such repositories."""
    build_tiny(family.name, hub.repository)
    if family.half_copies if half is None else half:
        for path in list(hub.repository.glob("*/*.safetensors")):
            shutil.copy(path, path.with_suffix(".fp16.safetensors"))
    for name in (*JUNK, *(("text_encoders/t5xxl.safetensors",) if family.name == "sd35" else ())):
        path = hub.repository / name.format(denoiser=family.denoiser)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"junk")


def command_in(error: MissingModel) -> str:
    return next(line.strip() for line in str(error).splitlines() if line.strip().startswith("hf download"))


def told(choice: BaseChoice, family: Family) -> MissingModel:
    with pytest.raises(MissingModel) as caught:
        find_base(choice, family)
    return caught.value


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_printed_command_fetches_a_whole_model_and_nothing_else(name: str, hub: Hub) -> None:
    family = FAMILIES[name]
    publish(hub, family)
    choice = BaseChoice(family.reference, "cpu")
    fetched = hub.obey(command_in(told(choice, family)))
    assert fetched & {file for file in fetched if hub.repository.joinpath(file).read_bytes() == b"junk"} == set()
    weights = [file for file in fetched if file.endswith(".safetensors")]
    assert all((".fp16." in file) == family.half_copies for file in weights)
    assert open_base(choice, family).pipeline.tokenizer is not None


def test_a_model_that_is_not_known_to_have_half_precision_copies_is_fetched_as_it_is(hub: Hub) -> None:
    """Animagine XL 3.1 has none."""
    publish(hub, SDXL, half=False)
    choice = BaseChoice("someone/fine-tune", "cpu")
    fetched = hub.obey(command_in(told(choice, SDXL)))
    assert "unet/diffusion_pytorch_model.safetensors" in fetched and "model.safetensors" not in fetched
    assert find_base(choice, SDXL).path.is_dir()


def test_a_single_checkpoint_asks_for_texts_alone(full_base: Path, hub: Hub, tmp_path: Path) -> None:
    write_single_file(full_base, tmp_path / "mine.safetensors")
    publish(hub, SDXL)
    choice = BaseChoice(str(tmp_path / "mine.safetensors"), "cpu")
    error = told(choice, SDXL)
    assert "a few MB" in str(error) and SDXL.download not in str(error)
    fetched = hub.obey(command_in(error))
    assert {Path(file).suffix for file in fetched} <= {".json", ".txt"}
    assert open_base(choice, SDXL).pipeline.tokenizer_2 is not None


@pytest.mark.parametrize("name", ["sd35", "flux", "chroma", "flux2-klein", "anima", "krea2", "qwen-image"])
def test_a_denoiser_alone_asks_for_all_but_a_denoiser(name: str, hub: Hub, tmp_path: Path) -> None:
    family = replace(FAMILIES[name], sizes=())  # this one is smaller than any of them
    publish(hub, family)
    shutil.copy(next((hub.repository / "transformer").glob("*.safetensors")), tmp_path / "mine.safetensors")
    choice = BaseChoice(str(tmp_path / "mine.safetensors"), "cpu")
    command = command_in(told(choice, family))
    fetched = hub.obey(command)
    assert not [file for file in fetched if file.startswith("transformer/") and not file.endswith(".json")]
    assert "text_encoders/t5xxl.safetensors" not in fetched
    assert open_base(choice, family).pipeline.vae is not None


def test_what_a_file_holds_beside_the_denoiser_is_not_asked_for(hub: Hub, tmp_path: Path) -> None:
    family = replace(FAMILIES["anima"], sizes=())
    publish(hub, family)
    write_anima_file(hub.repository, tmp_path / "mine.safetensors")
    choice = BaseChoice(str(tmp_path / "mine.safetensors"), "cpu")
    command = command_in(told(choice, family))
    assert "text_conditioner" not in command
    fetched = hub.obey(command)
    assert {"t5_tokenizer/tokenizer.json", "text_conditioner/config.json"} <= fetched
    assert {file.partition("/")[0] for file in fetched if file.endswith(".safetensors")} == {"text_encoder", "vae"}
    assert open_base(choice, family).pipeline.text_conditioner is not None


def test_a_model_of_blocks_is_downloaded_too(hub: Hub, by_diffusers: list[str]) -> None:
    """Which diffusers' own download knows nothing of."""
    family = FAMILIES["anima"]
    publish(hub, family)
    choice = BaseChoice(family.reference, "cpu", allow_download=True)
    assert find_base(choice, family).path.is_dir() and not by_diffusers


def test_texts_alone_are_not_enough_for_a_denoiser(hub: Hub, tmp_path: Path) -> None:
    family = replace(FAMILIES["flux"], sizes=())
    publish(hub, family)
    shutil.copy(next((hub.repository / "transformer").glob("*.safetensors")), tmp_path / "mine.safetensors")
    hub.fetch(family.reference, ["*.json", "*.txt"])
    assert "vae/*.safetensors" in command_in(told(BaseChoice(str(tmp_path / "mine.safetensors")), family))


def test_weights_that_were_not_fetched_are_named_with_the_command(hub: Hub) -> None:
    publish(hub, SDXL)
    hub.fetch(SDXL.reference, ["*.json", "*.txt", "unet/*.fp16.safetensors"])
    error = told(BaseChoice(SDXL.reference), SDXL)
    assert "of vae and text_encoder and text_encoder_2" in str(error)
    assert hub.obey(command_in(error)) and find_base(BaseChoice(SDXL.reference), SDXL)


def test_half_precision_copies_are_downloaded_where_they_are_and_will_do(hub: Hub, by_diffusers: list[str]) -> None:
    publish(hub, SDXL)
    found = find_base(BaseChoice("someone/fine-tune", allow_download=True), SDXL)
    assert {".fp16." in path.name for path in found.path.glob("*/*.safetensors")} == {True} and not by_diffusers


def test_float32_downloads_the_weights_as_they_are(hub: Hub, by_diffusers: list[str]) -> None:
    publish(hub, SDXL)
    find_base(BaseChoice(SDXL.reference, precision="float32", allow_download=True), SDXL)
    assert by_diffusers == [SDXL.reference]


@pytest.mark.parametrize("parts", [(), ("vae",)])
def test_float32_asks_for_the_weights_as_they_are(
    parts: tuple[str, ...], hub: Hub, tmp_path: Path, by_diffusers: list[str]
) -> None:
    """Printed, and fetched with a part from a file."""
    publish(hub, SDXL)
    choice = BaseChoice(SDXL.reference, "cpu", "float32", parts=given(hub, tmp_path, *parts))
    error = told(choice, SDXL)
    fetched = {file for file in hub.obey(command_in(error)) if file.endswith(".safetensors")}
    assert fetched == {f"{part}/{name}" for part, name in WEIGHTS.items() if part not in parts}
    assert SDXL.download not in str(error), "that is the size of the half-precision copies"
    shutil.rmtree(hub.cache)
    found = find_base(replace(choice, allow_download=True), SDXL)
    assert {path.parent.name for path in found.path.glob("*/*.safetensors")} >= {*WEIGHTS} - {*parts}
    if parts:
        assert not by_diffusers and not list(found.path.glob("*/*.fp16.safetensors"))


WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
}


def test_with_parts_half_precision_copies_are_downloaded_where_they_are_and_will_do(
    hub: Hub, tmp_path: Path, by_diffusers: list[str]
) -> None:
    publish(hub, SDXL)
    choice = BaseChoice("someone/fine-tune", "cpu", allow_download=True, parts=given(hub, tmp_path, "vae"))
    found = find_base(choice, SDXL)
    assert {".fp16." in path.name for path in found.path.glob("*/*.safetensors")} == {True}
    shutil.rmtree(hub.cache)
    hub.fetch(choice.base, None, ["*.fp16.*"])
    (found.path / "text_encoder" / "model.safetensors").unlink()
    found = find_base(choice, SDXL)
    assert (found.path / "text_encoder" / "model.safetensors").is_file() and not by_diffusers


def test_beside_large_weights_the_command_asks_for_large_ones(hub: Hub) -> None:
    publish(hub, SDXL)
    hub.fetch(SDXL.reference, ["*.json", "*.txt", "unet/diffusion_pytorch_model.safetensors"])
    fetched = hub.obey(command_in(told(BaseChoice(SDXL.reference), SDXL)))
    assert not [file for file in fetched if ".fp16." in file] and find_base(BaseChoice(SDXL.reference), SDXL)


def test_without_its_tokenizers_a_models_configuration_is_not_here(hub: Hub, tmp_path: Path) -> None:
    family = replace(FAMILIES["zimage"], sizes=())
    publish(hub, family)
    shutil.copy(next((hub.repository / "transformer").glob("*.safetensors")), tmp_path / "mine.safetensors")
    choice = BaseChoice(
        str(tmp_path / "mine.safetensors"), "cpu", parts=given(hub, tmp_path / "parts", "text_encoder", "vae")
    )
    hub.fetch(family.reference, None, ["tokenizer/*", "*.safetensors"])
    assert hub.obey(command_in(told(choice, family))) and find_base(choice, family)


def test_without_half_precision_copies_of_every_part_all_is_downloaded(hub: Hub, by_diffusers: list[str]) -> None:
    publish(hub, SDXL)
    (hub.repository / "vae" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    found = find_base(BaseChoice(SDXL.reference, allow_download=True), SDXL)
    assert by_diffusers == [SDXL.reference] and (found.path / "vae" / "diffusion_pytorch_model.safetensors").is_file()


def test_no_second_copy_is_downloaded_beside_the_first(hub: Hub, by_diffusers: list[str]) -> None:
    publish(hub, SDXL)
    hub.fetch(SDXL.reference, None, ["*.fp16.*"])
    found = find_base(BaseChoice(SDXL.reference, allow_download=True), SDXL)
    assert by_diffusers == [SDXL.reference] and found.path.is_dir()


def test_a_model_behind_a_licence_says_how_to_get_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **how: Any) -> str:
        answer: Any = SimpleNamespace(headers={}, request=None, status_code=403)
        raise GatedRepoError("403", response=answer)

    flux = FAMILIES["flux"]
    assert "huggingface.co/black-forest-labs/FLUX.1-dev) and run `hf auth login`" in str(
        told(BaseChoice(flux.reference), flux)
    )
    assert "hf auth login" not in str(told(BaseChoice(SDXL.reference), SDXL))
    monkeypatch.setattr("diffusers.DiffusionPipeline.download", refuse)
    error = told(BaseChoice("someone/behind-a-licence", allow_download=True), flux)
    assert "huggingface.co/someone/behind-a-licence) and run `hf auth login` once" in str(error)


@pytest.mark.parametrize("end", ["safetensors", "gguf", "ckpt", "pt", "bin"])
@pytest.mark.parametrize("allowed", [False, True])
def test_a_file_that_is_not_there_is_no_hub_id(end: str, allowed: bool) -> None:
    error = told(BaseChoice(f"checkpoints/mine.{end}", allow_download=allowed), SDXL)
    assert f"no file at checkpoints/mine.{end}" in str(error) and "hf download" not in str(error)


def test_a_local_folder_without_weights_names_no_command(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": SDXL.pipeline}))
    assert "hf download" not in str(told(BaseChoice(str(tmp_path)), SDXL))


def test_a_repository_of_single_files_is_no_diffusers_model(hub: Hub) -> None:
    hub.repository.mkdir()
    (hub.repository / "mine.safetensors").write_bytes(b"x")
    hub.fetch("someone/files", None)
    with pytest.raises(ModelFileError, match=r"someone/files has no model_index\.json"):
        find_base(BaseChoice("someone/files"), SDXL)


def given(hub: Hub, home: Path, *names: str) -> tuple[tuple[str, str], ...]:
    """Files of parts of the model on the hub."""
    return tuple((name, str(as_comfyui_has_it(hub.repository, name, home / f"{name}.safetensors"))) for name in names)


def test_what_is_given_is_not_asked_for(hub: Hub, tmp_path: Path) -> None:
    """A person with ComfyUI's files of FLUX.1 fetches a few MB."""
    family = replace(FAMILIES["flux"], sizes=())
    publish(hub, family)
    parts = given(hub, tmp_path / "ComfyUI", "text_encoder", "text_encoder_2", "vae")
    shutil.copy(next((hub.repository / "transformer").glob("*.safetensors")), tmp_path / "mine.safetensors")
    some = BaseChoice(str(tmp_path / "mine.safetensors"), "cpu", parts=parts[:2])
    error = told(some, family)
    assert "mine.safetensors is a single file; vae and configuration come from black-forest-labs" in str(error)
    assert "(its vae, configuration and tokenizers)" in str(error)
    assert "--exclude" in command_in(error) and "text_encoder_2/*.safetensors" in command_in(error)
    choice = replace(some, parts=parts)
    error = told(choice, family)
    assert "its configuration and tokenizers come from" in str(error) and "(a few MB)" in str(error)
    fetched = hub.obey(command_in(error))
    assert not [file for file in fetched if file.endswith(".safetensors")]
    assert open_base(choice, family).pipeline.tokenizer_2 is not None
    assert "vae/*.safetensors" in command_in(told(some, family)), "its autoencoder is still needed"
    fetched = hub.obey(command_in(told(some, family)))
    assert [file for file in fetched if file.endswith(".safetensors")] == ["vae/diffusion_pytorch_model.safetensors"]
    assert find_base(some, family)


@pytest.mark.parametrize("name", ["sdxl", "zimage"])
def test_of_a_whole_model_all_but_what_is_given(name: str, hub: Hub, tmp_path: Path, by_diffusers: list[str]) -> None:
    family = FAMILIES[name]
    publish(hub, family)
    choice = BaseChoice(family.reference, "cpu", parts=given(hub, tmp_path, "vae"))
    assert "vae/*.safetensors" in command_in(told(choice, family))
    found = find_base(replace(choice, allow_download=True), family)
    assert not by_diffusers and not list((found.path / "vae").glob("*.safetensors"))
    assert open_base(choice, family).pipeline.vae is not None
    command = command_in(told(replace(choice, parts=()), family))
    assert "vae/*.safetensors" not in command and "*/" in command, "without the file it is needed"
