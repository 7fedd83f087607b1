"""Reading pickled model files without unpickling them.

A pickle is a program; running it is how malicious model files take over machines. Here the program is *read*: our own
stack machine follows the opcodes, imports nothing and calls nothing. Tensors, numpy arrays and plain containers become
real values; every other class becomes an `Inert` record of its name and state; whatever would act is refused with
`UnsafeModelFile`.
"""

from twinloop.pickles.blob import Blob
from twinloop.pickles.kinds import Kind, kind_of
from twinloop.pickles.modelfile import read_torch_file
from twinloop.pickles.policy import DEFAULT_POLICY, Judgement, Policy
from twinloop.pickles.values import Inert, TensorRef
