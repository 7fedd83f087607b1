"""Training sets that `prep` would make otherwise now."""

from __future__ import annotations

from pathlib import Path

from tests.unit.stages.vault.dataset.preparing import LABEL, prepare
from tests.unit.stages.vault.makers import fake_vault
from twinloop.stages.vault.dataset.label import label_json
from twinloop.stages.vault.dataset.outdated import outdated
from twinloop.stages.vault.people.edits import assign_pictures, reject_faces


def test_each_set_is_told_by_its_place_until_it_is_prepared(tmp_path: Path) -> None:
    mine = tmp_path / "my set"
    with fake_vault(tmp_path, 5) as (opened, person):
        opened.decisions.add("name", {"person": person.id, "name": person.name})
        opened.decisions.add("label", label_json(LABEL))
        prepare(opened, person)
        prepare(opened, person, output=mine)
        assert outdated(opened) == {}
        now = reject_faces(opened, person.id, person.faces[:2]).people.persons[0]
        found = outdated(opened)
        assert [(name, one.pictures, one.label) for name, one in found.items()] == [
            ("alice", 2, False), (str(mine), 2, False),
        ]  # fmt: skip
        assert outdated(opened, {person.id}) == found and outdated(opened, {"p999"}) == {}
        assert found[str(mine)].arguments == f"prep p001 --output '{mine}'"
        prepare(opened, now)
        assert outdated(opened).keys() == {str(mine)}
        now = assign_pictures(opened, person.id, [Path(f"IMG_000{n}.png") for n in range(5)]).people.persons[0]
        assert outdated(opened)["alice"].text == "2 pictures", "the rejected ones come again, as whole pictures"
        prepare(opened, now)
        opened.decisions.add("name", {"person": person.id, "name": "bea"})
        assert outdated(opened)["alice"].text == "the label"


def test_a_photo_that_could_not_be_read_is_no_news(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 5) as (opened, person):
        (tmp_path / "photos/IMG_0001.png").write_bytes(b"no picture any more")
        assert len(prepare(opened, person).files) == 4
        assert outdated(opened) == {}


def test_a_picture_of_another_face_than_the_persons_is_one_to_cut_anew(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 5) as (opened, person):
        found = prepare(opened, person)
        record = found.folder / "person.json"
        face = found.to_json()["pictures"][0]
        text = record.read_text()
        box = str(face["source"]["face"][0])
        assert box in text
        record.write_text(text.replace(box, "0.97", 1))
        assert outdated(opened)["alice"].pictures == 1
