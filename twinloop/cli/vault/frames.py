"""``twinloop vault frames``: pictures out of videos, into a folder to scan."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.argument_types import between, not_negative, positive
from twinloop.cli.command import USAGE, Command, Finished
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import plural, shown, some
from twinloop.system import shell

if TYPE_CHECKING:
    from twinloop.stages.vault.frames.manifest import VideoRecord
    from twinloop.stages.vault.frames.take import TakenFrames


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "videos", nargs="+", type=Path, metavar="VIDEO|FOLDER", help="videos, or folders of videos; they are only read"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder of the pictures, to scan afterwards; what else lies in it is left alone",
    )
    parser.add_argument(
        "--frames-per-video",
        type=positive,
        default=40,
        metavar="N",
        help="pictures of one video at most; near-alike ones are left out anyway (default: 40)",
    )
    parser.add_argument(
        "--per-second",
        type=between(0, 30, "a number up to 30 and above 0", above=True),
        default=2.0,
        metavar="N",
        help="compare N pictures of each second, each the sharpest of its stretch (default: 2)",
    )
    parser.add_argument(
        "--models-dir",
        metavar="DIR",
        help=(
            "folder of detector files, or the word 'nano' for the embedded ones (default: models, if it holds any;"
            " without detectors the sharpest pictures are taken, whatever they show)"
        ),
    )
    parser.add_argument(
        "--workers",
        type=not_negative,
        metavar="N",
        help=(
            "processes that decode and measure; 0 = none, without protection from broken files (default: one per core,"
            " 4 at most)"
        ),
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import wiring
    from twinloop.stages.vault.frames.take import FramePlan, take_frames

    if args.models_dir is None and not wiring.usual_models():
        terminal.warn("no detectors (--models-dir): the sharpest pictures are taken, whether they show a face or not")
    plan = FramePlan(
        tuple(args.videos),
        args.output,
        args.frames_per_video,
        args.per_second,
        lambda: wiring.build_frame_taker(args.models_dir, args.workers),
    )
    done = take_frames(plan, terminal)
    for line in lines_of(done):
        terminal.line(line)
    for note in done.notes:
        terminal.warn(note)
    result = done.to_json()
    return result if done.videos or done.known else Finished(result, USAGE)


def lines_of(done: TakenFrames) -> list[str]:
    """What was done, for people."""
    lines = [f"{shown(os.fspath(path))}: {_of_video(record)}" for path, record in done.videos]
    if done.known:
        had = "had given its pictures before" if len(done.known) == 1 else "had given their pictures before"
        lines.append(f"{plural(len(done.known), 'video')} {had}")
    if done.same:
        holds = plural(len(done.same), "video holds", "videos hold")
        names = [f"{shown(os.fspath(path))} ({shown(os.fspath(first))})" for path, first in done.same]
        lines.append(f"{holds} the same as others of this run: {some(names)}")
    if done.failed:
        lines += ["", f"Without a picture: {plural(len(done.failed), 'video')}"]
        lines += [f"  - {shown(os.fspath(path))}: {reason}" for path, reason in done.failed]
    lines += ["", f"{plural(done.written, 'new picture')} in {done.output}"]
    if done.written:
        folder = shell.quote(os.fspath(done.output))
        lines.append(f"Next: twinloop vault run {folder} --person NAME")
        lines.append(f"  or step by step: twinloop vault scan {folder}, then twinloop vault cluster and prep")
    return lines


def _of_video(record: VideoRecord) -> str:
    """``12 pictures of 10.0 s: 4 front, 3 profile left; left out: 5 near-alike``."""
    angles = Counter(frame.angle.replace("_", " ") for frame in record.frames if frame.angle)
    told = ", ".join(f"{count} {name}" for name, count in angles.most_common())
    out = [
        f"{count} {name}"
        for count, name in ((record.alike, "near-alike"), (record.blurred, "blurred"), (record.without_face, "no face"))
        if count
    ]
    text = f"{plural(len(record.frames), 'picture')} of {record.seconds:.1f} s" + (f": {told}" if told else "")
    return text + (f"; left out: {', '.join(out)}" if out else "")


COMMAND = Command(
    "frames",
    "Take pictures out of videos: sharp ones of every head angle, none twice. The videos are only read.",
    configure,
    run,
)
