"""No code of this repository unpickles: model files go through ``twinloop.pickles``, and other people's loaders are
told to take safetensors.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = [*sorted((ROOT / "twinloop").rglob("*.py")), *sorted(ROOT.glob("*.py"))]
TOOLS = [path for folder in ("bench", "tools", "workshop") for path in sorted((ROOT / folder).rglob("*.py"))]

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
"""Modules whose business is to unpickle or to run what they read."""
LOADERS = {
    "torch.load",
    "torch_load.load",
    "np.load",
    "numpy.load",
    "jit.load",
    "hub.load",
    "package.PackageImporter",
    "pd.read_pickle",
    "pandas.read_pickle",
    "serialization.load",
    "hub.load_state_dict_from_url",
    "yaml.load",
    "yaml.load_all",
    "yaml.full_load",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
    "yaml.UnsafeLoader",
}
"""Last two parts of what unpickles, or may."""
TOLD = {
    "from_pretrained": "use_safetensors",
    "load_lora_weights": "use_safetensors",
    "download": "use_safetensors",
    "lora_state_dict": "use_safetensors",
}
"""Loaders of other packages that take pickles unless they are told not to, and what they have to be told."""
HANDED_ON = {*TOLD, "from_single_file"} - {"download"}
"""Those of them that nothing else is called like."""
WEIGHTLESS = ("tokenizer", "scheduler", "processor", "config")
"""What holds no weights."""
SINGLE_FILE = {"twinloop/adapters/diffusion/loading.py"}
"""``from_single_file`` has no such switch; it may be called here, behind the gate of ``weight_files``."""
HARMLESS_LOAD = {"json", "tomllib", "safetensors.torch"}
"""Modules of other people whose ``load`` was looked at: what else is imported under that name may be anybody's."""
BY_NAME = {"import_module", "__import__"}
"""What imports a module whose name it is given."""
NUMPY = {"np.load", "numpy.load"}
"""numpy's loader is safe when it is told so."""
BUILDING = "workshop/"
"""Reads back the models that it has just written itself."""
DOORS = {
    "twinloop/adapters/detectors/checkpoints.py",
    "twinloop/adapters/diffusion/weight_files.py",
    "twinloop/loras/container.py",
    "twinloop/stages/model_files/inspect.py",
}
"""Where pickles come in, each by the one door."""
GATE = {"read_torch_file", "inspect_blob"}


def name_of(node: ast.AST) -> str:
    """``a.b.c`` of an expression, as far as it is names; a module that is imported by name counts as its name."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return asked_for(node) or "?"
    return node.id if isinstance(node, ast.Name) else "?"


def asked_for(call: ast.Call) -> str | None:
    """The module that a call imports, where the call says so in plain text."""
    match call.args:
        case [ast.Constant(value=str(module)), *_] if name_of(call.func).rsplit(".", 1)[-1] in BY_NAME:
            return module
    return None


def is_constant(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def imported(nodes: list[ast.AST]) -> dict[str, set[str]]:
    """Names that a file imports -> what each of them stands for, here or there in the file."""
    found = defaultdict[str, set[str]](set)
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                found[alias.asname or root].add(alias.name if alias.asname else root)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name].add(f"{node.module}.{alias.name}")
    return found


def is_loader(name: str) -> bool:
    return ".".join(name.split(".")[-2:]) in LOADERS and name.rpartition(".")[0] not in HARMLESS_LOAD


def unpickles(name: str) -> bool:
    """Whether nothing of this full name may be imported."""
    module, _, last = name.rpartition(".")
    is_ours = name.startswith(("twinloop.", "workshop.")) and last != "*"
    unknown = last == "*" or (last == "load" and module not in HARMLESS_LOAD)
    return not MODULES.isdisjoint(name.split(".")) or is_loader(name) or (unknown and not is_ours)


def dangers_of_call(call: ast.Call, where: str) -> Iterator[str]:
    name, given = name_of(call.func), {keyword.arg: keyword.value for keyword in call.keywords}
    last = name.rsplit(".", 1)[-1]
    if last == "from_single_file" and where not in SINGLE_FILE:
        yield f"calls {name} outside of {SINGLE_FILE}"
    holds_weights = "." in name and not any(word in ast.unparse(call.func).lower() for word in WEIGHTLESS)
    is_told = last not in TOLD or is_constant(given.get(TOLD[last]), True)
    if holds_weights and not is_told and not where.startswith(BUILDING):
        yield f"calls {name} without {TOLD[last]}=True"
    if any(is_constant(given.get(flag), True) for flag in ("allow_pickle", "trust_remote_code")):
        yield f"calls {name} with a dangerous permission"
    if not MODULES.isdisjoint((asked_for(call) or "").split(".")):
        yield f"imports {asked_for(call)} by its name"


def dangers_of_name(node: ast.Attribute | ast.Name, call: ast.Call | None, names: dict[str, set[str]]) -> Iterator[str]:
    """``call``: the call of it; None where it is only named. ``names``: of `imported`."""
    name = name_of(node)
    head, dot, rest = name.partition(".")
    given = {keyword.arg: keyword.value for keyword in call.keywords} if call else {}
    is_told = is_constant(given.get("allow_pickle"), False)
    for full in (f"{meaning}{dot}{rest}" for meaning in names.get(head, {head})):
        if is_loader(full) and not (full in NUMPY and is_told):
            yield f"uses {full}"
    if call is None and name.rsplit(".", 1)[-1] in HANDED_ON:
        yield f"hands on {name}, which may be called without a look here"


def offences(source: str, where: str) -> list[str]:
    """What in a file would unpickle."""
    nodes = list(ast.walk(ast.parse(source)))
    names, calls = imported(nodes), [node for node in nodes if isinstance(node, ast.Call)]
    found = [f"imports {full}" for meanings in names.values() for full in meanings if unpickles(full)]
    for call in calls:
        found += dangers_of_call(call, where)
    called = {id(call.func): call for call in calls}
    for node in nodes:
        if isinstance(node, ast.Attribute | ast.Name):
            found += dangers_of_name(node, called.get(id(node)), names)
    return [f"{where}: {text}" for text in found]


def test_nothing_unpickles() -> None:
    files = [*PRODUCT, *TOOLS]
    found = [
        text for path in files for text in offences(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert found == []
    assert len(files) > 200


def test_every_door_is_known() -> None:
    """A new place that opens pickles is added here by hand, after a look."""
    used = {
        path.relative_to(ROOT).as_posix()
        for path in PRODUCT
        if "pickles" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and name_of(node.func) in GATE
    }
    assert used == DOORS


def test_the_guard_sees_what_it_should() -> None:
    bad = [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "np.load('x')",
        "torch.hub.load('x', 'y')",
        "Pipeline.from_pretrained('x')",
        "AutoModel.from_pretrained('x', use_safetensors=False)",
        "p.load_lora_weights('x')",
        "Pipeline.from_single_file('x.ckpt')",
        "numpy.load('x', allow_pickle=True)",
        "M.from_pretrained('x', use_safetensors=True, trust_remote_code=True)",
        "import pandas as pd\npd.read_pickle('x')",
        "DiffusionPipeline.download('x')",
        # by another name
        "from torch import load\nload(x)",
        "from torch import load as read",
        "from somebody import load",
        "import torch as t\nt.load(x)",
        "import torch.hub as h\nh.load(x, y)",
        "from torch import hub as h\nh.load(x, y)",
        "from numpy import load\nload(x, None, True)",
        "import numpy as n\nn.load(x, None, True)",
        "def f():\n    import torch as t\n    t.load(x)\ndef g():\n    import json as t",
        "from torch import *",
        "from sklearn.externals import joblib",
        # handed on
        "f = torch.load\nf(x)",
        "import torch as t\nf = t.load",
        "map(np.load, files)",
        "f = M.from_pretrained",
        # yaml, and modules by their names
        "import yaml\nyaml.unsafe_load(x)",
        "yaml.load(x, Loader=yaml.UnsafeLoader)",
        "from yaml import unsafe_load as load",
        "importlib.import_module('pickle')",
        "from importlib import import_module\nimport_module('dill.x')",
        "__import__('pickle')",
        "importlib.import_module('torch').load(x)",
    ]
    for source in bad:
        assert offences(source, "x.py"), source
    good = [
        "np.load('x', allow_pickle=False)",
        "import pickletools",
        "json.load(f)",
        "Tokenizer.from_pretrained('x')",
        "M.from_pretrained('x', use_safetensors=True)",
        "load('x')",
        "def load(): ...\nrun(load)",
        "import numpy as n\nn.load('x', allow_pickle=False)",
        "from safetensors.torch import load\nload(x)",
        "from twinloop.store.settings import load\nload(x)",
        "importlib.import_module('torch')",
        "yaml.safe_load(x)",
    ]
    for source in good:
        assert not offences(source, "x.py"), source
