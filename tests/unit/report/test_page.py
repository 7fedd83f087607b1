"""The page as a whole: the same bytes every time, nothing loaded from anywhere, nothing of the
user's taken for markup.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from tests.unit.report.conftest import edit, working_in, workspace_in
from twinloop.adapters.fakes import fake_pack
from twinloop.errors import NothingToDo, StateError
from twinloop.facets import BUILTIN
from twinloop.report import reproduce
from twinloop.report.page import write_report
from twinloop.stages.observe import Observer
from twinloop.stages.pick import pick
from twinloop.store.run.workspace import Workspace

HOSTILE = "</title><script>alert('x')</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


class Page(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(home: Path) -> Page:
    page = Page(write_report(workspace_in(home)).read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def page(finished: Path) -> Page:
    return page_of(finished)


def test_same_artefacts_same_bytes_wherever_and_whenever(finished: Path, tmp_path: Path) -> None:
    with working_in(finished):
        inside = write_report(Workspace(Path("out"), Path("loras"))).read_bytes()
    outside = write_report(workspace_in(finished)).read_bytes()
    moved = write_report(workspace_in(shutil.copytree(finished, tmp_path / "elsewhere"))).read_bytes()
    assert inside == outside == moved


def test_the_loop_writes_the_same_page(finished: Path) -> None:
    written = (finished / "out/report.html").read_bytes()
    assert write_report(workspace_in(finished)).read_bytes() == written


def test_it_holds_no_place_and_no_day(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(finished.parent))
    source = write_report(workspace_in(finished)).read_text()
    assert str(finished.parent) not in source
    assert f"~/{finished.name}" not in source
    without_names = source.replace("20231114_221320", "")
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", without_names)


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    sources = [attributes["src"] or "" for tag, attributes in page.elements if "src" in attributes]
    assert len(sources) > 60
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert {tag for tag, _ in page.elements} & {
        "link",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "use",
        "image",
    } == set()
    assert all(not name.startswith("on") and name != "style" for _, attributes in page.elements for name in attributes)


def test_the_policy_allows_only_the_pages_own_style_and_script(finished: Path, page: Page) -> None:
    source = write_report(workspace_in(finished)).read_text()
    policy = next(
        meta["content"] or "" for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in policy


def test_links_lead_to_files_beside_the_page(finished: Path, page: Page) -> None:
    hrefs = [link["href"] or "" for link in page.all("a")]
    files = [href for href in hrefs if not href.startswith("#")]
    assert "../loras/lora.safetensors" in files
    assert all((finished / "out" / unquote(href)).exists() for href in files)
    assert len(files) > 30
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {href[1:] for href in hrefs if href.startswith("#")} <= targets


def test_it_can_be_read_without_seeing_it(page: Page) -> None:
    assert all(image.get("alt") for image in page.all("img"))
    assert all(chart.get("aria-label") for chart in page.all("svg"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {name for _, attributes in page.elements for name in (attributes.get("aria-labelledby") or "").split()}
    assert named <= set(ids)


def test_the_answer_comes_first_and_fits_the_record(finished: Path, page: Page) -> None:
    history = json.loads((finished / "out/iteration_history.json").read_text())
    assert f"Use LoRA v{history['best_version']}" in page.text
    assert history["stop"]["reason"] in page.text
    assert page.text.index("Why it stopped") < page.text.index("Dataset", page.text.index("Answer") + 200)
    for chapter in ("Gaps", "Generated images", "Panel", "Curves", "Rounds", "Provenance and meaning", "Files"):
        assert chapter in page.text


def test_every_check_of_a_shown_image_has_value_and_limit(finished: Path, page: Page) -> None:
    verdict = json.loads((finished / "out/verdicts_iter1.json").read_text())["verdicts"][0]
    assert verdict["image"] in page.text
    for check in verdict["checks"]:
        assert check["limit"].replace(">=", "≥").replace("_", " ") in page.text
    for reason in (check["reason"] for check in verdict["checks"] if check["reason"]):
        assert reason in page.text


def test_three_rounds_stay_small(finished: Path) -> None:
    assert write_report(workspace_in(finished)).stat().st_size < 8_000_000


def test_names_and_prompts_are_text_and_never_markup(home: Path) -> None:
    out = home / "out"
    edit(
        out / "iteration_history.json",
        lambda data: (data.update(person=HOSTILE, base_model=HOSTILE), data["stop"].update(reason=HOSTILE)),
    )
    edit(out / "run.json", lambda data: data["settings"].update({"person_trigger": HOSTILE, HOSTILE: HOSTILE}))
    edit(
        out / "dataset_iter0.json",
        lambda data: data["left_out"].append({"path": f"photos/{HOSTILE}", "reason": HOSTILE}),
    )
    edit(out / "panel.json", lambda data: data["shots"][0].update(prompt=HOSTILE))
    edit(
        out / "gaps_iter4.json",
        lambda data: data.update(missing_models=[HOSTILE], notes=[HOSTILE], not_measured={HOSTILE: HOSTILE}),
    )
    edit(
        out / "gaps_iter4.json",
        lambda data: data["facets"].update({HOSTILE: {"measured": 0, "not_measured": 5, "values": {}}}),
    )

    def verdict(data: dict[str, list[dict[str, object]]]) -> None:
        data["verdicts"][0].update(type=HOSTILE, target=HOSTILE, image=HOSTILE)
        data["verdicts"][0]["checks"][0].update(check=HOSTILE, value=HOSTILE, limit=HOSTILE, reason=HOSTILE)  # type: ignore[index]

    edit(out / "verdicts_iter1.json", verdict)
    page = page_of(home)
    assert len(page.all("script")) == 1
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert page.text.count("<script>alert('x')</script>") >= 12
    assert "{{ 7*7 }}" in page.text
    assert len(page.all("title")) == 1


def test_names_that_are_no_unicode_are_shown_with_question_marks(home: Path) -> None:
    edit(
        home / "out/dataset_iter0.json",
        lambda data: data["left_out"].append({"path": "photos/caf\udce9.jpg", "reason": "no face found"}),
    )
    assert "caf?.jpg" in write_report(workspace_in(home)).read_bytes().decode()


def test_photos_unlike_the_rest_are_named_and_not_counted(home: Path) -> None:
    assert "unlike the rest" not in page_of(home).text
    path = home / "out/identity_reference.json"
    data = json.loads(path.read_text())
    rows = [bytes.fromhex(row) for row in data["embeddings"]]
    turned = -np.frombuffer(rows[0], np.float32)  # as unlike all others as can be
    data["embeddings"][0], data["strangers"] = turned.tobytes().hex(), [0.0, 0.1]
    path.write_text(json.dumps(data))
    members = json.loads((home / "out/dataset_iter0.json").read_text())["members"]
    name = next(Path(member["path"]).name for member in members if member["sha256"] == data["photos"][0])
    text = page_of(home).text
    assert "All photos but 1 unlike the rest" in text and f"than strangers are: {name}." in text


ORDER = [
    "report.html",
    "iteration_history.json",
    "panel_v4.json",
    "verdicts_iter3.json",
    "gaps_iter3.json",
    "synthetic_iter2",
    "verdicts_iter1.json",
    "gaps_iter1.json",
    "panel_v1.json",
    "panel.json",
    "identity_reference.json",
    "dataset_iter0.json",
]
"""What a run writes, from its last artefacts to its first."""


def test_a_run_can_be_looked_at_at_any_time(home: Path) -> None:
    """There is a page after each artefact that is taken away."""
    for name in ORDER:
        path = home / "out" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        page = page_of(home)
        assert "Ana" in page.text or "ana" in page.text
        assert ("not finished" in page.text) is (name != "report.html")
    assert "The photos were not observed yet." in page.text
    (home / "out/run.json").unlink()
    with pytest.raises(NothingToDo):
        write_report(workspace_in(home))


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        (None, "Consentnot recorded"),
        (
            {"kind": "written", "who": "Ana <b>", "when": "2026-05-01"},
            "Consentwritten consent; by: Ana <b>; on: 2026-05-01",
        ),
    ],
)
def test_consent_is_said_or_said_to_be_missing(recorded: dict[str, str] | None, said: str, home: Path) -> None:
    edit(workspace_in(home).dataset(0), lambda data: data.update(consent=recorded))
    assert said in re.sub(r"\s+", "", page_of(home).text.replace(" ", "~")).replace("~", " ")


def test_lost_pictures_leave_a_place(home: Path) -> None:
    shutil.rmtree(home / "photos")
    shutil.rmtree(home / "out/panel_v2")
    page = page_of(home)
    gone = [
        attributes
        for tag, attributes in page.elements
        if tag == "span" and (attributes.get("class") or "") == "frame gone"
    ]
    assert len(gone) >= 24
    assert all("picture not available" in (place.get("aria-label") or "") for place in gone)


def test_a_damaged_artefact_leaves_the_old_page(home: Path) -> None:
    before = (home / "out/report.html").read_bytes()
    (home / "out/gaps_iter2.json").write_text("{")
    with pytest.raises(StateError, match=r"gaps_iter2\.json"):
        write_report(workspace_in(home))
    assert (home / "out/report.html").read_bytes() == before


@pytest.mark.parametrize(("base", "said"), [("nano", "say nothing about real photos"), ("fake", "dry run on fakes")])
def test_a_small_world_is_named_as_such(base: str, said: str, home: Path) -> None:
    edit(home / "out/iteration_history.json", lambda data: data.update(base_model=base))
    edit(home / "out/run.json", lambda data: data.update(observer=observer_of_pack(base)))
    assert page_of(home).text.count(said) == 2


def observer_of_pack(name: str) -> str:
    pack = replace(fake_pack(), name=name)
    return Observer(pack, BUILTIN).fingerprint


def test_nobody_is_called_fictional_whom_detectors_for_photos_measured(home: Path) -> None:
    """The embedded base with real photos: it cannot draw the person, who is real all the same."""
    edit(home / "out/iteration_history.json", lambda data: data.update(base_model="nano"))
    edit(home / "out/run.json", lambda data: data.update(observer=observer_of_pack("real")))
    said = page_of(home).text
    assert said.count("cannot draw real people") == 2 and "fictional" not in said


def test_a_real_base_model_gets_no_such_note(home: Path) -> None:
    edit(home / "out/iteration_history.json", lambda data: data.update(base_model="some/model"))
    assert "say nothing" not in page_of(home).text


def test_a_lora_folder_with_nothing_in_common_is_not_linked(home: Path) -> None:
    source = write_report(Workspace(home / "out", Path("/nonexistent-loras"))).read_text()
    assert "nonexistent-loras" not in source


def test_what_is_special_about_the_loras_stands_beside_them(home: Path) -> None:
    assert "fake, " not in page_of(home).text
    edit(home / "out/run.json", lambda data: data["settings"].update(quantization="nf4"))
    edit(home / "out/run.json", lambda data: data["settings"]["training"].update(adapter="dora", text_encoder=True))
    assert page_of(home).text.count("fake, DoRA, with text encoders, on nf4 weights") == 4


def test_the_page_names_the_lora_that_a_person_picked(home: Path) -> None:
    assert "picked" not in page_of(home).text.lower()
    pick(workspace_in(home), 1)
    text = page_of(home).text
    assert re.search(r"Picked by a person: v1 \(v\d measured best\)", text)
    assert "lora.safetensors is a copy of v1" in text
    assert "v1, picked by a person: the one to use" in text and "the best measured version: the one" not in text
    assert "v1 picked" in text, "in the table of LoRAs"


@pytest.mark.parametrize("at_once", [0, 1000])
def test_many_made_images_are_folded_away(at_once: int, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce, "AT_ONCE", at_once)
    source = write_report(workspace_in(home)).read_text()
    folded = re.search(r"Synthetic images in the final dataset</h3>\s*<details( open)?>\s*<summary>\d+ images<", source)
    assert folded is not None and (folded[1] is None) == (at_once == 0)


def test_a_rolled_back_round_is_marked_where_its_dataset_is_listed(home: Path) -> None:
    assert "After round 2 rolled back" not in page_of(home).text
    edit(
        home / "out/iteration_history.json",
        lambda data: data["iterations"][1].update(rolled_back=True, drifted=["identity"]),
    )
    assert "After round 2 rolled back" in page_of(home).text


def test_a_first_version_that_was_given_is_not_said_to_be_trained(home: Path) -> None:
    assert "Each version is trained from the base model anew." in page_of(home).text
    edit(home / "loras/lora_v1.json", lambda data: data.update(preset="given"))
    assert (
        "v1 was given, not trained here; each later version is trained from the base model anew." in page_of(home).text
    )
