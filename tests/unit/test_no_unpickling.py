"""No code of this repository unpickles: model files go through ``twinloop.pickles``, and other people's loaders are told to take safetensors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = [*sorted((ROOT / "twinloop").rglob("*.py")), *sorted(ROOT.glob("*.py"))]
TOOLS = [*sorted((ROOT / "bench").rglob("*.py")), *sorted((ROOT / "tools").rglob("*.py"))]

#: Modules whose business is to unpickle or to run what they read.
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
#: Last two parts of a call -> it unpickles, or may.
CALLS = {
    "torch.load", "torch_load.load", "np.load", "numpy.load", "jit.load", "hub.load", "package.PackageImporter", "pd.read_pickle",
    "pandas.read_pickle", "serialization.load", "hub.load_state_dict_from_url",
}  # fmt: skip
#: Loaders of other packages that take pickles unless they are told not to, and what they have to be told.
TOLD = {
    "from_pretrained": "use_safetensors",
    "load_lora_weights": "use_safetensors",
    "download": "use_safetensors",
    "lora_state_dict": "use_safetensors",
}
#: What holds no weights.
WEIGHTLESS = ("tokenizer", "scheduler", "processor", "config")
#: ``from_single_file`` has no such switch; it may be called here, behind the gate of ``weight_files``.
SINGLE_FILE = {"twinloop/adapters/diffusion/loading.py"}
#: numpy's loader is safe when it is told so.
NUMPY = {"np.load", "numpy.load"}
#: Reads back the models that it has just written itself.
BUILDING = "twinloop/nano/build/"
#: Where pickles come in, each by the one door.
DOORS = {
    "twinloop/adapters/detectors/checkpoints.py", "twinloop/adapters/diffusion/weight_files.py", "twinloop/loras/container.py",
    "twinloop/stages/inspect_models.py",
}  # fmt: skip
GATE = {"read_torch_file", "inspect_blob"}


def name_of(node: ast.AST) -> str:
    """``a.b.c`` of an expression, as far as it is names."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def is_constant(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def offences(source: str, where: str) -> list[str]:
    """What in a file would unpickle."""
    tree = ast.parse(source)
    found = [f"imports {name}" for name in imported(tree) if name in MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, given = name_of(node.func), {keyword.arg: keyword.value for keyword in node.keywords}
            last = name.rsplit(".", 1)[-1]
            harmless = name in NUMPY and is_constant(given.get("allow_pickle"), False)
            if ".".join(name.split(".")[-2:]) in CALLS and not harmless:
                found.append(f"calls {name}")
            elif last == "from_single_file" and where not in SINGLE_FILE:
                found.append(f"calls {name} outside of {SINGLE_FILE}")
            elif (
                (
                    last in TOLD
                    and "." in name
                    and not any(word in ast.unparse(node.func).lower() for word in WEIGHTLESS)
                )
                and not is_constant(given.get(TOLD[last]), True)
                and not where.startswith(BUILDING)
            ):
                found.append(f"calls {name} without {TOLD[last]}=True")
            if any(is_constant(given.get(flag), True) for flag in ("allow_pickle", "trust_remote_code")):
                found.append(f"calls {name} with a dangerous permission")
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
        "import pickle", "from joblib import load", "import torch\ntorch.load('x')", "np.load('x')", "torch.hub.load('x', 'y')",
        "Pipeline.from_pretrained('x')", "AutoModel.from_pretrained('x', use_safetensors=False)", "p.load_lora_weights('x')",
        "Pipeline.from_single_file('x.ckpt')", "numpy.load('x', allow_pickle=True)", "M.from_pretrained('x', use_safetensors=True, trust_remote_code=True)",
        "import pandas as pd\npd.read_pickle('x')", "DiffusionPipeline.download('x')",
    ]  # fmt: skip
    for source in bad:
        assert offences(source, "x.py"), source
    good = [
        "np.load('x', allow_pickle=False)",
        "import pickletools",
        "json.load(f)",
        "Tokenizer.from_pretrained('x')",
        "M.from_pretrained('x', use_safetensors=True)",
        "load('x')",
    ]
    for source in good:
        assert not offences(source, "x.py"), source
