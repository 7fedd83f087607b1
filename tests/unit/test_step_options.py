"""What the settings say to each stage."""

from __future__ import annotations

from dataclasses import replace

from tests.functional import loops
from tests.unit.things import face, observation, reference_of, unit_vector
from twinloop.adapters.fakes import fake_pack
from twinloop.domain.likeness import USUAL
from twinloop.facets import BUILTIN
from twinloop.stages import decide
from twinloop.stages.observe import Observer
from twinloop.stages.select import Reading
from twinloop.stages.selection_rules import READABLE_ONLY, UNMEASURED, blurred
from twinloop.steps import stage_options


def test_every_stop_rule_has_its_settings() -> None:
    stop = {"patience": 4, "approval_rate": 0.8, "approval_rounds": 3, "drift_rounds": 6}
    chosen = loops.settings(convergence_threshold=0.03, max_iterations=7, stop=stop)
    assert stage_options.stop_rules(chosen) == (
        decide.NothingApproved(),
        decide.Drifting(6),
        decide.HighApproval(0.8, 3),
        decide.SmallImprovement(0.03, 4),
        decide.Budget(7),
    )


def test_the_limit_of_sharpness_is_named_or_the_packs() -> None:
    usual = Observer(fake_pack(), BUILTIN)
    soft = Observer(replace(fake_pack(), least_sharpness=0.05), BUILTIN)
    named = loops.settings(validation={"sharpness_share": 0.2})
    assert [stage_options.limits_of(named, one, None).sharpness_share for one in (usual, soft)] == [0.2, 0.2]
    assert [stage_options.limits_of(loops.settings(), one, None).sharpness_share for one in (usual, soft)] == [
        0.3,
        0.05,
    ]


def test_the_limit_of_face_quality_is_named_or_the_packs_or_learned() -> None:
    observer = Observer(fake_pack(), BUILTIN)
    unknown = Observer(replace(fake_pack(), least_face_quality=None), BUILTIN)
    seen = [
        observation(n, faces=[face(embedding=unit_vector(1))], measures={"face_quality": 0.5 + n / 100})
        for n in range(6)
    ]
    reference = reference_of(seen, "r")
    named = loops.settings(validation={"min_face_quality": 0.55})
    for one in (observer, unknown):
        assert stage_options.limits_of(named, one, reference).min_face_quality == 0.55
        assert stage_options.limits_of(named, one, reference).real_face_quality == {}
    assert stage_options.limits_of(loops.settings(), observer, reference).min_face_quality == 0.4
    learned = stage_options.limits_of(loops.settings(), unknown, reference)
    assert learned.min_face_quality is None and learned.real_face_quality == {"front": (0.475, 0.525)}
    blind = stage_options.limits_of(loops.settings(), unknown, None)
    assert blind.min_face_quality is None and blind.real_face_quality == {}


def test_the_record_of_a_lora_names_what_its_base_was_told_to_be() -> None:
    told = {"base_prediction": "v_prediction", "zero_terminal_snr": False}
    assert told.items() <= stage_options.trained_with(loops.settings(**told)).items()
    assert not told.keys() & stage_options.trained_with(loops.settings()).keys()


def test_a_folder_is_read_as_the_settings_say_with_detectors_and_without() -> None:
    plain = loops.settings()
    drawn = loops.settings(subject="character", training={"prior_images": "others", "masks": "masks"})
    every = loops.settings(analysis={"keep_all": True})
    assert stage_options.reading(plain, None) == Reading(UNMEASURED, False, None, None)
    assert stage_options.reading(drawn, None) == Reading(UNMEASURED, True, "others", "masks")
    assert blurred in stage_options.reading(plain, USUAL).rules and blurred in stage_options.reading(drawn, USUAL).rules
    assert stage_options.reading(every, USUAL).rules == stage_options.reading(every, None).rules == READABLE_ONLY
