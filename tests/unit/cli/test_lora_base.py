"""What LoRAs tell of their base model and trigger words."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

import pytest

from tests.functional.loops import settings
from twinloop.cli import lora_base
from twinloop.errors import InputError
from twinloop.store.models.base_name import BASE_NAME, base_name

ONE, OTHER = Path("one.safetensors"), Path("other.safetensors")
TRIGGER = "modelspec.trigger_phrase"


def test_the_first_lora_that_tells_it_counts() -> None:
    headers = {ONE: {BASE_NAME: "other.safetensors", TRIGGER: ""}, OTHER: {BASE_NAME: "org/model", TRIGGER: "ohwx"}}
    assert lora_base.base_of(headers) == {"base_model": "org/model"}, "a bare file name cannot be loaded"
    assert lora_base.trigger_of(headers) == "ohwx"
    assert lora_base.base_of({ONE: headers[ONE]}, "nano") == {"base_model": "nano"}
    assert lora_base.base_of({ONE: headers[ONE]}, None) == lora_base.base_of({}) == {}
    assert lora_base.trigger_of({ONE: headers[ONE]}) is None


def test_where_a_base_is_named_no_lora_is_asked() -> None:
    headers = {ONE: {"twinloop.version": "1", BASE_NAME: "mine"}}
    named = settings(base_model="nano", training={})
    lora_base.check_base(headers, named)
    unnamed = named.model_copy()
    unnamed.model_fields_set.discard("base_model")
    with pytest.raises(InputError, match=r"was trained on mine, .*--base-model PATH_OF_mine"):
        lora_base.check_base(headers, unnamed)


@pytest.mark.parametrize(
    "name", ["\\\\server\\share\\base.safetensors", "//server/share/base", "\\/server/share", "//?/UNC/s/x"]
)
def test_no_other_computer_is_asked_for_what_a_header_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows asks for a file there as soon as it is looked at, and tells the other one who does."""
    looked = list[str]()

    def stat(path: str | os.PathLike[str], **_: object) -> None:
        looked.append(os.fspath(path))
        raise FileNotFoundError

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os.path, "exists", lambda path: looked.append(path) or True)
    assert not lora_base.loads_as_base(name)
    assert lora_base.base_of({ONE: {BASE_NAME: name}}, name) == {}
    assert base_name(name) == PureWindowsPath(name).name
    assert [path for path in looked if path not in ("one.json", "one.safetensors")] == []
