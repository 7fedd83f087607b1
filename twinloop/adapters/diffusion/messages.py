"""What libraries say, cut to fit into one error of this program."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """What an error says, on one line without its full stop; of one that PyTorch wrapped, what was wrapped; its kind where it says nothing."""
    error = getattr(error, "inner_exception", error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__
