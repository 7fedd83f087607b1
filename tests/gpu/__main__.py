"""``python -m tests.gpu [PYTEST ARGUMENTS]``: these tests on this machine's CUDA device, or where there is none on the
pretend card. Without arguments each file has a process of its own: memory is measured, and other tests change what a
process needs.
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
    asked = (
        [sys.argv[1:]] if sys.argv[1:] else [[str(file)] for file in sorted(Path(__file__).parent.glob("test_*.py"))]
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n0", *own]
    environment = {**os.environ, "TWINLOOP_TEST_GPU": "1"}
    return max(subprocess.run([*command, *places], env=environment, check=False).returncode for places in asked)


if __name__ == "__main__":
    sys.exit(main())
