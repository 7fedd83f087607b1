"""What a package says of its pictures: where each comes from, what was measured, what speaks against it, and what is
missing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from twinloop import __version__
from twinloop.domain.vault import Consent
from twinloop.exporters.candidates import Candidate, Candidates
from twinloop.exporters.choose import Choice, Missing
from twinloop.exporters.wishes import shown_expression

FORMAT = 1
SIDES = (
    "Left and right as the viewer sees it: yaw > 0 and 'right' mean that the nose points to the right edge of the"
    " picture. Nothing is mirrored."
)
_WIDTH = 100
"""Columns of a README's paragraphs."""
MEASURES = ("eyes_open", "jaw_open", "face_quality", "face_sharpness", "brightness")


def manifest(
    export: str,
    about: str,
    candidates: Candidates,
    items: Sequence[Mapping[str, Any]],
    missing: Sequence[Missing],
    **more: Any,
) -> dict[str, Any]:
    """The manifest of a package without its list of files.

    Free of times and of paths outside of the dataset, so that it can be sent on.
    """
    return {
        "export": export,
        "format": FORMAT,
        "program": f"twinloop {__version__}",
        "about": about,
        "convention": SIDES,
        "dataset": candidates.dataset,
        "consent": candidates.consent,
        "images_looked_at": candidates.looked_at,
        "measured_with": candidates.fingerprint,
        **more,
        "items": list(items),
        "missing": [
            {"slot": m.slot.name, "wanted": m.slot.wanted, "why": m.why, "how_to_get_it": m.slot.remedy}
            for m in missing
        ],
        "left_out": [{"file": name, "reason": reason} for name, reason in candidates.left_out],
    }


def item(choice: Choice, file: str, **picture: Any) -> dict[str, Any]:
    """One picture; ``picture`` says how it was cut."""
    candidate = choice.candidate
    return {
        "slot": choice.slot.name,
        "file": file,
        "origin": candidate.seen.origin,
        "source": {
            "file": candidate.name,
            "sha256": candidate.seen.sha256,
            "width": candidate.seen.width,
            "height": candidate.seen.height,
        },
        "measured": measured(candidate),
        "score": round(choice.score, 4),
        "score_parts": {name: round(value, 4) for name, value in choice.parts.items()},
        "picture": picture,
        "remarks": list(choice.remarks),
    }


def measured(candidate: Candidate) -> dict[str, Any]:
    """The numbers behind a choice; null = not measured."""
    pose = candidate.face.pose
    found: dict[str, Any] = {
        "yaw": None if pose is None else round(float(pose.yaw), 1),
        "pitch": None if pose is None else round(float(pose.pitch), 1),
        "roll": None if pose is None else round(float(pose.roll), 1),
        "expression": shown_expression(candidate),
        "likeness": None if candidate.likeness is None else round(candidate.likeness, 4),
    }
    for name in MEASURES:
        value = candidate.seen.measure(name)
        found[name] = None if value is None else round(float(value), 3)
    return {**found, "face_confidence": round(float(candidate.face.confidence), 3), "faces": len(candidate.seen.faces)}


def warnings_of(choices: Sequence[Choice], missing: Sequence[Missing]) -> tuple[str, ...]:
    """What a person should know before using the package."""
    lines = [f"{m.slot.name}: missing, {m.why} (wanted: {m.slot.wanted}). {m.slot.remedy}" for m in missing]
    for choice in choices:
        made = () if choice.candidate.real else ("made by a model, a guess at how the person looks",)
        remarks = (*made, *choice.remarks)
        if remarks:
            lines.append(f"{choice.slot.name} ({choice.candidate.name}): {'; '.join(remarks)}")
    return tuple(lines)


def use_of_faces(consent: str) -> str:
    """What these pictures may be used for, by the ``text`` of the consent that was recorded."""
    if consent.split(";")[0] == Consent("fictional").text:
        return (
            "The pictures show a fictional character, as recorded; the rights of whoever made it are not looked into."
        )
    return "Faces are biometric data: use these pictures only as the person shown has agreed to."


def readme(
    title: str,
    paragraphs: Sequence[str],
    choices: Sequence[tuple[Choice, str]],
    missing: Sequence[Missing],
    consent: str,
) -> bytes:
    """README.txt of a package: what it is, each picture with its source, what is missing.

    Args:
        paragraphs: what it is and is not, broken into lines here. consent: as `Candidates` has it.
    """
    lines = [title, "=" * len(title), ""]
    for paragraph in paragraphs:
        lines += [*textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False), ""]
    lines += ["Pictures", "--------"]
    for choice, file in choices:
        origin = "real photo" if choice.candidate.real else "SYNTHETIC, made by a model and marked so in the file"
        lines.append(f"{file}: from {choice.candidate.name}, {origin}")
        lines += [f"    note: {remark}" for remark in choice.remarks]
    if missing:
        lines += ["", "Missing", "-------"]
        for gap in missing:
            lines += [f"{gap.slot.name}: {gap.why}.", f"    wanted: {gap.slot.wanted}", f"    {gap.slot.remedy}"]
    lines += ["", "manifest.json holds what was measured on each picture.", SIDES]
    lines += [use_of_faces(consent)]
    return ("\n".join(lines) + "\n").encode()
