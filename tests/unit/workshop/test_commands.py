"""The command line of the workshop: every step is offered and calls what it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workshop.__main__ import STEPS, main

ROOT = Path(__file__).parents[3]


def test_help_names_every_step_and_needs_no_heavy_library() -> None:
    code = (
        "import sys, runpy; sys.modules.update(dict.fromkeys(['torch', 'diffusers', 'onnx', 'numba'])); "
        "sys.argv = ['workshop', '--help']; runpy.run_module('workshop', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    offered = done.stdout.split("{")[1].split("}")[0]
    assert sorted("".join(offered.split()).split(",")) == sorted(STEPS)


@pytest.mark.parametrize(
    ("line", "function", "arguments"),
    [
        ("render --shards 2 --per-shard 8", "workshop.render.render_all", [Path("w")]),
        ("latents", "workshop.latents.encode_all", [Path("w")]),
        ("adopt --folder f --name n", "workshop.adopt.adopt", [Path("f"), Path("w"), "n"]),
        ("export --to t --name n", "workshop.export.export", [Path("w"), "n", Path("t")]),
        ("decoded --out o --count 4", "workshop.detectors.decoded.decode_renders", [Path("w"), Path("o"), 4]),
        (
            "generated --out o --name n --count 4",
            "workshop.detectors.generated.generate_faces",
            [Path("w"), Path("o"), "n", 4],
        ),
        (
            "worn --out o --pictures a b --detectors d --person 9",
            "workshop.detectors.judge.gather",
            [[Path("a"), Path("b")], Path("d"), Path("o"), 9, 80, 1],
        ),
        ("judge --detectors d", "workshop.detectors.judge.judge_held_out", [Path("d"), 0.7]),
    ],
)
def test_a_step_calls_its_function(
    monkeypatch: pytest.MonkeyPatch, line: str, function: str, arguments: list[Any]
) -> None:
    pytest.importorskip("diffusers")
    pytest.importorskip("numba")
    calls: list[list[Any]] = []
    monkeypatch.setattr(function, lambda *given, **_: calls.append(list(given)))
    main(["--work", "w", *line.split()])
    assert calls == [arguments]


@pytest.mark.parametrize(
    ("line", "training"),
    [
        ("vae --minutes 2", "workshop.vae"),
        ("unet --minutes 2 --name n --start s", "workshop.unet"),
        ("decoder --minutes 2 --name n", "workshop.decoder"),
    ],
)
def test_a_training_is_shared_among_processes(monkeypatch: pytest.MonkeyPatch, line: str, training: str) -> None:
    pytest.importorskip("diffusers")
    pytest.importorskip("numba")
    calls: list[Any] = []
    monkeypatch.setattr("workshop.parallel.run_team", lambda size, port, work, run: calls.append((size, work, run)))
    main(["--work", "w", "--processes", "3", *line.split()])
    ((size, work, run),) = calls
    assert (size, work.__module__, work.__name__, run.minutes) == (3, training, "train", 2)


@pytest.mark.parametrize("network", ["whole", "face", "identity"])
def test_each_network_has_its_training(monkeypatch: pytest.MonkeyPatch, network: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("numba")
    calls: list[tuple[str, Any]] = []
    monkeypatch.setattr("workshop.detectors.pool.Pool", lambda *given: given)
    for name in ("whole", "face", "identity"):
        monkeypatch.setattr(
            f"workshop.detectors.train.train_{name}", lambda run, pool, name=name: calls.append((name, run))
        )
    main(["--work", "w", network, "--out", "o", "--minutes", "3", "--start", "first"])
    ((called, run),) = calls
    assert (called, run.out, run.start) == (network, Path(f"o/{network}.safetensors"), Path("o/first.safetensors"))
