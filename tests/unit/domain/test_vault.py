"""How a person is called, in texts and on the disk."""

from __future__ import annotations

from twinloop.domain.vault import Person


def test_a_person_is_called_by_id_and_name() -> None:
    named, nameless = Person("p001", "alice", ()), Person("p002", None, ())
    assert (named.called, nameless.called) == ("p001 (alice)", "p002")
    assert (named.folder_name, nameless.folder_name) == ("alice", "p002")
