"""Captioners' words beside the template: identity goes, the measured angle stays, the length is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain.captions import Description
from twinloop.stages.vault.dataset.describe import IDENTITY_TAG, MOST_WORDS, merged

TEMPLATE = "ohwx alice woman, close-up portrait, front view, facing the camera, smiling"
TAGS = st.lists(
    st.sampled_from(
        ("blonde hair", "blue eyes", "glasses", "from side", "smile", "red shirt", "1girl", "long wavy hair", "park")
    ),
    max_size=80,
)


@given(TAGS, st.booleans())
def test_the_template_stands_first_and_whole_and_the_length_is_kept(tags: list[str], measured: bool) -> None:
    full = merged(TEMPLATE, Description(tags=tuple(tags)), angle_measured=measured)
    assert full.startswith(TEMPLATE) and len(full.split()) <= MOST_WORDS
    assert not {"blonde hair", "blue eyes", "1girl", "long wavy hair"} & set(full.split(", "))


@pytest.mark.parametrize(
    "tag",
    [
        "blonde hair",
        "long hair",
        "blue eyes",
        "1girl",
        "solo",
        "freckles",
        "old man",
        "dark skin",
        "mole under eye",
        "multiple girls",
        "asian",
        "2boys",
        "very long straight black hair",
    ],
)
def test_identity_is_left_out(tag: str) -> None:
    if tag == "multiple girls":
        assert IDENTITY_TAG.fullmatch(tag) is None  # how many there are is not who she is
    else:
        assert merged("ohwx", Description(tags=(tag,)), angle_measured=True) == "ohwx"


@pytest.mark.parametrize(
    "tag", ["glasses", "hair ornament", "hair bun", "red shirt", "closed eyes", "beard", "hat", "white background"]
)
def test_what_can_be_put_on_or_off_stays(tag: str) -> None:
    assert merged("ohwx", Description(tags=(tag,)), angle_measured=True) == f"ohwx, {tag}"


def test_the_angle_is_the_measured_one() -> None:
    said = Description(tags=("from side", "profile", "hat"))
    assert merged(TEMPLATE, said, angle_measured=True) == f"{TEMPLATE}, hat"
    assert merged("ohwx", said, angle_measured=False) == "ohwx, from side, profile, hat"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a woman with blonde hair and blue eyes smiling at the camera", "smiling at the camera"),
        (
            "A photo of a young asian woman with long black hair wearing glasses, standing in front of a tree.",
            "wearing glasses, standing in front of a tree",
        ),
        (
            "The image shows a man sitting on a bench. He has short brown hair and a beard.",
            "sitting on a bench, a beard",
        ),
        ("a close up of a person with a beard and blue eyes", "with a beard"),
        ("", ""),
    ],
)
def test_sentences_lose_their_subject_and_identity(text: str, left: str) -> None:
    assert merged("ohwx", Description(text), angle_measured=True) == (f"ohwx, {left}" if left else "ohwx")


def test_nothing_is_said_twice() -> None:
    assert (
        merged(TEMPLATE, Description(tags=("smile", "Smiling", "close-up", "hat", "hat")), angle_measured=True)
        == f"{TEMPLATE}, hat"
    )
