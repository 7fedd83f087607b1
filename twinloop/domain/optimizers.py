"""What is known of the optimizers without their libraries."""

from __future__ import annotations

from collections.abc import Mapping

WEIGHT_DECAY = 0.01
"""The usual one."""
CLASSES: Mapping[str, str] = {
    "adamw": "torch.optim.adamw.AdamW",
    "adamw8bit": "bitsandbytes.optim.adamw.AdamW8bit",
    "prodigy": "prodigyopt.prodigy.Prodigy",
    "adafactor": "transformers.optimization.Adafactor",
    "lion": "pytorch_optimizer.optimizer.lion.Lion",
    "came": "pytorch_optimizer.optimizer.came.CAME",
    "adamw_schedulefree": "pytorch_optimizer.optimizer.schedulefree.ScheduleFreeAdamW",
}
"""What other tools call them in the headers of LoRA files."""
