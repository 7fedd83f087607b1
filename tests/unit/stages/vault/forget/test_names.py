"""Names of forgotten people are told by their hashes only."""

from __future__ import annotations

from pathlib import Path

from twinloop.stages.vault.forget.names import ForgottenNames
from twinloop.store.vault.decisions import DecisionLog


def test_a_forgotten_name_is_known_however_it_is_spelled_and_written_nowhere(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "decisions.jsonl")
    assert not ForgottenNames(log).has("Zo\u00eb") and ForgottenNames(log).to_json(()) == {}
    for names in (["zoe\u0308", "z"], ["ben"]):
        log.add("forget", {"person": "p001", "faces": [], "kept": True, **ForgottenNames(log).to_json(names)})
    log.add("forget", {"person": "p002", "faces": [], "kept": True})
    known = ForgottenNames(log)
    assert all(map(known.has, ("ZO\u00cb", "zoe\u0308", "z", "Ben"))) and not known.has("Zoe")
    assert b"ben" not in (tmp_path / "decisions.jsonl").read_bytes()
    salts = {made.data["names"]["salt"] for made in log.active() if "names" in made.data}
    assert len(salts) == 1 and len(salts.pop()) == 32
    log.undo()
    log.undo()
    assert not ForgottenNames(log).has("Ben") and ForgottenNames(log).has("z")
