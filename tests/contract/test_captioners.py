"""Every captioner, asked the same: real loading code on models with random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import captioner_models
from twinloop.domain.faces import ImageArray
from twinloop.errors import InputError, MissingModel, ModelFileError, OutOfMemory
from twinloop.ports import Captioner
from twinloop.wiring import CaptionServer, build_captioner

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "wd14": captioner_models.build_tagger,
    "blip": captioner_models.build_blip,
    "florence2": captioner_models.build_florence2,
}


@pytest.fixture(scope="module", params=list(BUILDERS))
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A captioner's name and the folder of its model."""
    if request.param != "wd14":
        pytest.importorskip("transformers", reason="the train extra is not installed")
    return request.param, BUILDERS[request.param](tmp_path_factory.mktemp("captioners") / request.param)


def build(name: str, model: str) -> Captioner | None:
    return build_captioner(name, model, False, "auto", CaptionServer())


def built(named: tuple[str, Path]) -> Captioner:
    captioner = build(named[0], str(named[1]))
    assert captioner is not None
    return captioner


def picture(width: int = 96, height: int = 64, red: int = 255) -> ImageArray:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = red
    return image


def test_it_says_something_and_always_the_same(named: tuple[str, Path]) -> None:
    first, second = built(named), built(named)
    said = first.caption(picture())
    assert said.text or said.tags
    assert said == first.caption(picture()) == second.caption(picture())


def test_any_shape_will_do_and_the_picture_stays_as_it_is(named: tuple[str, Path]) -> None:
    captioner = built(named)
    for width, height in ((64, 512), (512, 64), (70, 71)):
        image = picture(width, height)
        before = image.copy()
        captioner.caption(image)
        assert np.array_equal(image, before)


def test_its_fingerprint_is_that_of_its_files(named: tuple[str, Path], tmp_path: Path) -> None:
    assert built(named).fingerprint == built(named).fingerprint
    other = BUILDERS[named[0]](tmp_path / "other") if named[0] == "wd14" else _reseeded(named[0], tmp_path / "other")
    if named[0] == "wd14":
        (other / "selected_tags.csv").write_text(
            (other / "selected_tags.csv").read_text().replace("dim_light", "candle")
        )
    assert built((named[0], other)).fingerprint != built(named).fingerprint


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "wd14"])
def test_another_tokenizer_or_question_is_another_captioner(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    from twinloop.adapters.captioners import sentences

    folder = BUILDERS[name](tmp_path / "model")
    known = {built((name, folder)).fingerprint}
    (folder / "merges.txt").write_text("a b")
    known.add(built((name, folder)).fingerprint)
    kind = {"blip": "BLIP", "florence2": "FLORENCE2"}[name]
    for changes in ({"prompt": {"text": "what"}}, {"most_tokens": 7}):
        monkeypatch.setattr(sentences, kind, dataclasses.replace(getattr(sentences, kind), **changes))
        known.add(built((name, folder)).fingerprint)
    assert len(known) == 4


def _reseeded(name: str, folder: Path) -> Path:
    return (
        captioner_models.build_blip(folder, seed=1)
        if name == "blip"
        else captioner_models.build_florence2(folder, seed=1)
    )


def test_words_are_on_one_line_and_without_signs_of_the_model(named: tuple[str, Path]) -> None:
    said = built(named).caption(picture(red=10))
    words = " ".join((said.text, *said.tags))
    assert "\n" not in words and "<" not in words and "[" not in words and "_" not in words


def test_a_folder_without_a_model_is_told(named: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises((MissingModel, ModelFileError), match="empty"):
        build(named[0], str(tmp_path / "empty"))
    with pytest.raises(MissingModel, match=r"--captioner-model|--allow-download"):
        build(named[0], "nobody/has-this-model")


def test_no_model_and_unknown_names_are_told(named: tuple[str, Path]) -> None:
    with pytest.raises(InputError, match="--captioner-model"):
        build(named[0], "")
    with pytest.raises(InputError, match="template, wd14, blip, florence2"):
        build("clip", "x")
    assert build("template", "") is None


@pytest.mark.parametrize("name", ["blip", "florence2"])
def test_weights_that_would_be_unpickled_are_not_loaded(name: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the train extra is not installed")
    folder = BUILDERS[name](tmp_path / name)
    for file in folder.glob("*.safetensors"):
        file.rename(file.with_name("pytorch_model.bin"))
    with pytest.raises(ModelFileError, match=r"\.safetensors"):
        build(name, str(folder))


def test_a_model_of_another_kind_is_one_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the train extra is not installed")
    blip = captioner_models.build_blip(tmp_path / "blip")
    captioner = build("florence2", str(blip))
    assert captioner is not None
    with pytest.raises(ModelFileError, match="not a florence2 model"):
        captioner.caption(picture())


@pytest.mark.parametrize("name", ["blip", "florence2"])
def test_too_little_memory_is_told_as_such(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    captioner = build(name, str(BUILDERS[name](tmp_path / name)))
    assert captioner is not None

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(OutOfMemory, match="does not fit into the memory of cpu"):
        captioner.caption(picture())
