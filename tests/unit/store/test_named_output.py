"""What a user names for an answer is written; what is something else's file is not."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from twinloop.errors import InputError
from twinloop.store.atomic import write_json
from twinloop.store.named_output import json_output


@pytest.mark.parametrize("before", [None, b"", b"{}\n", b"  [1]", b'{"a": 1}\n{"a": 2}\n'])
def test_a_new_file_or_older_json_may_be_written(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "gaps.json"
    if before is not None:
        path.write_bytes(before)
    assert json_output(path) == path


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"ohwx ana, smiling", b"PK\x03\x04"])
def test_a_photo_named_by_mistake_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "IMG_1000.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not overwritten"):
        json_output(path)
    assert path.read_bytes() == content


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        json_output(tmp_path)


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    target, link = tmp_path / "elsewhere" / "real.json", tmp_path / "link.json"
    target.parent.mkdir()
    target.write_text("{}")
    link.symlink_to(target)
    write_json(json_output(link), {"a": 1})
    assert link.is_symlink() and json.loads(target.read_text()) == {"a": 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_stays_one(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_json(json_output(pipe), {"a": 1})
    reader.join(10)
    assert [json.loads(text) for text in heard] == [{"a": 1}]
    assert stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]
