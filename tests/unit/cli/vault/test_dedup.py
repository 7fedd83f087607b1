"""What ``twinloop vault dedup`` says of its findings."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import ImageOps

from tests.unit.stages.vault.copies.makers import picture, save, vault_of
from tests.unit.things import Recording
from twinloop.cli.vault.dedup import summary
from twinloop.stages.vault.copies.dedup import DedupOptions, dedup


def test_the_numbers_add_up_where_files_are_in_exact_and_near_groups(tmp_path: Path) -> None:
    first, second = picture(1), picture(2)
    files = [
        save(image, tmp_path / name, quality)
        for name, image, quality in [
            ("a.jpg", first, 95),
            ("a_again.jpg", first, 95),
            ("a_soft.jpg", first, 60),
            ("a_soft_again.jpg", first, 60),
            ("b.jpg", second, 95),
            ("b_mirrored.jpg", ImageOps.mirror(second), 60),
        ]
    ]
    with vault_of(tmp_path / "vault", files) as opened:
        lines = summary(dedup(opened, DedupOptions(), Recording()), opened.vault)
    assert lines[0] == "6 files, 4 different photos, 2 kept"
    spare = {line.split()[0]: int(re.findall(r"\d+$", line)[0]) for line in lines[1:4]}
    assert spare == {"exact": 2, "near": 2, "burst": 0}
    assert "files that another" in lines[1] and "photos that another" in lines[2]
