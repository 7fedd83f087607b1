"""Prompts -> embeddings, each distinct text once."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from twinloop.families import clip
from twinloop.families.base import Family, reads_prompts
from twinloop.families.clip import Text

KEPT = 512
KEPT_BYTES = 1 << 30
"""Of all embeddings together: one with photos in it is ten times as large as one of words."""
WORDS_NDIM = 3
"""Axes of embedded words: text, token, width. A summary has no tokens."""

Embedding = Mapping[str, Tensor]
"""One embedded text: the tensors that `Family.encode` gives, on the CPU in the model's precision."""
Joined = dict[str, Any]
"""Several embedded texts in the form in which a denoiser takes them: tensors, or lists of one tensor per text."""
_AS_USUAL: Mapping[str, int] = {}
_Key = tuple[Text, ...]
"""What an embedding is remembered by: what the encoders wore, the text, the photos that it is said of."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A photo that a text is said of. ``key``: its content hash and how it was cut."""

    key: str
    photo: Image.Image


class PromptEmbedder:
    """The text encoders of a pipeline, with a memory.

    On a GPU the encoders stay in main memory and come over only while they encode: the largest of them are as large as
    the denoiser. Who says which texts come next (``ahead``) has them encoded in the same visit.

    Args:
        reading: further arguments of `Family.encode`.

    Attributes:
        encoded: how many texts went through the encoders so far; a text that is remembered does not count again.
        encoder_key: of the LoRAs that the encoders wear, "" = none. Embeddings are remembered by it, so that those of
            one LoRA are not taken for another's, and are still there when it comes back.
    """

    def __init__(
        self,
        pipeline: Any,
        family: Family,
        device: torch.device,
        from_image: Any | None = None,
        reading: Mapping[str, int] = _AS_USUAL,
    ) -> None:
        self._reading = reading
        self._pipeline = pipeline
        self._from_image = from_image
        self._family = family
        self._device = device
        self._known: OrderedDict[_Key, Embedding] = OrderedDict()
        self.encoded = 0
        self.encoder_key = ""
        self._most = _chunks_read(pipeline, family)
        self.hooked = False
        """Whether hooks on the pipeline move the encoders (`BaseModel.offload`), so that this class must not."""

    def forget(self) -> None:
        """Drop everything."""
        self._known.clear()

    def embed(self, text: Text) -> Embedding:
        """The embedding of one text.

        Texts are encoded one by one, so that none depends on its neighbours in a batch.
        """
        return self.embed_all([text])[0]

    def embed_all(
        self, texts: Sequence[Text], shown: Sequence[Shown] = (), ahead: Iterable[Text] = ()
    ) -> list[Embedding]:
        """The embeddings of several texts, in order; those that are not known yet are encoded in one visit of the
        encoders.

        Args:
            shown: photos that the texts are said of; they count only where the family's text encoders see photos.
            ahead: texts that come later, in order and without photos. Where the encoders come over, as many of these
                are encoded on the same occasion as can be remembered.
        """
        photos = shown if self._family.editing is not None and self._family.editing.encode is not None else ()
        keys = {text: (self.encoder_key, text, *(photo.key for photo in photos)) for text in texts}
        needed = list(keys.values())
        if any(key not in self._known for key in needed):
            with torch.no_grad(), self._awake():  # torchao's tensors cannot change device in inference_mode
                for text, key in keys.items():
                    self._learn(key, text, photos)
                needed += self._look_ahead(ahead, needed) if self._moves else []
        for key in reversed(needed):  # the last is the first to be forgotten
            self._known.move_to_end(key)
        found = [self._known[keys[text]] for text in texts]
        self._trim()
        return found

    @property
    def room(self) -> int:
        """How many tokens are read of a text at most, where its words come from CLIP alone."""
        return self._most * clip.room(self._pipeline.tokenizer)

    @property
    def chunk_tokens(self) -> int:
        """How many tokens a chunk of CLIP has, those that open and close it included."""
        return clip.room(self._pipeline.tokenizer) + 2

    def split(self, text: Text) -> clip.Split | None:
        """A text in the chunks in which it is read, where its words come from CLIP alone."""
        return clip.split(self._pipeline.tokenizer, text, self._most) if self._most else None

    def chunks(self, text: Text) -> int:
        """In how many chunks it is read; 1 where there are none."""
        split = self.split(text)
        return 1 if split is None else len(split.chunks)

    def _trim(self) -> None:
        """Forget what was not asked for the longest."""
        held = self._bytes(self._known)
        while len(self._known) > KEPT or (held > KEPT_BYTES and len(self._known) > 1):
            held -= _size(self._known.popitem(last=False)[1])

    def _bytes(self, keys: Iterable[_Key]) -> int:
        return sum(_size(self._known[key]) for key in keys)

    def _learn(self, key: _Key, text: Text, shown: Sequence[Shown]) -> None:
        """Encode a text that is not known yet."""
        if key not in self._known:
            self.encoded += 1
            self._known[key] = {name: part.cpu() for name, part in self._parts(text, shown).items()}

    def _look_ahead(self, texts: Iterable[Text], needed: Sequence[_Key]) -> list[_Key]:
        """Encode of these texts as many as there is room for beside what is needed now; their keys, in order."""
        keys = {(self.encoder_key, text): text for text in texts}
        held, found = self._bytes(set(needed)), list[_Key]()
        for key in (key for key in keys if key not in needed):
            if len(needed) + len(found) >= KEPT or held >= KEPT_BYTES:
                break
            self._learn(key, keys[key], ())
            found.append(key)
            held += _size(self._known[key])
        return found

    @property
    def _moves(self) -> bool:
        """Whether this class fetches the encoders from main memory."""
        return self._device.type != "cpu" and not self.hooked

    def _parts(self, text: Text, shown: Sequence[Shown]) -> Embedding:
        editing = self._family.editing
        if shown and editing is not None and editing.encode is not None:
            return editing.encode(self._from_image, str(text), [one.photo for one in shown], self._device)
        return self._family.encode(self._pipeline, text, self._device, **self._reading)

    @contextmanager
    def _awake(self) -> Iterator[None]:
        encoders = encoders_of(self._pipeline) if self._moves else []
        for encoder in encoders:
            encoder.to(self._device)
        try:
            yield
        finally:
            for encoder in encoders:
                encoder.to("cpu")
            if encoders and self._device.type == "cuda":
                torch.cuda.empty_cache()


def _size(known: Embedding) -> int:
    """Bytes."""
    return sum(part.nbytes for part in known.values())


def encoders_of(pipeline: Any) -> list[Any]:
    """The text encoders of a pipeline, and what else reads prompts."""
    return list(_encoders(pipeline).values())


def _encoders(pipeline: Any) -> dict[str, Any]:
    return {name: part for name, part in pipeline.components.items() if reads_prompts(name) and part is not None}


def _chunks_read(pipeline: Any, family: Family) -> int:
    """How many chunks of CLIP are read of a text at most; 0 where a language model reads it as well.

    A copy of SD 3.5 without T5 is left with its CLIPs, of which its pipeline gives one chunk only.
    """
    if family.clip_alone:
        return clip.CHUNKS
    clips = family.trainable_encoders.prefixes if family.trainable_encoders is not None else {}
    found = _encoders(pipeline).keys()
    return int(bool(found) and found <= clips.keys())


def alike(texts: Sequence[Embedding], how: str) -> list[Embedding]:
    """The same texts, as long as each other where ``how`` is ``repeat``: each is said over again until all are of one
    length.

    A denoiser that weighs words against each other finds the same in words that are said twice or thrice, but for
    rounding; so what a text means does not depend on which others are in its batch, nor on how long they are.
    """
    if how != "repeat" or not texts:
        return list(texts)
    lengths = [words_in(text) for text in texts]
    return [said_again(text, math.lcm(*lengths) // length) for text, length in zip(texts, lengths, strict=True)]


def words_in(text: Embedding) -> int:
    """How many words a text has for the denoiser."""
    return next(part.shape[1] for part in text.values() if part.ndim == WORDS_NDIM)


def said_again(text: Embedding, times: int) -> Embedding:
    """A text whose words are said so many times, one after the other."""
    if times == 1:
        return text
    return {name: part.repeat(1, times, 1) if part.ndim == WORDS_NDIM else part for name, part in text.items()}


def join(texts: Sequence[Embedding], how: str) -> Joined:
    """Embeddings of several texts as one batch; ``how`` is `Family.joining`."""
    joined: Joined = {}
    texts = alike(texts, how)
    for name in texts[0] if texts else ():
        rows = [text[name] for text in texts]
        if how == "list":
            joined[name] = [row[0] for row in rows]
        else:
            joined[name] = torch.cat(_filled(rows) if how in ("pad", "apart") else rows)
    return joined


def _filled(rows: Sequence[Tensor]) -> list[Tensor]:
    """Zeros behind the shorter ones along their second axis."""
    longest = max(row.shape[1] for row in rows)
    return [torch.cat([row, row.new_zeros(1, longest - row.shape[1], *row.shape[2:])], 1) for row in rows]


def placed(words: Joined, device: torch.device, dtype: torch.dtype | None = None) -> Joined:
    """The same batch on a device; floating-point tensors in ``dtype`` where one is given."""

    def move(part: Tensor) -> Tensor:
        return part.to(device, dtype if part.is_floating_point() else None)

    return {name: [move(row) for row in part] if isinstance(part, list) else move(part) for name, part in words.items()}
