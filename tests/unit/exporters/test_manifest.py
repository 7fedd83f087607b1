"""What a package says of the use of its pictures follows from the consent that was recorded."""

from __future__ import annotations

import pytest

from twinloop.domain.vault import NOT_RECORDED, Consent
from twinloop.exporters.manifest import readme, use_of_faces


@pytest.mark.parametrize("consent", [NOT_RECORDED, Consent("self", "Ana"), Consent("written"), Consent("licence")])
def test_faces_of_people_are_biometric_data(consent: Consent) -> None:
    assert use_of_faces(consent.text).startswith("Faces are biometric data")
    assert b"Faces are biometric data" in readme("Face sheet", [], [], [], consent.text)


@pytest.mark.parametrize("consent", [Consent("fictional"), Consent("fictional", "Ana", "2024-05-06", "a comic")])
def test_nobody_has_agreed_to_pictures_of_a_fictional_character(consent: Consent) -> None:
    text = readme("Face sheet", [], [], [], consent.text).decode()
    assert "biometric" not in text and "agreed" not in text and "a fictional character, as recorded" in text
