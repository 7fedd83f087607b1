"""What was said in the vault beside the menu."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinloop.domain.vault import Consent
from twinloop.menu.vault_said import Said, said_of, state_of
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault


def label(person: str, trigger: str, **more: Any) -> dict[str, Any]:
    return {"person": person, "trigger": trigger, "class_word": "woman", "consent": Consent(**more).to_json()}


def test_the_label_that_stands_is_of_who_has_the_name_now(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert said_of(vault, "ana") is None
    log = DecisionLog(vault.decisions)
    log.add("label", label("p001", "ohwx ana"))
    assert said_of(vault, "ana") is None, "nobody is called so"
    log.add("name", {"person": "p001", "name": "Ana"})
    log.add("name", {"person": "p002", "name": "berta"})
    log.add("label", label("p002", "zwx berta"))
    assert said_of(vault, "ana") == Said("ohwx ana", "woman", Consent())
    log.add("label", label("p001", "qwx ana", kind="self"))
    assert said_of(vault, "ana") == Said("qwx ana", "woman", Consent("self"))
    log.undo()
    assert said_of(vault, "ana") == Said("ohwx ana", "woman", Consent())
    log.add("name", {"person": "p001", "name": "cleo"})
    assert said_of(vault, "ana") is None and said_of(vault, "cleo") is not None


def test_the_label_of_one_who_was_merged_into_the_person_counts(tmp_path: Path) -> None:
    log = DecisionLog(Vault(tmp_path).decisions)
    log.add("name", {"person": "p001", "name": "ana"})
    log.add("label", label("p003", "ohwx ana"))
    log.add("merge", {"into": "p002", "people": ["p003"]})
    log.add("merge", {"into": "p001", "people": ["p002"]})
    assert said_of(Vault(tmp_path), "ana") == Said("ohwx ana", "woman", Consent())


def test_the_persons_own_label_counts_before_that_of_one_who_was_merged_into_it(tmp_path: Path) -> None:
    log = DecisionLog(Vault(tmp_path).decisions)
    log.add("name", {"person": "p001", "name": "ana"})
    log.add("label", label("p001", "ohwx ana"))
    log.add("label", label("p002", "zwx berta"))
    log.add("merge", {"into": "p001", "people": ["p002"]})
    assert said_of(Vault(tmp_path), "ana") == Said("ohwx ana", "woman", Consent())


def test_who_has_no_name_takes_that_of_one_who_is_merged_into_it(tmp_path: Path) -> None:
    log = DecisionLog(Vault(tmp_path).decisions)
    log.add("name", {"person": "p004", "name": "ana"})
    log.add("label", label("p004", "ohwx ana"))
    log.add("merge", {"into": "p001", "people": ["p004"]})
    assert said_of(Vault(tmp_path), "ana") == Said("ohwx ana", "woman", Consent())
    log.add("label", label("p001", "zwx ana"))
    assert said_of(Vault(tmp_path), "ana") == Said("zwx ana", "woman", Consent())
    log.add("name", {"person": "p001", "name": "cleo"})
    assert said_of(Vault(tmp_path), "ana") is None, "the name went with the merge"


def test_the_state_changes_with_decisions_and_with_captions(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    states = [state_of(vault, "ana")]
    DecisionLog(vault.decisions).add("hide", {"person": "p002"})
    states.append(state_of(vault, "ana"))
    vault.person("ana").mkdir(parents=True)
    (vault.person("ana") / "a.txt").write_text("ohwx ana")
    states.append(state_of(vault, "ana"))
    (vault.person("ana") / "a.txt").write_text("ohwx ana, at sea")
    states.append(state_of(vault, "ana"))
    assert len(set(states)) == 4 and state_of(vault, "ana") == states[-1]


def test_damaged_decisions_say_nothing(tmp_path: Path) -> None:
    Vault(tmp_path).decisions.write_text("{\n{\n")
    assert said_of(Vault(tmp_path), "ana") is None
