"""Runs: what there is, how each LoRA does, the fixed panel side by side, and which file is the final one."""

from __future__ import annotations

import contextlib
import html
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count as numbers
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Response

from twinloop import steps
from twinloop.config import Settings, load_settings
from twinloop.domain.json_fields import entry, entry_or, list_of, table, text, whole
from twinloop.domain.shots import Shot
from twinloop.errors import ConfigError, InputError, NothingToDo, StateError
from twinloop.report.answer import better_than_v1
from twinloop.report.reading import read_versions
from twinloop.stages import review as reviewing
from twinloop.stages.history import ROUNDS, RecordedRound
from twinloop.stages.pick import picked
from twinloop.store.atomic import read_as, read_object
from twinloop.store.lock import holder
from twinloop.store.models.lora_file import kohya_path
from twinloop.store.run.found_run import found_run
from twinloop.store.run.workspace import GENERATION_METADATA, Workspace
from twinloop.web.api.shared import Sent, TheJobs, TheSite, made
from twinloop.web.pictures import picture
from twinloop.web.recorded import recorded
from twinloop.web.site import Site

T = TypeVar("T")
router = APIRouter()
REPORT_POLICY = (
    "sandbox allow-scripts allow-modals allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report may come from somebody else. Sandboxed, it has an origin of its own: its scripts cannot reach this server or
another tab of it.

The page's own policy names its style and script by hash; this one can only narrow that further."""


MADE = ("synthetic_iter*", "panel_v*", "samples_v*/step_*", "checkpoints_v*/step_*")
"""Folders of the images that a run makes."""
_OF_A_RUN = re.compile(r"synthetic_iter\d+|panel_v\d+|(samples|checkpoints)_v\d+/step_\d+", re.ASCII)


@router.get("/overview")
def overview(site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """All runs and configurations of the working directory."""
    runs = site.runs()
    configs = site.configs(runs)
    begun_by = _begun_by(site, runs.values(), configs)
    return {
        "home": site.home.name,
        "vault": site.show(site.vault.root) if site.vault.scan_record.exists() else None,
        "runs": [_summary(name, space, jobs, begun_by) for name, space in runs.items()],
        "configs": [_config(name, path, site) for name, path in configs.items()],
    }


def _summary(name: str, space: Workspace, jobs: TheJobs, begun_by: Mapping[Path, str]) -> dict[str, Any]:
    history, settings = _history(space), _settings(space)
    job, held = jobs.of(name), holder(space.root)
    return {
        "run": name,
        "person": history.get("person") or settings.get("person_name", ""),
        "waiting": _waiting(space, history, settings),
        "rounds": len(history[ROUNDS]),
        "best": history.get("best_version"),
        "gaps_left": history.get("gaps_left"),
        "stop": history.get("stop"),
        "job": job.to_json() if job is not None else None,
        "process": held.pid if held is not None else None,
        "config": begun_by.get(space.root.resolve()),
        "report": space.report.exists(),
    }


def _waiting(space: Workspace, history: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    """The round that waits for a person's review, as the files say: whoever started the run, and since whenever."""
    number = len(history[ROUNDS]) + 1
    if history.get("stop") is not None or not reviewing.wanted(settings.get("review", "never"), number):
        return None
    if not space.verdicts(number).exists() or space.dataset(number).exists():
        return None
    try:
        finished = reviewing.Review.read(space.review(number), number).finished
    except (InputError, StateError):  # damaged: Review says so, and the other runs are listed all the same
        finished = False
    return None if finished else number


def _config(name: str, path: Path, site: Site) -> dict[str, Any]:
    data = _json(path)
    output = _output_dir(data)
    return {
        "config": name,
        "person": data.get("person_name", ""),
        "output_dir": output or "",
        "run": None if output is None else site.show(site.home / output),
        "dataset_dir": data.get("dataset_dir", ""),
    }


def _begun_by(site: Site, runs: Iterable[Workspace], configs: Mapping[str, Path]) -> dict[Path, str]:
    """Folders of runs and the configuration that each goes on with: of those whose output_dir it is the one that it
    says it was started with, else the first with the settings that it was begun with.
    """
    of_folder: dict[Path, list[str]] = {}
    for name, path in configs.items():
        output = _output_dir(_json(path))
        if output is not None:
            of_folder.setdefault((site.home / output).resolve(), []).append(name)
    found: dict[Path, str] = {}
    for space in runs:
        here = of_folder.get(space.root.resolve(), [])
        told = site.told_config(space)
        fitting = (name for name in here if _fits(configs[name], space))
        chosen = site.show(told) if told is not None and site.show(told) in here else next(fitting, None)
        if chosen is not None:
            found[space.root.resolve()] = chosen
    return found


def _fits(config: Path, space: Workspace) -> bool:
    """Whether a configuration has the settings that a run was begun with."""
    try:
        settings = load_settings(config)
    except (InputError, ConfigError):
        return False
    begun = _settings(space)
    return bool(begun) and steps.same_settings(settings, begun)


def _output_dir(config: Mapping[str, Any]) -> str | None:
    """Where a configuration's run lies; None for JSON that is no configuration."""
    usual = Settings.model_fields["output_dir"].default if "person_name" in config else None
    output = config.get("output_dir", usual)
    return output if isinstance(output, str) and "\0" not in output else None


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; {} where there is none yet, or somebody else's file has the name."""
    return read_object(path, recorded)


@router.get("/run")
def run(run: str, site: TheSite, jobs: TheJobs) -> dict[str, Any]:
    """One run: its rounds with figures and intervals, its LoRAs, its panel."""
    space = site.run(run)
    history, panel = _history(space), _look(space.panel, _shots) or ()
    versions = [lora["version"] for lora in history["loras"]]
    found = found_run(space.root)
    return {
        **_summary(run, space, jobs, _begun_by(site, [space], site.configs())),
        ROUNDS: history[ROUNDS],
        "loras": history["loras"],
        "scores": history["panel"],
        "against_v1": history["best_against_v1"],
        "better_than_v1": _better_than_v1(space),
        "picked": picked(found),
        "final_files": {
            name: site.show(path) if path.is_file() else None
            for name, path in (("lora", found.final_lora), ("kohya", kohya_path(found.final_lora)))
        },
        "panel": [{"number": number, "prompt": shot.prompt} for number, shot in enumerate(panel)],
        "panel_versions": [version for version in versions if space.panel_images(version).is_dir()],
        "reviews": list(takewhile(lambda number: space.verdicts(number).exists(), numbers(1))),
    }


def _history(space: Workspace) -> dict[str, Any]:
    """What the run has done so far, as the page shows it; nothing where there is none yet, or a damaged file."""
    return _look(space.history, _done) or _done({})


def _done(data: Any) -> dict[str, Any]:
    versions = entry_or(data, "loras", list_of(table), ())
    for lora in versions:
        entry(lora, "version", whole)
    rounds = entry_or(data, ROUNDS, list_of(table), ())
    for done in rounds:
        RecordedRound.from_json(done)
    return {
        **data,
        ROUNDS: list(rounds),
        "loras": list(versions),
        "panel": list(entry_or(data, "panel", list_of(table), ())),
        "best_against_v1": entry_or(data, "best_against_v1", table, {}),
    }


def _settings(space: Workspace) -> Mapping[str, Any]:
    """Those that the run was begun with; {} as `_history`."""
    return _look(space.run_record, lambda data: entry_or(data, "settings", table, {})) or {}


def _shots(data: Any) -> tuple[Shot, ...]:
    return entry_or(data, "shots", list_of(Shot.from_json), ())


def _look(path: Path, parse: Callable[[Any], T]) -> T | None:
    """What a record says; None where there is none yet, or a damaged file, or somebody else's."""
    with contextlib.suppress(InputError, StateError):
        return read_as(path, parse, read=recorded)
    return None


def _better_than_v1(space: Workspace) -> str | None:
    """The sentence of the report; None where no LoRA was measured, or what it says is damaged."""
    with contextlib.suppress(NothingToDo, StateError):
        versions = read_versions(found_run(space.root))
        return better_than_v1(versions) if versions.scores else None
    return None


@router.get("/run/panel")
def panel_picture(run: str, version: int, number: int, site: TheSite, size: int = 256) -> Response:
    """The panel's image of one prompt by one version."""
    space = site.run(run)
    metadata = _look(space.panel_images(version) / GENERATION_METADATA, _files) or ()
    if not 0 <= number < len(metadata):
        raise NothingToDo(f"v{version} has no panel image number {number}.")
    file, sha256 = metadata[number]
    return made(picture(space.panel_images(version) / Path(file).name, size, sha256), by_content=False)


def _files(data: Any) -> tuple[tuple[str, str | None], ...]:
    """Name and sha256 of each image on record."""
    found = entry_or(data, "images", list_of(table), ())
    return tuple((entry(item, "file", text), entry_or(item, "sha256", text, None)) for item in found)


@router.get("/run/samples")
def samples(run: str, site: TheSite, count: int = 12) -> list[dict[str, Any]]:
    """The images made last, newest first: what a running generation looks like."""
    space, wanted = site.run(run), max(0, min(count, 100))
    folders = [folder for pattern in MADE for folder in space.root.glob(pattern) if folder.is_dir()]
    newest: list[tuple[int, str, Path]] = []
    for changed, folder in sorted(((_changed(folder), folder) for folder in folders), reverse=True):
        # a folder is as new as the image that was put there last, so older ones have nothing newer
        if len(newest) >= wanted and (not wanted or -newest[-1][0] > changed):
            break
        newest = sorted([*newest, *_images(folder)])[:wanted]
    return [{"folder": path.parent.relative_to(space.root).as_posix(), "file": name} for _, name, path in newest]


def _changed(path: Path) -> int:
    """When it was changed last, in nanoseconds; 0 where it is gone by now."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _images(folder: Path) -> Iterator[tuple[int, str, Path]]:
    """The images of a folder, the newest first when sorted."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for entry in found:
            if entry.name.endswith(".png") and not entry.name.startswith("."):
                with contextlib.suppress(OSError):  # the run goes on meanwhile: it may have moved this one
                    yield -entry.stat().st_mtime_ns, entry.name, folder / entry.name


@router.get("/run/made")
def made_picture(run: str, folder: str, file: str, site: TheSite, size: int = 256) -> Response:
    """One made image by its folder and name."""
    space = site.run(run)
    if not _OF_A_RUN.fullmatch(folder) or file != Path(file).name:
        raise InputError("Only images of this run's own folders are shown.")
    return made(picture(space.root / folder / file, size), by_content=False)


class Pick(Sent):
    run: str
    version: int


@router.post("/run/pick")
def pick_final(body: Pick, site: TheSite) -> dict[str, Any]:
    """Make a version the final LoRA."""
    return steps.pick_final(found_run(site.run(body.run).root), body.version)


@router.get("/run/report")
def report(run: str, site: TheSite) -> Response:
    """The run's report: one page that loads nothing. The files that it links to are named instead: they have no
    address here.
    """
    path = site.run(run).report
    if not path.is_file():
        raise NothingToDo("This run has no report yet; it is written when the run ends. Now: twinloop report")
    text = path.read_bytes().decode(errors="replace")
    named = _LINK.sub(lambda link: _named(link, path.parent, site), text).replace(LINKS_WORK, FILES_ARE_NAMED)
    return Response(named, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})


_LINK = re.compile(r'<a href="(?!#|[a-z][a-z0-9+.-]*:)([^"]*)">([^<]*(?:<(?!/?a\b)[^<]*)*)</a>', re.IGNORECASE)
"""A link from the report to a file of its run."""
LINKS_WORK = "Links work while this page lies in the output folder of its run."
FILES_ARE_NAMED = "Paths are relative to the folder in which twinloop ui was started."


def _named(link: re.Match[str], folder: Path, site: Site) -> str:
    """What stands for a link: its words, and the path where they are a file's name; a picture stands for itself."""
    href, words = link.groups()
    path = unquote(html.unescape(href))
    if "<img" in words or "\0" in path:
        return words
    return f"{words} <code>{html.escape(site.show(folder / path))}</code>"
