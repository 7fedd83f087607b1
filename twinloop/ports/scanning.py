"""What goes through very many files, or very many faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray
from twinloop.domain.likeness import USUAL, Likeness
from twinloop.domain.scanned import ListedFile, ScannedFile

Wanted = Callable[[str], bool]
"""Whether content with this sha256 is to be measured; False where that was done already."""


@dataclass(frozen=True)
class Greeting:
    """What a scanner says when it is ready.

    Attributes:
        fingerprint: of all that measures. notes: human lines about models that are missing or broken.
        likeness: as the pack's.
    """

    fingerprint: str
    notes: tuple[str, ...] = ()
    likeness: Likeness = USUAL


ScanJob = Callable[[bytes, Callable[[bytes], bytes]], bytes]
"""One file for a worker process: task in, result out; it may ask its supervisor a question meanwhile."""


class Scanner(Protocol):
    """Looks at many files, each once and completely, here or in other processes."""

    greeting: Greeting

    def scan(self, files: Iterable[ListedFile], count: int, wanted: Wanted) -> Iterator[ScannedFile]:
        """Every file once, in any order.

        ``count``: how many there are. One that cannot be read has a ``problem``; it stops nothing.
        """
        ...


class NeighbourSearch(Protocol):
    """Finds the most alike among very many vectors, nearly always all of them.

    The same vectors give the same result.
    """

    def nearest(self, rows: FloatArray, count: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """For each row (n, D) its ``count`` best by inner product, itself among them: rows (n, count), -1 where there
        are fewer, and scores.
        """
        ...
