"""``inspect_pkl.py`` as people type it, on real files; values compared with an independent reading of them."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from tests.functional.console import ROOT, python, twinloop

FIXTURES = ROOT.parent / "shared" / "fixtures"
FACE = FIXTURES / "weights/yolov5_face/yolov5n-0.5-face.pt"
CLASSIFIER = FIXTURES / "weights/ultralytics_format/emotion_cls_train_best.pt"
LEGACY = FIXTURES / "pickles/picklescan/pytorch_model.bin"
real = pytest.mark.skipif(not FIXTURES.is_dir(), reason="shared fixtures are not on this machine")

TYPES = {"HalfStorage": np.float16, "FloatStorage": np.float32, "DoubleStorage": np.float64, "LongStorage": np.int64}
BUILT = {("collections", "OrderedDict"), ("builtins", "set"), ("_codecs", "encode")}


class _Stub:
    """Stands for any class: keeps its state."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):  # numpy's own arrays have a tuple, and are no weights here
            self.__dict__.update(state)


class _Other(pickle.Unpickler):
    """Python's own unpickler over the trusted fixtures, with stubs for all classes and numpy for tensors: shares no
    code with ours.
    """

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(archive.open(f"{root}/data.pkl"))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in BUILT:
            return super().find_class(module, name)
        if name in TYPES:
            return TYPES[name]
        if name == "_rebuild_tensor_v2":
            return _view
        return (lambda data, *_: data) if name == "_rebuild_parameter" else type(name, (_Stub,), {})

    def persistent_load(self, pid: Any) -> np.ndarray:
        return np.frombuffer(self._archive.read(f"{self._root}/data/{pid[2]}"), pid[1])


def _view(flat: np.ndarray, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, [step * flat.itemsize for step in stride])


def state_dict(module: Any, prefix: str = "") -> dict[str, np.ndarray]:
    own = {**module._parameters, **module._buffers}
    found = {prefix + name: value for name, value in own.items() if value is not None}
    for name, child in module._modules.items():
        found |= state_dict(child, f"{prefix}{name}.")
    return found


def expected(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        return state_dict(_Other(archive, archive.namelist()[0].split("/")[0]).load()["model"])


@real
@pytest.mark.parametrize(("path", "names"), [(FACE, ["face"]), (CLASSIFIER, None)], ids=["yolov5-face", "ultralytics"])
def test_yolo_files_are_converted_bit_for_bit(
    path: Path, names: list[str] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    said = twinloop(capsys, "inspect", path, "--convert", "--output", tmp_path, "--json")
    assert said.code == 0
    [report] = said.data
    assert (report["verdict"], report["sha256"], report["findings"]) == ("safe", before, [])
    wanted = expected(path)
    assert len(wanted) == report["tensors"] > 100
    with safe_open(report["output"]["path"], "np") as made:
        assert set(made.keys()) == set(wanted)
        for name, array in wanted.items():
            got = made.get_tensor(name)
            assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes()), name
        facts = json.loads(made.metadata()["model"])
    assert facts["stride"] and facts["yaml"] and (names is None or facts["names"] == names)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


@real
def test_an_older_torch_file_as_torch_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    said = twinloop(capsys, "inspect", LEGACY, "--convert", "--output", tmp_path)
    assert said.code == 0
    wanted = torch.load(LEGACY, weights_only=True, map_location="cpu")
    with safe_open(tmp_path / "pytorch_model.safetensors", "np") as made:
        assert set(made.keys()) == set(wanted)
        for name, value in wanted.items():
            assert made.get_tensor(name).tobytes() == value.contiguous().numpy().tobytes()


@real
def test_a_folder_of_malicious_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = FIXTURES / "pickles" / "picklescan"
    said = twinloop(capsys, "inspect", *sorted(folder.iterdir()), "--convert", "--output", tmp_path, "--json")
    assert said.code == 1
    for report in said.data:
        if "malicious" in Path(report["path"]).name:
            assert report["verdict"] in ("dangerous", "not_a_model") and report["output"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.safetensors"]


@real
def test_nothing_benign_is_called_dangerous(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every file of ``weights/``, named one by one, and the benign ones of the malicious collection."""
    files = [path for path in sorted((FIXTURES / "weights").rglob("*")) if path.is_file()]
    files += [path for path in (FIXTURES / "pickles" / "picklescan").iterdir() if "malicious" not in path.name]
    said = twinloop(capsys, "inspect", *files, "--convert", "--output", tmp_path, "--json")
    assert said.code == 2, "web pages, pointers and networks in other formats are among them"
    verdicts = {Path(report["path"]): report["verdict"] for report in said.data}
    assert (
        len(verdicts) == len(files) > 25 and "dangerous" not in verdicts.values() and "unknown" not in verdicts.values()
    )
    for path in (FACE, CLASSIFIER, LEGACY, *(FIXTURES / "weights").rglob("*.safetensors")):
        assert verdicts[path] == "safe"
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{path.stem}.safetensors" for path in (FACE, CLASSIFIER, LEGACY)
    }


@real
def test_the_script_over_a_folder_of_malicious_files(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "pickles" / "picklescan", tmp_path / "models")
    said = python("inspect_pkl.py", "models", "--convert", cwd=tmp_path)
    assert said.code == 1
    assert said.out.count(": DANGEROUS (") == 15 and "1 converted" in said.out.splitlines()[-1]
    assert [path.name for path in (tmp_path / "models").glob("*.safetensors")] == ["pytorch_model.safetensors"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "good.pkl").write_bytes(pickle.dumps({"w": np.arange(3.0)}))
    return folder


def test_as_a_script_with_a_pattern(models: Path) -> None:
    said = python("inspect_pkl.py", "models/*.pkl", "--convert", cwd=models.parent)
    assert said.code == 0
    assert said.out.startswith("models/good.pkl: SAFE (pickle") and "Written: models/good.safetensors" in said.out


def test_a_pattern_that_matches_nothing_is_told_as_one(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = twinloop(capsys, "inspect", f"{models}/*.nothing", "--convert")
    assert alone.code == 2 and f"No file matches {models}/*.nothing" in alone.err and "NOT A MODEL" not in alone.out
    beside = twinloop(capsys, "inspect", f"{models}/*.nothing", f"{models}/*.pkl")
    found = twinloop(capsys, "inspect", f"{models}/*.pkl")
    assert f"warning: no file matches {models}/*.nothing" in beside.err and beside.out == found.out


def test_exit_codes(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown, page, evil = models / "unknown.pkl", models / "page.pt", models / "evil.bin"
    unknown.write_bytes(b"\x80\x02cfoo\nBar\n)\x81.")
    assert twinloop(capsys, "inspect", models).code == 3
    assert twinloop(capsys, "inspect", models, "--allow", "foo.Bar").code == 0
    page.write_text("<html>")
    assert twinloop(capsys, "inspect", models).code == 2
    evil.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    said = twinloop(capsys, "inspect", models)
    assert said.code == 1
    assert "would use os.system (byte 0)" in said.out and "web page" in said.out and "--allow foo.Bar" in said.out
    assert twinloop(capsys, "inspect", models / "none.pkl").code == 2


@pytest.mark.parametrize("argv", [(), ("x", "--bogus"), ("x", "--allow", "os.system"), ("x", "--allow", "word")])
def test_wrong_command_lines(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "inspect", *argv)
    assert said.code == 64
    assert "twinloop inspect: error: " in said.err


def test_nothing_is_overwritten(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = models / "good.safetensors"
    target.write_bytes(b"mine")
    said = twinloop(capsys, "inspect", models / "good.pkl", "--convert")
    assert (said.code, target.read_bytes()) == (2, b"mine")
    assert "not touched" in said.out
    target.unlink()
    assert twinloop(capsys, "inspect", models / "good.pkl", "--convert").code == 0
    assert "Already there" in twinloop(capsys, "inspect", models / "good.pkl", "--convert").out


def test_names_from_the_file_are_no_commands_to_the_terminal(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    erase = "system\x1b[2K\r\x1b[1Aharmless.pkl: SAFE (pickle)"
    texts = (text.encode() for text in ("os", erase))
    (models / "bad.pkl").write_bytes(
        b"\x80\x04" + b"".join(b"\x8c" + bytes([len(text)]) + text for text in texts) + b"\x93."
    )
    with zipfile.ZipFile(models / "bad\x1b[2K.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02).")
        archive.writestr("a/\x1b[2Kmore.pkl", b"\x80\x04cos\nsystem\n.")
    (models / "worse.pkl").write_bytes(b"\x80\x04\x8c\x03foo\x8c\x08Bar;true\x93.")
    said = twinloop(capsys, "inspect", *sorted(models.glob("*.p[kt]*")))
    assert said.code == 1 and said.out.count("DANGEROUS (") == 2
    assert "\x1b" not in said.out + said.err and "\r" not in said.out + said.err
    assert "os.system\\x1b[2K\\r\\x1b[1A" in said.out and "--allow 'foo.Bar;true'" in said.out
    named = twinloop(capsys, "inspect", models / "bad.pkl", "--json").data[0]["findings"][0]["name"]
    assert named == f"os.{erase}"
