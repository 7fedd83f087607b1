"""The vocabulary that is written in CLIP's format."""

from __future__ import annotations

from pathlib import Path

import pytest

from workshop import captions
from workshop.tokenizer import write_tokenizer


def test_each_word_is_one_token(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    count = write_tokenizer(tmp_path, captions.vocabulary(), 77)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == count
    assert all(len(tokenizer.tokenize(word)) == 1 for word in captions.vocabulary())
    pieces = tokenizer.tokenize("Zwölf xq#7")
    assert tokenizer.unk_token not in pieces
    assert "".join(pieces).replace("</w>", " ").split()[-1] == "7"
