"""Reading pickled model files without unpickling them.

A pickle is a program; running it is how malicious model files take over machines. Here the program is *read*: our own stack
machine follows the opcodes, imports nothing and calls nothing. Tensors, numpy arrays and plain containers become real values;
every other class becomes an `Inert` record of its name and state; whatever would act is refused with `UnsafeModelFile`.
"""

from twinloop.pickles.machine import Limits, Loaded, Refusal, read_pickle
from twinloop.pickles.policy import DEFAULT_POLICY, Judgement, Policy
from twinloop.pickles.torchzip import TorchFile, read_torch_file
from twinloop.pickles.values import Global, Inert, StorageRef, TensorRef

__all__ = [
    "DEFAULT_POLICY", "Global", "Inert", "Judgement", "Limits", "Loaded", "Policy", "Refusal", "StorageRef", "TensorRef",
    "TorchFile", "read_pickle", "read_torch_file",
]  # fmt: skip
