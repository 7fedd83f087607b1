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

from twinloop.domain.weighted_text import WeightedText

Tensor = Any
Text = str | WeightedText

TOKENS = 75
"""Of a chunk, in every CLIP that people draw with."""
CHUNKS = 3
"""Of one text: as many as sd-scripts reads at most (``max_token_length`` 225)."""
_WHOLE = 8
"""Tokens from which on a piece of a text with weights is cut where a chunk ends; a shorter one opens the next chunk."""
_LETTERS = 6
"""Of a token, about: many words of CLIP's vocabulary are longer, what is not in it falls into shorter pieces."""


@dataclass(frozen=True)
class Split:
    """A text in chunks.

    Attributes:
        chunks: numbers of the tokens, without those that open and close a chunk; at least one chunk, at most `CHUNKS`.
        weights: how much each of these tokens counts, in the same order; None = all as much as usual.
        left_out: the end of the text that stands in none of them, in the user's own letters; "" = all of it is read.
    """

    chunks: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    left_out: str = ""

    @property
    def tokens(self) -> int:
        """How many are read."""
        return sum(map(len, self.chunks))


def room(tokenizer: Any) -> int:
    """How many tokens of a text a chunk holds: all but those that open and close it."""
    return int(tokenizer.model_max_length) - 2


def split(tokenizer: Any, text: Text, most: int = CHUNKS) -> Split:
    """A text in the chunks that are read of it, ``most`` at most.

    Weights apart, the pieces of a text with weights are tokenized each for itself, as in ComfyUI.
    """
    size = room(tokenizer)
    chunks, weights = [list[int]()], [list[float]()]
    pieces = [(text, 1.0)] if isinstance(text, str) else text.parts
    for place, (piece, weight) in enumerate(pieces):
        tokens = tokenizer(piece, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        numbers, done = tokens["input_ids"], 0
        while done < len(numbers):
            left, fits = len(numbers) - done, size - len(chunks[-1])
            if fits < min(left if left < _WHOLE else 1, size):
                if len(chunks) == most:
                    rest = [piece[tokens["offset_mapping"][done][0] :], *(words for words, _ in pieces[place + 1 :])]
                    return _made(text, chunks, weights, "".join(rest).strip())
                chunks.append([])
                weights.append([])
                continue
            taken = numbers[done : done + fits]
            chunks[-1] += taken
            weights[-1] += [weight] * len(taken)
            done += len(taken)
    return _made(text, chunks, weights, "")


def _made(text: Text, chunks: list[list[int]], weights: list[list[float]], left_out: str) -> Split:
    counted = None if isinstance(text, str) else tuple(map(tuple, weights))
    return Split(tuple(map(tuple, chunks)), counted, left_out)


def single(tokenizer: Any, texts: Sequence[Split], length: int | None) -> bool:
    """Whether these texts are one chunk each, without weights, and wanted as long as that (`lined_up`)."""
    return length in (None, room(tokenizer) + 2) and all(
        len(text.chunks) == 1 and text.weights is None for text in texts
    )


def read(encoder: Any, tokenizer: Any, texts: Sequence[Split], device: Any) -> Any:
    """What a CLIP text encoder says of all chunks of the texts, as one batch; its output with all hidden states.

    Where a text has weights, a chunk without words is the last.
    """
    chunks = [chunk for text in texts for chunk in text.chunks] + [()] * any(text.weights for text in texts)
    opened = [[tokenizer.bos_token_id, *chunk, tokenizer.eos_token_id] for chunk in chunks]
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
        states: of each encoder (chunks, tokens of one, width), of what `read` read.
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
            said = _weighed(part[row : row + count], part[-1], text).reshape(count * size, end - start)
            made[place, :, start:end] = said.repeat(length // (count * size), 1)
            start = end
        row += count
    return made


def _weighed(said: Tensor, nothing: Tensor, text: Split) -> Tensor:
    """(chunks, tokens of one, width) what was said of a text, each token as far from what is said in its place where
    there are no words (tokens of one, width) as its weight says. The tokens that open, close and fill up a chunk stay.
    """
    if text.weights is None:
        return said
    factors = said.new_ones(*said.shape[:2], 1)
    for chunk, weights in enumerate(text.weights):
        factors[chunk, 1 : 1 + len(weights), 0] = said.new_tensor(weights)
    return said.where(factors == 1, nothing + (said - nothing) * factors)


def first_rows(texts: Sequence[Split]) -> list[int]:
    """Where, among all chunks of the texts, each text's first one is."""
    return [sum(len(text.chunks) for text in texts[:place]) for place in range(len(texts))]


def about_tokens(text: str) -> int:
    """How many tokens a text has, as far as can be told without a tokenizer; rather too many."""
    runs = re.findall(r"[^\W\d_]+|\d|[^\w\s]+|_+", text)
    return sum(-(-len(run) // _LETTERS) if run.isascii() else 2 * len(run) for run in runs)
