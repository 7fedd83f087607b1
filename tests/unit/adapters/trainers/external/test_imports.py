"""Another program's training needs none of the libraries that this one trains with."""

from __future__ import annotations

import subprocess
import sys


def test_other_programs_trainers_import_no_pytorch() -> None:
    program = (
        "import sys\n"
        "from twinloop.adapters.trainers.external import aitoolkit, kohya, trainer\n"
        "print('LOADED', sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "'twinloop'" in done.stdout
    assert not [name for name in ("torch", "diffusers", "transformers", "peft") if f"'{name}'" in done.stdout]
