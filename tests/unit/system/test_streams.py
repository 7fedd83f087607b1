"""Streams that cannot be written any more."""

from __future__ import annotations

import io
from pathlib import Path

from twinloop.system.streams import give_up_if_refused, tell


def test_a_stream_that_refuses_is_asked_no_more() -> None:
    handles = len(list(Path("/dev/fd").iterdir()))
    with open("/dev/full", "w") as full:
        tell(full, "lost")
        tell(full, "lost too")
        full.write("and this")
    with open("/dev/full", "w") as full:
        full.write("lost")
        give_up_if_refused(full)
        full.write("lost too")
    assert len(list(Path("/dev/fd").iterdir())) == handles


def test_what_can_be_written_is() -> None:
    stream = io.StringIO()
    tell(stream, "said")
    give_up_if_refused(stream)
    assert stream.getvalue() == "said"


def test_a_stream_that_is_none_of_the_systems_is_left_alone() -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    tell(Full(), "lost")
    give_up_if_refused(Full())
