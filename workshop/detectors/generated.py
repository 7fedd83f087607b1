"""Pictures of the base model itself, with the faces that detectors find in them, to be labelled whole or smeared."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np
import torch

from twinloop import nano
from twinloop.adapters.detectors.nano import load_nano_pack
from twinloop.nano.world.params import sample_identity, sample_scene
from workshop import captions
from workshop.export import pipeline_of
from workshop.sheet import grid, samples

BATCH, STEPS = 10, 12


def prompts(count: int, seed: int) -> list[str]:
    """Captions of people and scenes that were never rendered."""
    draw, words = np.random.default_rng([seed, 99]), random.Random(seed)
    return [captions.caption(sample_identity(draw), sample_scene(draw), words) for _ in range(count)]


def generate_faces(work: Path, out: Path, name: str, count: int, *, label: str, seed: int = 1) -> None:
    """Write ``generated_<name>.npz`` (images, boxes), a sheet to look at, and ``generated_<name>.json`` with the label
    of each face.

    Args:
        label: ``good`` or ``bad`` for all of them, or ``none`` to label by hand: the file is a list of 1 (whole), 0
            (smeared) and null (do not use).
    """
    torch.set_num_threads(1)
    pipeline = pipeline_of(work, name, out / "tokenizer")
    pipeline.set_progress_bar_config(disable=True)
    detector = load_nano_pack(Path(nano.__file__).parent / "detectors").faces
    assert detector is not None
    images, boxes = [], []
    asked = prompts(count, seed)
    for first in range(0, count, BATCH):
        for image in samples(pipeline, asked[first : first + BATCH], steps=STEPS, seed=seed * 10_000 + first):
            faces = detector.detect(image)
            if faces:
                images.append(image)
                boxes.append(faces[0].box.to_list())
    target = out / f"generated_{name}.npz"
    partial = target.with_name(f".{target.name}")
    with open(partial, "wb") as file:
        np.savez(file, images=np.stack(images), boxes=np.array(boxes, np.float32))
    os.replace(partial, target)
    value = {"good": 1, "bad": 0, "none": None}[label]
    target.with_suffix(".json").write_text(json.dumps([value] * len(images)))
    grid([image[::2, ::2] for image in images], 12).save(target.with_suffix(".png"))
