"""Which names in a pickle are data, which are harmless records, and which would act.

The rule is closed towards Python itself: every module of the standard library (of Python 2 as well) is refused except the few
data classes listed here. Of other packages a *class* becomes an inert record; a *function* that would be called is refused.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum

from twinloop.pickles.known import KNOWN


class Judgement(StrEnum):
    """What is done with a name.

    BUILD: built as a value. INERT: kept as a record without behaviour. ATTRIBUTE: ``getattr``, which older Ultralytics
    checkpoints use to point at a method of one of their own objects; kept as a record in that shape only. NESTED: torch's way to put a
    whole torch file into a pickle; read in turn where a reader for it stands by, refused elsewhere. REFUSE: it acts.
    """

    BUILD = "build"
    INERT = "inert"
    ATTRIBUTE = "attribute"
    NESTED = "nested"
    REFUSE = "refuse"


_BUILTINS = ("builtins", "__builtin__")

#: Names for which `builders` holds a constructor of ours.
BUILDABLE = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch._utils", "_rebuild_parameter_with_state"),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        *((module, name) for module in _BUILTINS for name in ("set", "frozenset", "bytes", "bytearray", "complex")),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),  # arrays in protocol 5
    }
)

_PLAIN_TYPES = (
    "object", "dict", "list", "tuple", "int", "float", "str", "bool", "long", "unicode", "slice", "range", "xrange",
)  # fmt: skip

#: Data classes of the standard library that checkpoints carry; kept as inert records.
_HARMLESS = frozenset(
    {
        ("collections", "defaultdict"), ("collections", "Counter"), ("collections", "deque"),
        ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"), ("types", "SimpleNamespace"), ("argparse", "Namespace"),
        ("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"),
        *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(("pathlib", name) for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")),
        *(("pathlib._local", name) for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
        *(("torch.cuda", f"{kind}Storage") for kind in ("Half", "Float", "Double", "BFloat16", "Long", "Int", "Byte", "Bool")),
        *((module, name) for module in _BUILTINS for name in _PLAIN_TYPES),
    }
)  # fmt: skip

#: Python 2 modules that a newer Python no longer lists.
_OLD_MODULES = frozenset(
    {
        "__builtin__", "commands", "httplib", "urllib2", "urlparse", "cPickle", "cStringIO", "StringIO",
        "popen2", "os2", "nt", "posix", "thread", "dl", "imp", "asyncore", "asynchat", "smtpd", "distutils",
        "telnetlib", "ftplib", "pipes", "crypt", "exceptions", "copy_reg", "Queue", "SocketServer",
        "xmlrpclib",
    }
)  # fmt: skip
#: Packages whose business is to fetch, run or unpickle.
_ACTING_PACKAGES = frozenset(
    {
        "pip", "setuptools", "pkg_resources", "aiohttp", "requests", "httpx", "urllib3", "paramiko",
        "fabric", "invoke", "sh", "pexpect", "ptyprocess", "dill", "cloudpickle", "joblib", "pandas",
        "tensorflow", "keras", "IPython", "jupyter", "ipykernel", "cffi", "numba", "execnet", "ray", "dask",
        "psutil", "pydoc_data", "win32api", "win32com",
    }
)  # fmt: skip
#: Parts of otherwise harmless packages that fetch, compile, run or unpickle.
_ACTING_PREFIXES = (
    "torch.hub", "torch.load", "torch.serialization", "torch.jit", "torch.package", "torch.utils", "torch.multiprocessing",
    "torch.distributed", "torch._dynamo", "torch._inductor", "torch.fx", "torch.compile", "torch.ops", "torch.classes",
    "torch.testing", "torch.storage._load_from_bytes", "torch.cuda", "torch._jit_internal", "torch.library", "torch.onnx",
    "numpy.f2py", "numpy.testing", "numpy.distutils", "numpy.load", "numpy.memmap", "numpy.fromfile", "numpy.loadtxt",
    "numpy.genfromtxt", "numpy.ctypeslib", "numpy.lib", "numpy.DataSource", "numpy.os", "numpy.sys",
)  # fmt: skip
#: Attribute names that reach outside wherever they hang (``module.__class__.__globals__``, ``x.os.system``).
_ACTING_ATTRIBUTES = frozenset(
    {
        "os", "sys", "subprocess", "system", "popen", "exec", "eval", "compile", "open", "getattr",
        "setattr", "import_module", "builtins",
    }
)  # fmt: skip
#: Lower-case constructors that only describe something.
_HARMLESS_CALLS = frozenset(
    {
        ("torch", "device"), ("numpy", "ndarray"), ("torch.nn.modules.module", "Module"),
        *(("torch._utils", f"_rebuild_{kind}") for kind in ("qtensor", "sparse_tensor", "meta_tensor_no_storage")),
    }
)  # fmt: skip
#: Modules of which every known name is a value or a block of numbers, and known values elsewhere.
_OF_VALUES = frozenset({"torch", "torch.cuda", "torch.storage", "torch.nn.parameter", "torch._tensor", "numpy"})
_VALUES = frozenset({("torchvision.transforms.functional", "InterpolationMode")})
_NESTED = ("torch.storage", "_load_from_bytes")


@dataclass(frozen=True)
class Policy:
    """Judges names. ``allowed`` (``module.name``) makes unknown names known and lets them be called into records; it lifts no refusal."""

    allowed: frozenset[str] = frozenset()

    def judge(self, module: str, name: str) -> Judgement:
        """What to do with ``module.name`` when the pickle asks for it."""
        path = f"{module}.{name}"
        if (module, name) in BUILDABLE:
            return Judgement.BUILD
        if module in _BUILTINS and name == "getattr":
            return Judgement.ATTRIBUTE
        if (module, name) == _NESTED:
            return Judgement.NESTED
        if (module, name) in _HARMLESS or (module, name) in KNOWN:
            return Judgement.INERT
        root = path.split(".", 1)[0]
        if root in sys.stdlib_module_names or root in _OLD_MODULES or root in _ACTING_PACKAGES:
            return Judgement.REFUSE
        if any(path == prefix or path.startswith(prefix + ".") for prefix in _ACTING_PREFIXES):
            return Judgement.REFUSE
        reaches_out = any(self.reaches_outside(part) for part in path.split(".")[1:])
        return Judgement.REFUSE if reaches_out else Judgement.INERT

    def knows(self, module: str, name: str) -> bool:
        """Whether exactly this name is on a list: ours, or the user's."""
        pair = (module, name)
        listed = pair in BUILDABLE or pair in _HARMLESS or pair in KNOWN or pair in _HARMLESS_CALLS or pair == _NESTED
        return listed or (module in _BUILTINS and name == "getattr") or f"{module}.{name}" in self.allowed

    def reaches_outside(self, attribute: str) -> bool:
        """Whether an attribute of this name leads out of the object it hangs on."""
        return attribute in _ACTING_ATTRIBUTES or (attribute.startswith("__") and attribute.endswith("__"))

    def is_plain_type(self, module: str, name: str) -> bool:
        """Whether it is a built-in type of Python's."""
        return module in _BUILTINS and name in _PLAIN_TYPES

    def may_be_called(self, module: str, name: str, *, with_data: bool = True) -> bool:
        """Whether a *call* of an inert name is only the making of a record: classes yes, functions no.

        Args:
            with_data: the call has arguments. Constructors of models evaluate what they are given (YOLO's call ``eval`` on parts of their
                description), and genuine files make such objects without calling them: only values may be made from the file's data.
        """
        pair = (module, name)
        if pair in _HARMLESS or pair in _HARMLESS_CALLS or f"{module}.{name}" in self.allowed:
            return True
        if pair in KNOWN:
            return not with_data or module in _OF_VALUES or pair in _VALUES
        last = name.rsplit(".", 1)[-1].lstrip("_")
        return last[:1].isupper()


DEFAULT_POLICY = Policy()
