"""A scanned file as bytes and back: JSON for the numbers, float32 and JPEG bytes behind it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.adapters.scanning.messages import packed, unpacked
from twinloop.domain.faces import Box, Face, FloatArray, HeadPose
from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.domain.vault import VaultFace, VaultPhoto


def listed_to_bytes(listed: ListedFile) -> bytes:
    return packed(_stat(listed), [os.fsencode(listed.path)])


def listed_from_bytes(data: bytes) -> ListedFile:
    stat, (path,) = unpacked(data)
    return ListedFile(Path(os.fsdecode(path)), *map(int, stat))


def _stat(listed: ListedFile) -> list[int]:
    return [listed.size, listed.mtime_ns, listed.ctime_ns]


def scanned_to_bytes(scanned: ScannedFile) -> bytes:
    blobs = [scanned.thumbnail]
    listed, photo = scanned.listed, scanned.photo
    head = {
        "stat": _stat(listed), "sha256": scanned.sha256, "problem": scanned.problem,
        "photo": None if photo is None else _photo(photo, blobs),
    }  # fmt: skip
    return packed(head, blobs)


def scanned_from_bytes(path: Path, data: bytes) -> ScannedFile:
    head, blobs = unpacked(data)
    listed = ListedFile(path, *map(int, head["stat"]))
    photo = None if head["photo"] is None else _photo_from(head["photo"], blobs)
    return ScannedFile(listed, head["sha256"], photo, blobs[0], head["problem"])


def _photo(photo: VaultPhoto, blobs: list[bytes]) -> dict[str, Any]:
    return {
        "sha256": photo.sha256,
        "size": [photo.width, photo.height],
        "phash": photo.phash,
        "taken": photo.taken,
        "origin": photo.origin,
        "measures": dict(photo.measures),
        "faces": [_face(found, blobs) for found in photo.faces],
    }


def _photo_from(data: dict[str, Any], blobs: list[bytes]) -> VaultPhoto:
    width, height = data["size"]
    return VaultPhoto(
        data["sha256"], (), int(width), int(height), data["phash"], data["taken"], data["origin"], data["measures"],
        tuple(_face_from(face, blobs) for face in data["faces"]),
    )  # fmt: skip


def _face(found: VaultFace, blobs: list[bytes]) -> dict[str, Any]:
    face, box = found.face, found.face.box
    pose = None if face.pose is None else [float(face.pose.yaw), float(face.pose.pitch), float(face.pose.roll)]
    return {
        "box": [float(value) for value in (box.x0, box.y0, box.x1, box.y1)],
        "confidence": float(face.confidence),
        "pose": pose,
        "landmarks": _put(face.landmarks, blobs),
        "embedding": _put(face.embedding, blobs),
        "quality": float(found.quality),
        "measures": dict(found.measures),
    }


def _face_from(data: dict[str, Any], blobs: list[bytes]) -> VaultFace:
    marks, embedding = _get(data["landmarks"], blobs), _get(data["embedding"], blobs)
    face = Face(
        Box(*(float(value) for value in data["box"])),
        float(data["confidence"]),
        None if marks is None else marks.reshape(-1, 2),
        None if data["pose"] is None else HeadPose(*(float(value) for value in data["pose"])),
        embedding,
    )
    return VaultFace(face, float(data["quality"]), data["measures"])


def _put(values: FloatArray | None, blobs: list[bytes]) -> int | None:
    if values is None:
        return None
    blobs.append(np.ascontiguousarray(values, np.float32).tobytes())
    return len(blobs) - 1


def _get(place: int | None, blobs: list[bytes]) -> FloatArray | None:
    return None if place is None else np.frombuffer(blobs[place], np.float32)
