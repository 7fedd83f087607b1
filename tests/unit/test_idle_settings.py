"""Fields of a configuration that do nothing are told once, by name, and others are not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional import loops
from twinloop.wiring import build_makers

FLUX, SDXL, KONTEXT = "some/FLUX.1-dev", "some/sdxl", "some/FLUX.1-Kontext-dev"
V_BASE = {"base_prediction": "v_prediction", "zero_terminal_snr": True}


@pytest.mark.parametrize(
    ("base", "changes", "said"),
    [
        (
            FLUX,
            {"training": {"min_snr_gamma": 5, "noise_offset": 0.1}},
            "training.min_snr_gamma and training.noise_offset do nothing here: models of the family 'flux' are flow",
        ),
        (FLUX, {"training": {"min_snr_gamma": 0}}, ""),
        (SDXL, {"training": {"min_snr_gamma": 5, "noise_offset": 0.1}}, ""),
        (SDXL, {"training": {"noise_offset": 0.1}, **V_BASE}, "training.noise_offset does nothing here: with zero"),
        (SDXL, {"training": {"noise_offset": 0}, **V_BASE}, ""),
        (
            SDXL,
            {"generation": {"strength": 0.4}},
            "generation.strength does nothing here: no image starts from a photo",
        ),
        (SDXL, {"generation": {"strength": 0.6}}, ""),
        (SDXL, {"generation": {"strength": 0.4, "from_photos": 0.5}}, ""),
        (KONTEXT, {"generation": {"references": 1}}, "generation.references does nothing here: no image starts"),
        (SDXL, {"generation": {"face_detail_below": 0.2}}, "generation.face_detail_below does nothing here"),
        (SDXL, {"generation": {"face_detail_below": 0.2, "face_detail": 0.4}}, ""),
        (
            SDXL,
            {"generation": {"early_reject": 0.9, "num_inference_steps": 4}},
            "generation.early_reject does nothing here: no step is left after 0.9 of 4",
        ),
        (SDXL, {"generation": {"early_reject": 0.5, "num_inference_steps": 4}}, ""),
        (
            SDXL,
            {"generation": {"guidance_rescale": 0.7, "guidance_scale": 1}},
            "generation.guidance_rescale does nothing here: it goes with classifier-free guidance",
        ),
        (SDXL, {"generation": {"guidance_rescale": 0.7, "guidance_scale": 5}}, ""),
        (
            SDXL,
            {"generation": {"timestep_spacing": "trailing", "scheduler": "dpmpp_2m_karras"}},
            "generation.timestep_spacing does nothing here: 'dpmpp_2m_karras' spreads its steps its own way",
        ),
        (SDXL, {"generation": {"timestep_spacing": "trailing", "scheduler": "euler"}}, ""),
    ],
)
def test_what_does_nothing_is_said_by_name(base: str, changes: dict[str, Any], said: str) -> None:
    made = build_makers(loops.settings(base_model=base, **{"training": {}, **changes}))
    assert said in made.notice and ("nothing here" in made.notice) == bool(said)
    assert said == "" or said not in made.drawing_notice, "twinloop generate tells its own flags"


def test_a_strength_that_no_editing_model_knows_is_said_once() -> None:
    told = build_makers(loops.settings(base_model=KONTEXT, training={}, generation={"strength": 0.4})).notice
    assert told.count("generation.strength does nothing here") == 1
