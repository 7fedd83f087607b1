"""The configuration: the documented file works, and every mistake is reported at once, by its field."""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.seed_config import SEED
from twinloop.config import Settings, describe_fields, load_settings, parse_settings
from twinloop.config.elsewhere import ELSEWHERE, VALUES
from twinloop.domain import choices
from twinloop.domain.quantised import QUANTIZATIONS
from twinloop.errors import ConfigError, InputError
from twinloop.system import WINDOWS

LEAST = {"person_name": "alice", "person_trigger": "ohwx alice", "dataset_dir": "photos"}


def problems(data: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(data, "my.json")
    assert str(caught.value).startswith(f"my.json: {len(caught.value.problems)} mistake")
    return caught.value.problems


def test_the_documented_file_is_read_as_it_is() -> None:
    settings = parse_settings(SEED, "bootstrap_config.json")
    dumped = settings.model_dump(mode="json")
    for key, value in SEED.items():
        assert dumped[key] == value or {k: dumped[key][k] for k in value} == value
    assert settings.lora_dir == Path("outputs/lora_models/alice")


def fields() -> dict[str, Any]:
    """Field, dots for sections -> what pydantic knows of it."""
    found = {}
    for name, info in Settings.model_fields.items():
        inner = getattr(info.annotation, "model_fields", None)
        found |= {f"{name}.{field}": each for field, each in inner.items()} if inner else {name: info}
    return found


def test_every_field_is_explained_and_what_null_means() -> None:
    explained, known = describe_fields(), fields()
    assert explained.keys() == known.keys() and len(known) > 100
    assert all(len(text) > 10 for text in explained.values())
    for name, info in known.items():
        if type(None) in get_args(info.annotation):
            assert "null = " in explained[name], name


def listed(schema: Any) -> list[Any]:
    """The values of an ``enum`` in a JSON schema, at whatever depth of the alternatives."""
    return [*schema.get("enum", []), *(value for one in schema.get("anyOf", []) for value in listed(one))]


def test_every_field_with_choices_lists_them() -> None:
    schema = Settings.model_json_schema()
    choices: dict[str, list[Any]] = {}
    for name, own in schema["properties"].items():
        inner = schema["$defs"][own["$ref"].rpartition("/")[2]]["properties"] if "$ref" in own else {}
        choices |= {f"{name}.{field}": listed(each) for field, each in inner.items()} if inner else {name: listed(own)}
    explained = describe_fields()
    assert choices.keys() == explained.keys() and sum(bool(values) for values in choices.values()) >= 17
    for name, values in choices.items():
        said = explained[name].partition("; one of: ")[2]
        assert said == ", ".join(str(value) for value in values), name


def test_the_documented_values_are_the_defaults() -> None:
    settings = parse_settings(LEAST, "x")
    assert (settings.max_iterations, settings.convergence_threshold, settings.generation.num_per_gap) == (5, 0.05, 5)
    assert settings.validation.auto_filter is True
    assert settings.lora_dir == Path("outputs/lora_models/alice")
    assert (
        settings.validation.min_brightness,
        settings.validation.max_brightness,
        settings.validation.blur_threshold,
    ) == (30, 225, 100)
    assert settings.merge.real_to_synthetic_weight == 1.3 and settings.merge.max_synthetic_share == 0.5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("save_every_n_epochs", "training.save_every counts steps here; one epoch has images x repeats"),
        ("network_args", "conv_dim is training.conv_rank"),
        ("enable_bucket", "it needs no setting: photos are sorted by their shapes"),
    ],
)
def test_what_has_no_field_here_is_explained(name: str, said: str) -> None:
    (line,) = problems({**SEED, "training": {name: 1}})
    assert line.startswith(f"training.{name}: unknown field; ") and said in line


def test_three_mistakes_are_three_lines() -> None:
    listed = problems({**SEED, "max_iterations": 0, "generation": {"guidance_scale": "high"}, "trainig": {}})
    assert [line.split(":")[0] for line in listed] == ["max_iterations", "generation.guidance_scale", "trainig"]
    assert "greater than 0 (given: 0)" in listed[0]
    assert "(given: 'high')" in listed[1]
    assert "unknown field; did you mean 'training'?" in listed[2]


@pytest.mark.parametrize(
    ("where", "wrong", "meant"),
    [
        ((), "max_iteration", "max_iterations"),
        (("generation",), "num_per_gaps", "num_per_gap"),
        (("validation",), "auto_filte", "auto_filter"),
        (("training",), "epoch", "epochs"),
    ],
)
def test_a_misspelt_field_is_guessed(where: tuple[str, ...], wrong: str, meant: str) -> None:
    data = json.loads(json.dumps(SEED))
    section = data
    for name in where:
        section = section[name]
    section[wrong] = 1
    assert problems(data) == (f"{'.'.join((*where, wrong))}: unknown field; did you mean '{meant}'?",)


def test_a_field_like_none_other_lists_those_of_its_section() -> None:
    (line,) = problems({**LEAST, "stop": {"zzz": 1}})
    assert line == "stop.zzz: unknown field; known here: approval_rate, approval_rounds, patience, drift_rounds"
    (line,) = problems({**LEAST, "zzz": 1})
    assert "known here: person_name, " in line and "num_per_gap" not in line


@pytest.mark.parametrize(
    ("wrong", "guess"),
    [
        ({"generation": {"steps": 30}}, "'num_inference_steps'"),
        ({"training": {"caption_drop": 0.1}}, "'caption_dropout'"),
        ({"training": {"num_per_gap": 5}}, "'generation.num_per_gap'"),
        ({"training": {"quantisation": "nf4"}}, "'quantization'"),
        ({"num_per_gaps": 5}, "'generation.num_per_gap'"),
        ({"batch_size": 2}, "'generation.batch_size' or 'training.batch_size'"),
    ],
)
def test_a_field_of_another_place_is_guessed(wrong: dict[str, Any], guess: str) -> None:
    (line,) = problems({**LEAST, **wrong})
    assert line.endswith(f": unknown field; did you mean {guess}?")


def test_what_is_missing_is_named() -> None:
    assert problems({}) == ("person_name: is required", "person_trigger: is required", "dataset_dir: is required")


@pytest.mark.parametrize("data", [[], "x", None, 3])
def test_a_file_that_holds_no_object(data: Any) -> None:
    assert "one JSON object" in problems(data)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"convergence_threshold": 1.0},
        {"convergence_threshold": float("nan")},
        {"merge": {"max_synthetic_share": 1.0}},
        {"merge": {"real_to_synthetic_weight": 0.5}},
        {"validation": {"min_brightness": 200, "max_brightness": 100}},
        {"validation": {"sharpness": "nose"}},
        {"panel": {"images": 1}},
        {"seed": -1},
        {"analysis": {"shares": {"face_angle": {"profile": 1.5}}}},
        {"dataset_dir": ""},
        {"device": "tpu"},
        {"generation": 3},
    ],
)
def test_limits_hold_and_the_field_is_named(change: dict[str, Any]) -> None:
    (line,) = problems({**LEAST, **change})
    (field,) = change
    assert line.startswith(field)


def test_a_share_is_named_down_to_its_value() -> None:
    (line,) = problems({**LEAST, "analysis": {"shares": {"face_angle": {"profile": 1.5}}}})
    assert line.startswith("analysis.shares.face_angle.profile: ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*Settings.model_fields, "other"]), json_values, max_size=5))
def test_whatever_is_in_the_file_the_answer_is_settings_or_a_list_of_mistakes(data: dict[str, Any]) -> None:
    try:
        assert parse_settings({**LEAST, **data}, "x").person_name
    except ConfigError as error:
        assert error.problems and all(": " in problem for problem in error.problems)


def test_a_null_takes_the_default_in_every_field() -> None:
    """As the starter configuration says; only what is required cannot be left to a default."""
    plain = parse_settings(LEAST, "x")
    for name, info in Settings.model_fields.items():
        if not info.is_required():
            assert parse_settings({**LEAST, name: None}, "x") == plain, name
        section: Any = info.annotation
        for inner in getattr(section, "model_fields", ()):
            assert parse_settings({**LEAST, name: {inner: None}}, "x") == plain, f"{name}.{inner}"
    lora = {"path": "x.safetensors", "scale": None}
    assert parse_settings({**LEAST, "generation": {"extra_loras": [lora]}}, "x").generation.extra_loras[0].scale == 1.0
    assert problems({**LEAST, "person_name": None}) == ("person_name: is required",)
    (line,) = problems({**LEAST, "sed": None})
    assert line == "sed: unknown field; did you mean 'seed'?"


def test_no_facets_at_all_are_no_choice() -> None:
    assert problems({**LEAST, "analysis": {"facets": []}}) == (
        "analysis.facets: name at least 1, or leave the field out",
    )


def test_comments_may_stand_in_the_file() -> None:
    assert parse_settings({**LEAST, "_note": "for the cat"}, "x").person_name == "alice"


def test_a_file_is_read_with_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(SEED).encode())
    assert load_settings(path).person_name == "alice"


def test_files_that_cannot_be_read_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twinloop init"):
        load_settings(tmp_path / "c.json")
    (tmp_path / "c.json").write_text('{\n  "person_name": "a",\n}')
    with pytest.raises(ConfigError, match="line 3, column 1: not valid JSON"):
        load_settings(tmp_path / "c.json")
    for deep in (f"{'[' * depth}{']' * depth}" for depth in (100, 600, 200_000)):
        (tmp_path / "c.json").write_text(f'{{"person_name": "a", "seed": {deep}}}')
        with pytest.raises(ConfigError, match="brackets within brackets, more than 100 deep"):
            load_settings(tmp_path / "c.json")
    (tmp_path / "c.json").write_text(f'{{"person_name": "a", "seed": {"9" * 10_000}}}')
    with pytest.raises(ConfigError, match="a number of more digits than any setting has"):
        load_settings(tmp_path / "c.json")
    (tmp_path / "c.json").write_text(json.dumps(SEED), encoding="utf-16")
    with pytest.raises(InputError, match=r"Cannot read .*c\.json: it is not UTF-8 text\. Save it as UTF-8"):
        load_settings(tmp_path / "c.json")
    with pytest.raises(InputError, match="Cannot read"):
        load_settings(tmp_path)


NO_PLACES = {
    "person_name",
    "person_trigger",
    "training.preset",
    "training.wandb",
    "training.class_word",
    "training.extra_args",
    "training.sample_prompts",
    "training.only_layers",
    "training.skip_layers",
    "training.optimizer_args",
    "generation.prompt_prefix",
    "generation.prompt_suffix",
    "generation.negative_prompt",
    "generation.scheduler",
    "analysis.facets",
    "analysis.shares",
}
"""Fields of free text that name no file."""


def takes_any_text(annotation: Any) -> bool:
    if annotation is str or annotation is Any:
        return True
    inner = getattr(annotation, "model_fields", {})
    parts = () if get_origin(annotation) is Literal else get_args(annotation)
    return any(map(takes_any_text, [*parts, *(info.annotation for info in inner.values())]))


def with_places() -> dict[str, Any]:
    """A configuration that names a file or folder in every field that is none of those."""
    data: dict[str, Any] = dict(LEAST)
    for name, info in fields().items():
        if name not in NO_PLACES and takes_any_text(info.annotation):
            section, _, field = name.rpartition(".")
            several = [{"path": "~/x"}] if name == "generation.extra_loras" else ["~/x"]
            value = several if get_origin(info.annotation) is tuple else "~/x"
            (data.setdefault(section, {}) if section else data)[field] = value
    return {**data, "training": {**data["training"], "trainer": "ai-toolkit"}}


def test_every_field_of_a_file_or_folder_is_known_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new field that takes any text is one, or is named above."""
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.setenv("USERPROFILE", "/home/ana")
    wanted = {name for name, info in fields().items() if takes_any_text(info.annotation)} - NO_PLACES
    found = dict(parse_settings(with_places(), "x").places())
    assert found.keys() == wanted and len(found) > 12
    kept = {"base_model", *(name for name in found if name.startswith("base_parts."))}
    assert {name for name, place in found.items() if place == "~/x"} == kept
    assert {place for name, place in found.items() if name not in kept} == {"/home/ana/x"}


@pytest.mark.parametrize(("count", "right"), [(10_000, True), (10_001, False), (2**31, False)])
def test_a_number_of_images_that_no_round_ends_with_is_refused_before_they_are_planned(count: int, right: bool) -> None:
    """Planning two thousand million shots took all memory, also in a dry run."""
    data = {**LEAST, "generation": {"num_per_gap": count}}
    with nullcontext() if right else pytest.raises(ConfigError, match=r"generation\.num_per_gap: .*equal to 10000"):
        parse_settings(data, "x")


@pytest.mark.parametrize("name", ["a" * 256, "é" * 128, "a/" * 2100], ids=["letters", "bytes", "folders"])
def test_a_path_that_no_system_looks_for_is_told_with_its_field(name: str) -> None:
    """Each, beside other mistakes; at the first look at such a file the system would end all with an error."""
    if WINDOWS:
        pytest.skip("there the limits are others")
    wrong = json.loads(json.dumps(with_places()).replace("~/x", name))
    with pytest.raises(ConfigError) as caught:
        parse_settings({**wrong, "seed": -1}, "x")
    told = {problem.partition(": ")[0] for problem in caught.value.problems if "can have" in problem}
    every = dict(parse_settings(with_places(), "x").places())
    assert {re.sub(r"\.0(\.path)?$", "", field) for field in told} == {field.removesuffix(".path") for field in every}
    assert any(problem.startswith("seed: ") for problem in caught.value.problems)
    assert parse_settings({**LEAST, "base_model": "a" * 255}, "x").base_model == "a" * 255


def test_settings_are_frozen() -> None:
    settings = parse_settings(LEAST, "x")
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3  # type: ignore[misc]


def test_a_home_folder_behind_the_name_of_a_pack_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.setenv("USERPROFILE", "/home/ana")
    packed = parse_settings({**LEAST, "models_dir": "onnx:~/models", "base_model": "~/base"}, "x")
    assert (packed.models_dir, packed.base_model) == ("onnx:/home/ana/models", "~/base")
    inputs = dict(packed.inputs())
    assert (inputs["models_dir"], inputs["base_model"]) == (Path("/home/ana/models"), Path("/home/ana/base"))
    assert not {"output_dir", "lora_output_dir"} & inputs.keys()


def test_an_output_folder_has_a_name() -> None:
    (line,) = problems({**LEAST, "output_dir": ""})
    assert line.startswith("output_dir: ")


@pytest.mark.parametrize(
    "free",
    [
        {"max_iterations": 9},
        {"output_dir": "x"},
        {"stop": {"patience": 3}},
        {"device": "cpu"},
        {"dataset_dir": "moved"},
    ],
)
def test_a_run_may_go_on_with_another_budget_or_place(free: dict[str, Any]) -> None:
    assert parse_settings({**LEAST, **free}, "x").identity_fields() == parse_settings(LEAST, "x").identity_fields()


@pytest.mark.parametrize(
    "fixed",
    [
        {"seed": 1},
        {"person_trigger": "x"},
        {"generation": {"num_per_gap": 4}},
        {"merge": {"decay": 0.5}},
        {"base_model": "nano"},
        {"base_parts": {"vae": "ae.safetensors"}},
    ],
)
def test_what_decides_results_may_not_change(fixed: dict[str, Any]) -> None:
    assert parse_settings({**LEAST, **fixed}, "x").identity_fields() != parse_settings(LEAST, "x").identity_fields()


def test_settings_of_the_training_that_do_not_fit_together() -> None:
    from tests.functional import loops

    with pytest.raises(ConfigError, match="early_stop 2 needs keep_checkpoints of 4 or more"):
        loops.settings(training={"early_stop": 2})
    with pytest.raises(ConfigError, match="only the built-in trainer knows keep_checkpoints, processes"):
        loops.settings(training={"trainer": "kohya", "keep_checkpoints": 4, "processes": 2})
    assert loops.settings(training={"memory": 12}).training.memory == 12
    with pytest.raises(ConfigError, match=r"training\.memory"):
        loops.settings(training={"memory": 10})


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"lokr_factor": 8}, 'lokr_factor is for "adapter": "lokr", not "lora"'),
        ({"adapter": "dora", "rank": 2048}, "rank 2048 is more than 1024"),
        ({"adapter": "lokr", "lokr_factor": 1}, "lokr_factor must be 2 or more, or -1"),
        ({"adapter": "lokr", "text_encoder": True}, "a LoKr adapts the denoiser alone"),
    ],
)
def test_what_does_not_go_with_a_lokr_is_named(training: dict[str, Any], words: str) -> None:
    (problem,) = problems({**LEAST, "training": training})
    assert words in problem


def test_a_lokr_takes_any_rank_but_no_offloading_layer_by_layer() -> None:
    lokr = {"adapter": "lokr", "lokr_factor": 8, "rank": 10000}
    assert parse_settings({**LEAST, "training": lokr}, "x").training.lokr_factor == 8
    (problem,) = problems({**LEAST, "training": lokr, "generation": {"offload": "sequential"}})
    assert 'do not go together: choose "blocks"' in problem
    assert parse_settings({**LEAST, "training": lokr, "generation": {"offload": "blocks"}}, "x").training.rank == 10000


def test_a_dora_takes_no_offloading_layer_by_layer() -> None:
    dora = {**LEAST, "training": {"adapter": "dora"}}
    (problem,) = problems({**dora, "generation": {"offload": "sequential"}})
    assert '"adapter": "dora"' in problem and 'do not go together: choose "blocks"' in problem
    assert parse_settings({**dora, "generation": {"offload": "blocks"}}, "x").training.adapter == "dora"


@pytest.mark.parametrize(
    ("alone", "words", "more"),
    [
        ({"trainer_path": "x"}, "the built-in trainer is not told trainer_path", {"trainer": "kohya"}),
        ({"trainer_python": "x"}, "the built-in trainer is not told trainer_python", {"trainer": "ai-toolkit"}),
        ({"extra_args": ["--a"]}, "the built-in trainer is not told extra_args", {"trainer": "kohya"}),
        ({"restarts": 3}, 'those of "schedule": "cosine_restarts"', {"schedule": "cosine_restarts"}),
        ({"prior_weight": 0.5}, "prior_weight says nothing without prior_images", {"prior_images": "others"}),
        ({"conv_alpha": 4.0}, "conv_alpha says nothing without a conv_rank", {"conv_rank": 8}),
        ({"conv_rank": 8, "adapter": "lokr"}, "a LoKr leaves convolutions alone", {"adapter": "dora"}),
        ({"class_word": "woman"}, "class_word says nothing without", {"output_preservation": 0.5}),
        ({"class_word": "man"}, "class_word says nothing without", {"prior_images": "others"}),
        ({"class_word": "man", "preset": "sdxl"}, "class_word says nothing without", {"preset": "Pony"}),
        (
            {"keep_tokens": 2, "preset": "sdxl"},
            "keep_tokens says nothing without shuffle_captions",
            {"shuffle_captions": True},
        ),
        (
            {"keep_tokens": 2, "preset": "pony", "shuffle_captions": False},
            "keep_tokens says nothing without shuffle_captions",
            {"caption_tag_dropout_rate": 0.1},
        ),
        ({"checkpoint_panel": 4}, "checkpoint_panel says nothing without keep_checkpoints", {"keep_checkpoints": 2}),
        ({"keep_checkpoints": 1}, "keep_checkpoints of 1 leaves no choice", {"keep_checkpoints": 2}),
    ],
)
def test_a_field_that_would_do_nothing_is_told(alone: dict[str, Any], words: str, more: dict[str, Any]) -> None:
    (problem,) = problems({**LEAST, "training": alone})
    assert problem.startswith("training: ") and words in problem
    assert parse_settings({**LEAST, "training": {**alone, **more}}, "x")


def test_what_is_switched_off_by_name_may_keep_its_details() -> None:
    training = {"keep_checkpoints": 0, "checkpoint_panel": 4, "trainer": "builtin", "trainer_path": "x"}
    assert parse_settings({**LEAST, "training": training}, "x").training.checkpoint_panel == 4


def test_a_field_at_its_default_clashes_with_nothing() -> None:
    """What ``twinloop init --full`` writes, with any one trainer and schedule."""
    complete = parse_settings(LEAST, "x").model_dump(mode="json")
    assert parse_settings(complete, "x") == parse_settings(LEAST, "x")
    for chosen in ({"trainer": "kohya"}, {"trainer": "ai-toolkit"}, {"schedule": "linear"}, {"adapter": "lokr"}):
        assert parse_settings({**complete, "training": {**complete["training"], **chosen}}, "x")


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"text_encoder_learning_rate": 1e-5}, "say nothing without text_encoder: true"),
        ({"text_encoder_share": 0.5}, "say nothing without text_encoder: true"),
        ({"text_encoder": True, "optimizer": "prodigy", "text_encoder_learning_rate": 0.5}, "one rate for all"),
        ({"text_encoder": True, "text_encoder_share": 0.0}, "text_encoder_share"),
    ],
)
def test_what_does_not_go_with_text_encoders_is_named(training: dict[str, Any], words: str) -> None:
    from tests.functional import loops

    with pytest.raises(ConfigError, match=words):
        loops.settings(training=training)


def test_arguments_of_the_optimizer_are_looked_at_before_anything_starts() -> None:
    wrong = {"optimizer": "prodigy", "optimizer_args": {"lr": 1, "d_coef": "2", "betas": [0.9, 0.99]}}
    listed = problems({**LEAST, "training": wrong})
    assert len(listed) == 2 and all(line.startswith("training: optimizer_args: ") for line in listed)
    assert "d_coef must be a number from 0.001 to 1000, not '2'" in listed[0]
    assert "the rate is training.learning_rate; it takes weight_decay, betas, eps, beta3" in listed[1]
    (twice,) = problems({**LEAST, "training": {"weight_decay": 0.1, "optimizer_args": {"weight_decay": 0.1}}})
    assert "set twice" in twice
    (line,) = problems({**LEAST, "training": {"optimizer_params": {}}})
    assert line.endswith("here it is called training.optimizer_args")
    assert parse_settings({**LEAST, "training": {"optimizer_args": None}}, "x").training.optimizer_args == {}


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"schedule": "cosine"}, "adamw_schedulefree runs at one rate after the warm-up; leave schedule out"),
        ({"ema_decay": 0.9}, "writes an average by itself"),
        ({"scale_weight_norms": 1.0}, "weights that adamw_schedulefree averages"),
        ({"optimizer_args": {"warmup_steps": 10}}, "its warm-up is training.warmup_steps"),
        ({"schedule": "constant", "warmup_steps": 10}, ""),
    ],
)
def test_a_schedule_free_optimizer_averages_the_weights_alone(training: dict[str, Any], words: str) -> None:
    data = {**LEAST, "training": {"optimizer": "adamw_schedulefree", **training}}
    if not words:
        assert parse_settings(data, "x").training.warmup_steps == 10
        return
    (line,) = problems(data)
    assert words in line


def test_rank_stabilized_goes_with_a_rank() -> None:
    (line,) = problems({**LEAST, "training": {"adapter": "lokr", "rank_stabilized": True}})
    assert 'rank_stabilized goes with "adapter": "lora" or "dora"' in line
    (line,) = problems({**LEAST, "training": {"use_rslora": True}})
    assert line.endswith("here it is called training.rank_stabilized")
    plain = parse_settings(LEAST, "x").identity_fields()["training"]
    asked = parse_settings({**LEAST, "training": {"adapter": "dora", "rank_stabilized": True}}, "x")
    assert "rank_stabilized" not in plain and asked.identity_fields()["training"]["rank_stabilized"] is True


@pytest.mark.parametrize("adapter", ["dora", "lokr"])
def test_dropout_goes_with_a_lora(adapter: str) -> None:
    (line,) = problems({**LEAST, "training": {"adapter": adapter, "network_dropout": 0.1, "module_dropout": 0.1}})
    assert line.startswith('training: network_dropout and module_dropout go with "adapter": "lora"')


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"adapter": "dora", "scale_weight_norms": 1.0}, 'scale_weight_norms goes with "adapter": "lora"'),
        ({"adapter": "lokr", "loraplus_lr_ratio": 4.0}, 'loraplus_lr_ratio goes with "adapter": "lora" or "dora"'),
        ({"optimizer": "prodigy", "loraplus_lr_ratio": 4.0}, "prodigy finds one rate for all that it trains"),
    ],
)
def test_lora_plus_and_the_longest_change_go_with_pairs_of_matrices(training: dict[str, Any], told: str) -> None:
    (line,) = problems({**LEAST, "training": training})
    assert told in line
    plain = parse_settings(LEAST, "x").identity_fields()["training"]
    set_to = parse_settings({**LEAST, "training": {"scale_weight_norms": 1.0, "loraplus_lr_ratio": 4.0}}, "x")
    seldom = {"scale_weight_norms", "loraplus_lr_ratio"}
    assert not seldom & plain.keys() and seldom <= set_to.identity_fields()["training"].keys()


def test_all_that_does_not_fit_together_is_said_at_once() -> None:
    training = {"trainer": "kohya", "processes": 2, "lokr_factor": 8, "rank": 10000, "text_encoder_share": 0.5}
    listed = problems({**LEAST, "quantization": "int4", "training": {**training, "early_stop": 2}})
    assert [line.split(":")[0] for line in listed] == ["quantization"] + ["training"] * 5
    for words in ("processes", "lokr_factor", "rank 10000", "text_encoder: true", "keep_checkpoints of 4"):
        assert sum(words in line for line in listed) == 1


def test_what_does_not_fit_between_sections_is_said_with_single_mistakes() -> None:
    wrong = {"training": {"adapter": "lokr", "rank": 0}, "generation": {"offload": "sequential"}, "seed": -1}
    listed = problems({**LEAST, **wrong})
    assert [line.split(": ")[0] for line in listed] == ["seed", "training.rank", "file"]
    assert '"adapter": "lokr"' in listed[2]


def test_what_does_not_fit_within_a_section_is_said_with_its_single_mistakes() -> None:
    listed = problems({"training": {"early_stop": 2, "epochs": 0}, "validation": {"min_brightness": 240}, "sed": 1})
    assert [line.split(": ")[0] for line in listed] == [
        "person_name", "person_trigger", "dataset_dir", "training.epochs", "sed", "validation", "training",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"training": {"early_stop": 2, "keep_checkpoints": "many"}}, "training.keep_checkpoints"),
        ({"generation": {"offload": "layers"}, "quantization": "nf4"}, "generation.offload"),
        ({"training": {"adapter": "lora", "rank": 10**11}}, "training.rank"),
        ({"generation": "sequential", "quantization": "nf4"}, "generation"),
    ],
)
def test_nothing_is_concluded_from_a_field_that_is_wrong_itself(wrong: dict[str, Any], field: str) -> None:
    (line,) = problems({**LEAST, **wrong})
    assert line.startswith(f"{field}: ")


def test_every_clash_names_fields_that_there_are() -> None:
    """A name that is none would let a mistake be told that follows from a wrong field."""
    training = {
        "trainer": "kohya", "keep_checkpoints": 1, "processes": 2, "lokr_factor": 8, "rank": 10000,
        "text_encoder_share": 0.5, "optimizer": "prodigy", "text_encoder_learning_rate": 0.1, "early_stop": 2,
        "optimizer_args": {"lr": 1, "weight_decay": 0.1}, "weight_decay": 0.1,
    }  # fmt: skip
    lokr = {
        "adapter": "lokr",
        "lokr_factor": 1,
        "text_encoder": True,
        "network_dropout": 0.1,
        "rank_dropout": 0.1,
        "module_dropout": 0.1,
        "conv_rank": 8,
        "scale_weight_norms": 1.0,
        "loraplus_lr_ratio": 4.0,
        "rank_stabilized": True,
        "optimizer": "adamw_schedulefree",
        "schedule": "linear",
        "ema_decay": 0.9,
    }
    vain = {
        "trainer_path": "x",
        "trainer_python": "x",
        "extra_args": ["x"],
        "restarts": 2,
        "prior_weight": 0.5,
        "class_word": "woman",
        "checkpoint_panel": 4,
        "sample_prompts": ["x"],
        "huber_c": 0.2,
        "huber_schedule": "snr",
        "mask_floor": 0.1,
        "conv_alpha": 1.0,
        "multires_noise_discount": 0.5,
        "min_timestep": 500,
        "max_timestep": 400,
    }
    found = set()
    for data in (
        {"training": training, "validation": {"min_brightness": 240}},
        {"training": vain},
        {"training": {"trainer": "kohya", "masks": "x", "prior_images": "y"}},
        {"training": {"keep_checkpoints": 1}},
        {"training": lokr, "quantization": "nf4", "generation": {"offload": "sequential"}},
    ):
        with pytest.raises(ValidationError) as caught:
            Settings.model_validate({**LEAST, **data})
        found |= {
            field for item in caught.value.errors() for clash in item["ctx"]["error"].found for field in clash.fields
        }
    assert len(found) >= 30
    for path in found:
        section, _, field = path.rpartition(".")
        model: Any = Settings.model_fields[section].annotation if section else Settings
        assert field in model.model_fields, path


def test_what_is_seldom_asked_for_is_in_a_run_only_where_it_is() -> None:
    plain = parse_settings(LEAST, "x").identity_fields()
    noise = {
        "debiased_estimation_loss": True, "multires_noise_iterations": 6, "multires_noise_discount": 0.5,
        "ip_noise_gamma": 0.1, "min_timestep": 100, "max_timestep": 900,
    }  # fmt: skip
    asked = parse_settings({**LEAST, "clip_skip": 2, "training": noise}, "x").identity_fields()
    assert "clip_skip" not in plain and not noise.keys() & plain["training"].keys()
    assert asked["clip_skip"] == 2 and {name: asked["training"][name] for name in noise} == noise


def test_quantised_layers_are_not_taken_apart() -> None:
    wrong = {"quantization": "nf4", "training": {"adapter": "lokr"}, "generation": {"offload": "sequential"}}
    listed = problems({**LEAST, **wrong})
    assert [line.split(" and ")[0] for line in listed] == [
        'file: "training": {"adapter": "lokr"}',
        'file: "quantization": "nf4"',
    ]
    for offload in ("model", "blocks"):
        wrong["generation"] = {"offload": offload}
        assert parse_settings({**LEAST, **wrong}, "x").quantization == "nf4"


def test_names_of_other_programs_are_known() -> None:
    (problem,) = problems({**LEAST, "training": {"network_dim": 16}})
    assert problem == "training.network_dim: unknown field; here it is called training.rank"
    for name, ours in ELSEWHERE.items():
        section, _, field = ours.rpartition(".")
        model: Any = Settings.model_fields[section].annotation if section else Settings
        assert field in model.model_fields and name not in model.model_fields


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"precision": "bf16"}, "(given: 'bf16'); here it is called 'bfloat16'"),
        ({"training": {"schedule": "cosine_with_restarts"}}, "here it is called 'cosine_restarts'"),
        ({"training": {"optimizer": "AdamW8bit"}}, "(given: 'AdamW8bit'); did you mean 'adamw8bit'?"),
        ({"training": {"flow_sampling": "sigmoid"}}, "here it is called 'logit_normal'"),
        ({"training": {"loss": "huba"}}, "did you mean 'huber'?"),
        ({"training": {"loss": 7}}, "'smooth_l1' (given: 7)"),
        ({"quantization": "bf16"}, "'nf4' (given: 'bf16')"),
        ({"discrete_flow_shift": 3}, "here it is called training.flow_shift"),
        ({"multires_noise_iterations": 6}, "did you mean 'training.multires_noise_iterations'?"),
        ({"training": {"resume": "x"}}, "training.start_from begins from a LoRA"),
    ],
)
def test_values_and_places_of_other_programs_are_known(data: dict[str, Any], told: str) -> None:
    (line,) = problems({**LEAST, **data})
    assert line.endswith(told)


def test_what_other_programs_call_a_value_is_a_value_of_ours() -> None:
    tuples = [choice for choice in vars(choices).values() if isinstance(choice, tuple)]
    known = {word for words in (*tuples, QUANTIZATIONS, get_args(choices.FlowSampling)) for word in words}
    assert set(VALUES.values()) <= known
    assert all(name == name.lower().replace("-", "_") for name in VALUES)


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"repeats": 2}, "repeats is about the steps that epochs ask for"),
        ({"max_train_steps": 1600}, "max_train_steps is about the steps"),
        ({"repeats": 2, "max_train_steps": 9, "epochs": 3, "steps": 50}, "repeats and max_train_steps are about"),
        ({"max_step_saves_to_keep": 3}, "max_step_saves_to_keep are those of save_every steps"),
        ({"sample_every": 100, "trainer": "kohya"}, "only the built-in trainer knows sample_every"),
        ({"save_every_n_steps": 100}, "here it is called training.save_every"),
        ({"validate_every_n_steps": 100}, "here it is called training.validate_every"),
        ({"validate_every": 0, "validation_times": 3}, "validation_times say nothing with validate_every 0"),
        ({"blocks_to_swap": 2, "gradient_checkpointing": False}, "blocks_to_swap needs gradient checkpointing"),
    ],
)
def test_settings_of_steps_that_say_nothing(training: dict[str, Any], told: str) -> None:
    (line,) = problems({**LEAST, "training": training})
    assert told in line


def test_loras_on_the_way_are_no_other_run() -> None:
    plain = parse_settings(LEAST, "test").identity_fields()
    saving = {**LEAST, "training": {"save_every": 100, "max_step_saves_to_keep": 2}}
    assert parse_settings(saving, "test").identity_fields() == plain
    assert "repeats" not in plain["training"]


def test_what_a_base_predicts_is_part_of_a_run_where_it_is_said() -> None:
    plain = parse_settings(LEAST, "test").identity_fields()
    assert plain["base_prediction"] is plain["zero_terminal_snr"] is None
    seldom = {"guidance_rescale": 0.7, "timestep_spacing": "trailing"}
    assert not seldom.keys() & plain["generation"].keys()  # runs that were begun before there were any
    said = {**LEAST, "base_prediction": "v_prediction", "generation": seldom}
    told = parse_settings(said, "test").identity_fields()
    assert told["base_prediction"] == "v_prediction" and seldom.items() <= told["generation"].items()
    (line,) = problems({**LEAST, "base_prediction": "v"})
    assert line.startswith("base_prediction: ") and "'epsilon' or 'v_prediction'" in line


def test_files_of_parts_are_part_of_a_run_where_they_are_named() -> None:
    plain = parse_settings(LEAST, "test").identity_fields()
    assert "base_parts" not in plain  # runs that were begun before there were any
    said = parse_settings({**LEAST, "base_parts": {"vae": "ae.safetensors", "text_encoder": None}}, "test")
    assert said.identity_fields()["base_parts"] == {"vae": "ae.safetensors"}
    assert said.base_parts.given == (("vae", "ae.safetensors"),)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"vae": "x"}, "vae: unknown field; did you mean 'base_parts.vae'?"),
        ({"ae": "x"}, "ae: unknown field; here it is called base_parts.vae"),
        ({"clip_l": "x"}, "clip_l: unknown field; here it is called base_parts.text_encoder"),
        (
            {"base_parts": {"clip_g": "x"}},
            "base_parts.clip_g: unknown field; here it is called base_parts.text_encoder_2",
        ),
        (
            {"base_parts": {"t5xxl": "x"}},
            "base_parts.text_encoder_2 (flux), base_parts.text_encoder_3 (sd35), or base_parts.text_encoder (chroma)",
        ),
        ({"base_parts": {"ae": "x"}}, "base_parts.ae: unknown field; here it is called base_parts.vae"),
    ],
)
def test_other_programs_names_of_parts_are_known(wrong: dict[str, Any], told: str) -> None:
    (line,) = problems({**LEAST, **wrong})
    assert told in line


@pytest.mark.parametrize(("encoding", "named"), [("utf-8", False), ("ascii", True)])
def test_what_is_no_text_names_how_this_process_reads_names(
    encoding: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was typed well is not the user's to correct."""
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    (line,) = problems({**LEAST, "person_name": "J\udcc3\udcbcrgen"})
    assert line.startswith("person_name: is no text") and (("in ascii" in line and "LC_ALL=C.UTF-8" in line) == named)


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"prior_images": "others", "prior_weight": 0}, "prior_weight of 0 change nothing"),
        ({"steps": 4, "warmup_steps": 500}, "warmup_steps 500 of 4 steps never reach the learning rate"),
        ({"steps": 9, "schedule": "cosine_restarts", "restarts": 5}, "restarts 5 leave less than two steps for each"),
        ({"steps": 9, "schedule": "cosine_restarts", "restarts": 4}, ""),
        ({"steps": 40, "save_every": 41}, "save_every 41 saves nothing in a training of 40 steps"),
        ({"epochs": 9, "max_train_steps": 40, "save_every": 41}, "save_every 41 saves nothing in a training of 40"),
        ({"steps": 3, "keep_checkpoints": 2}, ""),
        ({"steps": 2, "keep_checkpoints": 2}, "keep_checkpoints leaves no choice in a training of 2 steps;"),
        ({"keep_checkpoints": 3, "early_stop": 2}, "early_stop 2 needs keep_checkpoints of 4 or more"),
        ({"keep_checkpoints": 4, "early_stop": 2}, ""),
        (
            {"steps": 6, "keep_checkpoints": 8, "early_stop": 3},
            "early_stop 3 can never stop a training of 6 steps, of which 4 checkpoints are measured",
        ),
        ({"steps": 6, "keep_checkpoints": 8, "early_stop": 2}, ""),
        ({"steps": 40, "save_every": 40, "sample_every": 41, "warmup_steps": 39}, ""),
        (
            {"trainer": "ai-toolkit", "trainer_path": "x", "text_encoder": True, "only_layers": ["mid_block."]},
            "only_if_contains leaves out the text encoders, too",
        ),
    ],
)
def test_settings_that_undo_others_are_named(training: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) if says else nullcontext():
        parse_settings({"person_name": "a", "person_trigger": "ohwx a", "dataset_dir": "d", "training": training}, "x")
