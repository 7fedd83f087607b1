"""Makes the weight files of the embedded world: its base model and its detectors. See README.md."""

import twinloop.adapters  # noqa: F401 - before PyTorch and diffusers: their import notes are left out
