"""A folder of images -> verdicts, by the same photos as in the loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.ports import Reporter
from twinloop.stages import validate as validating
from twinloop.stages.identity import IdentityReference, learned, reference_from_json, reference_to_json
from twinloop.stages.observe import Observer
from twinloop.stages.select import Photos
from twinloop.stages.validate import Judged
from twinloop.steps.stage_options import limits_of, settings_fingerprint
from twinloop.store.run.catalog import Catalog


def learn_person(photos: Photos, settings: Settings, observer: Observer) -> IdentityReference | None:
    """The identity reference of a folder's real photos, with the rounding of the loop's own record; None where it is
    not wanted.
    """
    seen = [photo.seen for photo in photos.selection.photos]
    return reference_from_json(reference_to_json(learned(seen, observer, settings.validation.measures_identity)))


def judge_folder(
    folder: Path,
    photos: Photos | None,
    settings: Settings,
    observer: Observer,
    catalog: Catalog,
    reporter: Reporter,
    beside: Sequence[Path],
) -> tuple[list[Judged], dict[str, Any]]:
    """Verdicts of all images of a folder, and their record.

    Args:
        photos: the real photos; without them there is no identity check, and novelty only among the images themselves.
        beside: folders that the images are copied to afterwards.

    Raises:
        NothingToDo: no images there. InputError: no such folder.
    """
    asked = validating.asked_images(folder, observer.facets, beside)
    reference = learn_person(photos, settings, observer) if photos is not None else None
    known = [validating.known_image(p.path.name, p.seen) for p in photos.selection.photos] if photos is not None else []
    seen = [photo.seen for photo in photos.selection.photos] if photos is not None else []
    limits = limits_of(settings, observer, reference, seen)
    judged = validating.judge(
        asked, observer, catalog, limits, reference=reference, known=known, reporter=reporter
    ) + validating.given_up(folder)
    verdicts = [item.verdict for item in judged]
    return judged, validating.verdicts_json(verdicts, limits, settings_fingerprint(settings))
