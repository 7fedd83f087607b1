"""How a step is executed: micro-batches, processes, checkpointing, compiled blocks, kernels, and what each falls back
to.
"""
