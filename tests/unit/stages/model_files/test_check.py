"""What speaks against a model file is said alike on the shelf, by the doctor and where one is brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.pickle_reading import read_pickle
from tests.unit.adapters.detectors.onnx_files import small_onnx
from twinloop.errors import GET_ANOTHER, UnsafeModelFile
from twinloop.pickles import Policy
from twinloop.pickles.inspection import Safety
from twinloop.stages.model_files.check import complaint, danger, verdict
from twinloop.stages.model_files.shelf import Condition, add, survey
from twinloop.stages.model_files.state import State, file_states
from twinloop.store.models.folder import resolve_models_dir

EVIL = b"cos\nsystem\n(S'true'\ntR."
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize("name", ["hand_yolov8n.pt", "other.pkl"])
def test_a_dangerous_file_is_the_same_everywhere(name: str, tmp_path: Path) -> None:
    (path := tmp_path / name).write_bytes(EVIL)
    told = danger(path)
    assert told.startswith("would use os.system") and told.endswith(GET_ANOTHER)
    assert verdict(path, Policy()) == (Safety.DANGEROUS, told)
    (state,) = file_states(resolve_models_dir(tmp_path), set(), "auto")
    assert (state.state, state.detail) == (State.UNSAFE, told)
    (item,) = (item for item in survey(tmp_path, gate=True) if item.path is not None)
    assert (item.condition, item.detail) == (Condition.DANGEROUS, told)
    assert add(path, tmp_path / "models", Policy()).problem == f"{told}."
    with pytest.raises(UnsafeModelFile, match=GET_ANOTHER):
        read_pickle(EVIL, source=name)


@pytest.mark.parametrize("name", ["mine.onnx", "yunet.onnx", "hand_yolov8n.pt"])
def test_a_broken_file_is_the_same_everywhere(name: str, tmp_path: Path) -> None:
    (path := tmp_path / name).write_bytes(POINTER)
    told = complaint(path)
    assert "git lfs pull" in told and name not in told and not told.endswith(".")
    (state,) = file_states(resolve_models_dir(tmp_path), set(), "auto")
    assert (state.state, state.detail) == (State.BROKEN, told)
    (item,) = (item for item in survey(tmp_path, gate=False) if item.path is not None)
    assert (item.condition, item.detail) == (Condition.BROKEN, told)
    assert add(path, tmp_path / "models", Policy()).problem == f"{told}."


def test_nothing_speaks_against_a_sound_file(tmp_path: Path) -> None:
    (path := tmp_path / "yunet.onnx").write_bytes(small_onnx())
    assert complaint(path) == ""
    (pickled := tmp_path / "list.pkl").write_bytes(b"(lp0\n.")
    assert complaint(pickled) == danger(pickled) == ""
