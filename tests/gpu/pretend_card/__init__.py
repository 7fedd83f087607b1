"""A CUDA device for machines that have none: its memory is the host's, its kernels are the CPU's.

It shows what goes wrong between devices: a tensor left on the CPU, a generator of the wrong one, memory that is never
given back, more memory than was forecast. It shows nothing of speed, of streams, or of a GPU's own rounding.

    python -m tests.gpu.pretend_card    # compiles it, half a minute; needs g++ and the CPU build of PyTorch

`pytest -p tests.gpu.pretend_card.plugin` then runs any test with it. ``TWINLOOP_CARD_GIB`` is the card's memory (24).
"""
