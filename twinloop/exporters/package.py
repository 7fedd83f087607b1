"""A package: its files in a folder of their own first, then in their places, the manifest last.

What is not from an export is never overwritten."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from twinloop.domain.file_names import is_inside
from twinloop.errors import NothingToDo, StateError, TwinLoopError
from twinloop.store.atomic import fsync_folder, is_leftover, read_json, sha256_file, storage_errors, write_bytes
from twinloop.system.files import rename_over


@dataclass(frozen=True)
class File:
    """One file of a package; ``name`` is relative to the package's root, with forward slashes.

    ``content`` is its bytes, or makes them when they are needed: a dataset does not fit into memory.
    """

    name: str
    content: bytes | Callable[[], bytes]

    @property
    def data(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else self.content()


@dataclass(frozen=True, eq=False)
class Package:
    """What an exporter makes.

    Attributes:
        manifest_name: where the manifest lies below the root. manifest: its content, without the list of files.
        warnings: what the user should know, in words.
    """

    files: tuple[File, ...]
    manifest_name: str
    manifest: Mapping[str, Any]
    warnings: tuple[str, ...]


class Written(NamedTuple):
    """A package on disk. ``content``: of its manifest, with every file's size and hash."""

    manifest: Path
    content: dict[str, Any]


def write_package(root: Path, package: Package) -> Written:
    """Write a package below ``root``; the same package gives the same bytes.

    Files of an earlier export that are no longer in it go.

    Every file is made once, and all of them before the first one takes its place: an error on the way leaves ``root``
    as it was.

    Raises:
        StateError: a file in the way is not from an export, or was changed since; nothing was written.
        StorageError: disk full or not permitted. What making a file raises.
    """
    manifest = root / package.manifest_name
    earlier = _earlier(manifest, package.manifest)
    with _workshop(root) as made:
        listed = [_made(made, file) for file in package.files]
        _refuse_strangers(root, {item["name"]: item["sha256"] for item in listed}, earlier)
        for file in package.files:
            _into_place(made / file.name, root / file.name)
    complete = {**package.manifest, "files": listed}
    write_bytes(manifest, (json.dumps(complete, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode())
    _remove_stale(root, {file.name for file in package.files}, earlier)
    return Written(manifest, complete)


@contextmanager
def _workshop(root: Path) -> Iterator[Path]:
    """A folder on the same file system, gone afterwards; with it those that killed exports to the same place left."""
    there = next(place for place in (root, *root.absolute().parents) if place.is_dir())
    name = f".{root.absolute().name[:40]}.export"
    for found in there.glob(f"{glob.escape(name)}.*.tmp"):
        if found.is_dir() and is_leftover(found):
            shutil.rmtree(found, ignore_errors=True)
    folder = there / f"{name}.{os.getpid()}.tmp"
    with storage_errors(root):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path, file: File) -> dict[str, Any]:
    """Write one file, and list it as the manifest does."""
    data = file.data
    write_bytes(folder / file.name, data)
    return {"name": file.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _into_place(made: Path, place: Path) -> None:
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        rename_over(made, place)
        fsync_folder(place.parent)


def _earlier(manifest: Path, now: Mapping[str, Any]) -> dict[str, str]:
    """name -> sha256 of the files that an earlier export of the same wrote here; those of another one would be taken
    for its leftovers.
    """
    if not manifest.exists():
        return {}
    problem = f"{manifest} is in the way: it is no manifest of an export. Choose another --output; nothing was written."
    try:
        data = read_json(manifest)
        listed = {str(item["name"]): str(item["sha256"]) for item in data["files"]}
        other = [str(data[key]) for key in ("export", "lora") if key in data and data[key] != now.get(key)]
    except (TwinLoopError, KeyError, TypeError) as error:
        raise StateError(problem) from error
    if other:
        raise StateError(
            f"{manifest.parent} holds another export ({', '.join(other)}). Choose another --output; nothing was"
            " written."
        )
    # a manifest may come from anywhere
    return {name: digest for name, digest in listed.items() if is_inside(name)}


def _refuse_strangers(root: Path, files: Mapping[str, str], earlier: Mapping[str, str]) -> None:
    for name, digest in files.items():
        path = root / name
        if path.exists() and (not path.is_file() or sha256_file(path) not in (digest, earlier.get(name))):
            known = (
                "was changed since it was exported" if name in earlier else "was there before and is not from an export"
            )
            raise StateError(f"{path} {known}. Move it away or choose another --output; nothing was written.")


def _remove_stale(root: Path, current: set[str], earlier: Mapping[str, str]) -> None:
    for name, digest in earlier.items():
        path = root / name
        if name not in current and path.is_file() and sha256_file(path) == digest:
            with storage_errors(path):
                path.unlink()


def require_pictures(chosen: Sequence[object], reasons: Sequence[str]) -> None:
    """An export without a single picture is none.

    Raises:
        NothingToDo: with what is missing and how to get it.
    """
    if not chosen:
        listed = "\n".join(f"  - {reason}" for reason in reasons)
        raise NothingToDo(f"Nothing can be exported, and nothing was written:\n{listed}")
