"""Runs: what there is, how each LoRA does, the fixed panel side by side, and which file is the final one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from twinloop.domain.shots import Shot
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.stages.pick import pick, picked
from twinloop.store.workspace import Workspace
from twinloop.web.api.shared import TheJobs, TheSite, webp
from twinloop.web.pictures import picture
from twinloop.web.recorded import recorded
from twinloop.web.site import Site

router = APIRouter()
REPORT_POLICY = (
    "sandbox allow-scripts allow-modals allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report may come from somebody else. Sandboxed, it has an origin of its own: its scripts cannot reach this server or another tab of it.

The page's own policy names its style and script by hash; this one can only narrow that further."""


MADE = ("synthetic_iter*", "panel_v*", "samples_v*/step_*", "checkpoints_v*/step_*")
"""Folders of the images that a run makes."""
_OF_A_RUN = re.compile(r"synthetic_iter\d+|panel_v\d+|(samples|checkpoints)_v\d+/step_\d+", re.ASCII)


@router.get("/overview")
def overview(site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """All runs and configurations of the working directory."""
    return {
        "home": site.home.name,
        "vault": site.show(site.vault.root) if site.vault.scan_record.exists() else None,
        "runs": [_summary(name, space, site, jobs) for name, space in site.runs().items()],
        "configs": [_config(name, path) for name, path in site.configs().items()],
    }


def _summary(name: str, space: Workspace, site: Site, jobs: TheJobs) -> dict[str, Any]:
    history = _json(space.history)
    stop = history.get("stop")
    job = jobs.of(name)
    return {
        "run": name, "person": history.get("person") or _json(space.run_record).get("settings", {}).get("person_name", ""),
        "rounds": len(history.get("iterations", [])), "best": history.get("best_version"), "gaps_left": history.get("gaps_left"), "stop": stop,
        "job": job.to_json() if job is not None else None, "config": _config_of(space, site), "report": space.report.exists(),
    }  # fmt: skip


def _config(name: str, path: Path) -> dict[str, Any]:
    data = _json(path)
    return {
        "config": name,
        "person": data.get("person_name", ""),
        "output_dir": data.get("output_dir", ""),
        "dataset_dir": data.get("dataset_dir", ""),
    }


def _config_of(space: Workspace, site: Site) -> str | None:
    """The configuration whose output_dir is this run's folder."""
    for name, path in site.configs().items():
        output = _json(path).get("output_dir")
        if isinstance(output, str) and (site.home / output).resolve() == space.root.resolve():
            return name
    return None


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is none yet, or somebody else's file has the name."""
    try:
        data = recorded(path)
    except (InputError, StateError):
        return {}
    return data if isinstance(data, dict) else {}


@router.get("/run")
def run(run: str, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """One run: its rounds with figures and intervals, its LoRAs, its panel."""
    space = site.run(run)
    history = _json(space.history)
    panel = _json(space.panel).get("shots", [])
    versions = [lora["version"] for lora in history.get("loras", [])]
    return {
        **_summary(run, space, site, jobs),
        "iterations": history.get("iterations", []), "loras": history.get("loras", []), "scores": history.get("panel", []),
        "against_v1": history.get("best_against_v1", {}), "picked": picked(lora_space(space, site)),
        "panel": [{"number": number, "prompt": Shot.from_json(item).prompt} for number, item in enumerate(panel)],
        "panel_versions": [version for version in versions if space.panel_images(version).is_dir()],
        "reviews": [number for number in range(1, 1000) if space.verdicts(number).exists()] if space.verdicts(1).exists() else [],
        "waits": _json(space.run_record).get("settings", {}).get("review", "never"),
    }  # fmt: skip


def lora_space(space: Workspace, site: Site) -> Workspace:
    """The same run with the folder of its LoRAs, as its history names it.

    Raises:
        NothingToDo: it has none yet.
    """
    loras = _json(space.history).get("loras", [])
    return Workspace(space.root, (site.home / loras[0]["path"]).parent) if loras else space


@router.get("/run/panel")
def panel_picture(run: str, version: int, number: int, site: TheSite, size: int = 256) -> Response:
    """The panel's image of one prompt by one version."""
    space = site.run(run)
    metadata = _json(space.panel_images(version) / "generation_metadata.json").get("images", [])
    if not 0 <= number < len(metadata):
        raise NothingToDo(f"v{version} has no panel image number {number}.")
    item = metadata[number]
    return webp(
        picture(space.panel_images(version) / Path(item["file"]).name, size, item.get("sha256")), by_content=False
    )


@router.get("/run/samples")
def samples(run: str, site: TheSite, count: int = 12) -> list[dict[str, Any]]:
    """The images made last, newest first: what a running generation looks like."""
    space = site.run(run)
    folders = [folder for pattern in MADE for folder in space.root.glob(pattern) if folder.is_dir()]
    files = [path for folder in folders for path in folder.glob("*.png") if not path.name.startswith(".")]
    files.sort(key=lambda path: (-path.stat().st_mtime_ns, path.name))
    return [
        {"folder": path.parent.relative_to(space.root).as_posix(), "file": path.name}
        for path in files[: min(count, 100)]
    ]


@router.get("/run/made")
def made_picture(run: str, folder: str, file: str, site: TheSite, size: int = 256) -> Response:
    """One made image by its folder and name."""
    space = site.run(run)
    if not _OF_A_RUN.fullmatch(folder) or file != Path(file).name:
        raise InputError("Only images of this run's own folders are shown.")
    return webp(picture(space.root / folder / file, size), by_content=False)


class Pick(BaseModel):
    run: str
    version: int


@router.post("/run/pick")
def pick_final(body: Pick, site: TheSite) -> dict[str, Any]:
    """Make a version the final LoRA."""
    return pick(lora_space(site.run(body.run), site), body.version)


@router.get("/run/report")
def report(run: str, site: TheSite) -> Response:
    """The run's report as it lies there: one page that loads nothing."""
    path = site.run(run).report
    if not path.is_file():
        raise NothingToDo("This run has no report yet; it is written when the run ends. Now: twinloop report")
    return Response(path.read_bytes(), media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})
