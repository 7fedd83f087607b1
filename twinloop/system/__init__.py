"""What operating systems do differently, each thing in one place."""

from __future__ import annotations

import sys

WINDOWS = sys.platform == "win32"
