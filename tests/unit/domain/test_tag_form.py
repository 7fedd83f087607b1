"""Captions of the user's own against the form of tags."""

from __future__ import annotations

import pytest

from twinloop.domain.tag_form import NO_COMMAS, other_than_tags


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("blue_hair, smile", {"underscores": "blue_hair"}),
        ("hatsune_miku_(cosplay), blue_eyes", {"underscores": "hatsune_miku_(cosplay)"}),
        (r"hatsune miku \(cosplay\)", {"escaped brackets": r"hatsune miku \(cosplay\)"}),
        ("score_9, score_8_up, rating_safe, smile", {"scores or ratings": "score_9"}),
        ("rating:safe", {"scores or ratings": "rating:safe"}),
        ("(smile:1.2), hat", {"weights": "(smile:1.2)"}),
        ("1girl blue hair smile", {NO_COMMAS: "1girl blue hair smile"}),
        ("chibi", {}),
        ("looking at viewer", {}),
        ("o_o, ^_^, >_<, @_@, blue hair, fate (series), :d, 1:1", {}),
        ("", {}),
    ],
)
def test_what_is_no_tag_is_named_with_an_example(caption: str, found: dict[str, str]) -> None:
    assert other_than_tags(f"ohwx_miku, 1girl, {caption}", "ohwx_miku, 1girl") == found
