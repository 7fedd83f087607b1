"""``twinloop report``: write report.html of a run anew, finished or not."""

from __future__ import annotations

import argparse
from typing import Any

from twinloop.cli import options
from twinloop.cli.command import Command
from twinloop.cli.settings_from_flags import settings_from
from twinloop.cli.terminal import Terminal


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_run(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.errors import NothingToDo
    from twinloop.report.page import write_report
    from twinloop.store.run.found_run import found_run
    from twinloop.store.run.owner import check_reads_own
    from twinloop.store.run.workspace import Workspace, shown_path

    folder = options.run_folder(args)
    record = Workspace(folder, folder).run_record
    if not record.exists():
        raise NothingToDo(f"{folder} holds no run (no {record.name}). Name the output_dir of a run.")
    loras = None if args.config is None else settings_from(args, {}).lora_dir
    space = found_run(folder) if loras is None else Workspace(folder, loras)
    if loras is not None:
        check_reads_own(space, "name the folder of that run instead of --config: twinloop report {other}")
    path = write_report(space)
    terminal.line(f"Report: {shown_path(path)}")
    return {"report": shown_path(path)}


COMMAND = Command("report", "Write the report page of a run anew, finished or not.", configure, run)
