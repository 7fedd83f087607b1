"""Keys that were pressed before anybody asked for them."""

from __future__ import annotations

import sys


def discard_typed_ahead() -> bool:
    """Forget the keys that wait in the terminal, and whether there is one: where answers are piped in, they stay."""
    try:
        if not sys.stdin.isatty():
            return False
        handle = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or something that stands for it
        return False
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios

        termios.tcflush(handle, termios.TCIFLUSH)
    return True
