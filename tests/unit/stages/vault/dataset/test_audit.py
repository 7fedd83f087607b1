"""What is in nearly every caption is told, with what to do."""

from __future__ import annotations

from twinloop.facets import BUILTIN
from twinloop.stages.vault.dataset.audit import FEWEST, audit

HEAD = "ohwx alice woman"


def captions(count: int, *always: str, sometimes: str = "") -> list[str]:
    return [
        ", ".join([HEAD, *always, *([sometimes] if number % 2 else []), f"word{'abcdefghijklmnopqrstuvwxyz'[number]}"])
        for number in range(count)
    ]


def test_glasses_in_most_captions_will_fuse_with_the_trigger() -> None:
    texts = [*captions(23, "glasses"), *captions(2)]
    (found,) = audit(texts, HEAD, BUILTIN)
    assert (found.words, found.count, found.of, found.facet) == ("glasses", 23, 25, "")
    assert found.text.startswith("'glasses' in 92 % of captions (23 of 25): it will fuse with the trigger.")
    assert "Add photos without it" in found.advice


def test_words_of_a_facet_are_told_together_and_with_the_others() -> None:
    (found,) = audit(captions(10, "front view", "facing the camera", sometimes="smiling"), HEAD, BUILTIN)
    assert (found.words, found.facet) == ("front view, facing the camera", "face_angle")
    assert "three-quarter, profile" in found.advice


def test_words_of_two_facets_get_the_advice_of_both() -> None:
    always = ("head and shoulders portrait", "low-key lighting", "dark", "moody")
    (found,) = audit(captions(10, *always, sometimes="smiling"), HEAD, BUILTIN)
    assert found.facet == "framing, lighting"
    assert "another framing: close-up, half body, full body." in found.advice
    assert "another lighting: normal, high key." in found.advice


def test_of_what_may_hold_together_the_opposite_is_asked_for() -> None:
    (found,) = audit(captions(10, "eyes open"), HEAD, BUILTIN)
    assert (found.facet, found.advice) == ("composition", "Add photos without it.")


def test_a_word_that_all_values_of_a_facet_have_is_no_finding() -> None:
    texts = [f"{HEAD}, {('soft even' if number % 2 else 'low-key')} lighting" for number in range(20)]
    assert audit(texts, HEAD, BUILTIN) == ()


def test_a_word_inside_sentences_is_found_too() -> None:
    texts = [
        f"{HEAD}, {verb} with glasses {place}"
        for verb, place in zip(
            ["sitting", "standing", "running", "jumping", "resting", "reading", "eating", "talking"],
            "abcdefgh",
            strict=True,
        )
    ]
    assert [item.words for item in audit(texts, HEAD, BUILTIN)] == ["glasses"]


def test_the_trigger_and_what_varies_are_no_finding() -> None:
    assert audit(captions(20, sometimes="glasses"), HEAD, BUILTIN) == ()
    assert audit([text.replace(HEAD, "ohwx alice, woman") for text in captions(20)], "ohwx alice, woman", BUILTIN) == ()


def test_of_few_captions_nothing_is_said() -> None:
    assert audit(captions(FEWEST - 1, "glasses"), HEAD, BUILTIN) == ()
    assert audit(captions(FEWEST, "glasses"), HEAD, BUILTIN)
