"""A file gets its name also where somebody looks into the one that had it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinloop.system import files


def test_a_rename_is_tried_again_while_somebody_has_the_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, waited, replace = [], [], os.replace

    def refuse_twice(source: Path, target: Path) -> None:
        tries.append(source)
        if len(tries) < 3:
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(files, "_PAUSES", (1.0, 2.0, 3.0))
    monkeypatch.setattr(files.time, "sleep", waited.append)
    monkeypatch.setattr(files.os, "replace", refuse_twice)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    files.rename_over(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"new" and waited == [1.0, 2.0]


def test_what_stays_forbidden_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "Access is denied")

    waited: list[float] = []
    monkeypatch.setattr(files, "_PAUSES", (1.0, 2.0))
    monkeypatch.setattr(files.time, "sleep", waited.append)
    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(PermissionError):
        files.rename_over(tmp_path / "new", tmp_path / "old")
    assert waited == [1.0, 2.0]
