"""What is other than when a run began: the photos of its folder, their captions, its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.config import Settings
from twinloop.domain.captions import with_trigger
from twinloop.domain.records import Dataset, Member
from twinloop.domain.wording import agree, plural, some
from twinloop.errors import StateError
from twinloop.ports import Reporter
from twinloop.steps.beginning import other_settings
from twinloop.steps.photos import CHANGED_PHOTO, Beside
from twinloop.store.atomic import read_as, read_object, sha256_file
from twinloop.store.pictures.dataset_folders import subject_images
from twinloop.store.pictures.sidecar import caption_beside
from twinloop.store.run.workspace import Workspace


@dataclass(frozen=True)
class SinceBegun:
    """Differences; false = there are none.

    Attributes:
        came: pictures of the folder that the run does not know. changed, gone: photos of the run.
        captions: photos of the run beside which other words lie now. settings: names of those that decide results.
        elsewhere: ``dataset_dir`` where no photo of the run lies in it; "" = some do.
    """

    came: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    gone: tuple[Path, ...] = ()
    captions: tuple[Path, ...] = ()
    settings: tuple[str, ...] = ()
    elsewhere: str = ""

    def __bool__(self) -> bool:
        return bool(self.came or self.captions or self.refused)

    @property
    def refused(self) -> bool:
        """Whether the run does not go on like this."""
        return bool(self.changed or self.gone or self.settings or self.elsewhere)

    @property
    def text(self) -> str:
        """As ``2 pictures came, 1 picture is gone, other settings (training.steps)``."""
        parts = [f"its photos lie elsewhere than in {self.elsewhere}"] if self.elsewhere else []
        for noun, found, one, many in (
            ("picture", self.came, "came", "came"),
            ("picture", self.changed, "was changed", "were changed"),
            ("picture", self.gone, "is gone", "are gone"),
            ("caption", self.captions, "is different", "are different"),
        ):
            parts += [f"{plural(len(found), noun)} {agree(len(found), one, many)}"] if found else []
        parts += [f"other settings ({some(self.settings)})"] if self.settings else []
        return ", ".join(parts)


def since_begun(settings: Settings, workspace: Workspace) -> SinceBegun | None:
    """Compare a run that has begun with what there is now; reads all its photos. None = no run has a dataset there.

    Raises:
        StateError: a record of the run is damaged. InputError: ``dataset_dir`` is not there.
    """
    if not workspace.dataset(0).exists():
        return None
    members = _members(workspace)
    kept = read_object(workspace.run_record).get("settings")
    settings_now = other_settings(settings, kept) if isinstance(kept, dict) else ()
    if _lie_elsewhere(members, settings):
        return SinceBegun(settings=settings_now, elsewhere=settings.dataset_dir)
    gone = tuple(path for path in map(_path, members) if not path.is_file())
    changed = tuple(
        path for member in members if (path := _path(member)) not in gone and sha256_file(path) != member.sha256
    )
    captions = tuple(path for path in _other_captions(members, workspace, settings) if path not in changed)
    return SinceBegun(_came(members, workspace, settings), changed, gone, captions, settings_now)


def look_for_new_photos(settings: Settings, workspace: Workspace, reporter: Reporter) -> None:
    """Tell of photos that came into the folder after the run, which has a dataset, had begun, and of captions that were
    changed since: it uses neither.

    Args:
        reporter: not the run's own, which keeps silent while a run that had ended is gone through again; for whoever
            starts that, new photos are news.

    Raises:
        StateError: no photo of the run lies in ``dataset_dir``: it is another folder.
    """
    folder, members = Path(settings.dataset_dir), _members(workspace)
    if _lie_elsewhere(members, settings):
        raise StateError(
            f"{workspace.root} was begun with photos of another folder than dataset_dir ({folder}). Use another"
            " output_dir and lora_output_dir, or start anew with --restart (the old folders are kept under new names)."
        )
    if new := _came(members, workspace, settings):
        came = f"{plural(len(new), 'picture')} in {folder} came after this run had begun"
        reporter.warn(
            f"{came} and {agree(len(new), 'is', 'are')} not used (such as {new[0].name}). --restart begins anew with"
            " all of them (this run is kept under a new name)."
        )
    if other := _other_captions(members, workspace, settings):
        count = len(other)
        reporter.warn(
            f"{plural(count, 'caption')} in {folder} {agree(count, 'was', 'were')} changed after this run had begun and"
            f" {agree(count, 'is', 'are')} not used (such as that of {other[0].name}). --restart begins anew with"
            f" {agree(count, 'it', 'them')} (this run is kept under a new name)."
        )


def check_photos(workspace: Workspace) -> None:
    """Raises StateError where a photo of the run's dataset is gone or was changed; reads all of them."""
    for member in _members(workspace):
        path = _path(member)
        if not path.is_file() or sha256_file(path) != member.sha256:
            raise StateError(CHANGED_PHOTO.format(path=path))


def _members(workspace: Workspace) -> Sequence[Member]:
    return read_as(workspace.dataset(0), Dataset.from_json).members


def _path(member: Member) -> Path:
    return Path(member.path)


def _place(path: Path) -> Path:
    """Where a photo lies, whatever its folder is called; a photo that is a link lies where the link does."""
    return path.parent.resolve() / path.name


def _lie_elsewhere(members: Sequence[Member], settings: Settings) -> bool:
    folder = Path(settings.dataset_dir).resolve()
    return not any(_place(_path(member)).is_relative_to(folder) for member in members)


def _came(members: Sequence[Member], workspace: Workspace, settings: Settings) -> tuple[Path, ...]:
    apart = (settings.training.prior_images, settings.training.masks)
    known = {_place(_path(member)) for member in members}
    known |= {_place(Path(path)) for path, _ in read_as(workspace.dataset(0), Beside.from_json).left_out}
    return tuple(path for path in subject_images(Path(settings.dataset_dir), *apart) if _place(path) not in known)


def _other_captions(members: Sequence[Member], workspace: Workspace, settings: Settings) -> tuple[Path, ...]:
    """Photos beside which words lie that the run did not take from there, by the trigger that it was begun with."""
    kept = read_object(workspace.run_record).get("settings")
    known = kept.get("person_trigger") if isinstance(kept, dict) else None
    trigger = known if isinstance(known, str) else settings.person_trigger
    words = ((member, caption_beside(_path(member))) for member in members)
    return tuple(_path(member) for member, text in words if text and with_trigger(text, trigger) != member.caption)
