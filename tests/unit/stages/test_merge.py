"""The real photos always stay; what was made is capped in number and weight."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import dataset, gap, judged, member, observation, photo
from twinloop.domain.records import Dataset
from twinloop.facets import BUILTIN
from twinloop.stages.merge import MergeLimits, first_dataset, merge, weighted
from twinloop.stages.validate import Judged
from twinloop.store.pictures.dataset_folders import read_folders

LIMITS = MergeLimits()


def merged(
    before: Dataset,
    items: list[Judged],
    gaps: list[object] | None = None,
    iteration: int = 1,
    limits: MergeLimits = LIMITS,
) -> tuple[Dataset, list[str]]:
    wanted = gaps if gaps is not None else [gap(count=1000)]
    after, joined = merge(before, items, wanted, BUILTIN, "ohwx ana", "prose", iteration, limits)  # type: ignore[arg-type]
    return after, [item.asked.path.name for item in joined]


def images(count: int, start: int = 0) -> list[Judged]:
    return [judged(f"made_{n:03d}.png", quality=0.5 + 0.001 * n) for n in range(start, start + count)]


@given(real=st.integers(1, 60), rounds=st.lists(st.integers(0, 60), min_size=1, max_size=4))
def test_caps_hold_whatever_is_offered(real: int, rounds: list[int]) -> None:
    """Over several rounds: synthetic <= 50 % of images, real weight >= 1.3 x synthetic weight, no real photo lost or
    changed.
    """
    current = dataset(real)
    start = 0
    for number, count in enumerate(rounds, 1):
        current, _ = merged(current, images(count, start), iteration=number)
        start += count
        made, photos = current.synthetic, current.real
        assert len(made) <= len(photos)
        assert sum(m.weight for m in photos) >= 1.3 * sum(m.weight for m in made) - 1e-9
        assert photos == dataset(real).members
        assert all(0 <= m.weight <= 1 for m in made)


@given(real=st.integers(1, 20), made=st.integers(0, 40))
def test_a_folder_merged_by_hand_keeps_the_same_caps(real: int, made: int) -> None:
    """Copied into the folder by the user, synthetic images still are at most half, and weigh less than the photos."""
    photos = [photo(f"p{n}") for n in range(real)] + [photo(f"s{n}", origin="synthetic") for n in range(made)]
    found = first_dataset(photos, BUILTIN, "ohwx ana", "prose", LIMITS)
    assert len(found.real) == real and all(m.weight == 1.0 for m in found.real)
    assert len(found.synthetic) == min(real, made)
    total = sum(m.weight for m in found.synthetic)
    assert total <= real / 1.3 + 1e-9 and (total > 0) == (made > 0)


def test_older_rounds_decay() -> None:
    aged = weighted(dataset(100, made=[1, 2, 3]), 3, LIMITS)
    assert [m.weight for m in aged.synthetic] == pytest.approx([0.49, 0.7, 1.0])


@given(real=st.integers(1, 20), made=st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_scaling_down_keeps_the_proportions(real: int, made: list[int]) -> None:
    after = weighted(dataset(real, made), 5, LIMITS).synthetic
    scale = after[0].weight / 0.7 ** (5 - made[0])
    assert [m.weight for m in after] == pytest.approx([scale * 0.7 ** (5 - age) for age in made])
    assert weighted(Dataset((*dataset(real).members, *after)), 5, LIMITS).synthetic == after, (
        "weighing twice changes nothing"
    )


def test_weights_follow_the_settings() -> None:
    after = weighted(dataset(4, made=[1, 1, 1, 1]), 1, MergeLimits(ratio=2.0))
    assert sum(m.weight for m in after.synthetic) == pytest.approx(2.0)


def test_the_best_join_first_and_no_more_than_the_gap_needs() -> None:
    after, names = merged(dataset(20), images(6), [gap(count=2)])
    assert names == ["made_004.png", "made_005.png"]
    assert len(after.synthetic) == 2


def test_each_gap_has_its_own_quota_and_other_targets_none() -> None:
    items = [
        *images(3),
        judged("smile.png", facet="expression", value="smile"),
        judged("rain.png", facet="weather", value="rain"),
    ]
    _, names = merged(dataset(20), items, [gap(count=1), gap("expression", "smile", 5)])
    assert names == ["made_002.png", "smile.png"]


def test_the_share_is_counted_over_all_rounds() -> None:
    _, names = merged(dataset(10, made=[1] * 7), images(9), iteration=2)
    assert len(names) == 3
    _, names = merged(dataset(10, made=[1] * 12), images(9), iteration=2)
    assert names == []
    _, names = merged(dataset(10), images(9), limits=MergeLimits(max_share=0.2))
    assert len(names) == 2


def test_the_order_of_the_verdicts_does_not_matter() -> None:
    items = [judged(f"{n}.png", quality=0.5) for n in range(8)]
    forward, _ = merged(dataset(20), items, [gap(count=3)])
    backward, _ = merged(dataset(20), items[::-1], [gap(count=3)])
    assert forward == backward


def test_new_members_say_where_they_come_from_and_what_they_show() -> None:
    after, _ = merged(dataset(5), [judged("made.png", faces=[])], [gap(count=1)], iteration=3)
    (made,) = after.synthetic
    assert (made.origin, made.round, Path(made.path).name) == ("synthetic", 3, "made.png")
    assert made.caption.startswith("ohwx ana")


def test_nothing_new_is_the_same_dataset() -> None:
    before = dataset(7)
    after, names = merged(before, [])
    assert (after.id, names) == (before.id, [])


def test_the_first_dataset_holds_out_and_marks() -> None:
    photos = [photo("a.jpg"), photo("b.jpg"), photo("made.png", observation("made.png", origin="synthetic"))]
    first = first_dataset(photos, BUILTIN, "ohwx ana", "prose", LIMITS, frozenset({observation("b.jpg").sha256}))
    assert [(Path(m.path).name, m.origin, m.weight) for m in first.members] == [
        ("a.jpg", "real", 1.0), ("b.jpg", "real", 0.0), ("made.png", "synthetic", pytest.approx(1 / 1.3))
    ]  # fmt: skip


def test_made_images_that_were_there_before_round_one_fade_as_those_of_the_rounds_do() -> None:
    start = Dataset((*dataset(10).members, member("found", "synthetic", 0, 1.0)))
    after, _ = merged(start, images(3))
    weights = {m.path: m.weight for m in after.synthetic}
    assert weights.pop("found.png") == pytest.approx(0.7) and set(weights.values()) == {1.0}


def test_a_caption_beside_the_photo_wins_over_the_measured_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("in a park\nanother variant\n")
    (tmp_path / "b.txt").write_text("ohwx ana asleep")
    photos = [photo(str(tmp_path / name)) for name in ("a.png", "b.png", "c.png")]
    texts = [member.caption for member in first_dataset(photos, BUILTIN, "ohwx ana", "prose", LIMITS).members]
    assert texts[:2] == ["ohwx ana, in a park", "ohwx ana asleep"]
    assert texts[2].startswith("ohwx ana, ") and "front view" in texts[2]


def test_the_folder_tells_weight_and_caption_of_what_has_none_beside_it(tmp_path: Path) -> None:
    names = ("10_ohwx woman/a.png", "10_ohwx woman/b.png", "4_hat/c.png", "4_hat/held.png")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "10_ohwx woman/a.txt").write_text("in a park")
    photos = [photo(str(tmp_path / name)) for name in names]
    made = first_dataset(
        photos, BUILTIN, "ohwx ana", "prose", LIMITS, frozenset({photos[3].seen.sha256}), folders=read_folders(tmp_path)
    )
    assert [(one.caption, one.weight) for one in made.members] == [
        ("ohwx ana, in a park", 1.0),
        ("ohwx ana, ohwx woman", 1.0),
        ("ohwx ana, hat", 0.4),
        ("ohwx ana, hat", 0.0),
    ]


def test_by_hand_made_images_are_of_the_first_round_as_they_were_always() -> None:
    """The round is part of a dataset's identity, by which a trained LoRA knows its photos again."""
    photos = [photo("a.jpg"), photo("made.png", observation("made.png", origin="synthetic"))]
    by_hand = first_dataset(photos, BUILTIN, "ohwx ana", "prose", LIMITS, made_in=1)
    assert [(m.round, m.weight) for m in by_hand.members] == [(0, 1.0), (1, pytest.approx(1 / 1.3))]
