"""What libraries say, cut to fit into one error of this program, and what several modules say alike.

Loads no library.
"""

from __future__ import annotations

from pathlib import Path


def first_line(error: BaseException) -> str:
    """What an error says, on one line without its full stop; of one that PyTorch wrapped, what was wrapped; its kind
    where it says nothing.
    """
    error = getattr(error, "inner_exception", error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__


def wrong_base(path: Path, why: str) -> str:
    """What is said of a LoRA for another base model."""
    return (
        f"{path} does not fit this base model: {why}. Use the base model that the LoRA was trained on, or another LoRA."
    )


LOKR_LAYER_BY_LAYER = (
    "generation.offload: 'sequential' brings layers to the GPU one by one, and a LoKr's matrices are none of them. "
    "Set it to 'blocks', or make the LoKr a LoRA: twinloop lora convert FILE --to lora --rank N --output FILE"
)

DORA_LAYER_BY_LAYER = (
    "generation.offload: 'sequential' brings layers to the GPU one by one, and the magnitudes of a DoRA take the whole"
    " layer at once. Set it to 'blocks'."
)
