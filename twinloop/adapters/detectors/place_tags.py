"""Where a picture was taken, in the tags of a WD14-type tagger: the raw probabilities, which the facet ``setting``
judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twinloop.adapters.captioners.wd14 import GENERAL, TAGS, WdTagger
from twinloop.domain.faces import Face, ImageArray
from twinloop.errors import ModelFileError
from twinloop.facets.setting_tags import PREFIX, all_tags

_VERSION = 1


class PlaceTags:
    """Measures ``tag.<name>`` for every tag of a place that the tagger knows.

    Args:
        folder: with ``model.onnx`` and ``selected_tags.csv``; the network is shared with a captioner of the same file.

    Raises:
        MissingModel, ModelFileError: not such a folder, or the tagger knows no tag of a place.
    """

    covers = frozenset({"setting"})

    def __init__(self, folder: Path) -> None:
        self._tagger = WdTagger(folder)
        wanted = frozenset(all_tags())
        self._places = {
            number: tag.name
            for number, tag in enumerate(self._tagger.tags)
            if tag.name in wanted and tag.category == GENERAL
        }
        if not self._places:
            raise ModelFileError(
                f"{folder / TAGS}: has no tag of a place (indoors, outdoors, ...), so it tells no setting."
            )
        self._tagger.check()

    @property
    def fingerprint(self) -> str:
        places = hashlib.sha256(",".join(self._places.values()).encode()).hexdigest()[:8]
        return f"place-tags{_VERSION}-{self._tagger.model_fingerprint}-{places}"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """Probabilities 0..1 of the whole picture's tags."""
        scores = self._tagger.probabilities(image)
        if not np.isfinite(scores[list(self._places)]).all():
            return {}
        return {PREFIX + name: float(scores[number]) for number, name in self._places.items()}
