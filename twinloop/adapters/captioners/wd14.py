"""WD14-type taggers (SmilingWolf's ``wd-*`` models and their kin): an ONNX classifier with a table of tags beside it.

The folder holds ``model.onnx`` and ``selected_tags.csv`` (columns tag_id, name, category, count; category 0 = general,
4 = character, 9 = rating). Input: a white-padded square in BGR, 0..255, as NHWC (or NCHW) float32; output: one
probability per tag.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.domain.captions import Description
from twinloop.domain.faces import ImageArray
from twinloop.errors import MissingModel, ModelFileError
from twinloop.store.models.content import read_model_bytes

GENERAL = 0
THRESHOLD = 0.35
"""Least probability of a general tag; the value that the models' own demo uses."""
SIDE = 448
"""Pixels of the input where the model does not say."""
MODEL, TAGS = "model.onnx", "selected_tags.csv"
_FACES = frozenset("0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||".split())
"""Tags that are drawn faces: their underscore is no space."""


@dataclass(frozen=True)
class Tag:
    """One row of the table."""

    name: str
    category: int


class WdTagger:
    """A tagger in a folder. The network is opened with the first picture.

    Args:
        threshold: least probability of a tag, 0..1.

    Raises:
        MissingModel: a file is missing. ModelFileError: the table is none, or (with the first picture) the network.
    """

    def __init__(self, folder: Path, threshold: float = THRESHOLD) -> None:
        missing = [name for name in (MODEL, TAGS) if not (folder / name).is_file()]
        if missing:
            raise MissingModel(
                f"No {' and no '.join(missing)} in {folder}. A WD14-type tagger is a folder with {MODEL} and {TAGS};"
                " name it with --captioner-model."
            )
        self._path = folder / MODEL
        self._threshold = threshold
        table = (folder / TAGS).read_bytes()
        self.tags = read_tags(table, str(folder / TAGS))
        self._table = hashlib.sha256(table).hexdigest()[:12]

    @cached_property
    def fingerprint(self) -> str:
        return f"wd14-1:{self.model_fingerprint}:{self._threshold:g}"

    @property
    def model_fingerprint(self) -> str:
        """Of network and table, whatever is made of their probabilities."""
        return f"{self._network.fingerprint}:{self._table}"

    @cached_property
    def _network(self) -> OnnxModel:
        stat = self._path.stat()
        return _open(self._path.resolve(), stat.st_size, stat.st_mtime_ns)

    def check(self) -> None:
        """Open the network now.

        Raises:
            ModelFileError: it is none, or not that of the table.
        """
        width = self._network.output_shapes[0][-1:]
        if width and isinstance(width[0], int):
            self._expect(width[0])

    def _expect(self, scores: int) -> None:
        if scores != len(self.tags):
            raise ModelFileError(
                f"{self._path}: gives {scores} scores, but {TAGS} has {len(self.tags)} tags; the two belong to"
                " different models."
            )

    def probabilities(self, image: ImageArray) -> npt.NDArray[np.float32]:
        """(tags,) 0..1, in the order of ``tags``.

        Raises:
            ModelFileError: the network is not that of the table.
        """
        scores = np.ravel(next(iter(self._network.run(self._tensor(image)).values())))
        self._expect(len(scores))
        return np.asarray(scores, np.float32)

    def caption(self, image: ImageArray) -> Description:
        """The general tags above the threshold, surest first; ratings and names of characters are left out."""
        sure = [
            (float(score), tag.name)
            for score, tag in zip(self.probabilities(image), self.tags, strict=True)
            if tag.category == GENERAL and score >= self._threshold
        ]
        return Description(tags=tuple(_words(name) for _, name in sorted(sure, key=lambda item: (-item[0], item[1]))))

    def _tensor(self, image: ImageArray) -> npt.NDArray[np.float32]:
        shape = next(iter(self._network.inputs.values()))
        last = shape[-1] == 3
        side = next((size for size in (shape[1:3] if last else shape[2:4]) if isinstance(size, int)), SIDE)
        square = np.asarray(_square(image, side), np.float32)[:, :, ::-1]
        return np.ascontiguousarray(square if last else square.transpose(2, 0, 1))[None]


@lru_cache(maxsize=1)
def _open(path: Path, size: int, changed: int) -> OnnxModel:
    """One copy for the process: these networks take 300 MB and more, and captioner and detector read the same one.

    Args:
        size, changed: of the file, so that another one under its name is opened anew.
    """
    network = OnnxModel(read_model_bytes(path), str(path))
    network.expect(1, 1, "a WD14-type tagger")
    return network


def _square(image: ImageArray, side: int) -> Image.Image:
    """The picture in the middle of a white square of ``side`` pixels."""
    picture = Image.fromarray(image)
    most = max(picture.size)
    padded = Image.new("RGB", (most, most), (255, 255, 255))
    padded.paste(picture, ((most - picture.width) // 2, (most - picture.height) // 2))
    return padded.resize((side, side), Image.Resampling.BICUBIC)


def read_tags(data: bytes, source: str) -> tuple[Tag, ...]:
    """The table of tags, in the order of the network's outputs.

    Raises:
        ModelFileError: no such table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
        tags = tuple(Tag(row["name"], int(row["category"])) for row in rows)
    except (UnicodeDecodeError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ModelFileError(
            f"{source}: no table of tags (columns name and category): {error}. Take the file that belongs to the model."
        ) from error
    if not tags:
        raise ModelFileError(f"{source}: holds no tags. Take the file that belongs to the model.")
    return tags


def _words(name: str) -> str:
    return name if name in _FACES else name.replace("_", " ")
