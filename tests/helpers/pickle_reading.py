"""A pickle as bytes, read as this program reads those in model files."""

from __future__ import annotations

import io

from twinloop.pickles import DEFAULT_POLICY, Policy
from twinloop.pickles.budget import DEFAULT_LIMITS, Limits
from twinloop.pickles.reader import Loaded, Reader, check_size


def read_pickle(
    data: bytes,
    *,
    source: str = "pickle",
    policy: Policy = DEFAULT_POLICY,
    limits: Limits = DEFAULT_LIMITS,
    tolerant: bool = False,
) -> Loaded:
    """The first pickle in ``data``.

    Raises:
        UnsafeModelFile: it would act. ModelFileError: it is no pickle, is damaged, or costs more than ``limits``.
    """
    check_size(len(data), limits, source)
    reader = Reader(source, policy, limits, tolerant)
    stream = io.BytesIO(data)
    value = reader.read(stream)
    return Loaded(value, tuple(reader.names), tuple(reader.refused), stream.tell())
