"""Captions from a program that serves a vision model on this machine, by a stand-in that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.console import Said, twinloop
from tests.helpers.chat_servers import Chat, chatting
from tests.unit.stages.vault.makers import fake_photos

SAID = "The woman has long brown hair and blue eyes, wearing a red scarf, standing in a park."


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chatting(Chat(text=SAID)) as served:
        yield served


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fake_photos(tmp_path / "photos", 4)
    return tmp_path


def everything(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return vault(
        capsys, "run", "photos", "--models-dir", "fake", "--person", "alice", "--class", "woman", "--size", 256, *argv
    )


def vault(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "vault", *argv, "--vault", "v")


def texts(home: Path) -> list[str]:
    return [path.read_text() for path in sorted((home / "v/organized/alice").glob("*.txt"))]


def test_its_words_are_cleaned_recorded_and_not_asked_for_twice(
    home: Path, chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    said = everything(capsys, "--captioner", "openai", "--captioner-url", chat.url, "--max-words", 90)
    assert said.code == 0, said.err
    assert len(chat.asked) == 4
    for text in texts(home):
        assert text.startswith("ohwx alice woman") and "wearing a red scarf, standing in a park" in text
        assert "hair" not in text and "blue eyes" not in text
    again = vault(capsys, "prep", "alice", "--json")
    assert again.code == 0 and len(chat.asked) == 4
    kept = {name: again.data[name] for name in ("captioner", "captioner_url", "captioner_prompt", "max_words")}
    assert kept == {"captioner": "openai", "captioner_url": chat.url, "captioner_prompt": "", "max_words": 90}
    assert vault(capsys, "caption", "alice", "--captioner-prompt", "What is worn?").code == 0
    assert len(chat.asked) == 8 and chat.asked[-1]["messages"][0]["content"][0]["text"] == "What is worn?"


def test_the_same_model_elsewhere_is_not_asked_again(
    home: Path, chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--captioner", "openai", "--captioner-model", "qwen2.5-vl-7b")
    assert everything(capsys, *named, "--captioner-url", chat.url).code == 0
    said = vault(capsys, "caption", "alice", *named, "--captioner-url", "http://127.0.0.1:9/v1")
    assert said.code == 0, said.err
    assert len(chat.asked) == 4


def test_pictures_without_an_answer_are_counted_and_named(
    home: Path, chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.fails = frozenset({2})
    said = everything(capsys, "--captioner", "openai", "--captioner-url", chat.url, "--json")
    assert said.code == 0, said.err
    assert "openai said nothing of 1 picture" in said.err and "HTTP 400: this picture is too much" in said.err
    assert ".png: " in said.err
    assert sorted("red scarf" in text for text in texts(home)) == [False, True, True, True]
    chat.fails = frozenset()
    assert vault(capsys, "prep", "alice").code == 0
    assert all("red scarf" in text for text in texts(home)) and len(chat.asked) == 5


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--captioner", "openai"), "Which server?"),
        (("--captioner", "openai", "--captioner-url", "http://127.0.0.1:9/v1"), "Nobody answers at http://127.0.0.1:9"),
        (("--captioner", "openai", "--captioner-url", "http://192.0.2.1/v1"), "not on this machine"),
        (("--captioner-url", "http://127.0.0.1:9/v1"), "only --captioner openai asks a server"),
        (("--captioner-prompt", "What?", "--captioner-anywhere"), "--captioner-prompt, --captioner-anywhere: only"),
        (("--max-words", "80"), "says nothing without a captioner"),
        (("--max-words", "201"), "200 at most"),
    ],
)
def test_what_cannot_be_is_told_before_the_scan(
    home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
) -> None:
    said = everything(capsys, *argv)
    assert said.code == 2 and words in said.err and "Scan" not in said.out and not (home / "v").exists()


def test_leave_for_another_machine_is_not_remembered(
    home: Path, chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    assert everything(capsys, "--captioner", "openai", "--captioner-url", chat.url).code == 0
    far = ("--captioner-model", "qwen2.5-vl-7b", "--captioner-url", "http://192.0.2.1/v1")
    assert vault(capsys, "caption", "alice", *far, "--captioner-anywhere").code == 0  # all is known, nothing is sent
    said = vault(capsys, "prep", "alice")
    assert said.code == 2 and "--captioner-anywhere" in said.err
