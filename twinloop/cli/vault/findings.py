"""What ``caption`` and ``prep`` found, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from twinloop.cli.tables import ALL, SHOWN
from twinloop.cli.terminal import Terminal
from twinloop.domain.wording import agree, plural

if TYPE_CHECKING:
    from twinloop.stages.vault.dataset.caption import Captioned, Captions
    from twinloop.stages.vault.dataset.choose import LeftOut
    from twinloop.stages.vault.dataset.cut import CutOptions


def beside_lines(found: Captions) -> list[str]:
    """How many captions lie beside the photos."""
    if not found.beside:
        return []
    ignore = "--own-captions ignore writes measured ones instead"
    more = f"; {found.more_lines} with more lines, of which the first counts" if found.more_lines else ""
    more += f"; {found.beside_copies} beside copies of the photos that are used" if found.beside_copies else ""
    return [f"Captions from files beside the photos: {found.beside}{more} ({ignore})"]


def not_tags_lines(found: Captions) -> list[str]:
    """Captions of the user's own that are no tags, where the others are: how many, in which way, and an example."""
    from twinloop.domain.tag_form import other_than_tags
    from twinloop.stages.vault.dataset.caption import BESIDE, EDITED

    own = [item for item in found.captions if item.source in (BESIDE, EDITED)] if found.options.style == "tags" else []
    told = [kinds for item in own if (kinds := other_than_tags(item.text, found.label.trigger))]
    if not told:
        return []
    count = Counter(kind for kinds in told for kind in kinds)
    first = {kind: f"'{words}'" for kinds in reversed(told) for kind, words in kinds.items()}
    ways = ", ".join(f"{kind} in {number} (such as {first[kind]})" for kind, number in count.most_common())
    they = agree(len(told), "It is", "They are")
    return [
        f"Note: {len(told)} of {plural(len(own), 'caption')} of your own {agree(len(told), 'is', 'are')} not in the"
        f" form of tags (words with spaces, commas between, nothing else): {ways}. {they} used as written."
    ]


def unused_lines(found: Captions) -> list[str]:
    """Captions of the user's own that no picture has, because another copy of their photo is used."""
    if not found.unused:
        return []
    more = f" and {len(found.unused) - SHOWN} more; {ALL}" if len(found.unused) > SHOWN else ""
    first = ", ".join(found.unused[:SHOWN])
    return [f"Captions not used, because another copy of their photo is used: {len(found.unused)} ({first}{more})"]


def copy_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """Photos that are left out because they are copies of ones that were left out by hand, and kept ones for which a
    copy stands in.
    """
    from twinloop.stages.vault.dataset.choose import EXCLUDED_COPY, REPLACED

    shown = []
    for title, kind in (("Left out with them, as copies", EXCLUDED_COPY), ("A copy stands in", REPLACED)):
        found = [f"{item.photo.paths[0]} ({item.reason})" for item in left_out if item.kind == kind]
        more = f", and {len(found) - SHOWN} more; {ALL}" if len(found) > SHOWN else ""
        shown += [f"{title}: {', '.join(found[:SHOWN])}{more}"] if found else []
    return shown


def say_audit(found: Captions, terminal: Terminal, without_trigger: Sequence[str] = ()) -> None:
    """What should be known of the captions before they are trained on.

    Args:
        without_trigger: pictures whose photos are gone, with captions of the user's own that lack the trigger.
    """
    for line in not_described_lines(found):
        terminal.warn(line)
    for constant in found.audit:
        terminal.warn(constant.text)
    bare = (*found.without_trigger, *without_trigger)
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        terminal.warn(
            f"your own caption of {bare[0]}{more} lacks the trigger '{found.label.trigger}': what it shows will not be"
            " learned as this person. Add the trigger to the text."
        )


def not_described_lines(found: Captions) -> list[str]:
    """On which pictures the captioner failed, and why, in one text; [] = on none."""
    failed = found.not_described
    if not failed:
        return []
    lines = [
        f"{found.options.captioner} said nothing of {plural(len(failed), 'picture')}; there the caption says only what"
        " was measured. The same command asks again."
    ]
    lines += [f"  - {item.cut.photo.paths[0]}: {item.failure}" for item in failed[:SHOWN]]
    return ["\n".join(lines + ([f"  - and {len(failed) - SHOWN} more ({ALL})"] if failed[SHOWN:] else []))]


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """How many, why (reasons counted without their figures), and the first ones by name."""
    if not left_out:
        return []
    lines = [f"Left out: {len(left_out)}"]
    lines += [f"  - {item.photo.paths[0]}: {item.reason}" for item in left_out[:SHOWN]]
    return lines + ([f"  - and {len(left_out) - SHOWN} more ({ALL})"] if len(left_out) > SHOWN else [])


def date_lines(cutting: CutOptions, undated: int) -> list[str]:
    """Of what time the photos are, where that was asked for, and how many have no date."""
    if not cutting.since and not cutting.until:
        return []
    span = " ".join(f"{word} {text}" for word, text in (("since", cutting.since), ("until", cutting.until)) if text)
    return [f"Only photos taken {span}; of those used, {undated} {agree(undated, 'has', 'have')} no date."]


def several_faces_lines(captions: Sequence[Captioned]) -> list[str]:
    """That several faces are left on pictures: of one character drawn more than once, or of other people."""
    count = sum(item.cut.window.others > 0 for item in captions)
    if not count:
        return []
    return [
        f"{plural(count, 'picture shows', 'pictures show')} several faces. Of a character sheet, save the single"
        " figures as pictures of their own and scan those; of other people, cut them off."
    ]


def remark_lines(remarks: Iterable[tuple[str, str]]) -> list[str]:
    """Remarks on pictures, each text once with the number of pictures that it is about, each of them."""
    counted = Counter(text for _, text in remarks)
    first: dict[str, str] = {}
    for name, text in remarks:
        first.setdefault(text, name)
    return [
        f"Note on {first[text] if count == 1 else f'{count} pictures (such as {first[text]})'}: {text}"
        for text, count in counted.most_common(SHOWN)
    ]
