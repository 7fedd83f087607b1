"""A denoiser from a ``.gguf`` file: it answers as its float model does, a LoRA trains on it, and what cannot be read is
said.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("gguf", reason="the quant extra is not installed")

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.gguf_files import build_gguf_krea2, build_gguf_zimage  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.training_memory import demand_of  # noqa: E402
from tests.unit.adapters.diffusion.quantised_models import answer, opened  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.preflight import Wanted, checks  # noqa: E402
from twinloop.adapters.diffusion.quantised.gguf import FromGguf  # noqa: E402
from twinloop.adapters.diffusion.quantised.sizes import plain_shape, real_bytes  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.preflight import training_checks  # noqa: E402
from twinloop.errors import InputError, MissingExtra, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES, preset_for  # noqa: E402
from twinloop.families.gguf_files import read_gguf_header  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.models.lora_file import kohya_path  # noqa: E402

ZIMAGE = FAMILIES["zimage"]
KINDS = {"Q8_0": 0.02, "Q4_0": 0.25}
"""Kinds that the library can write, and how far the answer may be from the float model's."""

BYTES = {"Q8_0": 34, "Q4_0": 18}
"""Of a block of 32 weights, which are 128 bytes in float32."""


@pytest.fixture(scope="module", params=KINDS)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build_gguf_zimage(tmp_path_factory.mktemp(request.param), request.param)


def test_it_answers_as_its_float_model_does_and_is_smaller(file: tuple[str, Path]) -> None:
    kind, path = file
    plain = opened("zimage", path.parent / "float")
    before, (made, gradients) = real_bytes(plain.denoiser), answer(plain)
    packed = opened("zimage", path)
    near, learned = answer(packed)
    assert (near - made).norm() / made.norm() < KINDS[kind]
    assert torch.cosine_similarity(learned, gradients, 0) > 0.9
    layers = [layer for layer in packed.denoiser.modules() if type(layer) is FromGguf]
    plainly = sum(4 * math.prod(plain_shape(layer.weight)) for layer in layers)
    assert len(layers) > 10 and before - real_bytes(packed.denoiser) == plainly - plainly * BYTES[kind] // 128
    assert packed.fingerprint != plain.fingerprint


def test_the_header_tells_names_shapes_and_family(file: tuple[str, Path]) -> None:
    _, path = file
    header = read_gguf_header(path)
    weights = opened("zimage", path.parent / "float").denoiser.state_dict()
    assert header.shapes == {name: tuple(value.shape) for name, value in weights.items()}
    assert (header.missing, header.texts["general.architecture"]) == (0, "zimage")


def trained(path: Path, home: Path, settings: TrainingSettings) -> tuple[bytes, list[float]]:
    losses: list[float] = []
    photos = samples(home / "photos", count=3)
    trainer = DiffusersLoraTrainer(BaseChoice(str(path), "cpu", "float32"), ZIMAGE)
    trainer.train(
        photos, settings, home / "lora.safetensors", home / "work", {}, lambda step, steps, loss: losses.append(loss)
    )
    return (home / "lora.safetensors").read_bytes(), losses


def test_a_lora_trains_on_it_and_fits_the_float_model(
    file: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    _, path = file
    settings = replace(TRAINING, steps=14, learning_rate=0.01)
    (made, losses), (again, _) = (trained(path, tmp_path / name, settings) for name in ("one", "two"))
    _, unlearned = trained(path, tmp_path / "still", replace(settings, learning_rate=1e-12))
    assert made == again and np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < np.mean(unlearned[-4:]), "on the same pictures with the same noise"
    for base in (path, path.parent / "float"):
        generator = DiffusersGenerator(BaseChoice(str(base), "cpu", "float32"), ZIMAGE)
        pictures = []
        for lora in (None, tmp_path / "one" / "lora.safetensors", None):
            generator.load_lora(lora)
            pictures.append(np.stack([image for _, image in generator.generate(shots(1), GENERATION)]))
        assert not np.array_equal(pictures[0], pictures[1]) and np.array_equal(pictures[0], pictures[2])


def test_a_dora_is_refused_before_the_base_is_loaded(file: tuple[str, Path], tmp_path: Path) -> None:
    """It trains on a file whose weights are not packed."""
    _, path = file
    dora = replace(TRAINING, adapter="dora", steps=1)
    with pytest.raises(InputError, match=r'"dora" does not go with the packed weights of a \.gguf file'):
        look_at_all(training_checks(dora, ZIMAGE, BaseChoice(str(path), "cpu"), 1))
    look_at_all(training_checks(replace(dora, adapter="lokr"), ZIMAGE, BaseChoice(str(path), "cpu"), 1))
    plain = build_gguf_zimage(tmp_path / "plain", "F16")
    look_at_all(training_checks(dora, ZIMAGE, BaseChoice(str(plain), "cpu"), 1))
    assert trained(plain, tmp_path / "made", dora)[0]


def test_a_dora_is_not_worn_on_packed_weights(file: tuple[str, Path], tmp_path: Path) -> None:
    """In neither of its forms, which is known before the base is loaded; unpacked weights take it."""
    _, path = file
    plain = build_gguf_zimage(tmp_path / "plain", "F16")
    made = tmp_path / "dora.safetensors"
    base = opened("zimage", plain)
    with adapted(base, AdapterPlan(ZIMAGE.targets, 4, 2.0, dora=True), 0) as model:
        write_lora(made, model.weights(torch.float16), ZIMAGE, {})
    packed = opened("zimage", path)
    for lora in (made, kohya_path(made)):
        wanted = Wanted(BaseChoice(str(path), "cpu"), ZIMAGE, GENERATION, (lora,))
        with pytest.raises(ModelFileError, match="DoRA goes with F16, F32 or a folder"):
            look_at_all(checks(wanted))
        look_at_all(checks(replace(wanted, choice=BaseChoice(str(plain), "cpu"))))
        with pytest.raises(ModelFileError, match="DoRA goes with F16, F32 or a folder"):
            packed.lora.use(lora)
        packed.lora.use(None)
        base.lora.use(lora)
        base.lora.use(None)


def test_the_forecast_knows_what_it_takes(file: tuple[str, Path]) -> None:
    _, path = file
    base = opened("zimage", path)
    demand, _ = demand_of(base, replace(TRAINING, resolution=64))
    assert (
        demand.footprint.weights == real_bytes(base.denoiser)
        and demand.footprint.quantised > 0
        and not demand.quantised_sizes
    )


def test_what_cannot_be_read_is_said(file: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = file
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelFileError, match=r"cut off, 1,000 bytes are missing"):
        opened("zimage", cut)
    cut.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ModelFileError, match=r"no gguf file \(the header is cut off\)"):
        opened("zimage", cut)
    with pytest.raises(InputError, match=r"holds a denoiser alone.*'sdxl'"):
        opened("sdxl", path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    with pytest.raises(MissingExtra, match=r'pip install .*-e "\.\[quant\]"'):
        opened("zimage", path)


def test_names_of_the_makers_are_read(tmp_path: Path) -> None:
    """Of Krea 2, all of whose layers are called otherwise in diffusers."""
    path, weights = build_gguf_krea2(tmp_path)
    assert preset_for(str(path)) == "krea2"
    denoiser = opened("krea2", path).denoiser
    packed = {name for name, layer in denoiser.named_modules() if type(layer) is FromGguf}
    assert {"transformer_blocks.1.attn.to_gate", "transformer_blocks.0.ff.down"} <= packed
    plain = {name: value for name, value in weights.items() if name.removesuffix(".weight") not in packed}
    held = denoiser.state_dict()
    assert len(plain) > 40 and all(torch.equal(held[name], value) for name, value in plain.items())
    generator = DiffusersGenerator(BaseChoice(str(path), "cpu", "float32"), FAMILIES["krea2"])
    ((_, image),) = generator.generate(shots(1), GENERATION)
    assert image.std() > 0


def test_the_names_in_it_choose_the_preset(tmp_path: Path) -> None:
    from tests.helpers.gguf_files import write_gguf

    marks = [mark for mark in FAMILIES["qwen-image"].single_file.marks[0] if not mark.startswith("!")]
    write_gguf({name: torch.zeros(2, 2) for name in marks}, tmp_path / "model.gguf", "Q8_0")
    assert preset_for(str(tmp_path / "model.gguf")) == "qwen-image"
