"""Models that change photos as a prompt says, each on a tiny one with random weights: the same picture as with plain
diffusers, to the last bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, SIZE, TRAINING, samples, shots  # noqa: E402
from tests.contract.tiny_bases import offline  # noqa: E402
from tests.helpers.plain_editing import plain_edit, plain_pipeline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.seeing import SeeingProcessor, place_pictures, seeing_processor  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.domain.shots import Shot  # noqa: E402
from twinloop.errors import ModelFileError, UnreadableImage  # noqa: E402
from twinloop.families import FAMILIES, Family, qwen_image_edit  # noqa: E402
from twinloop.families.base import Editing  # noqa: E402
from twinloop.ports import EarlyLook  # noqa: E402

KINDS = [
    (family.name, kind) for family in FAMILIES.values() if family.editing is not None for kind in family.editing.photos
]
QWEN = "diffusers.pipelines.qwenimage.pipeline_qwenimage_edit"


@pytest.fixture(autouse=True, scope="module")
def small_photos_and_no_network() -> Iterator[None]:
    """The first Qwen-Image-Edit brings every photo to a megapixel too, in another way."""
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit import calculate_dimensions

    with offline(SIZE) as patch:
        patch.setattr(f"{QWEN}.calculate_dimensions", lambda _, shape: calculate_dimensions(SIZE * SIZE, shape))
        patch.setattr(qwen_image_edit, "ALONE", SIZE * SIZE)
        yield


@dataclass(frozen=True)
class Editor:
    """A tiny editing model, a LoRA that was trained on it, and photos."""

    family: Family
    kind: str
    base: Path
    lora: Path
    photos: tuple[Path, ...]

    @property
    def editing(self) -> Editing:
        assert self.family.editing is not None
        return self.family.editing

    def generator(self, lora: bool = False) -> DiffusersGenerator:
        made = DiffusersGenerator(BaseChoice(str(self.base), "cpu", "float32"), self.family)
        made.load_lora(self.lora if lora else None)
        return made

    def shot(self, *photos: int, **changes: Any) -> Shot:
        first, *others = (str(self.photos[number]) for number in photos)
        return replace(shots(1)[0], source=first, references=tuple(others), **changes)


@pytest.fixture(scope="module", params=KINDS, ids=[kind for _, kind in KINDS])
def editor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Editor:
    name, kind = request.param
    home = tmp_path_factory.mktemp(kind)
    base = build_tiny(name, home / "base")
    index = json.loads((base / "model_index.json").read_text())
    (base / "model_index.json").write_text(json.dumps({**index, "_class_name": kind}))
    family, photos = FAMILIES[name], samples(home / "photos", count=4)
    DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), family).train(
        photos, replace(TRAINING, steps=2), home / "lora.safetensors", home / "work", {}, lambda *_: None
    )
    return Editor(family, kind, base, home / "lora.safetensors", tuple(_square(photo.path) for photo in photos))


def _square(path: Path) -> Path:
    """The smallest photo that no pipeline scales or crops, so that a plain one can be handed the file as it is."""
    with Image.open(path) as image:
        image.resize((SIZE, SIZE)).save(path)
    return path


def pictures(generator: DiffusersGenerator, *wanted: Shot, **changes: Any) -> list[ImageArray]:
    return [image for _, image in generator.generate(wanted, replace(GENERATION, references=9, **changes))]


@pytest.mark.parametrize("lora", [False, True], ids=["bare", "lora"])
def test_plain_diffusers_makes_the_same_picture(editor: Editor, lora: bool) -> None:
    generator = editor.generator(lora)
    plain = plain_pipeline(editor.base, editor.family, editor.kind, editor.lora if lora else None)
    for photos in ([0], [1, 2, 0])[: 1 if editor.editing.photos[editor.kind] == 1 else 2]:
        shot = editor.shot(*photos)
        theirs = plain_edit(plain, editor.family, shot, [editor.photos[number] for number in photos], GENERATION)
        assert np.array_equal(pictures(generator, shot)[0], theirs)


def test_every_photo_counts_up_to_what_the_model_takes(editor: Editor) -> None:
    generator, takes = editor.generator(), editor.editing.photos[editor.kind]
    assert generator._base.photos_at_once == takes
    one, two, three, four = (pictures(generator, editor.shot(*range(count)))[0] for count in (1, 2, 3, 4))
    different = [not np.array_equal(a, b) for a, b in ((one, two), (two, three), (three, four))]
    assert different == [takes > 1, takes > 2, takes > 3]
    ((_, asked),) = generator.generate([editor.shot(0, 1)], GENERATION)
    assert np.array_equal(one, asked)  # the settings ask for one


def test_a_photo_is_seen_once_with_each_text(editor: Editor) -> None:
    """Where the text encoders see photos, a text is embedded anew for another photo; nowhere for the same."""
    generator = editor.generator()
    pictures(generator, editor.shot(0))
    before = generator._base.prompts.encoded
    pictures(generator, editor.shot(0), editor.shot(0, seed=7))
    assert generator._base.prompts.encoded == before
    pictures(generator, editor.shot(3))
    # the prompt and the negative one
    assert generator._base.prompts.encoded - before == (2 if editor.editing.encode is not None else 0)


def test_neighbours_in_a_batch_do_not_matter(editor: Editor) -> None:
    generator = editor.generator()
    wanted = [
        editor.shot(0),
        replace(shots(2)[1], key="text"),
        editor.shot(1, 2, key="other", prompt="ohwx ana smiling", seed=5),
    ]
    together = pictures(generator, *wanted)
    assert all(
        np.array_equal(image, pictures(generator, shot)[0]) for image, shot in zip(together, wanted, strict=True)
    )


def test_an_early_look_drops_single_pictures(editor: Editor) -> None:
    generator, wanted = editor.generator(), [editor.shot(0), editor.shot(1, key="other")]
    settings = replace(GENERATION, steps=4)
    whole = [image for _, image in generator.generate(wanted, settings)]
    ((shot, left),) = generator.generate(wanted, settings, EarlyLook(0.5, lambda shot, _: shot.key == "other"))
    assert shot.key == "other" and np.abs(left.astype(int) - whole[1]).max() <= 2


@pytest.mark.parametrize("size", [(40, 30), (1000, 20), (300, 900)], ids=["tiny", "strip", "tall"])
def test_photos_of_any_shape(editor: Editor, size: tuple[int, int], tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(
        tmp_path / "odd.png"
    )
    (made,) = pictures(editor.generator(), replace(editor.shot(0), source=str(tmp_path / "odd.png")))
    assert made.shape == (SIZE, SIZE, 3)


def test_a_photo_that_is_gone(editor: Editor, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.png")
    with pytest.raises(UnreadableImage):
        pictures(editor.generator(), replace(editor.shot(0), source=gone))
    if editor.editing.photos[editor.kind] > 1:
        with pytest.raises(UnreadableImage):
            pictures(editor.generator(), replace(editor.shot(0), references=(gone,)))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("qwen-image-edit", tmp_path_factory.mktemp("seeing") / "base")


def test_text_and_pictures_are_read_as_transformers_reads_them(seeing: Path) -> None:
    from transformers import AutoTokenizer, Qwen2VLProcessor

    tokenizer = AutoTokenizer.from_pretrained(seeing / "tokenizer")
    ours = seeing_processor(seeing, tokenizer)
    theirs: Any = Qwen2VLProcessor.__new__(Qwen2VLProcessor)  # its constructor wants torchvision, for videos
    theirs.image_processor, theirs.tokenizer, theirs.chat_template = ours._pictures, tokenizer, None
    theirs.image_token, theirs.video_token = "<|image_pad|>", "<|video_pad|>"
    theirs.image_token_id, theirs.video_token_id = tokenizer.convert_tokens_to_ids("<|image_pad|>"), None
    photos = [Image.fromarray(np.full((40 + 8 * n, 64, 3), 90 * n, np.uint8)) for n in range(3)]
    mark = "<|vision_start|><|image_pad|><|vision_end|>"
    given: dict[str, Any] = {
        "text": [f"ana {mark}{mark} smiling", f"{mark} photo of ana"],
        "images": photos,
        "padding": True,
        "return_tensors": "pt",
    }
    made, wanted = ours(**given), theirs(**given)
    for name in ("input_ids", "attention_mask", "pixel_values", "image_grid_thw"):
        assert torch.equal(made[name], wanted[name]), name
    assert torch.equal((made["input_ids"] == theirs.image_token_id).int(), wanted["mm_token_type_ids"].int())
    assert torch.equal(
        ours(text=["ana"], return_tensors="pt")["input_ids"], tokenizer(["ana"], return_tensors="pt")["input_ids"]
    )


def test_pictures_have_rows_and_columns(seeing: Path) -> None:
    """The text encoder is told which tokens are patches, though the pipeline does not say it."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    encoder: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(seeing / "text_encoder").eval()
    processor: SeeingProcessor = plain_pipeline(
        seeing, FAMILIES["qwen-image-edit"], "QwenImageEditPlusPipeline"
    ).processor
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    given = dict(
        processor(text=["ana <|vision_start|><|image_pad|><|vision_end|> smiling"], images=[photo], return_tensors="pt")
    )
    patches = (given["input_ids"] == encoder.config.image_token_id).int()
    with torch.inference_mode():
        told, untold = encoder(**given, mm_token_type_ids=patches).logits, encoder(**given).logits
        place_pictures(encoder)
        helped = encoder(**given).logits
    assert int(patches.sum()) > 4
    assert torch.equal(helped, told) and not torch.equal(untold, told)


def test_a_folder_without_a_processor(seeing: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"processor holds no image processor.*Fetch the model again"):
        seeing_processor(tmp_path, None)


def test_photos_are_shown_in_the_pipelines_own_sizes() -> None:
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import CONDITION_IMAGE_SIZE, calculate_dimensions

    assert CONDITION_IMAGE_SIZE == qwen_image_edit.OF_SEVERAL
    for width, height in ((1024, 1024), (640, 480), (901, 1777), (3000, 2000)):
        assert qwen_image_edit.sides(width, height, 1 << 20)[::-1] == calculate_dimensions(1 << 20, width / height)
        assert math.isclose(math.prod(qwen_image_edit.sides(width, height, 1 << 20)), 1 << 20, rel_tol=0.05)
