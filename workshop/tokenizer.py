"""A tokenizer in CLIP's file format: each word of the captions is one token, any other word falls into pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """The 256 letters that stand for the bytes, in the order CLIP's files use: printable ones first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]


def pieces(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one ASCII word: the pair of lowest rank is joined first."""
    parts = [*word[:-1], word[-1] + "</w>"]
    while len(parts) > 1:
        rank, at = min((ranks.get((a, b), len(ranks)), i) for i, (a, b) in enumerate(pairwise(parts)))
        if rank == len(ranks):
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def merges_for(words: Iterable[str]) -> list[tuple[str, str]]:
    """Merges that make each word one token.

    A word is cut with the merges so far and its pieces are joined from the left by new ones. New merges rank last,
    so they never change a word that is whole already.
    """
    ranks: dict[tuple[str, str], int] = {}
    for word in words:
        parts = pieces(word, ranks)
        while len(parts) > 1:
            ranks.setdefault((parts[0], parts[1]), len(ranks))
            parts = [parts[0] + parts[1], *parts[2:]]
    return list(ranks)


def write_tokenizer(folder: Path, words: Iterable[str], length: int) -> int:
    """Write ``vocab.json``, ``merges.txt`` and the settings; returns the number of tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = byte_letters()
    merges = merges_for(words)
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens = [*dict.fromkeys([*tokens, *(a + b for a, b in merges)]), START, END]
    (folder / "vocab.json").write_text(
        json.dumps({token: number for number, token in enumerate(tokens)}, ensure_ascii=False)
    )
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
        "model_max_length": length,
        "do_lower_case": True,
        "errors": "replace",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    special = {name: settings[name] for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    return len(tokens)
