"""How CLIP reads a text of any length: 75 tokens at a time, each such chunk opened, closed and filled up as a text of
its own.

A chunk ends after 75 tokens, in the middle of a word if need be, as in ComfyUI and sd-scripts. That, and what the
chunks say laid one after the other, is how the programs in which people draw with a LoRA read their prompts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Tensor = Any

TOKENS = 75
"""Of a chunk, in every CLIP that people draw with."""
CHUNKS = 3
"""Of one text: as many as sd-scripts reads at most (``max_token_length`` 225)."""
_LETTERS = 6
"""Of a token, about: many words of CLIP's vocabulary are longer, what is not in it falls into shorter pieces."""


@dataclass(frozen=True)
class Split:
    """A text in chunks.

    Attributes:
        chunks: numbers of the tokens, without those that open and close a chunk; at least one chunk, at most `CHUNKS`.
        left_out: the end of the text that stands in none of them, in the user's own letters; "" = all of it is read.
    """

    chunks: tuple[tuple[int, ...], ...]
    left_out: str = ""

    @property
    def tokens(self) -> int:
        """How many are read."""
        return sum(map(len, self.chunks))


def room(tokenizer: Any) -> int:
    """How many tokens of a text a chunk holds: all but those that open and close it."""
    return int(tokenizer.model_max_length) - 2


def split(tokenizer: Any, text: str, most: int = CHUNKS) -> Split:
    """A text in the chunks that are read of it, ``most`` at most."""
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    numbers, places, size = tokens["input_ids"], tokens["offset_mapping"], room(tokenizer)
    read = min(len(numbers), most * size)
    chunks = tuple(tuple(numbers[start : min(start + size, read)]) for start in range(0, max(read, 1), size))
    return Split(chunks, text[places[read][0] :].strip() if read < len(numbers) else "")


def single(tokenizer: Any, texts: Sequence[Split], length: int | None) -> bool:
    """Whether these texts are one chunk each, and wanted as long as that (`lined_up`)."""
    return length in (None, room(tokenizer) + 2) and all(len(text.chunks) == 1 for text in texts)


def read(encoder: Any, tokenizer: Any, texts: Sequence[Split], device: Any) -> Any:
    """What a CLIP text encoder says of all chunks of the texts, as one batch; its output with all hidden states."""
    opened = [[tokenizer.bos_token_id, *chunk, tokenizer.eos_token_id] for text in texts for chunk in text.chunks]
    filled = tokenizer.pad(
        {"input_ids": opened}, padding="max_length", max_length=room(tokenizer) + 2, return_tensors="pt"
    )
    return encoder(filled["input_ids"].to(device), output_hidden_states=True)


def words_of(encoder: Any, made: Any, clip_skip: int) -> Tensor:
    """What `read` gave, of that layer from the end: 1 = the last one. Other layers are brought to its scale by the
    norm behind it, as A1111 and diffusers do it.
    """
    if clip_skip == 1:
        return made[0]
    # with this part between in older versions of transformers
    return getattr(encoder, "text_model", encoder).final_layer_norm(made.hidden_states[-clip_skip])


def lined_up(states: Sequence[Tensor], texts: Sequence[Split], length: int | None) -> Tensor:
    """(texts, length, width) what was said of each text: its chunks one after the other, the encoders side by side.

    Args:
        states: of each encoder (chunks, tokens of one, width), of all chunks of all texts.
        length: in tokens; a shorter text is said over again up to it (`prompts.alike`). None = as long as the texts,
            which are alike.
    """
    size = states[0].shape[1]
    length = length or size * len(texts[0].chunks)
    made = states[-1].new_zeros(len(texts), length, sum(part.shape[-1] for part in states))
    row = 0
    for place, text in enumerate(texts):
        count, start = len(text.chunks), 0
        for part in states:
            end = start + part.shape[-1]
            said = part[row : row + count].reshape(count * size, end - start)
            made[place, :, start:end] = said.repeat(length // (count * size), 1)
            start = end
        row += count
    return made


def first_rows(texts: Sequence[Split]) -> list[int]:
    """Where, among all chunks of the texts, each text's first one is."""
    return [sum(len(text.chunks) for text in texts[:place]) for place in range(len(texts))]


def about_tokens(text: str) -> int:
    """How many tokens a text has, as far as can be told without a tokenizer; rather too many."""
    runs = re.findall(r"[^\W\d_]+|\d|[^\w\s]+|_+", text)
    return sum(-(-len(run) // _LETTERS) if run.isascii() else 2 * len(run) for run in runs)
