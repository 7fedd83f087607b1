"""Labels are decisions: checked, written down, undone."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.unit.stages.vault.makers import fake_vault
from twinloop.domain.vault import Consent, Label
from twinloop.errors import InputError
from twinloop.stages.vault.dataset.label import LabelOptions, head_of, label, label_of, needed_label


def test_a_label_stands_until_the_next_one_or_its_undoing(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        with pytest.raises(InputError, match=r"no trigger yet.*vault label p001 --trigger"):
            needed_label(opened, person)
        label(opened, person, LabelOptions("ohwx  alice ", "woman", Consent("self", "alice", "2024-05-06", "training")))
        label(opened, person, LabelOptions("zwx", "person"))
        assert needed_label(opened, person) == Label("p001", "zwx", "person")
        opened.decisions.undo()
        assert needed_label(opened, person) == Label(
            "p001", "ohwx alice", "woman", Consent("self", "alice", "2024-05-06", "training")
        )
        assert label_of(opened.decisions, "p002") is None


def test_saying_the_same_again_is_no_new_decision(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        for _ in range(2):
            label(opened, person, LabelOptions("ohwx", "woman", name="alice b"))
        assert [made.kind for made in opened.decisions.active()] == ["name", "label"]


def test_a_name_that_is_composed_otherwise_is_the_same_name(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        for form in ("NFC", "NFD"):
            label(opened, person, LabelOptions("ohwx", "woman", name=unicodedata.normalize(form, "José ")))
        assert [made.data.get("name") for made in opened.decisions.active()] == ["Jos\u00e9", None]


def test_without_consent_it_says_not_recorded(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        made = label(opened, person, LabelOptions("ohwx", "woman"))
        assert made.to_json()["consent"]["text"] == "not recorded"
        assert any("not recorded" in text for text in made.warnings)
        vague = label(opened, person, LabelOptions("ohwx", "woman", Consent("written", "alice")))
        assert any("when, for what" in text for text in vague.warnings)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (LabelOptions("ohwx", "woman", Consent("self", "a", "6.5.2024")), "YYYY-MM-DD"),
        (LabelOptions("ohwx", "woman", Consent("self", "a", "2024-02-30")), "YYYY-MM-DD"),
        (LabelOptions("ohwx", "woman", Consent(None, "alice")), "need a kind of consent"),
        (LabelOptions("ohwx", "woman", Consent("hearsay")), "no kind of consent"),
        (LabelOptions("", "woman"), "trigger is empty"),
        (LabelOptions("ohwx", "woman", name="../x"), "name of a folder"),
    ],
)
def test_what_cannot_be_is_refused_and_not_written(tmp_path: Path, options: LabelOptions, why: str) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        with pytest.raises(InputError, match=why):
            label(opened, person, options)
        assert opened.decisions.active() == []


@pytest.mark.parametrize(
    ("trigger", "word", "style", "head"),
    [
        ("ohwx alice", "woman", "prose", "ohwx alice woman"),
        ("ohwx alice", "woman", "tags", "ohwx alice, 1girl"),
        ("ohwx alan", "man", "tags", "ohwx alan, 1boy"),
        ("ohwx", "person", "tags", "ohwx"),
        ("ohwx", "cat", "tags", "ohwx, cat"),
        ("2girls, ohwx", "girl", "tags", "2girls, ohwx"),
        ("ohwx person", "person", "prose", "ohwx person"),
        ("1girl, ohwx", "1girl", "tags", "1girl, ohwx"),
    ],
)
def test_the_head_of_captions_says_the_class_word_once(trigger: str, word: str, style: str, head: str) -> None:
    assert head_of(Label("p001", trigger, word), style) == head
