"""Settings become makers: presets, numbers of the user's, notices."""

from __future__ import annotations

import gc
import hashlib
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.helpers.external_trainers import ai_toolkit
from tests.unit.loras.makers import adapter, saved
from tests.unit.things import Recording
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.fakes import FakeTrainer
from twinloop.config import Settings
from twinloop.domain.forecast import Forecast, MemoryPlan
from twinloop.errors import InputError, MissingExtra
from twinloop.families import FAMILIES, preset_for
from twinloop.families.predictions import Asked
from twinloop.loras.lora import Dialect
from twinloop.ports import FREE_SETTINGS, TrainingSettings, TrainingSize
from twinloop.stages.words import Around
from twinloop.store.atomic import sha256_file
from twinloop.wiring import (
    base_family,
    base_model_path,
    build_makers,
    build_observer,
    build_toolbox,
    check_config,
    chosen_facets,
    device_name,
    lora_remarks,
    with_extra,
)
from twinloop.wiring import makers as makers_module
from twinloop.wiring.extras import check_extras
from twinloop.wiring.kits import chosen_base
from twinloop.wiring.obstacles import obstacles
from twinloop.wiring.options import training_settings


class Foretold(FakeTrainer):
    """Says what such a training takes, and keeps what it was asked."""

    def __init__(self, said: Forecast | None) -> None:
        self._said, self.asked = said, list[TrainingSize]()

    def forecast(self, settings: TrainingSettings, size: TrainingSize) -> Forecast | None:
        self.asked.append(size)
        return self._said


def settings(**changes: Any) -> Settings:
    return loops.settings(**changes)


@pytest.mark.parametrize(
    ("base", "preset"),
    [
        ("nano", "nano"),
        ("cagliostrolab/animagine-xl-3.1", "animagine"),
        ("models/Illustrious-v1", "illustrious"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
    ],
)
def test_the_preset_that_suits_a_base(base: str, preset: str) -> None:
    assert preset_for(base) == preset
    makers = build_makers(settings(base_model=base, training={}))
    assert makers.training(10).preset == preset
    assert makers.voice.style == {"animagine": "tags", "illustrious": "tags", "nano": "full"}.get(preset, "prose")
    assert makers.base_model == base
    assert makers.training(10).shuffle_captions is (makers.voice.style == "tags")


def test_the_words_round_prompts_are_the_users_over_the_presets() -> None:
    animagine, asked = "cagliostrolab/animagine-xl-3.1", {"prompt_prefix": "sepia", "negative_prompt": "hat"}
    woman = {"preset": "animagine", "class_word": "woman"}
    around = build_makers(settings(base_model=animagine, training=woman)).voice.around
    assert around == Around(None, "masterpiece, best quality, very aesthetic, absurdres", None, "woman")
    mine = build_makers(
        settings(base_model=animagine, training={}, generation={**asked, "prompt_suffix": ""})
    ).voice.around
    assert (mine.prefix, mine.suffix, mine.negative) == ("sepia", "", "hat")
    # the quality words of a preset are tags: they do not go with sentences
    prose = settings(base_model=animagine, training={}, generation={"prompt_style": "prose"})
    assert build_makers(prose).voice.around.suffix is None
    drawn = build_makers(settings(base_model="mine", training={"preset": "anima"})).voice.around
    assert (drawn.prefix, drawn.suffix) == ("masterpiece, best quality, score_7, safe", "")
    assert drawn.negative is not None and "score_1, score_2, score_3" in drawn.negative
    kept = build_makers(settings(base_model=animagine, training={"shuffle_captions": False})).training(10)
    assert kept.shuffle_captions is False


def test_the_users_numbers_go_over_the_presets() -> None:
    makers = build_makers(
        settings(
            base_model="nano",
            generation={"num_inference_steps": 7, "guidance_scale": 0.0, "width": 128},
            training={"rank": 3, "steps": 11},
        )
    )
    assert (makers.generation.steps, makers.generation.guidance, makers.generation.width, makers.generation.height) == (
        7,
        0.0,
        128,
        256,
    )
    training = makers.training(40)
    assert (training.rank, training.steps, training.batch_size) == (3, 11, 8)


def test_epochs_become_steps_by_the_number_of_images() -> None:
    makers = build_makers(settings(base_model="some/sdxl", training={"epochs": 2, "batch_size": 4}))
    assert makers.training(10).steps == 2 * 10 * 10 / 4
    assert makers.training(11).steps == 55


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ({"epochs": 10}, 5000),
        ({"epochs": 10, "repeats": 2}, 1000),
        ({"epochs": 10, "max_train_steps": 1800}, 1800),
        ({"epochs": 10, "repeats": 1, "max_train_steps": 1800}, 500),
        ({}, 1500),
    ],
)
def test_repeats_and_a_cap_on_what_epochs_ask_for(asked: dict[str, int], steps: int) -> None:
    makers = build_makers(settings(base_model="some/sdxl", training=asked))
    assert makers.training(100).steps == steps and makers.usual_steps == 1500


def test_a_training_validates_as_usual_unless_another_program_trains() -> None:
    def every(**asked: Any) -> int | None:
        return build_makers(settings(base_model="some/sdxl", training=asked)).training(100).validate_every

    assert (every(), every(epochs=10), every(validate_every=0)) == (None, None, 0)
    assert every(validate_every=42) == 42 and every(trainer="kohya") == 0


def test_min_snr_is_off_on_a_v_base_with_zero_terminal_snr_unless_it_is_asked_for() -> None:
    def gamma(base: str = "some/sdxl", **changes: Any) -> float:
        return build_makers(settings(base_model=base, **{"training": {}, **changes})).training(10).min_snr_gamma

    told = {"base_prediction": "v_prediction", "zero_terminal_snr": True}
    assert gamma() == gamma(base_prediction="v_prediction") == 5.0
    assert gamma(**told) == 0.0 and gamma(**told, training={"min_snr_gamma": 1.0}) == 1.0
    assert gamma("stabilityai/stable-diffusion-v1-5", **told) == 0.0


def test_debiased_estimation_takes_the_place_of_min_snr_unless_both_are_asked_for() -> None:
    def gamma(**training: Any) -> float:
        return build_makers(settings(base_model="some/sdxl", training=training)).training(10).min_snr_gamma

    assert gamma() == 5.0 and gamma(debiased_estimation_loss=True) == 0.0
    assert gamma(debiased_estimation_loss=True, min_snr_gamma=1.0) == 1.0


@pytest.mark.parametrize(
    ("base", "asked", "says"),
    [
        ("some/sdxl", {"zero_terminal_snr": True}, 'add "base_prediction": "v_prediction"'),
        ("Tongyi-MAI/Z-Image", {"base_prediction": "v_prediction"}, "family 'zimage' are flow models"),
        ("Tongyi-MAI/Z-Image", {"generation": {"guidance_rescale": 0.7}}, "guidance_rescale: ZImagePipeline"),
        ("Tongyi-MAI/Z-Image", {"generation": {"timestep_spacing": "trailing"}}, "'zimage', which are flow models"),
        ("some/sdxl", {"generation": {"scheduler": "lcm", "num_inference_steps": 60}}, "'lcm' takes 50 steps"),
        ("some/sdxl", {"clip_skip": 2}, "always read from the last layer but one, here as in sd-scripts"),
        ("Tongyi-MAI/Z-Image", {"clip_skip": 2}, "clip_skip: 2 is for SD 1.5"),
        ("some/flux", {"training": {"ip_noise_gamma": 0.1}}, "ip_noise_gamma is for models that predict epsilon or v"),
    ],
)
def test_what_a_base_cannot_be_is_said_before_anything_starts(base: str, asked: dict[str, Any], says: str) -> None:
    chosen = settings(base_model=base, **{"training": {}, **asked})
    assert any(says in str(error) for error in obstacles(chosen, build_makers(chosen)))


def test_zit_is_animagine_and_says_so() -> None:
    makers = build_makers(settings(base_model="some/model", training={"preset": "ZIT"}))
    assert makers.training(1).preset == "animagine"
    assert "Z-Image" in makers.notice
    assert build_makers(settings(base_model="some/model", training={})).notice == ""


def test_a_model_that_edits_knows_no_strength_and_says_so_where_one_is_given() -> None:
    base: dict[str, Any] = {"base_model": "some/model", "training": {"preset": "flux-kontext"}}
    given = build_makers(settings(**base, generation={"strength": 0.4}))
    assert given.generation.strength == 0 and "generation.strength does nothing" in given.notice
    assert "strength" not in build_makers(settings(**base)).notice
    assert (
        build_makers(settings(base_model="some/sdxl", training={}, generation={"strength": 0.4})).generation.strength
        == 0.4
    )


@pytest.mark.parametrize("base", ["some/FLUX.1-Kontext-dev", "Qwen/Qwen-Image-Edit", "Qwen/Qwen-Image-Edit-2509"])
def test_a_model_that_edits_asks_for_photos_only_where_none_is_given(base: str) -> None:
    told = [
        build_makers(settings(base_model=base, training={}, generation={"from_photos": share})).notice
        for share in (0.0, 0.5)
    ]
    assert "set generation.from_photos above 0" in told[0] and "from_photos" not in told[1]


@pytest.mark.parametrize(
    ("base", "guidance", "reads", "distilled"),
    [
        ("some/sdxl", None, True, False),
        ("some/sdxl", 1.0, False, False),
        ("some/FLUX.1-dev", None, False, True),
        ("some/FLUX.1-Kontext-dev", None, False, True),
        ("black-forest-labs/FLUX.2-dev", None, False, True),
        ("black-forest-labs/FLUX.2-klein-4B", None, False, False),
        ("Tongyi-MAI/Z-Image-Turbo", None, False, False),
        ("Tongyi-MAI/Z-Image", 1.0, True, False),
    ],
)
def test_a_negative_prompt_that_nobody_reads_is_said(
    base: str, guidance: float | None, reads: bool, distilled: bool
) -> None:
    given: dict[str, Any] = {"base_model": base, "training": {}}
    makers = build_makers(settings(**given, generation={"guidance_scale": guidance, "negative_prompt": "hat"}))
    assert (makers.generation.negative, makers.generation.distilled) == (reads, distilled)
    assert ("generation.negative_prompt does nothing here" in makers.notice) is not reads
    assert "negative" not in build_makers(settings(**given, generation={"guidance_scale": guidance})).notice


def test_a_distilled_model_without_a_preset_of_its_own_is_said() -> None:
    given: dict[str, Any] = {"base_model": "stabilityai/sdxl-turbo", "training": {}}
    assert "(turbo) sdxl-turbo is distilled" in build_makers(settings(**given)).notice
    own = {"num_inference_steps": 1, "guidance_scale": 0.0}
    assert build_makers(settings(**given, generation=own)).notice == ""


@pytest.mark.parametrize(
    "base", ["Tongyi-MAI/Z-Image-Turbo", "black-forest-labs/FLUX.1-schnell", "stabilityai/sdxl-turbo"]
)
def test_a_distilled_model_asks_for_its_training_adapter(base: str) -> None:
    assert "training.assistant_lora" in build_makers(settings(base_model=base, training={})).notice
    assisted = build_makers(settings(base_model=base, training={"assistant_lora": "undistilled.safetensors"})).notice
    program = settings(base_model=base, training={"trainer": "ai-toolkit", "trainer_path": "program"})
    brings = base == "Tongyi-MAI/Z-Image-Turbo"
    assert ("training.assistant_lora" in build_makers(program).notice) is not brings
    assert "LoRA" not in assisted and ("num_inference_steps" in assisted) == (base == "stabilityai/sdxl-turbo")


@pytest.mark.parametrize(
    ("base", "said"),
    [("krea/Krea-2-Turbo", []), ("Tongyi-MAI/Z-Image-Turbo", []), ("stabilityai/sdxl-turbo", ["num_inference_steps"])],
)
def test_who_only_draws_with_a_distilled_model_is_told_nothing_of_training_on_it(base: str, said: list[str]) -> None:
    """As Krea 2's makers advise: a LoRA of Raw is worn on Turbo."""
    chosen = settings(base_model=base, training={})
    made = build_makers(chosen)
    remarks = lora_remarks(chosen, made, [])
    assert "trained on it" in made.notice and not any("trained on it" in remark for remark in remarks)
    assert len(remarks) == len(said) and all(word in remark for word, remark in zip(said, remarks, strict=True))


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown preset 'flux9'.*animagine"):
        build_makers(settings(base_model="some/model", training={"preset": "flux9"}))


def test_the_toolbox_of_the_fakes_takes_the_users_numbers_too() -> None:
    chosen = settings(generation={"width": 96, "height": 96}, training={"steps": 2})
    makers = build_toolbox(chosen, Recording()).makers
    assert (makers.generation.width, makers.training(5).steps, makers.base_model) == (96, 2, "fake")
    assert makers.voice.trigger == chosen.person_trigger
    assert makers.generator() is makers.generator()


def test_a_missing_library_is_one_line() -> None:
    def load() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    with pytest.raises(MissingExtra, match=r'pip install -c constraints\.txt -e "\.\[train\]"'):
        with_extra("Generating images", "train", load)


def test_python_does_not_look_for_garbage_while_libraries_are_imported() -> None:
    assert with_extra("Generating images", "train", gc.isenabled) is False
    assert gc.isenabled()


def test_a_missing_library_is_known_inside_of_other_errors() -> None:
    def load(inner: BaseException) -> None:
        try:
            raise inner
        except (ImportError, ValueError) as error:
            raise RuntimeError("Failed to import diffusers.loaders.peft") from error

    lacking = ModuleNotFoundError("No module named 'accelerate'", name="accelerate")
    with pytest.raises(MissingExtra, match="no module 'accelerate'"):
        with_extra("Training a LoRA", "train", lambda: load(lacking))
    for other in (ModuleNotFoundError("No module named 'theirs'", name="theirs"), ValueError("something else")):
        with pytest.raises(RuntimeError, match="Failed to import"):
            with_extra("Training a LoRA", "train", lambda other=other: load(other))  # type: ignore[misc]


def test_a_folder_of_a_librarys_name_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as training.wandb leaves in the working directory, which is searched first."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(MissingExtra, match="no module 'wandb'"):
        check_extras({"wandb": "training.wandb"})
    (tmp_path / "wandb" / "__init__.py").touch()
    importlib.invalidate_caches()
    check_extras({"wandb": "training.wandb"})


def test_the_time_of_a_training_counts_small_photos_at_their_own_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Forecast(MemoryPlan(2, False, 1 << 33), None, 1 << 30, 1860.0, {})
    chosen = settings(base_model="some/sdxl", training={"preset": "sdxl"})
    kit = replace(makers_module.diffusers_kit(chosen, lambda _: None), trainer=lambda: Foretold(said))
    monkeypatch.setattr(makers_module, "diffusers_kit", lambda *_: kit)
    makers = build_makers(chosen)
    small = makers.forecast(20, sizes=[(352, 352), (200, 300)] * 10)
    assert small is not None and small.seconds == pytest.approx(1860 * (352 * 352 + 192 * 288) / 2 / 1024**2)
    assert "about 3 minutes with the photos at their own sizes" in small.line and small.plan == said.plan
    assert makers.forecast(20) == makers.forecast(20, sizes=[(3000, 4000)]) == said, "not known, and large enough"
    assert "about 31 minutes." in said.line


def test_a_missing_module_of_our_own_is_a_defect() -> None:
    def load() -> None:
        raise ModuleNotFoundError("No module named 'twinloop.gone'", name="twinloop.gone")

    with pytest.raises(ModuleNotFoundError):
        with_extra("Generating images", "train", load)


def test_base_models_and_facets_by_name() -> None:
    assert base_model_path("some/model") == "some/model"
    assert base_model_path("nano").endswith("nano/base")
    facets, _ = chosen_facets((), ("lighting", "face_angle"))
    assert [facet.name for facet in facets] == ["lighting", "face_angle"]
    with pytest.raises(InputError, match="Unknown facet 'mood'"):
        chosen_facets((), ("mood",))


def test_every_option_of_generation_reaches_the_generator() -> None:
    asked = {
        "extra_loras": [{"path": "style.safetensors", "scale": 0.6}],
        "scheduler": "ddim",
        "timestep_spacing": "trailing",
        "offload": "model",
        "vae_tiling": True,
    }
    generation = build_makers(
        settings(base_model="nano", training={}, generation=asked, precision="bfloat16")
    ).generation
    assert generation.extra_loras == (("style.safetensors", 0.6),)
    assert (generation.scheduler, generation.offload, generation.vae_tiling) == ("ddim", "model", True)
    assert generation.timestep_spacing == "trailing"
    assert generation.precision == "bfloat16", "for the record of a folder of images"
    plain = build_makers(settings(base_model="nano", training={})).generation
    assert (plain.extra_loras, plain.scheduler, plain.offload, plain.vae_tiling) == ((), "", "none", None)


def test_which_faces_are_small_is_the_presets_or_the_users_word() -> None:
    assert build_makers(settings(base_model="nano", training={})).small_face == 0.55
    assert build_makers(settings(base_model="some/sdxl", training={})).small_face == 0.36
    own = {"face_detail_below": 0.2}
    assert build_makers(settings(base_model="nano", training={}, generation=own)).small_face == 0.2


def test_where_parts_wait_does_not_make_another_run() -> None:
    assert settings(generation={"num_per_gap": 2, "offload": "model"}).identity_fields() == settings().identity_fields()
    assert (
        settings(generation={"num_per_gap": 2, "scheduler": "ddim"}).identity_fields() != settings().identity_fields()
    )
    assert settings(precision="float32").identity_fields() != settings().identity_fields()


def test_a_plugin_may_bring_a_family() -> None:
    example = Path(__file__).parents[2] / "examples" / "auraflow_family.py"
    try:
        makers = build_makers(
            settings(base_model="fal/AuraFlow-v0.3", training={}, analysis={"plugins": [str(example)]})
        )
        assert makers.training(10).preset == "auraflow" and makers.generation.steps == 50
    finally:
        FAMILIES.pop("auraflow", None)


def test_every_setting_of_the_training_arrives(tmp_path: Path) -> None:
    asked = {
        "optimizer": "adafactor",
        "weight_decay": 0.2,
        "clip_norm": 0.0,
        "schedule": "cosine_restarts",
        "warmup_steps": 0,
        "restarts": 3,
        "gradient_accumulation": 4,
        "gradient_checkpointing": True,
        "blocks_to_swap": 5,
        "memory": 16,
        "ema_decay": 0.9,
        "min_snr_gamma": 1.0,
        "noise_offset": 0.1,
        "debiased_estimation_loss": True,
        "multires_noise_iterations": 6,
        "multires_noise_discount": 0.4,
        "ip_noise_gamma": 0.1,
        "min_timestep": 100,
        "max_timestep": 900,
        "loss": "huber",
        "huber_c": 0.2,
        "huber_schedule": "constant",
        "caption_dropout": 0.0,
        "keep_trigger": False,
        "class_word": "woman",
        "output_preservation": 0.5,
        "prior_weight": 0.3,
        "face_weight": 2.0,
        "flip": True,
        "adapter": "dora",
        "tensorboard": False,
        "wandb": "mine",
    }
    asked["mask_floor"] = 0.2
    training = {**asked, "prior_images": str(tmp_path), "masks": str(tmp_path)}
    made = build_makers(settings(base_model="nano", training=training)).training(10)
    assert {name: getattr(made, name) for name in asked} == asked
    dropouts = {
        "network_dropout": 0.1, "rank_dropout": 0.2, "module_dropout": 0.3, "loraplus_lr_ratio": 4.0,
        "scale_weight_norms": 1.0,
    }  # fmt: skip
    thinned = build_makers(settings(base_model="nano", training=dropouts)).training(10)
    assert {name: getattr(thinned, name) for name in dropouts} == dropouts
    told = {"optimizer": "adamw", "optimizer_args": {"betas": [0, 0.99], "weight_decay": 0.2, "eps": 1e-6}}
    argued = build_makers(settings(base_model="nano", training=told)).training(10)
    assert (argued.weight_decay, argued.optimizer_args) == (0.2, (("betas", (0.0, 0.99)), ("eps", 1e-6)))
    assert made.trigger == "ohwx ana" and made.effective_batch == 32


def test_prodigy_brings_its_own_rate() -> None:
    assert (
        build_makers(settings(base_model="nano", training={"optimizer": "prodigy"})).training(10).learning_rate == 1.0
    )
    own = {"optimizer": "prodigy", "learning_rate": 0.5}
    assert build_makers(settings(base_model="nano", training=own)).training(10).learning_rate == 0.5


def test_optimizers_bring_the_rate_and_the_schedule_that_they_are_made_for() -> None:
    def made(**training: Any) -> TrainingSettings:
        return build_makers(settings(base_model="some/sdxl", training={"steps": 1000, **training})).training(10)

    preset = made()
    assert made(optimizer="lion").learning_rate == preset.learning_rate / 3
    assert made(optimizer="lion", learning_rate=1e-5).learning_rate == 1e-5
    free = made(optimizer="adamw_schedulefree")
    assert (preset.schedule, free.schedule) == ("cosine", "constant")
    assert free.warmup_steps == preset.warmup_steps > 0 and free.learning_rate == preset.learning_rate
    assert made(optimizer="came").learning_rate == preset.learning_rate


def test_epochs_count_whole_steps_of_accumulated_batches() -> None:
    asked = {"epochs": 2, "batch_size": 4, "gradient_accumulation": 5}
    assert build_makers(settings(base_model="some/sdxl", training=asked)).training(10).steps == 2 * 10 * 10 / 20


@pytest.mark.parametrize("trainer", ["builtin", "kohya"])
def test_text_encoders_that_cannot_be_trained_are_said_before_anything_starts(trainer: str) -> None:
    asked = settings(base_model="Tongyi-MAI/Z-Image", training={"text_encoder": True, "trainer": trainer})
    training = training_settings(asked, FAMILIES["zimage"].preset("zimage").training, 1, 1)
    assert training.text_encoder and training.text_encoder_rate == 5e-5
    said = "training.text_encoder: models of the family 'zimage' read prompts with a language model"
    assert any(str(error).startswith(said) for error in obstacles(asked, build_makers(asked)))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"flow_shift": 2.0}, "are for flow models; sdxl is none"),
        ({"smaller_resolutions": [512, 1024]}, "smaller than training.resolution, which is 1024"),
        ({"start_from": "nowhere.safetensors"}, "no such file: nowhere.safetensors"),
        ({"assistant_lora": "nowhere.safetensors"}, "training.assistant_lora: no such file: nowhere.safetensors"),
    ],
)
def test_settings_that_do_not_fit_are_said_before_photos_are_looked_at(asked: dict[str, Any], says: str) -> None:
    chosen = settings(base_model="some/sdxl", training=asked)
    assert any(says in str(error) for error in obstacles(chosen, build_makers(chosen)))


def test_the_content_of_a_training_adapter_is_part_of_what_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(b"x")
    chosen = settings(base_model="some/sdxl", training={"assistant_lora": str(path)})
    training = training_settings(chosen, FAMILIES["sdxl"].preset("sdxl").training, 1, 1)
    assert (training.assistant_lora, training.assistant_sha256) == (str(path), hashlib.sha256(b"x").hexdigest())
    assert {"assistant_lora", "assistant_sha256"} & set(FREE_SETTINGS) == {"assistant_lora"}


def test_the_forecast_is_told_of_held_out_photos_and_of_the_pictures_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of them is learned in every step, so that the time doubles."""
    for name in ("a.png", "b.jpg", "notes.txt"):
        (tmp_path / name).touch()
    trainer = Foretold(None)
    kit, asked = replace(makers_module.fake_kit(), trainer=lambda: trainer), trainer.asked
    monkeypatch.setattr(makers_module, "fake_kit", lambda: kit)
    for training in ({}, {"prior_images": str(tmp_path)}):
        build_makers(settings(base_model="fake", training=training)).forecast(30)
    build_makers(settings(base_model="fake")).forecast(30, ["photo of ohwx ana"])
    told = TrainingSize(30, held_out=5)
    assert asked == [told, replace(told, prior=2), replace(told, captions=("photo of ohwx ana",))]
    asked.clear()
    build_makers(settings(base_model="fake")).forecast(19)
    build_makers(settings(base_model="fake", validation={"faces": False})).forecast(30)
    assert asked == [TrainingSize(19), TrainingSize(30)], "nothing is held out"


def test_what_a_trainer_does_otherwise_is_told_without_loading_the_base(tmp_path: Path) -> None:
    ai_toolkit(tmp_path)
    other = {"trainer": "ai-toolkit", "trainer_path": str(tmp_path), "schedule": "cosine_restarts", "restarts": 2}
    for training, told in (({"schedule": "cosine_restarts", "restarts": 2}, False), (other, True)):
        makers = build_makers(settings(base_model="some/sdxl", training=training))  # which is nowhere
        assert ("without restarts" in " ".join(makers.trainer_notes(makers.training(10)))) is told


def test_without_pytorch_the_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "twinloop.adapters.diffusion.compute", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "PyTorch is not installed" in device_name()


def test_all_that_is_asked_of_the_base_model_travels() -> None:
    asked = {"device": "cpu", "precision": "bfloat16", "quantization": "nf4", "allow_download": True}
    assert chosen_base(settings(base_model="some/sdxl", training={}, **asked)) == BaseChoice("some/sdxl", **asked)
    told = settings(base_model="some/sdxl", training={}, base_prediction="v_prediction", zero_terminal_snr=True)
    assert chosen_base(told).prediction == Asked("v_prediction", True)
    made = build_makers(told).generation
    assert made.unusual == {"base_prediction": "v_prediction", "zero_terminal_snr": True}
    assert Path(chosen_base(settings(base_model="nano")).base).is_dir()
    skips = settings(base_model="some/sd-1-5", training={}, clip_skip=2)
    assert chosen_base(skips).clip_skip == build_makers(skips).training(10).clip_skip == 2
    assert build_makers(skips).generation.unusual == {"clip_skip": 2}
    given = {"text_encoder": "/nowhere", "vae": str(Path(__file__))}
    parts = settings(base_model="some/sdxl", training={}, base_parts=given)
    assert chosen_base(parts).parts == (("vae", str(Path(__file__))), ("text_encoder", "/nowhere"))
    digest = sha256_file(Path(__file__))
    assert build_makers(parts).generation.unusual == {"base_parts": {"vae": digest}}, "the other is an error later"


@pytest.mark.parametrize(
    ("header", "in_use", "trained"),
    [
        ({"ss_clip_skip": "2"}, 1, 2),
        ({"ss_clip_skip": "2"}, 2, None),
        ({"ss_clip_skip": "1"}, 2, 1),
        ({"ss_clip_skip": "None"}, 2, 1),  # sd-scripts', where it was not told
        ({"twinloop.version": "1"}, 2, 1),
        ({"twinloop.version": "1"}, 1, None),
        ({"twinloop.version": "1", "twinloop.merged": "[]"}, 2, None),  # of LoRAs that need not agree
        ({}, 2, None),
        ({"ss_clip_skip": "many"}, 2, None),
        ({"ss_clip_skip": "0"}, 2, None),
    ],
)
def test_a_lora_trained_with_another_layer_of_clip_is_told(
    header: dict[str, str], in_use: int, trained: int | None, tmp_path: Path
) -> None:
    paths = [tmp_path / "missing.safetensors", tmp_path / "plain.safetensors", tmp_path / "ana.safetensors"]
    for path, texts in zip(paths[1:], ({}, header), strict=True):
        saved(path, adapter("sd15"), Dialect.DIFFUSERS, texts)
    chosen = settings(base_model="some/sd-1-5", training={}, clip_skip=in_use)
    told = f"ana.safetensors: this LoRA was trained with clip_skip {trained}, and prompts are read with {in_use};"
    told = f"{told} set --clip-skip {trained}"
    assert lora_remarks(chosen, build_makers(chosen), paths) == ([] if trained is None else [told])


def test_clip_skip_is_nothing_to_models_that_are_always_read_from_one_layer(tmp_path: Path) -> None:
    saved(tmp_path / "ana.safetensors", adapter("sdxl"), Dialect.DIFFUSERS, {"ss_clip_skip": "1"})
    saved(tmp_path / "eva.safetensors", adapter("sdxl"), Dialect.DIFFUSERS, {"ss_clip_skip": "2"})
    chosen = settings(base_model="some/sdxl", training={})
    assert lora_remarks(chosen, build_makers(chosen), sorted(tmp_path.iterdir())) == []


def test_a_plugin_is_run_once_for_all_who_ask_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    plugin = tmp_path / "mine.py"
    plugin.write_text(f"with open({str(tmp_path / 'runs')!r}, 'a') as runs: runs.write('x')\n")
    given = settings(base_model="nano", models_dir="fake", training={}, analysis={"plugins": [str(plugin)]})
    chosen = check_config(given.model_dump(mode="json"), "config.json", wholly=True)
    makers = build_makers(chosen)
    assert makers.family is base_family(chosen) is FAMILIES["sdxl"]
    list(obstacles(chosen, makers))
    build_observer(chosen.models_dir, chosen.analysis.plugins)
    build_toolbox(chosen, Recording())
    assert (tmp_path / "runs").read_text() == "x"
