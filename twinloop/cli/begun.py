"""What a dry run says of the run that the folder holds: how far it has come, and what starting anew would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.errors import InputError, StateError, TwinLoopError

if TYPE_CHECKING:
    from twinloop.cli.terminal import Terminal
    from twinloop.config import Settings
    from twinloop.stages.select import Photos
    from twinloop.stages.toolbox import Toolbox
    from twinloop.steps import SinceBegun
    from twinloop.store.run.catalog import Catalog
    from twinloop.store.run.workspace import Workspace


@dataclass(frozen=True)
class Anew:
    """What a run that starts anew would train on. ``why``: what is other than when the one that is there began."""

    why: str
    photos: int
    steps: int
    lora: str

    @property
    def text(self) -> str:
        from twinloop.domain.wording import plural

        return (
            f"Starting anew (--restart) would train v1 on {plural(self.photos, 'photo')} with {self.steps} steps, as"
            f" {self.lora}"
        )

    def to_json(self) -> dict[str, Any]:
        return {"why": self.why, "photos": self.photos, "training_steps": self.steps, "lora": self.lora}


@dataclass(frozen=True)
class Begun:
    """A run that is there.

    Attributes:
        told: how far it has come; "" = there is none that goes on. refused: why it does not go on with these settings
            and photos, though it would start anew. since: what is other than when it began.
        own: whether its photos are on record.
        lora: where version 1 lies. restart: whether it is not asked for, as the command is to start anew.
    """

    restart: bool = False
    told: str = ""
    refused: str = ""
    since: SinceBegun | None = None
    own: bool = False
    lora: str = ""

    def anew(self, photos: Photos, settings: Settings, toolbox: Toolbox, catalog: Catalog) -> Anew | None:
        """What starting anew would train on, where that is other than what the run has. ``photos``: that were looked
        at.
        """
        from twinloop import manual
        from twinloop.ports import SilentReporter

        why = self.refused or (self.since.text if self.since else "")
        if not why:
            return None
        if self.own:
            folder = Path(settings.dataset_dir)
            try:
                photos = manual.look_at(folder, settings, toolbox.observer, catalog, SilentReporter())
            except TwinLoopError:  # nothing in it can be used now
                return Anew(why, 0, toolbox.makers.training(0).steps, self.lora)
        count = len(photos.selection.photos)
        return Anew(why, count, toolbox.makers.training(count).steps, self.lora)


def look_into(settings: Settings, toolbox: Toolbox, workspace: Workspace, terminal: Terminal) -> Begun:
    """What is there, told like the run itself would; nothing is written.

    Raises:
        InputError: a folder lies in the place of a file of the run, or the reverse.
    """
    from twinloop.steps import check_photos, check_same_run, look_for_new_photos, since_begun, standing
    from twinloop.store.run.owner import another_run

    lora = workspace.show(workspace.lora(1))
    try:
        check_same_run(settings, toolbox, workspace)
        told = standing(settings, workspace)
        if not (told and workspace.dataset(0).exists()):
            return Begun(told=told)
        look_for_new_photos(settings, workspace, terminal)  # first, as in a run: of another folder all photos are gone
        check_photos(workspace)
        return Begun(told=told, since=since_begun(settings, workspace), own=True, lora=lora)
    except StateError as error:
        terminal.warn(f"Without --dry-run this is refused: {error}")
        # where the LoRAs are another run's, so is starting anew
        return Begun(refused="" if another_run(workspace) is not None else str(error), lora=lora)


def photos_of(
    begun: Begun,
    settings: Settings,
    toolbox: Toolbox,
    workspace: Workspace,
    catalog: Catalog,
    terminal: Terminal,
) -> Photos:
    """The photos to analyse: the run's own, or those of the folder where it has none yet."""
    from twinloop import manual

    if begun.own:
        return manual.look_at_run(workspace, settings, toolbox.observer, catalog, terminal)
    return manual.look_at(Path(settings.dataset_dir), settings, toolbox.observer, catalog, terminal)


def last_line(begun: Begun, fresh: Anew | None, plan: Mapping[str, Any], workspace: Workspace) -> str:
    """What the same command would do without ``--dry-run``. ``plan``: of the first round."""
    from twinloop.domain.wording import plural

    if begun.told:
        since = f" Since it began: {fresh.why}. {fresh.text}." if fresh is not None else ""
        return f"{begun.told}{since} Nothing was written."
    shape = f"(rank {plan['rank']}, {plan['resolution']} px)"
    made = f"make {plural(plan['images_round_1'], 'image')} in round 1"
    rounds = f"{plural(plan['max_iterations'], 'round')} at most"
    does = fresh.text if fresh is not None else f"Would train v1 with {plan['training_steps']} steps"
    kept = _kept(workspace) if fresh is not None or begun.restart else ""
    return f"{does} {shape} and {made}, {rounds}.{kept} Nothing was written."


def _kept(workspace: Workspace) -> str:
    """What a restart keeps of a run that is there."""
    from twinloop.store.run.put_aside import in_the_way

    try:
        moving = in_the_way(workspace)
    except InputError:
        return ""
    places = dict.fromkeys(
        workspace.show(path) if path in (workspace.root, workspace.lora_dir) else f"the LoRAs in {workspace.lora_dir}"
        for path in moving
    )
    return f" Kept under new names: {' and '.join(places)}." if places else ""
