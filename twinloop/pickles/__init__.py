"""Reading pickled model files without unpickling them.

A pickle is a program; running it is how malicious model files take over machines. Here the program is *read*: our own
stack machine follows the opcodes, imports nothing and calls nothing. Tensors, numpy arrays and plain containers become
real values; every other class becomes an `Inert` record of its name and state; whatever would act is refused with
`UnsafeModelFile`.
"""

from twinloop.pickles.arrays import ArrayShell
from twinloop.pickles.blob import Blob
from twinloop.pickles.budget import Limits
from twinloop.pickles.kinds import Kind, kind_of
from twinloop.pickles.machine import Refusal
from twinloop.pickles.modelfile import TorchFile, read_torch_file, read_value
from twinloop.pickles.policy import DEFAULT_POLICY, Judgement, Policy
from twinloop.pickles.reader import Loaded, Reader, read_pickle
from twinloop.pickles.values import AnyArray, Global, Inert, StorageRef, TensorRef

__all__ = [
    "DEFAULT_POLICY",
    "AnyArray",
    "ArrayShell",
    "Blob",
    "Global",
    "Inert",
    "Judgement",
    "Kind",
    "Limits",
    "Loaded",
    "Policy",
    "Reader",
    "Refusal",
    "StorageRef",
    "TensorRef",
    "TorchFile",
    "kind_of",
    "read_pickle",
    "read_torch_file",
    "read_value",
]
