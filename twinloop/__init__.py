"""Bootstrap Loop: from a messy folder of photos to a character LoRA that gets better in measured rounds."""

import os

__version__ = "0.1.0"

for _switch in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    # onnxruntime keeps an id of the machine and events to send under ~/.cache, and Hugging Face's libraries say with
    # each request what else is installed, unless told not to. They read their switches at their own first import;
    # processes that this one starts inherit them.
    os.environ.setdefault(_switch, "1")
