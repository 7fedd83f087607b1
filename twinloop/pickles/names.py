"""Names that act, and names that are data: the lists behind `policy`."""

from __future__ import annotations

import _compat_pickle
from collections.abc import Mapping

Pair = tuple[str, str]

BUILTINS = ("builtins", "__builtin__")
CORES = ("numpy.core", "numpy._core")
RANDOM = "numpy.random._pickle"


def pairs(module: str, names: str) -> set[Pair]:
    """Names of one module; ``names``: divided by blanks."""
    return {(module, name) for name in names.split()}


TEXT_DTYPE: Pair = ("numpy._core._internal", "_convert_to_stringdtype_kwargs")
"""What numpy 2 makes its type of texts of any length with."""

BUILDABLE: frozenset[Pair] = frozenset(
    {
        ("collections", "OrderedDict"),
        *pairs("torch._utils", "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3"),
        *pairs("torch._utils", "_rebuild_parameter _rebuild_parameter_with_state"),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("numpy", "dtype"),
        ("numpy.ma.core", "_mareconstruct"),
        ("_codecs", "encode"),
        *((module, name) for module in BUILTINS for name in ("set", "frozenset", "bytes", "bytearray", "complex")),
        *((f"{core}.multiarray", name) for core in CORES for name in ("_reconstruct", "scalar")),
        *((f"{core}.numeric", "_frombuffer") for core in CORES),  # arrays in protocol 5
        TEXT_DTYPE,
    }
)
"""Names for which `builders` holds a constructor of ours."""

PLAIN_TYPES = (
    "object", "dict", "list", "tuple", "int", "float", "str", "bool", "long", "unicode", "slice", "range", "xrange",
)  # fmt: skip
PLAIN: frozenset[Pair] = frozenset((module, name) for module in BUILTINS for name in PLAIN_TYPES)
TEXTS: frozenset[Pair] = frozenset((module, name) for module in BUILTINS for name in ("str", "unicode"))

_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
DECIMAL: Pair = ("decimal", "Decimal")
FRACTION: Pair = ("fractions", "Fraction")
PATTERN: Pair = ("re", "_compile")
TIME_PARTS: Pair = ("time", "struct_time")
SIZE: Pair = ("torch", "Size")
UUID: Pair = ("uuid", "UUID")
TORCH_VERSION: Pair = ("torch.torch_version", "TorchVersion")
ZONE: Pair = ("zoneinfo", "ZoneInfo")
ZONE_MAKER: Pair = ("zoneinfo", "ZoneInfo._unpickle")
ZONES: frozenset[Pair] = frozenset({ZONE, ZONE_MAKER})
VALUES: frozenset[Pair] = frozenset(
    {
        DECIMAL, FRACTION, UUID, SIZE, ("torch", "device"),
        ("torch.serialization", "_get_layout"), ("torchvision.transforms.functional", "InterpolationMode"),
        *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *((module, name) for module in ("pathlib", "pathlib._local") for name in _PATHS),
        PATTERN, TIME_PARTS, *ZONES, TORCH_VERSION,
    }
)  # fmt: skip
"""Values that never change: made from data only, compared and hashed without calling anything the file could give
them."""
NUMERIC_VALUES: frozenset[Pair] = frozenset({DECIMAL, FRACTION, TIME_PARTS, UUID, SIZE})
"""Those that are hashed as numbers, or as tuples of numbers."""
NAMESPACES: frozenset[Pair] = frozenset(
    {
        ("types", "SimpleNamespace"), ("argparse", "Namespace"), ("ultralytics.utils", "IterableSimpleNamespace"),
        ("ultralytics.yolo.utils", "IterableSimpleNamespace"),
    }
)  # fmt: skip
"""Objects that are nothing but their attributes."""
ENUMERATION: Pair = ("torchvision.transforms.functional", "InterpolationMode")
"""The one listed enumeration, and its members: Python 3.11.0 to 3.11.3 wrote them as ``getattr(class, "NAME")``."""
MEMBERS = frozenset({"NEAREST", "NEAREST_EXACT", "BILINEAR", "BICUBIC", "BOX", "HAMMING", "LANCZOS"})
PLAIN_DICTIONARIES: frozenset[Pair] = frozenset((module, "dict") for module in BUILTINS)
COUNTER: Pair = ("collections", "Counter")
DICTIONARIES: frozenset[Pair] = frozenset({("collections", "defaultdict"), COUNTER})
LISTS: frozenset[Pair] = frozenset({("collections", "deque")})
CHAIN: Pair = ("collections", "ChainMap")
WRAPPED_TEXTS: tuple[Pair, ...] = (("collections", "UserString"), ("UserString", "UserString"))
WRAPPERS: Mapping[Pair, tuple[str, type]] = {
    CHAIN: ("maps", list),
    **dict.fromkeys(WRAPPED_TEXTS, ("data", str)),
    **dict.fromkeys((("collections", "UserDict"), ("UserDict", "IterableUserDict")), ("data", dict)),
    **dict.fromkeys((("collections", "UserList"), ("UserList", "UserList")), ("data", list)),
}
"""Containers that are nothing but one attribute -> its name and type; pickle translates the names of Python 2."""
DEFAULTS: Pair = ("collections", "defaultdict")
SINGLE_VALUES: frozenset[Pair] = frozenset(
    {("typing", "Any"), *((module, name) for module in BUILTINS for name in ("Ellipsis", "NotImplemented"))}
)
"""Values that there is one of; they are named, never called."""
LITERAL: Pair = ("typing", "Literal")
TYPE_FORMS: frozenset[Pair] = frozenset(
    {
        LITERAL,
        *pairs("typing", "Callable ClassVar Counter DefaultDict Deque Dict FrozenSet Iterable Iterator List Mapping"),
        *pairs("typing", "MutableMapping Optional OrderedDict Sequence Set Tuple Type Union"),
    }
)
"""Forms of types, as configurations of training keep them: ``typing.Optional[int]`` is ``getitem(Union, (int,
None))``."""
GETITEM: frozenset[Pair] = frozenset((module, "getitem") for module in ("_operator", "operator"))
GENERIC_ALIAS: Pair = ("types", "GenericAlias")
PARTIAL: Pair = ("functools", "partial")
"""A function or class with some of its arguments; nothing is called before somebody calls it."""
TYPE_OF: frozenset[Pair] = frozenset((module, "type") for module in BUILTINS)
"""``type(None)`` and its like; with anything else it makes classes."""
LOGGER: Pair = ("logging", "getLogger")
NUMBERS: Pair = ("array", "array")
NUMBERS_MAKER: Pair = ("array", "_array_reconstructor")
MEMMAP: Pair = ("numpy", "memmap")
"""As a name it says of which class an array was; as a call it opens a file."""
MASKED_CONSTANT: Pair = ("numpy.ma.core", "MaskedConstant")
RECONSTRUCTORS: frozenset[Pair] = frozenset({("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")})
BIT_GENERATORS: frozenset[Pair] = frozenset(
    {
        ("numpy.random._mt19937", "MT19937"), ("numpy.random._pcg64", "PCG64"), ("numpy.random._pcg64", "PCG64DXSM"),
        ("numpy.random._philox", "Philox"), ("numpy.random._sfc64", "SFC64"),
    }
)  # fmt: skip
"""numpy's random generators: the makers of them, and their classes."""
BIT_GENERATOR_MAKER: Pair = (RANDOM, "__bit_generator_ctor")
GENERATOR_MAKERS: frozenset[Pair] = frozenset({(RANDOM, "__generator_ctor"), (RANDOM, "__randomstate_ctor")})
SEED_SEQUENCE: Pair = ("numpy.random.bit_generator", "SeedSequence")
SEED_MAKER: Pair = ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence")
QUANTIZED_TENSOR: Pair = ("torch._utils", "_rebuild_qtensor")
META_TENSOR: Pair = ("torch._utils", "_rebuild_meta_tensor_no_storage")
MAKERS: frozenset[Pair] = frozenset(
    {
        *pairs("torch._utils", "_rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_nested_tensor"),
        *pairs("torch._utils", "_rebuild_wrapper_subclass _rebuild_device_tensor_from_numpy"),
        *pairs("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"),
        *pairs("torch.utils.data.dataset", "Dataset TensorDataset ConcatDataset Subset"),
        ("torch.cuda.amp.grad_scaler", "GradScaler"),
        ("torch.utils.hooks", "RemovableHandle"),
        *pairs("pytz", "_p _UTC"),
        *pairs("dateutil.tz.tz", "tzfile tzutc"),
    }
)
"""Names that are called, or that lie in packages which act, and make values that nobody checks: records, and never
called safe."""
PARAMETERS: frozenset[Pair] = frozenset({("torch.nn.parameter", "Parameter"), ("torch.nn.parameter", "Buffer")})
NESTED: Pair = ("torch.storage", "_load_from_bytes")
ARRAY_RECORD: Pair = ("joblib.numpy_pickle", "NumpyArrayWrapper")
"""What joblib writes before the numbers of an array: an object that is nothing but its attributes."""

RECORDS: frozenset[Pair] = frozenset(
    {
        *VALUES, *NAMESPACES, *DICTIONARIES, *LISTS, *RECONSTRUCTORS, *PLAIN, QUANTIZED_TENSOR, META_TENSOR,
        *BIT_GENERATORS, *GENERATOR_MAKERS, BIT_GENERATOR_MAKER, SEED_SEQUENCE, SEED_MAKER, *WRAPPERS, *SINGLE_VALUES,
        *TYPE_OF, LOGGER, NUMBERS, NUMBERS_MAKER, MASKED_CONSTANT, MEMMAP, *TYPE_FORMS, *GETITEM, GENERIC_ALIAS,
        PARTIAL,
    }
)  # fmt: skip
"""Known names of the standard library and others that become records."""

MAKING_FUNCTIONS = frozenset(pair for pair in MAKERS if pair[1].startswith("_"))
FUNCTIONS: frozenset[Pair] = frozenset(
    {
        NESTED, *MAKING_FUNCTIONS, SEED_MAKER, TEXT_DTYPE, PATTERN, ZONE_MAKER, LOGGER, NUMBERS_MAKER, MEMMAP, *TYPE_OF,
        *GETITEM, ("_codecs", "encode"), ("numpy.ma.core", "_mareconstruct"), ("torch.serialization", "_get_layout"),
        ("torch._tensor", "_rebuild_from_type_v2"), *((module, "getattr") for module in BUILTINS), QUANTIZED_TENSOR,
        META_TENSOR, *RECONSTRUCTORS, *GENERATOR_MAKERS,
        *((f"{core}.multiarray", name) for core in CORES for name in ("_reconstruct", "scalar")),
        *((f"{core}.numeric", "_frombuffer") for core in CORES),
    }
)  # fmt: skip
"""Functions: they may be called as `arguments` says, and never be handed on, where something else could call them."""
MODEL_PACKAGES = frozenset({"models", "ultralytics", "torchvision", "joblib"})
"""Packages of known models: their classes evaluate, fetch and write when they are called. Genuine files make instances
only."""
LENDERS = frozenset({"models", "ultralytics"})
"""Those whose older files point at a method of one of their own objects."""

PANDAS: frozenset[Pair] = frozenset().union(
    pairs("pandas.core.frame", "DataFrame"),
    pairs("pandas.core.series", "Series"),
    pairs("pandas.core.flags", "Flags"),
    pairs("pandas.core.internals.managers", "BlockManager SingleBlockManager"),
    pairs("pandas.core.internals.blocks", "new_block"),
    pairs("pandas._libs.internals", "_unpickle_block"),
    pairs("pandas._libs.missing", "NA"),
    pairs("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
    pairs("pandas._libs.interval", "Interval"),
    pairs("pandas._libs.tslibs.timestamps", "Timestamp _unpickle_timestamp"),
    pairs("pandas._libs.tslibs.timedeltas", "Timedelta _timedelta_unpickle"),
    pairs("pandas._libs.tslibs.nattype", "_nat_unpickle"),
    pairs("pandas._libs.tslibs.period", "Period"),
    pairs("pandas.core.indexes.base", "_new_Index Index"),
    pairs("pandas.core.indexes.range", "RangeIndex"),
    pairs("pandas.core.indexes.numeric", "Int64Index UInt64Index Float64Index"),
    pairs("pandas.core.indexes.multi", "MultiIndex"),
    pairs("pandas.core.indexes.category", "CategoricalIndex"),
    pairs("pandas.core.indexes.datetimes", "DatetimeIndex _new_DatetimeIndex"),
    pairs("pandas.core.indexes.period", "PeriodIndex _new_PeriodIndex"),
    pairs("pandas.core.indexes.timedeltas", "TimedeltaIndex"),
    pairs("pandas.core.indexes.interval", "IntervalIndex"),
    pairs("pandas.core.dtypes.dtypes", "CategoricalDtype DatetimeTZDtype PeriodDtype IntervalDtype"),
    pairs("pandas.core.arrays.categorical", "Categorical"),
    pairs("pandas.core.arrays.datetimes", "DatetimeArray"),
    pairs("pandas.core.arrays.timedeltas", "TimedeltaArray"),
    pairs("pandas.core.arrays.period", "PeriodArray"),
    pairs("pandas.core.arrays.interval", "IntervalArray"),
    pairs("pandas.core.arrays.numpy_", "NumpyExtensionArray PandasArray"),
    pairs("pandas.core.arrays.string_", "StringArray StringDtype"),
    pairs("pandas.core.arrays.boolean", "BooleanArray BooleanDtype"),
    pairs("pandas.core.arrays.floating", "FloatingArray Float32Dtype Float64Dtype"),
    pairs("pandas.core.arrays.integer", "IntegerArray Int8Dtype Int16Dtype Int32Dtype Int64Dtype"),
    pairs("pandas.core.arrays.integer", "UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype"),
)
"""What pandas writes into its pickles; no other name of it is a record."""

OLD_MODULES: frozenset[str] = frozenset(
    {
        *(name.split(".", 1)[0] for name in _compat_pickle.IMPORT_MAPPING),
        *(module.split(".", 1)[0] for module, _ in _compat_pickle.NAME_MAPPING),
        *(
            "__builtin__ commands httplib urllib2 urlparse cPickle cStringIO StringIO popen2 os2 nt posix thread dl "
            "imp asyncore asynchat smtpd distutils telnetlib ftplib pipes crypt exceptions copy_reg Queue SocketServer "
            "xmlrpclib rexec Bastion ihooks imputil mimetools cgi cgitb nntplib uu xdrlib spwd msilib lib2to3 binhex "
            "macpath tkinter _winreg _bootlocale"
        ).split(),
    }
)
"""Modules that a newer Python no longer lists; those of Python 2 that pickle translates, and others."""
ACTING_PACKAGES: frozenset[str] = frozenset(
    {
        "pip", "setuptools", "pkg_resources", "aiohttp", "requests", "httpx", "urllib3", "paramiko",
        "fabric", "invoke", "sh", "pexpect", "ptyprocess", "dill", "cloudpickle", "joblib", "pandas",
        "tensorflow", "keras", "IPython", "jupyter", "ipykernel", "cffi", "numba", "execnet", "ray", "dask",
        "psutil", "pydoc_data", "win32api", "win32com",
    }
)  # fmt: skip
"""Packages whose business is to fetch, run or unpickle."""
ACTING_PREFIXES = (
    *(
        "torch.hub torch.load torch.serialization torch.jit torch.package torch.utils torch.multiprocessing "
        "torch.distributed torch._dynamo torch._inductor torch.fx torch.compile torch.ops torch.classes torch.testing "
        "torch.storage._load_from_bytes torch.cuda torch._jit_internal torch.library torch.onnx numpy.f2py "
        "numpy.testing numpy.distutils numpy.load numpy.memmap numpy.fromfile numpy.loadtxt numpy.genfromtxt "
        "numpy.ctypeslib numpy.lib numpy.DataSource numpy.os numpy.sys"
    ).split(),
)
"""Parts of otherwise harmless packages that fetch, compile, run or unpickle."""
ACTING_ATTRIBUTES = frozenset(
    {
        "os", "sys", "subprocess", "system", "popen", "exec", "eval", "compile", "open", "getattr",
        "setattr", "import_module", "builtins",
    }
)  # fmt: skip
"""Attribute names that reach outside wherever they hang (``module.__class__.__globals__``, ``x.os.system``)."""
