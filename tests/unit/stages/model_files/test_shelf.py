"""The models folder as a shelf: what is added, what is refused and why, what changed since."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest

from tests.helpers.captioner_models import build_place_tagger
from tests.helpers.http_files import Site, serving
from tests.unit.adapters.detectors.onnx_files import small_onnx
from twinloop.domain.known_models import KNOWN_MODELS, UNSEEN, KnownModel, by_hash, by_name
from twinloop.domain.model_roles import role_of
from twinloop.errors import DownloadError, InputError, StateError
from twinloop.pickles import Policy
from twinloop.ports import Reporter
from twinloop.stages.model_files.shelf import Condition, add, candidates, chosen, pull, survey
from twinloop.store.models import shelf as model_shelf

EVIL = b"cos\nsystem\n(S'true'\ntR."
ONNX = small_onnx()


class HowFar:
    """A reporter that remembers how far it came."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []

    def line(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def progress(self, label: str, done: int, total: int) -> None:
        self.done.append((done, total))


def known(data: bytes = ONNX, url: str | None = None, name: str = "palm_known.onnx") -> KnownModel:
    return KnownModel(
        name, "hands", "onnx", len(data), hashlib.sha256(data).hexdigest(), "MIT", "somebody/somewhere", url
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "models"


def brought(path: Path, shelf: Path, name: str | None = None, allow: str = ""):
    return add(path, shelf, Policy(frozenset(allow.split())), name, (known(),))


def conditions(shelf: Path, gate: bool = True) -> dict[str, tuple[Condition, str]]:
    return {item.name: (item.condition, item.detail) for item in survey(shelf, gate, (known(),))}


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_known_file_gets_its_name_whatever_it_was_called(tmp_path: Path, shelf: Path) -> None:
    source = write(tmp_path / "download (1).bin", ONNX)
    found = brought(source, shelf)
    assert (found.target, found.known, found.fresh, found.problem) == (shelf / "palm_known.onnx", known(), True, "")
    assert source.read_bytes() == (shelf / "palm_known.onnx").read_bytes() == ONNX
    assert brought(source, shelf).fresh is False
    assert conditions(shelf) == {"palm_known.onnx": (Condition.KNOWN, "")}


def test_a_file_of_ones_own_passes_the_checks(tmp_path: Path, shelf: Path) -> None:
    found = brought(write(tmp_path / "best.onnx", small_onnx("mine")), shelf, name="hand_yolo_mine.onnx")
    assert found.target == shelf / "hand_yolo_mine.onnx" and found.known is None
    assert conditions(shelf)["hand_yolo_mine.onnx"] == (Condition.OWN, "")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("hand_yolov8n.pt", EVIL, "would use os.system"),
        ("hand_yolov8n.pkl", EVIL, "would use os.system"),
        ("hand_yolov8n.pt", b"<html>", "web page"),
        ("palm.onnx", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("yunet.onnx", small_onnx("x")[:-5], "cut short"),
        ("hand_yolov8n.pkl", pickle.dumps([1])[:-1], "cut short or damaged"),
        (
            "hand_yolov8n.pkl",
            b"\x80\x02cfoo\nBar\n)\x81.",
            "unknown class Bar of module foo: loading would run its code",
        ),
        ("palm_known.onnx", small_onnx("x"), "not that file (its sha256 differs)"),
        ("something.onnx", small_onnx("x"), "no detector goes by this name"),
    ],
)
def test_what_is_refused_and_why(name: str, data: bytes, reason: str, tmp_path: Path, shelf: Path) -> None:
    found = brought(write(tmp_path / name, data), shelf)
    assert found.target is None and reason in found.problem
    assert not shelf.exists(), "nothing is written for a refused file"


def test_unknown_classes_can_be_allowed(tmp_path: Path, shelf: Path) -> None:
    source = write(tmp_path / "hand_yolov8n.pkl", b"\x80\x02cfoo\nBar\n)\x81.")
    assert "--allow" in brought(source, shelf).problem
    assert brought(source, shelf, allow="foo.Bar").fresh


def test_a_tagger_is_brought_with_its_table(tmp_path: Path, shelf: Path) -> None:
    """Its name says nothing: without the table beside it, it is refused like any file of no known name."""
    given = build_place_tagger(tmp_path / "wd-swinv2-tagger-v3")
    assert [path.name for path in candidates([given])] == ["model.onnx"]
    made = brought(given / "model.onnx", shelf)
    assert made.problem == "" and made.target == shelf / "wd14" / "model.onnx" and made.fresh
    assert (shelf / "wd14" / "selected_tags.csv").read_bytes() == (given / "selected_tags.csv").read_bytes()
    assert conditions(shelf)["model.onnx"] == (Condition.OWN, "")
    assert not brought(given / "model.onnx", shelf).fresh
    (given / "selected_tags.csv").unlink()
    assert "no detector goes by this name" in brought(given / "model.onnx", tmp_path / "other").problem


def test_nothing_is_overwritten(tmp_path: Path, shelf: Path) -> None:
    write(shelf / "palm_mine.onnx", b"mine")
    found = brought(write(tmp_path / "palm_mine.onnx", small_onnx("other")), shelf)
    assert "not touched" in found.problem and (shelf / "palm_mine.onnx").read_bytes() == b"mine"


def test_a_source_that_changes_while_it_is_copied(tmp_path: Path, shelf: Path) -> None:
    with pytest.raises(StateError, match="was changed while it was copied"):
        model_shelf.bring(write(tmp_path / "a.onnx", b"now"), shelf / "a.onnx", hashlib.sha256(b"before").hexdigest())
    assert list(shelf.iterdir()) == []


class Killed(BaseException):
    """As kill -9: nobody catches it."""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_killed_while_adding(moment: str, tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise Killed

    source = write(tmp_path / "palm_known.onnx", ONNX)
    with monkeypatch.context() as patch:
        patch.setattr(os, moment, killed)
        with pytest.raises(Killed):
            brought(source, shelf)
    assert not (shelf / "palm_known.onnx").exists()
    assert brought(source, shelf).fresh and (shelf / "palm_known.onnx").read_bytes() == ONNX


def test_verify_finds_what_changed(tmp_path: Path, shelf: Path) -> None:
    mine = small_onnx("mine")
    brought(write(tmp_path / "hand_yolo_mine.onnx", mine), shelf)
    brought(write(tmp_path / "palm_known.onnx", ONNX), shelf)
    write(shelf / "hand_yolo_mine.onnx", small_onnx("rot"))
    write(shelf / "palm_known.onnx", small_onnx("rot"))
    write(shelf / "eyes_yolov.pt", EVIL)
    write(shelf / "yunet.onnx", b"")
    write(shelf / "sdxl.safetensors", (2).to_bytes(8, "little") + b"{}")
    found = conditions(shelf)
    assert {name: condition for name, (condition, _) in found.items()} == {
        "eyes_yolov.pt": Condition.DANGEROUS,
        "hand_yolo_mine.onnx": Condition.CHANGED,
        "sdxl.safetensors": Condition.NAMELESS,
        "yunet.onnx": Condition.BROKEN,
        "palm_known.onnx": Condition.MISSING,
    }
    assert "os.system" in found["eyes_yolov.pt"][1] and "Bring it again" in found["hand_yolo_mine.onnx"][1]
    changed = [
        item for item in survey(shelf, True, (known(),)) if item.path is not None and item.name == "palm_known.onnx"
    ]
    assert [item.condition for item in changed] == [Condition.CHANGED]


def test_a_list_hashes_only_what_could_be_known(shelf: Path) -> None:
    write(shelf / "hand_yolo_large.onnx", small_onnx("large"))
    write(shelf / "renamed.onnx", ONNX)
    items = {item.name: item for item in survey(shelf, False, (known(),))}
    assert items["hand_yolo_large.onnx"].sha256 == "" and items["renamed.onnx"].known == known()
    assert all(item.sha256 for item in survey(shelf, True, (known(),)))


def test_the_whole_folder_of_somebody(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "yunet.onnx", ONNX)
    write(tmp_path / "notes.txt", b"")
    assert list(candidates([tmp_path])) == [tmp_path / "sub" / "yunet.onnx"]
    for wrong in (tmp_path / "none", write(tmp_path / "empty" / "x.txt", b"").parent):
        with pytest.raises(InputError, match=r"no such file|No model files"):
            list(candidates([wrong]))


def test_fetching(shelf: Path) -> None:
    with serving(Site({"/x": ONNX})) as site:
        model = known(url=f"{site.url}/x")
        reporter: Reporter = HowFar()
        assert pull(model, shelf, reporter).fresh
        assert (shelf / "palm_known.onnx").read_bytes() == ONNX
        assert pull(model, shelf, reporter).fresh is False
        assert len(site.asked) == 1
        write(shelf / "palm_known.onnx", b"else")
        with pytest.raises(StateError, match="not touched"):
            pull(model, shelf, reporter)
        with pytest.raises(DownloadError):
            pull(known(small_onnx("other"), f"{site.url}/x", "palm_other.onnx"), shelf, reporter)
    assert not (shelf / "palm_other.onnx").exists()


def test_what_can_be_asked_for() -> None:
    have, lack = known(url="https://example.org/x"), known(small_onnx("b"), None, "hand_landmark_b.onnx")
    assert chosen(["PALM_known.onnx", "onnx"], (have, lack)) == [have]
    with pytest.raises(InputError, match=r"no address.*somebody/somewhere"):
        chosen(["hand_landmark_b.onnx"], (have, lack))
    with pytest.raises(InputError, match=r"Unknown model 'nope'\. Can be fetched: onnx, palm_known\.onnx"):
        chosen(["nope"], (have, lack))


def test_the_table_agrees_with_the_files_themselves(fixtures: Path) -> None:
    found = set()
    for path in sorted((fixtures / "weights").rglob("*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        model = by_hash(digest)
        if model is not None:
            assert path.stat().st_size == model.size
            assert path.suffix == Path(model.name).suffix
            found.add(model.name)
    not_a_fixture = {"selfie_segmentation.tflite"}  # it was at hand, and is not among them
    assert found == {model.name for model in KNOWN_MODELS} - UNSEEN - not_a_fixture and len(found) == 9


def test_the_table_is_consistent() -> None:
    for model in KNOWN_MODELS:
        assert role_of(model.name) is not None, f"{model.name} would not be recognised in a models folder"
        assert len(model.sha256) == 64 and model.licence and model.source
        assert model.url is None or model.url.startswith("https://github.com/")
        assert by_name(model.name.upper()) is model
    assert (
        len({model.sha256 for model in KNOWN_MODELS})
        == len({model.name for model in KNOWN_MODELS})
        == len(KNOWN_MODELS)
    )


def test_what_the_quick_start_fetches_holds_a_face_detector() -> None:
    assert "faces" in {model.role for model in chosen(["onnx", "mediapipe"])}
