"""A captioner asked of one picture after the other."""

from __future__ import annotations

from twinloop.domain.captions import Description
from twinloop.errors import CaptionFailed, MissingTool, ToolFailed
from twinloop.ports import Captioner
from twinloop.stages import pixels
from twinloop.stages.vault.dataset.cut_picture import CutPicture
from twinloop.store.run.catalog import Catalog

HOPELESS = 3
"""So many failures before the first success are the captioner's and not the pictures'."""


class Describer:
    """Asks, and looks up what was said before of the same pixels by the same captioner: of the same cut of the same
    content, read by the same rules (`pixels.VERSION`).
    """

    def __init__(self, captioner: Captioner, cache: Catalog) -> None:
        self._captioner = captioner
        self._cache = cache
        self._answered = False
        self._failed = 0

    def describe(self, picture: CutPicture) -> Description:
        """What the captioner says of a picture.

        Raises:
            CaptionFailed: nothing, of this one. ToolFailed, and what the captioner raises else: it is of no use.
            UnreadableImage: the photo is gone.
        """
        key, fingerprint = picture.cut.key, f"{pixels.VERSION}|{self._captioner.fingerprint}"
        known = self._cache.described(key, fingerprint)
        if known is not None:
            return known
        image = picture.image.pixels
        try:
            said = self._captioner.caption(image)
        except CaptionFailed as error:
            self._failed += 1
            if not self._answered and self._failed >= HOPELESS:
                reason = str(error).removesuffix(".")
                raise ToolFailed(f"The captioner fails on each of the first {HOPELESS} pictures: {reason}.") from error
            raise
        except MissingTool as error:
            if not self._answered:
                raise
            raise MissingTool(f"{error}\nWhat it said so far is kept; the same command goes on there.") from error
        self._answered = True
        self._cache.put_described(key, fingerprint, said)
        return said
