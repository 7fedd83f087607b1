"""The grid and the page of a comparison: everything labelled, every picture in its place."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinloop.domain.comparison import LIKENESS, Column, Comparison, Drawn, Row
from twinloop.domain.shots import Shot
from twinloop.domain.statistics import bootstrap_mean
from twinloop.report import comparison, comparison_grid
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.provenance import is_marked_synthetic

COLOURS = {("bare", 0): (250, 0, 0), ("a_0.6", 0): (0, 250, 0), ("bare", 1): (0, 0, 250), ("a_0.6", 1): (250, 250, 0)}


def row(number: int, prompt: str, width: int = 64, height: int = 64) -> Row:
    shot = Shot(f"prompt_{number:03d}", "compare", "", number, prompt, "", 40 + number)
    return Row(shot, width, height, 20, 5.0)


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    """Two prompts, the second upright; without LoRA and with one."""
    rows = (row(1, "ana <b>smiling</b> in a caf\u00e9"), row(2, "ana \u65e5\u672c \u2014 outdoors", 32, 64))
    columns = []
    for column in (Column("bare"), Column("a_0.6", "a", Path("x/a.safetensors"), 0.6)):
        images = []
        for number, one in enumerate(rows):
            path = tmp_path / column.folder / f"{one.shot.key}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (one.width, one.height), COLOURS[column.folder, number]).save(path)
            images.append((path.relative_to(tmp_path).as_posix(), sha256_file(path)))
        likeness = [0.125, 0.25] if column.name else [0.0, 0.0]
        metrics, samples = {LIKENESS: bootstrap_mean(likeness)}, {LIKENESS: likeness}
        columns.append(Drawn(column, "0" if column.name else None, tuple(images), metrics, samples))
    return Comparison("nano", "ana", 0, rows, tuple(columns), {}, "eyes", "photos")


def test_each_picture_lies_in_its_cell(found: Comparison, tmp_path: Path) -> None:
    place = comparison_grid.layout(found.rows, 2)
    grid = np.asarray(comparison_grid.draw_grid(found, tmp_path))
    assert grid.shape == (place.top(2), place.left(2), 3)
    for (folder, number), colour in COLOURS.items():
        x, y = place.left(0 if folder == "bare" else 1), place.top(number)
        middle = grid[y + place.cell // 2, x + place.cell // 2]
        assert tuple(middle) == colour
        corner = grid[y + 2, x + 2]
        assert tuple(corner) == (comparison_grid.CELL if number else colour), "the upright one leaves room at its sides"


def test_rows_and_columns_are_labelled(found: Comparison, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[tuple[tuple[int, int], str]] = []
    real = comparison_grid.ImageDraw.ImageDraw.text

    def text(self: object, xy: tuple[int, int], words: str, **how: object) -> None:
        said.append((xy, words))
        real(self, xy, words, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(comparison_grid.ImageDraw.ImageDraw, "text", text)
    comparison_grid.draw_grid(found, tmp_path)
    place = comparison_grid.layout(found.rows, 2)
    above = [[words for (x, y), words in said if y < place.head and x == place.left(index)] for index in (0, 1)]
    assert above == [["without LoRA", "", "likeness 0.00"], ["a", "strength 0.6 (most like)", "likeness 0.19"]]
    beside = " ".join(words for (x, _), words in said if x < place.side)
    assert beside == "1. ana <b>smiling</b> in a cafe seed 41 2. ana ?? - outdoors seed 42"


def test_a_long_prompt_is_cut_and_still_fits() -> None:
    long = row(1, "a very long prompt " * 40 + "x" * 300)
    place = comparison_grid.layout((long,), 3)
    lines = comparison_grid.row_label(long, 0, place)
    assert lines[-1] == "seed 41" and lines[-2].endswith("…")
    assert len(lines) * place.text * 5 // 4 <= place.cell + place.text


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (200, 5), (4, 60), (40, 40), (comparison_grid.ROWS, 10)])
def test_a_grid_stays_small_enough_for_a_jpeg(rows: int, columns: int) -> None:
    place = comparison_grid.layout([row(1, "ana", 1024, 1024)] * rows, columns)
    assert max(place.top(rows), place.left(columns)) < 65_000
    assert place.top(rows) * place.left(columns) < 1.2 * comparison_grid.AREA
    assert place.cell <= comparison_grid.LARGEST


def test_the_grid_says_that_it_is_synthetic(found: Comparison, tmp_path: Path) -> None:
    comparison_grid.write_grid(found, tmp_path, tmp_path / "grid.jpg")
    assert is_marked_synthetic((tmp_path / "grid.jpg").read_bytes())
    with Image.open(tmp_path / "grid.jpg") as image:
        assert image.format == "JPEG"


def test_the_page_holds_every_picture_with_its_figures(found: Comparison, tmp_path: Path) -> None:
    page = comparison.render(found, tmp_path, "grid.jpg")
    assert page.count("<img src=") == 4 and page.count("data:image/webp") == 4
    assert re.findall(r'<a href="([^"#]+\.png)"', page) == [
        "bare/prompt_001.png",
        "a_0.6/prompt_001.png",
        "bare/prompt_002.png",
        "a_0.6/prompt_002.png",
    ]
    assert "likeness 0.12" in page and "likeness 0.25" in page
    assert "&lt;b&gt;smiling" in page and "<b>smiling" not in page
    assert "at strength <strong>0.6</strong>" in page and "no other strength was drawn" in page
    assert "32x64, 20 steps" in page, "rows differ, so each says how large it is"
    assert page == comparison.render(found, tmp_path, "grid.jpg")


def test_figures_of_several_loras_stand_side_by_side_on_one_axis(found: Comparison, tmp_path: Path) -> None:
    bare, first = found.columns
    much = [0.75, 0.875]
    likeness = {LIKENESS: bootstrap_mean(much)}
    second = replace(first, column=Column("b_1", "b", Path("x/b.safetensors"), 1.0), metrics=likeness)
    both = replace(
        found, columns=(bare, replace(first, metrics={**first.metrics, "quality": bootstrap_mean(much)}), second)
    )
    page = comparison.render(both, tmp_path, "grid.jpg")
    charts = re.findall(
        r"<h3>(\w+)</h3><span class=\"quiet\">(\w+), by strength</span></figcaption>\s*(<svg.*?</svg>)", page, re.DOTALL
    )
    assert [chart[:2] for chart in charts] == [("Likeness", "a"), ("Likeness", "b")]
    ticks = [re.findall(r'text-anchor="end">([^<]+)<', chart[2]) for chart in charts]
    assert ticks[0] == ticks[1] and float(ticks[0][-1]) >= 0.8, "though the first has nothing above 0.25"


def test_without_figures_the_page_says_how_to_get_them(found: Comparison, tmp_path: Path) -> None:
    plain = Comparison(
        "nano", "", 0, found.rows[:1], tuple(Drawn(c.column, c.sha256, c.images[:1]) for c in found.columns), {}
    )
    page = comparison.render(plain, tmp_path, "grid.jpg")
    assert "Nothing was measured" in page and "--models-dir DIR --dataset DIR" in page
    assert "Trigger" not in page and 'id="curves"' not in page


def test_a_picture_that_is_gone_is_said_to_be(found: Comparison, tmp_path: Path) -> None:
    (tmp_path / "bare/prompt_001.png").unlink()
    assert "not available" in comparison.render(found, tmp_path, "grid.jpg")
    comparison_grid.draw_grid(found, tmp_path)
