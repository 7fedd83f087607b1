"""Weights in prompts, in the families whose words come from CLIP alone, as ComfyUI counts them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, SIZE, samples, shots  # noqa: E402
from tests.contract.tiny_bases import CLIP_ALONE, TinyBase, offline  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.domain.weighted_text import read_weights  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

TOKENS = 16
"""Of a chunk of the tiny models, those that open and close it included."""


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    with offline(SIZE):
        yield


@pytest.fixture(scope="module", params=CLIP_ALONE)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyBase:
    home = tmp_path_factory.mktemp(request.param)
    photos = samples(home / "photos", count=2)
    return TinyBase(FAMILIES[request.param], build_tiny(request.param, home / "base"), tuple(photos))


def words_of(pipeline: Any, text: str) -> Any:
    """(1, 16, width) what the encoders say of one chunk, by the pipeline's own means."""
    with torch.no_grad():
        return pipeline.encode_prompt(
            text, device=torch.device("cpu"), num_images_per_prompt=1, do_classifier_free_guidance=False
        )[0]


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.3, -1.0])
def test_a_weighted_token_is_so_much_further_from_no_words(tiny: TinyBase, weight: float) -> None:
    base = tiny.open()
    plain, nothing = words_of(base.pipeline, "photo of woman smiling indoors"), words_of(base.pipeline, "")
    wanted = plain.clone()
    for place in (3, 4):  # behind the token that opens the chunk, "photo" and "of"
        wanted[:, place] = nothing[:, place] + (plain[:, place] - nothing[:, place]) * weight
    made = base.prompts.embed(read_weights(f"photo of (woman smiling:{weight}) indoors"))
    assert torch.allclose(made["prompt_embeds"], wanted, atol=1e-5)
    if "pooled_prompt_embeds" in made:
        summary = base.prompts.embed("photo of woman smiling indoors")["pooled_prompt_embeds"]
        assert torch.allclose(made["pooled_prompt_embeds"], summary, atol=1e-5)


def test_every_chunk_has_its_weights(tiny: TinyBase) -> None:
    base = tiny.open()
    made = base.prompts.embed(read_weights("woman " * 13 + "(smiling indoors:1.5) profile"))["prompt_embeds"]
    nothing = words_of(base.pipeline, "")
    second = words_of(base.pipeline, "smiling indoors profile")
    second[:, 1:3] = nothing[:, 1:3] + (second[:, 1:3] - nothing[:, 1:3]) * 1.5
    assert made.shape[1] == 2 * TOKENS
    assert torch.allclose(made, torch.cat([words_of(base.pipeline, "woman " * 13), second], 1), atol=1e-5)


def test_a_text_is_remembered_with_its_weights(tiny: TinyBase) -> None:
    prompts = tiny.open().prompts
    texts = [read_weights(text) for text in ("a woman", "a (woman:1.5)", "a (woman:2)", "a (woman:1.5)")]
    prompts.forget()
    before = prompts.encoded
    plain, some, much, again = (one["prompt_embeds"] for one in prompts.embed_all(texts))
    assert prompts.encoded - before == 3 and torch.equal(some, again)
    assert not torch.allclose(plain, some, atol=1e-4) and not torch.allclose(some, much, atol=1e-4)


def test_pictures(tiny: TinyBase) -> None:
    """Brackets that weigh nothing give the very picture; a weight gives another, in prompts and negative prompts."""

    def drawn(prompt: str, negative: str) -> Any:
        shot = replace(shots(1)[0], prompt=prompt, negative_prompt=negative)
        return next(image for _, image in tiny.generator().generate([shot], GENERATION))

    plain = drawn("photo of ana smiling", "blurry indoors")
    assert np.array_equal(drawn("photo of (ana:1.0) smiling", "blurry indoors"), plain)
    assert not np.array_equal(drawn("photo of (ana:3) smiling", "blurry indoors"), plain)
    assert not np.array_equal(drawn("photo of ana smiling", "(blurry:3) indoors"), plain)


def test_captions_have_no_weights(tiny: TinyBase) -> None:
    """What trains is the text as it stands, as sd-scripts reads it."""
    prompts = tiny.open().prompts
    bare, bracketed = prompts.embed("woman"), prompts.embed("(woman:1.0)")
    assert not torch.allclose(bare["prompt_embeds"], bracketed["prompt_embeds"], atol=1e-4)
