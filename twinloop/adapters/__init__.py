"""The only home of heavy libraries: each adapter fills one port."""

import logging

for _name in ("torchao", "bitsandbytes", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    # diffusers imports both where they are installed; what they then say (kernels of other machines that do not load) helps nobody
    logging.getLogger(_name).setLevel(logging.ERROR)
