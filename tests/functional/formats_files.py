"""Every file that docs/formats.md is about, made by the commands on the fakes, or by the code that writes it in other
runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from tests.contract.makers import TRAINING
from tests.functional import loops, vaults
from tests.functional.console import configuration
from tests.functional.formats_page import nested
from tests.helpers.fake_photos import fake_photo
from tests.helpers.videos import fake_video
from tests.unit.loras.makers import adapter, saved
from twinloop import steps
from twinloop.adapters.trainers.records.metrics import JsonLines, Metrics
from twinloop.cli.app import main
from twinloop.domain.records import LoRA
from twinloop.domain.validation_loss import TimeLoss, ValidationLoss
from twinloop.families.sd15 import FAMILY
from twinloop.loras.lora import Dialect
from twinloop.stages.identity import reference_to_json
from twinloop.stages.vault.dataset.folder.layouts import metadata_bytes
from twinloop.store.models.lora_file import header_texts
from twinloop.store.run.workspace import Workspace

FAKE = ("--models-dir", "fake")
MADE = ("--lora", "loras/lora_v2.safetensors", "--output", "made")
COMPARED = (
    "--config",
    "hand/bootstrap_config.json",
    "--lora",
    "loras/lora_v1.safetensors",
    "loras/lora_v2.safetensors",
    "--strength",
    "0.5,1",
    "--prompt",
    "ohwx ana at sea",
    "ohwx ana",
    "--output",
    "compared",
)
TRAIN = (
    "--base-model",
    "fake",
    *FAKE,
    "--person",
    "ohwx ana",
    "--steps",
    4,
    "--keep-checkpoints",
    2,
    "--output",
    "mine.safetensors",
)
BY_TESTS = ("photos/person.json", "ana.safetensors")
"""What is written here, and not by the program."""


def command(*argv: object, code: int = 0) -> None:
    assert main([str(item) for item in argv]) == code, argv


def make_all(home: Path) -> None:
    """Run every command that writes files once, in the working directory ``home``."""
    a_run(home)
    by_hand()
    exports()
    a_vault()


def a_run(home: Path) -> None:
    """Two rounds with images given up early and faces redrawn, a review, checkpoints, samples and a picked version."""
    loops.write_photos(Path("photos"), 20)
    Path("photos/broken.png").write_bytes(b"no picture")
    Path("photos/person.json").write_text('{"consent": {"kind": "fictional", "who": "tests"}}')
    training = {"preset": "fake", "steps": 4, "keep_checkpoints": 2, "checkpoint_panel": 2, "sample_every": 4}
    generation = {"num_per_gap": 2, "early_reject": 0.6, "from_photos": 0.7, "references": 2}
    generation |= {"face_detail": 0.4, "face_detail_below": 0.9}
    config = configuration(
        home,
        review="first_round",
        training=training,
        generation=generation,
        validation={"min_face_quality": 0.75},
        max_iterations=1,
        base_parts={"vae": "photos/person.json"},
    )
    command("run", "--config", config, code=3)
    images = [item["image"] for item in read("out/verdicts_iter1.json")["verdicts"] if "rejected_early" not in item]
    command("review", "out", "--approve", images[0], "--finish")
    command("run", "--config", config)
    steps.pick_final(Workspace(Path("out"), Path("loras")), 1)


def by_hand() -> None:
    """The steps one at a time."""
    command("analyze", "photos", *FAKE, "--observations", "seen.jsonl")
    Path("hand").mkdir()
    more = {
        "num_per_gap": 1,
        "from_photos": 1.0,
        "references": 2,
        "extra_loras": [{"path": "loras/lora_v1.safetensors", "scale": 0.5}],
        "guidance_rescale": 0.7,
        "timestep_spacing": "trailing",
    }
    base = {"precision": "float32", "base_prediction": "v_prediction", "zero_terminal_snr": True, "clip_skip": 2}
    base["base_parts"] = {"vae": "loras/lora_v1.safetensors"}
    command("generate", "gaps.json", "--config", configuration(Path("hand"), generation=more, **base), *MADE)
    command("validate", "made", *FAKE)
    command("compare", *COMPARED)
    command("train", "photos", *TRAIN)


def exports() -> None:
    """A package of every kind."""
    Path("alice").mkdir()
    for number, (yaw, shown) in enumerate([(0.0, "neutral"), (4.0, "smile"), (-80.0, "neutral")]):
        fake_photo(Path(f"alice/{number}.png"), seed=number, size=480, framing="portrait", yaw=yaw, expression=shown)
    Path("alice/broken.png").write_bytes(b"no picture")
    command("export", "did", "--dataset", "alice", "--output", "did", *FAKE)
    for target, output in (("facesheet", "sheet.jpg"), ("expressions", "live2d")):
        command("export", target, "--dataset", "alice", "--output", output, "--size", 256, *FAKE)
    command("export", "kohya", "--dataset", "alice", "--output", "kohya", "--base-model", "me/sdxl")
    saved(Path("ana.safetensors"), adapter("sdxl"), Dialect.DIFFUSERS, {"modelspec.trigger_phrase": "ohwx ana"})
    command("export", "a1111", "--lora", "ana.safetensors", "--preview", "alice/0.png", "--output", "drop")


def a_vault() -> None:
    """One person, prepared; a photo of hers is there twice."""
    Path("scanned").mkdir()
    for number in range(8):
        fake_photo(Path(f"scanned/{number}.png"), seed=number, size=192, person=15, yaw=(0.0, 5.0, 30.0)[number % 3])
    with Image.open("scanned/0.png") as image:
        image.save("scanned/copy.jpg", quality=95)
    vaults.command("scan", "scanned", *FAKE, "--workers", 0)
    vaults.command("cluster")
    vaults.command("dedup")
    vaults.command("label", "p001", "--trigger", "ohwx ana", "--class", "woman", "--consent", "fictional")
    vaults.command("prep", "p001")
    vaults.command("prep", "p001", "--output", "prepared elsewhere")
    fake_video(Path("turn.mp4"), [0.0, 40.0])
    vaults.command("frames", "turn.mp4", "--output", "frames", *FAKE, "--workers", 0)


def read(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def by_others(folder: Path) -> Iterator[tuple[str, Any]]:
    """(name, content) of what a run on the fakes lacks, by the code that writes it in others."""
    yield "metadata.jsonl", json.loads(metadata_bytes({"a.png": "ohwx ana"}, []))
    yield "identity_reference.json", reference_to_json(None)
    log = folder / "lora_v1.metrics.jsonl"
    metrics = Metrics([JsonLines(log, 0)])
    metrics.add(1, loss=0.5, rate=1e-4, grad_norm=float("inf"))
    validation = ValidationLoss(2, (TimeLoss(125, 0.4),))
    metrics.add(2, loss=0.5, prior_loss=0.2, rate=1e-4, grad_norm=0.1, validation=validation)
    metrics.close()
    yield from ((log.name, json.loads(line)) for line in log.read_text().splitlines())
    history, record = read(folder / "out/iteration_history.json"), read(folder / "loras/lora_v1.json")
    validated = replace(LoRA.from_json(record), validation=validation).to_json()
    yield "lora_v1.json", {**record, **validated}
    yield "iteration_history.json", {**history, "loras": [validated]}
    yield from (("lora_v1.safetensors", nested(texts)) for texts in headers(folder))


def headers(home: Path) -> Iterator[dict[str, str]]:
    """Header texts of a plain LoRA and of a DoRA with text encoders, another loss and noise, dropout and gradient
    checkpointing over a quantised base that began from another one.
    """
    import torch

    from tests.helpers.lora_files import write_lora
    from twinloop.adapters.diffusion.loras.dora_rows import RowNorms
    from twinloop.adapters.diffusion.loras.writing import LoraWeights
    from twinloop.adapters.trainers.records.header import length_header, lora_header, quantization_header
    from twinloop.store.models.part_hashes import parts_header

    given = {
        name: text for name, text in header_texts(home / "loras/lora_v1.safetensors").items() if "fake." not in name
    }
    more = replace(
        TRAINING,
        adapter="dora",
        text_encoder=True,
        loss="huber",
        network_dropout=0.1,
        scale_weight_norms=1.0,
        gradient_checkpointing=True,
        debiased_estimation_loss=True,
        multires_noise_iterations=6,
        ip_noise_gamma=0.1,
        clip_skip=2,
    )
    begun = {
        **given,
        **quantization_header("nf4"),
        **parts_header({"vae": "0" * 64}),
        **length_header(3),
        "twinloop.started_from": "0" * 64,
        "twinloop.assistant": "0" * 64,
        "twinloop.trainer": "kohya 0.9.1",
        "twinloop.trained_as": "lora_v1",
    }
    layer, lengths = "down_blocks.0.to_q", torch.ones(2)
    lora = LoraWeights({layer: (torch.ones(1, 2), torch.ones(2, 1))}, 1, 1.0)
    dora = replace(lora, magnitudes={layer: lengths}, norms={layer: RowNorms(lengths, lengths)})
    for settings, weights, texts in ((TRAINING, lora, given), (more, dora, begun)):
        whole = lora_header(settings, FAMILY, "epsilon", 10, "2026-01-01T00:00:00Z", texts)
        write_lora(home / "header.safetensors", weights, FAMILY, whole)
        yield from (dict(header_texts(home / name)) for name in ("header.safetensors", "header_kohya.safetensors"))


def marks(image: Path) -> dict[str, Any]:
    """The text chunks of a PNG."""
    with Image.open(image) as opened:
        opened.load()
        texts = {name: str(text) for name, text in opened.text.items()}  # type: ignore[attr-defined]
    return nested({**texts, "twinloop": json.loads(texts["twinloop"])})
