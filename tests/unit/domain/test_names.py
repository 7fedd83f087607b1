"""Names in any script: one form for each; what cannot be a folder, or only looks like another name, is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.domain import names
from twinloop.domain.names import LONGEST_NAME, folded, normal, problem_of

NAMES = (
    "alice",
    "Ann Lee",
    "a b.c-d_e",
    "José",
    "Łukasz",
    "अनिल",
    "தமிழ்",
    "ශ්‍රියානි",
    "علی‌رضا",
    "김민수",
    "葛󠄀城",
    "Ἀλέξανδρος",
    "นารี",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_script_are_taken_composed_or_not(name: str) -> None:
    for form in ("NFC", "NFD"):
        given = f" {unicodedata.normalize(form, name)}\n"
        assert normal(given) == unicodedata.normalize("NFC", name) and problem_of(normal(given)) == ""
        assert folded(given) == folded(name) == folded(name.upper())


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc",
        ".hidden",
        "-rf",
        " a",
        "a ",
        "a\n",
        "a\tb",
        "a\x00b",
        "a\u2028b",
        "a\u00a0b",
        "a:b",
        "a*",
        "a?",
        "\u0301a",
        "a\u202eb",
        "a\u200bb",
        "\ufeffa",
        "a\u200db",
        "a\u200cb",
        "\u200da",
        "a\u200d",
        "\ud800",
        "\ue000",
    ],
)
def test_what_cannot_be_a_folder_or_hides_in_a_name_is_refused(name: str) -> None:
    assert "cannot be the name of a folder" in problem_of(name)


def test_length_is_counted_in_bytes() -> None:
    assert problem_of("இ" * (LONGEST_NAME // 3)) == ""
    assert f"at most {LONGEST_NAME} bytes" in problem_of("இ" * (LONGEST_NAME // 3 + 1))


def test_invisible_characters_make_no_other_person() -> None:
    assert folded("ශ්‍රියානි") == folded("ශ්රියානි") and folded("葛󠄀城") == folded("葛城")
    assert folded("Jose") != folded("José") and folded("अनिल") != folded("अनल")


@given(st.text(max_size=40))
def test_a_name_that_is_taken_is_one_part_of_a_path(text: str) -> None:
    name = normal(text)
    if problem_of(name) == "":
        assert name and not set(name) & set('/\\:*?"<>|\0\n\r\t') and name[0] not in ". " and name[-1] != " "
        assert normal(name) == name and folded(unicodedata.normalize("NFD", name)) == folded(name)


@pytest.mark.parametrize("name", ["con", "NUL", "Aux.2", "com1", "LPT9 .x"])
def test_names_of_devices_are_refused_where_they_are_devices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "WINDOWS", True)
    assert "device" in problem_of(name) and not problem_of(f"{name.split('.')[0].strip()}nie")
    monkeypatch.setattr(names, "WINDOWS", False)
    assert not problem_of(name)
