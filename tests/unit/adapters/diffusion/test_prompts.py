"""How often text encoders come over from main memory, and which embeddings are remembered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion import prompts as module  # noqa: E402
from twinloop.adapters.diffusion.prompts import PromptEmbedder  # noqa: E402

SIZE = 8 * 4
"""Bytes of an embedding."""


class Encoder:
    """Counts how often it is moved, and which texts were read since it came over last."""

    def __init__(self) -> None:
        self.moves: list[str] = []
        self.visits: list[list[str]] = []

    def to(self, device: Any) -> None:
        self.moves.append(str(device))
        if str(device) != "cpu":
            self.visits.append([])

    def read(self, pipeline: Any, text: str, device: Any) -> dict[str, Any]:
        if self.visits:
            self.visits[-1].append(text)
        return {"prompt_embeds": torch.full((1, 4, 2), float(len(text)))}


def embedder(device: str = "meta") -> tuple[PromptEmbedder, Encoder]:
    encoder = Encoder()
    pipeline = SimpleNamespace(components={"text_encoder": encoder})
    family: Any = SimpleNamespace(editing=None, encode=encoder.read, clip_alone=False, trainable_encoders=None)
    return PromptEmbedder(pipeline, family, torch.device(device)), encoder


def asked_one_by_one(prompts: PromptEmbedder, texts: list[str]) -> None:
    """With a negative prompt for all, as batches of one do."""
    for number, text in enumerate(texts):
        found = prompts.embed_all([text, "blurry"], ahead=texts[number + 1 :])
        assert [float(one["prompt_embeds"][0, 0, 0]) for one in found] == [len(text), len("blurry")]


def test_all_that_is_told_of_is_read_in_one_visit() -> None:
    prompts, encoder = embedder()
    asked_one_by_one(prompts, ["a", "bb", "ccc", "bb"])
    assert encoder.moves == ["meta", "cpu"] and encoder.visits == [["a", "blurry", "bb", "ccc"]]


@pytest.mark.parametrize(
    ("limit", "to"), [("KEPT", 5), ("KEPT_BYTES", 5 * SIZE), ("KEPT_BYTES", 5 * SIZE - 1)], ids=str
)
def test_a_visit_reads_as_much_as_is_remembered(monkeypatch: pytest.MonkeyPatch, limit: str, to: int) -> None:
    """No text is forgotten before it was used, and none is read twice but the one that the memory ended at."""
    monkeypatch.setattr(module, limit, to)
    prompts, encoder = embedder()
    texts = ["a" * length for length in range(1, 14)]
    asked_one_by_one(prompts, texts)
    room = 4 if to % SIZE == 0 or limit == "KEPT" else 3
    assert len(encoder.visits) == -(-len(texts) // room)
    assert prompts.encoded <= len(texts) + len(encoder.visits)


def test_what_an_encoder_wears_decides_for_the_texts_ahead_as_well() -> None:
    prompts, encoder = embedder()
    prompts.embed_all(["a"], ahead=["b"])
    prompts.encoder_key = "lora"
    prompts.embed_all(["b"])
    prompts.encoder_key = ""
    prompts.embed_all(["b"])
    assert encoder.visits == [["a", "b"], ["b"]]


@pytest.mark.parametrize("hooked", [False, True])
def test_encoders_that_need_not_be_fetched_read_nothing_ahead(hooked: bool) -> None:
    """The first image would wait for it, and nothing be gained."""
    prompts, encoder = embedder("meta" if hooked else "cpu")
    prompts.hooked = hooked
    prompts.embed_all(["a"], ahead=["b", "c"])
    assert prompts.encoded == 1 and not encoder.moves
