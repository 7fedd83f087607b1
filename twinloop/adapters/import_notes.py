"""What libraries print when they are imported and nothing is wrong.

diffusers imports torchao and bitsandbytes wherever they are installed, and both tell of kernels for other machines that
do not load; transformers tells which of its two image processors it takes; diffusers warns of modules in float32 and
lists none. Single messages are left out, by logger and text: everything else that these libraries say is still said.
"""

from __future__ import annotations

import logging
import re

_NOTES = {
    "torchao": r"Failed to load .*\.so",
    "torch.utils._pytree": r"register_constant\(\) on Enum",
    "bitsandbytes.backends.cpu.ops": r"Failed to load CPU gemm_4bit_forward from kernels-community",
    "diffusers.quantizers.torchao.torchao_quantizer": r"Unable to import `torchao` Tensor objects",
    "diffusers.models.modeling_utils": r"should be kept in float32: \[\]",
    "transformers.utils.import_utils": r"requires torchvision \(not installed\); falling back to",
}
"""Logger -> a pattern in the messages that are left out."""


class _NotThis(logging.Filter):
    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = re.compile(pattern)

    def filter(self, record: logging.LogRecord) -> bool:
        return self._pattern.search(record.getMessage()) is None


def leave_out_import_notes() -> None:
    """Before any of these libraries is imported; more than once does no harm."""
    for name, pattern in _NOTES.items():
        logger = logging.getLogger(name)
        if not any(isinstance(known, _NotThis) for known in logger.filters):
            logger.addFilter(_NotThis(pattern))
