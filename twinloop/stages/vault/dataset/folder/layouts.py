"""How a training set lies on the disk: what kohya's scripts, Hugging Face's imagefolder, or everything else reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Label
from twinloop.stages.vault.dataset.cut import Cut
from twinloop.stages.vault.dataset.folder.prepared import PreparedFolder
from twinloop.stages.vault.dataset.label import head_of
from twinloop.store.vault.same_shot import SameShot

LONGEST_STEM = 80


@dataclass(frozen=True)
class Layout:
    """Where pictures and captions go.

    Attributes:
        folder: below the person's folder, "" = the folder itself. text_files: a ``.txt`` beside each picture; else one
            metadata.jsonl.
    """

    folder: str
    text_files: bool

    def picture(self, stem: str) -> str:
        return f"{self.folder}/{stem}.png" if self.folder else f"{stem}.png"

    def caption(self, stem: str) -> str:
        return f"{self.folder}/{stem}.txt" if self.folder else f"{stem}.txt"


def layout_of(name: str, label: Label, repeats: int) -> Layout:
    """The layout of that name; kohya's folder says how often its pictures count in an epoch, trigger and class word."""
    if name == "kohya":
        plain = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", head_of(label, "prose"))
        return Layout(f"{repeats}_{plain}".rstrip(" ."), text_files=True)
    return Layout("", text_files=name == "flat")


def stems(
    cuts: Sequence[Cut], layout: Layout, folder: PreparedFolder, is_ours: Callable[[Path, Cut], bool], shots: SameShot
) -> dict[str, str]:
    """sha256 of each photo -> name of its files without ending: that of earlier runs, also of another photo of the same
    shot, else the photo's own, made unique.

    A name that a file of the user's has is not taken.

    Args:
        is_ours: whether a picture that nothing is on record of is just this cut: then person.json was lost, and the
            name is taken again.
    """
    earlier = {
        folder.photo_of(name): Path(name).stem
        for name in sorted(folder.names)
        if name.endswith(".png") and not folder.is_original(name)
    }
    chosen = {cut.photo.sha256: earlier[cut.photo.sha256] for cut in cuts if cut.photo.sha256 in earlier}
    for cut in cuts:
        left = (earlier[one] for one in sorted(shots.of(cut.photo.sha256)) if one in earlier)
        stem = next((stem for stem in left if stem not in chosen.values()), None)
        if cut.photo.sha256 not in chosen and stem is not None:
            chosen[cut.photo.sha256] = stem
    taken = {stem.casefold() for stem in earlier.values()}
    for cut in cuts:
        if cut.photo.sha256 not in chosen:
            stem = _plain(cut.path.stem)
            picture = layout.picture(stem)
            if stem.casefold() in taken or (
                _is_users(stem, layout, folder)
                and (folder.is_original(picture) or not is_ours(folder.root / picture, cut))
            ):
                stem = f"{stem}_{cut.photo.sha256[:8]}"
            taken.add(stem.casefold())
            chosen[cut.photo.sha256] = stem
    return chosen


def _is_users(stem: str, layout: Layout, folder: PreparedFolder) -> bool:
    names = (layout.picture(stem), layout.caption(stem))
    return any(
        (name not in folder.names or folder.is_original(name)) and (folder.root / name).exists() for name in names
    )


def _plain(stem: str) -> str:
    """A name that every file system and trainer takes."""
    plain = re.sub(r"[^\w .()-]", "_", stem.encode("utf-8", "replace").decode())[:LONGEST_STEM].strip(" .")
    return plain or "photo"


def metadata_bytes(texts: Mapping[str, str], foreign: Sequence[Mapping[str, Any]]) -> bytes:
    """metadata.jsonl as Hugging Face's imagefolder reads it: one object per picture, by name; the user's own lines at
    the end.
    """
    lines: list[Mapping[str, Any]] = [{"file_name": name, "text": texts[name]} for name in sorted(texts)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [*lines, *foreign]).encode(
        "utf-8", "backslashreplace"
    )
