"""Decisions in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stages.vault.people.makers import album, clustered, vault_of
from twinloop.domain.vault import NOT_RECORDED, Consent, Decision
from twinloop.errors import NothingToDo
from twinloop.stages.vault import history as telling
from twinloop.stages.vault.dataset.label import LabelOptions, label
from twinloop.stages.vault.history import describe, history, last_said
from twinloop.stages.vault.people.edits import undo
from twinloop.stages.vault.people.record import read_people
from twinloop.store.vault.decisions import DecisionLog

FACES = [{"sha256": "0" * 64, "box": [0.2, 0.2, 0.6, 0.6]}] * 2
WHOLE = [{"sha256": "0" * 64, "box": [0, 0, 1, 1]}]


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("name", {"person": "p001", "name": "ana"}, "p001 is called ana"),
        ("hide", {"person": "p001"}, "ana is hidden"),
        ("merge", {"into": "p001", "people": ["p002", "p003"]}, "p002, p003 merged into ana"),
        ("split", {"person": "p001", "faces": FACES, "new": "p004"}, "2 faces of ana became p004"),
        ("split", {"person": None, "faces": FACES[:1], "new": "p004"}, "1 face of strangers became p004"),
        ("reject", {"person": "p001", "faces": FACES}, "2 faces not ana"),
        ("assign", {"person": "p002", "faces": FACES[:1]}, "1 face assigned to p002"),
        ("assign", {"person": "p002", "faces": WHOLE}, "1 whole picture assigned to p002"),
        (
            "split",
            {"person": None, "faces": FACES + WHOLE, "new": "p003"},
            "2 faces and 1 whole picture of strangers became p003",
        ),
        ("keep", {"sha256": "a", "instead_of": "b"}, "a.jpg kept instead of b.jpg"),
        ("distinct", {"photos": ["a", "b"]}, "a.jpg, b.jpg are no duplicates"),
        ("caption", {"person": "p001", "sha256": "a", "text": "x"}, "caption of a.jpg edited"),
        ("caption", {"person": "p001", "sha256": "a", "text": ""}, "caption of a.jpg taken back"),
        ("captions", {"person": "p001", "texts": {"a": "x", "b": "y"}}, "2 captions of ana edited"),
        ("exclude", {"person": "p001", "photos": ["a"]}, "a.jpg left out of the training set of ana"),
        ("include", {"person": "p001", "photos": ["a", "b"]}, "2 photos taken into the training set of ana"),
        ("automatic", {"person": "p001", "photos": ["a"]}, "a.jpg of ana: chosen automatically again"),
        ("label", {"person": "p001", "trigger": "zz q", "consent": None}, "trigger of ana: zz q"),
        ("label", {"person": "p001", "trigger": "q", "consent": {"kind": None}}, "trigger of ana: q"),
        (
            "label",
            {"person": "p001", "trigger": "q", "consent": {"kind": "written", "who": "Ana"}},
            "trigger of ana: q; consent: written consent; by: Ana",
        ),
        ("redacted", {}, "of somebody who was forgotten"),
        ("of a later version", {}, "of a later version"),
    ],
)
def test_told(kind: str, data: dict[str, object], text: str) -> None:
    assert describe(Decision(1, kind, data, ""), {"p001": "ana"}, lambda sha256: f"{sha256}.jpg") == text


def test_a_label_tells_a_consent_that_it_changes(tmp_path: Path) -> None:
    given, wider = Consent("written", "Ana", "2024-05-01"), Consent("written", "Ana", "2024-05-01", "adverts")
    with vault_of(tmp_path, album(1, 4, "ana")) as opened:
        person = clustered(opened).people.persons[0]
        assert read_people(opened.vault).persons == (person,)

        def say(trigger: str, consent: Consent) -> str:
            label(opened, person, LabelOptions(trigger, "woman", consent))
            return history(opened)[-1].text.removeprefix("trigger of p001: ")

        assert say("zz q", NOT_RECORDED) == "zz q"
        assert say("zz q", given) == "zz q; consent: written consent; by: Ana; on: 2024-05-01"
        assert say("zz r", given) == "zz r"
        assert say("zz r", wider).endswith("on: 2024-05-01; for: adverts")
        undo(opened)
        assert say("zz s", given) == "zz s"
        assert say("zz s", NOT_RECORDED) == "zz s; consent: not recorded"


def test_what_is_taken_back_is_described_alone_in_the_words_of_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Consent("written", "Ana", "2024-05-01")
    with vault_of(tmp_path, album(1, 4, "ana")) as opened:
        person = clustered(opened).people.persons[0]
        with pytest.raises(NothingToDo, match="There is no decision to undo"):
            last_said(opened)
        for trigger, consent in (("a", NOT_RECORDED), ("b", written), ("c", written), ("d", NOT_RECORDED)):
            label(opened, person, LabelOptions(trigger, "woman", consent))
        described: list[Decision] = []
        monkeypatch.setattr(telling, "describe", lambda made, *rest: described.append(made) or describe(made, *rest))
        for _ in range(4):
            told = max((said for said in history(opened) if not said.decision.undone), key=lambda s: s.decision.number)
            described.clear()
            assert last_said(opened) == told and len(described) == 1
            undo(opened)


class Counted(dict[str, Any]):
    """Contents of a decision that count how often they are looked at."""

    looked = 0

    def __getitem__(self, name: str) -> Any:
        Counted.looked += 1
        return super().__getitem__(name)


@given(st.lists(st.tuples(st.sampled_from(["p1", "p2"]), st.booleans(), st.sampled_from(["", "Ana", "Bea"]))))
def test_each_label_is_told_by_the_one_before_it(made: list[tuple[str, bool, str]]) -> None:
    """Of a label that stands the last that stands, of one that was taken back the last of all."""
    decisions = [
        Decision(
            number, "label", {"person": person, "trigger": "t", "consent": {"kind": "written", "who": who}}, "", gone
        )
        for number, (person, gone, who) in enumerate(made)
    ]
    labels = telling._Labels()
    for place, one in enumerate(decisions):
        earlier = [
            other.data
            for other in decisions[:place]
            if other.data["person"] == one.data["person"] and (one.undone or not other.undone)
        ]
        assert labels.before(one) is (earlier[-1] if earlier else None)


def test_a_long_history_is_gone_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [Decision(n, "label", Counted(person=f"p{n % 3}", trigger="t"), "", n % 5 == 0) for n in range(400)]
    monkeypatch.setattr(DecisionLog, "all", lambda _: every)
    with vault_of(tmp_path, album(1, 1, "ana")) as opened:
        Counted.looked = 0
        assert len(history(opened)) == 400 and Counted.looked <= 400 * 3
