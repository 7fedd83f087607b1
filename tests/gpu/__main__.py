"""``python -m tests.gpu [PYTEST ARGUMENTS]``: these tests on this machine's CUDA device, or where there is none on the
pretend card.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CARD = "tests.gpu.pretend_card.plugin"
HAS_GPU = "import sys, torch; sys.exit(not torch.cuda.is_available())"


def main() -> int:
    # asked elsewhere: the pretend card has to be there before PyTorch is imported
    real = subprocess.run([sys.executable, "-c", HAS_GPU], check=False).returncode == 0
    own = [] if real else ["-p", CARD]
    places = sys.argv[1:] or [str(Path(__file__).parent)]
    command = [sys.executable, "-m", "pytest", "-q", "-n0", *own, *places]
    return subprocess.run(command, env={**os.environ, "TWINLOOP_TEST_GPU": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
