"""Readiness: whether a person's pictures are enough for a training, why not, and what to photograph next, in counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from twinloop.domain.dates import day_of
from twinloop.domain.facet import Facet
from twinloop.domain.model_roles import NEEDS_FACE
from twinloop.domain.photo_counts import MANY, SOME, TOO_FEW
from twinloop.domain.shots import Gap, images_needed
from twinloop.domain.statistics import wilson
from twinloop.domain.wording import in_words, plural
from twinloop.facets.face_angle import FACET as ANGLE
from twinloop.facets.face_angle import FILM
from twinloop.stages.analyze import Analysis, analyze
from twinloop.stages.faceless import FINDING, NO_FACES, mostly_faceless
from twinloop.stages.vault.dataset.caption import Captioned
from twinloop.stages.vault.dataset.choose import angle_and_side
from twinloop.stages.vault.dataset.cut import CutOptions, cut_of
from twinloop.stages.vault.dataset.grade import FINE, GRADES, HINT, LACK, STOP, Finding, Readiness

SMALL_FACE = 128
"""Pixels of a face's height in the picture under which a base model draws little of it."""
SMALL_PICTURE = 0.5
"""Share of the training size: a picture of fewer pixels than that a side lacks the detail that the base could learn."""
WORTH_CUTTING = 1.1
"""Times as high as now that faces would be, from which a closer cut is proposed."""
ONE_SHOOT = 0.6
"""Share of dated photos of one day from which clothes, light and place are learned with the person."""
DAY = 86_400
AGES = 8
"""Years of dated photos from which one face is several."""


def readiness(
    made: Sequence[Captioned],
    facets: Sequence[Facet],
    duplicates: int,
    cutting: CutOptions,
    by_hand: tuple[int, int],
    carried: int,
) -> Readiness:
    """Judge the pictures that were prepared.

    Args:
        duplicates: photos that were dropped as copies of others. cutting: how the pictures were cut.
        by_hand: how many photos were taken in and left out by hand.
        carried: pictures of photos that are no longer there: they count, but what they show is not known any more.
    """
    if _mostly_whole(made):
        facets = [facet for facet in facets if not NEEDS_FACE.intersection(facet.needs)]
    analysis = analyze([item.seen for item in made], facets, {})
    findings = [_number(len(made) + carried)]
    if made:
        findings += [
            *_angles(made),
            *_gaps(analysis),
            *_unmeasured(analysis),
            *_pixels(made, cutting),
            *_faces(made, cutting),
            *_shoots(made),
            *_years(made),
            *_origin(made),
        ]
    if duplicates:
        findings.append(
            Finding(
                about="duplicates",
                level=FINE,
                text=f"{plural(duplicates, 'near copy was', 'near copies were')} left out: the same picture would have"
                " counted twice.",
                have=duplicates,
                of=len(made),
            )
        )
    if any(by_hand):
        findings.append(
            Finding(
                about="by hand",
                level=FINE,
                text=f"{plural(by_hand[0], 'photo was', 'photos were')} taken in by hand and {by_hand[1]} left out.",
                have=by_hand[0],
                of=len(made),
            )
        )
    order = [STOP, LACK, HINT, FINE]
    findings.sort(key=lambda finding: order.index(finding.level))
    return Readiness(GRADES[findings[0].level], len(made) + carried, tuple(findings))


def _number(count: int) -> Finding:
    if count < TOO_FEW:
        return Finding(
            about="photos",
            level=STOP,
            text=f"{plural(count, 'photo')}: a LoRA of so few learns the photos by heart. Add {TOO_FEW - count} at"
            f" least, better {SOME - count}.",
            have=count,
            of=SOME,
            add=TOO_FEW - count,
        )
    if count < SOME:
        return Finding(
            about="photos",
            level=LACK,
            text=f"{count} photos: enough to start, too few to tell what is missing. Add {SOME - count}.",
            have=count,
            of=SOME,
            add=SOME - count,
        )
    if count < MANY:
        return Finding(
            about="photos",
            level=HINT,
            text=f"{count} photos: enough to start; {MANY} and more leave room to hold some back for judging.",
            have=count,
            of=MANY,
            add=MANY - count,
        )
    return Finding(about="photos", level=FINE, text=f"{count} photos.", have=count, of=MANY)


def _angles(made: Sequence[Captioned]) -> list[Finding]:
    """Profiles and three-quarter views: how many lack, and from which side."""
    sides = Counter(angle_and_side(item.seen.face.pose if item.seen.face is not None else None) for item in made)
    measured = len(made) - sides[""]
    if _mostly_whole(made):
        bare = sum(item.cut.number is None for item in made)
        text = (
            f"{bare} of {len(made)} pictures are used whole, without a face: angles and expressions are not counted."
            " See to the variety yourself."
        )
        need = (
            f"No face was found in {bare} of {len(made)} pictures, and a run leaves such pictures out: set {NO_FACES}"
            " in its configuration."
        )
        return [
            Finding(about="angle", level=HINT, text=text, have=len(made) - bare, of=len(made)),
            Finding(about=FINDING, level=HINT, text=need, have=bare, of=len(made)),
        ]
    if not measured:
        return [
            Finding(
                about="angle",
                level=LACK,
                text="The angle of the heads could not be measured: nothing is known of profiles.",
                have=0,
                of=len(made),
            )
        ]
    found: list[Finding] = []
    for value, words in (("profile", "profile"), ("three_quarter", "three-quarter view")):
        left, right = sides[f"{value}_left"], sides[f"{value}_right"]
        told = any(finding.add for finding in found)
        found.append(_angle(words, left, right, measured, ANGLE.shares[value], "" if told else f", {FILM}"))
    return found


def _mostly_whole(made: Sequence[Captioned]) -> bool:
    """Whether most of the pictures are a character's as a whole, so that figures of faces say little of the set."""
    return mostly_faceless(sum(item.cut.number is None for item in made), len(made))


def _angle(words: str, left: int, right: int, of: int, share: float, film: str) -> Finding:
    """``film``: how else to come by such photos, behind what to take."""
    have = left + right
    needed = images_needed(have, of, share)
    interval = wilson(have, of)
    said = f"{plural(of, 'photo')}, {have} {words}{'' if have == 1 else 's'} ({left} facing left, {right} facing right"
    if not needed:
        lone = "left" if not left else "right" if not right else ""
        return Finding(
            about="angle",
            level=HINT if lone and have else FINE,
            text=f"{said})." + (f" Take a few facing {lone}, too." if lone and have else ""),
            have=have,
            of=of,
            low=interval.low,
            high=interval.high,
        )
    more_left = min(needed, max(0, (left + right + needed + 1) // 2 - left))
    take = " and ".join(
        f"{count} facing {side}" for count, side in ((more_left, "left"), (needed - more_left, "right")) if count
    )
    return Finding(
        about="angle",
        level=_weight(interval.high, share),
        text=f"{said}{_chance(of, interval.low, interval.high)}): take {take}{film}.",
        have=have,
        of=of,
        add=needed,
        low=interval.low,
        high=interval.high,
    )


def _weight(high: float, share: float) -> str:
    """A share whose interval reaches what is wanted may be chance: a hint. Otherwise it lacks."""
    return HINT if high >= share else LACK


def _chance(of: int, low: float, high: float) -> str:
    """How far so few photos can be trusted; larger sets need no such words."""
    if of >= SOME:
        return ""
    return f"; too few photos to be sure: the share may lie between {100 * low:.0f} and {100 * high:.0f} %"


def _gaps(analysis: Analysis) -> list[Finding]:
    return [
        _gap(gap)
        for gap in analysis.gaps
        if (gap.facet, gap.value) not in {(ANGLE.name, "profile"), (ANGLE.name, "three_quarter")}
    ]


def _gap(gap: Gap) -> Finding:
    """A facet's gap. A front view that lacks is a hole in the person; a setting that lacks is only less variety."""
    interval = wilson(gap.have, gap.total)
    chance = _chance(gap.total, interval.low, interval.high).removeprefix("; ")
    counted = f"{gap.have} of {gap.total}" + (f" ({chance})" if chance else "")
    text = f"{in_words(gap.facet)}, {in_words(gap.value)}: {counted}. Take {gap.count} more."
    level = _weight(interval.high, gap.share) if gap.facet == ANGLE.name else HINT
    return Finding(
        about=gap.facet,
        level=level,
        text=text,
        have=gap.have,
        of=gap.total,
        add=gap.count,
        low=interval.low,
        high=interval.high,
    )


def _unmeasured(analysis: Analysis) -> list[Finding]:
    return [
        Finding(
            about=facet.facet,
            level=HINT,
            text=f"{facet.facet.replace('_', ' ')}: not measured ({facet.why}).",
            have=0,
            of=analysis.images,
        )
        for facet in analysis.facets
        if facet.measured == 0 and facet.facet != ANGLE.name
    ]


def _pixels(made: Sequence[Captioned], cutting: CutOptions) -> list[Finding]:
    """Pictures far too small for the size that is trained at."""
    sides = [(item.cut.window.size[0] * item.cut.window.size[1]) ** 0.5 for item in made]
    small = sum(side < SMALL_PICTURE * cutting.size for side in sides)
    if 2 * small <= len(made):
        return []
    text = (
        f"{small} of {len(made)} pictures are smaller than half the training size of {cutting.size} x {cutting.size}"
        f" (median: {np.median(sides):.0f} pixels a side): a LoRA learns their lack of detail. Add larger photos, or"
        " prepare them for a base that is trained at a smaller size (--size)."
    )
    return [Finding(about="pixels", level=LACK, text=text, have=len(made) - small, of=len(made))]


def _faces(made: Sequence[Captioned], cutting: CutOptions) -> list[Finding]:
    """Pixels of the faces as they will be trained on."""
    tall = [item.seen.face.box.height for item in made if item.seen.face is not None]
    small = sum(height < SMALL_FACE for height in tall)
    if not tall or small <= len(tall) / 4:
        return []
    text = (
        f"{small} of {len(tall)} faces are under {SMALL_FACE} pixels high (median {np.median(tall):.0f}): add closer or"
        " larger photos"
    )
    text += f"{_closer(made, cutting)}."
    level = LACK if small > len(tall) / 2 else HINT
    return [Finding(about="faces", level=level, text=text, have=small, of=len(tall))]


def _closer(made: Sequence[Captioned], cutting: CutOptions) -> str:
    """What a closer cut of the same photos would bring, where it brings anything: not where they are cut so already, or
    were not made smaller.
    """
    cuts = [item.cut for item in made]
    closer = [cut for old in cuts if (cut := cut_of(old.photo, old.number, "face", cutting.size)) is not None]
    now, then = ([cut.subject.box.height for cut in some if cut.subject is not None] for some in (cuts, closer))
    if not then or np.median(then) < WORTH_CUTTING * np.median(now):
        return ""
    return f", or cut closer (--framing face: median {np.median(then):.0f})"


def _shoots(made: Sequence[Captioned]) -> list[Finding]:
    """Photos of one day share clothes, light and place."""
    days = Counter(int(item.cut.photo.taken // DAY) for item in made if item.cut.photo.taken is not None)
    dated = sum(days.values())
    if dated < TOO_FEW:
        return []
    most = max(days.values())
    text = f"{most} of {dated} dated photos are of one day"
    if most <= ONE_SHOOT * dated:
        return [Finding(about="shoots", level=FINE, text=f"{text}; {len(days)} days in all.", have=most, of=dated)]
    return [
        Finding(
            about="shoots",
            level=LACK,
            text=f"{text}: its clothes, light and place will be learned with the person. Add photos of other days.",
            have=most,
            of=dated,
        )
    ]


def _years(made: Sequence[Captioned]) -> list[Finding]:
    """A face of many years. The first and the last twentieth do not count: a camera whose clock is wrong is no year."""
    dated = sorted(item.cut.photo.taken for item in made if item.cut.photo.taken is not None)
    if len(dated) < TOO_FEW:
        return []
    aside = len(dated) // 20
    first, last = dated[aside], dated[-1 - aside]
    years = (last - first) / (365.25 * DAY)
    if years <= AGES:
        return []
    return [
        Finding(
            about="years",
            level=HINT,
            text=f"The dated photos span {years:.0f} years ({day_of(first)[:4]} to {day_of(last)[:4]}): one LoRA mixes"
            " these ages. For one of them: prep with --since and --until.",
            have=len(dated),
            of=len(made),
        )
    ]


def _origin(made: Sequence[Captioned]) -> list[Finding]:
    synthetic = sum(item.seen.origin != "real" for item in made)
    if not synthetic:
        return []
    return [
        Finding(
            about="origin",
            level=HINT,
            text=f"{synthetic} of {len(made)} {'carries' if synthetic == 1 else 'carry'} the mark of a model: it stays,"
            " and the loop does not count such pictures as real photos.",
            have=synthetic,
            of=len(made),
        )
    ]
