"""A captioner behind a server of chat completions: what is sent, what comes back, and what is said when it does not."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.chat_servers import Chat, chatting
from twinloop.adapters.captioners.chat_server import PAUSES, ChatServer, read_address
from twinloop.adapters.captioners.served import EDGE, PROMPT, ServedCaptioner, plain_words
from twinloop.domain.faces import ImageArray
from twinloop.errors import CaptionFailed, InputError, MissingModel, MissingTool, ToolFailed
from twinloop.wiring import CaptionServer, build_captioner, check_captioner


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chatting(Chat()) as served:
        yield served


def asking(chat: Chat, model: str = "", prompt: str = "", seconds: float = 20.0) -> tuple[ServedCaptioner, list[float]]:
    """A captioner of that server, and the pauses that it made."""
    pauses: list[float] = []
    return ServedCaptioner(ChatServer(read_address(chat.url), False, seconds, pauses.append), model, prompt), pauses


def picture(width: int = 96, height: int = 64) -> ImageArray:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, :, 0] = 255
    return image


def test_the_picture_is_sent_small_upright_and_without_metadata(chat: Chat) -> None:
    captioner, _ = asking(chat)
    image = picture(3000, 1500)
    before = image.copy()
    assert captioner.caption(image).text == chat.text
    assert np.array_equal(image, before)
    sent = Image.open(io.BytesIO(chat.picture()))
    assert sent.format == "JPEG" and sent.size == (EDGE, EDGE // 2)
    assert not sent.getexif() and not {"exif", "xmp", "icc_profile", "comment"} & set(sent.info)
    pixels = np.asarray(sent.convert("RGB"))
    assert pixels[10, 10, 0] > 240 and pixels[-10, 10, 0] < 15
    captioner.caption(picture())
    assert Image.open(io.BytesIO(chat.picture())).size == (96, 64), "small ones are not blown up"


def test_the_question_follows_the_protocol(chat: Chat) -> None:
    asking(chat)[0].caption(picture())
    (asked,) = chat.asked
    assert asked["model"] == "qwen2.5-vl-7b" and asked["temperature"] == 0 and asked["stream"] is False
    assert asked["messages"][0]["role"] == "user"
    assert asked["messages"][0]["content"][0] == {"type": "text", "text": PROMPT}
    assert chat.paths == ["/v1/models", "/v1/chat/completions"]
    asking(chat, "joycaption", "What is worn?")[0].caption(picture())
    assert chat.asked[-1]["model"] == "joycaption"
    assert chat.asked[-1]["messages"][0]["content"][0]["text"] == "What is worn?"


def test_the_built_in_question_leaves_out_what_is_always_the_same() -> None:
    for word in ("hair colour", "eye colour", "skin", "age", "origin", "sex", "Name nobody"):
        assert word in PROMPT


def test_the_fingerprint_is_of_model_and_question_and_not_of_the_place(chat: Chat) -> None:
    with chatting(Chat()) as elsewhere:
        assert asking(chat)[0].fingerprint == asking(elsewhere)[0].fingerprint
    one = asking(chat, "a")[0].fingerprint
    assert one == asking(chat, "a")[0].fingerprint
    assert len({one, asking(chat, "b")[0].fingerprint, asking(chat, "a", "Else?")[0].fingerprint}) == 3


def test_the_model_is_the_only_one_that_can_describe(chat: Chat) -> None:
    chat.models = ("text-embedding-nomic", "joycaption")
    assert asking(chat)[0].model == "joycaption"
    chat.models = ("joycaption", "qwen3-vl")
    with pytest.raises(InputError, match=r"joycaption, qwen3-vl.*--captioner-model NAME"):
        asking(chat)[0].check()
    chat.models = ()
    with pytest.raises(MissingModel, match="no model loaded"):
        asking(chat)[0].check()
    chat.models = None
    with pytest.raises(ToolFailed, match=r"HTTP 404: no such path.*--captioner-model NAME"):
        asking(chat)[0].check()
    asking(chat, "joycaption")[0].check()  # named, and somebody listens
    assert not chat.asked, "no picture was sent"


@pytest.mark.parametrize("model", ["", "joycaption"])
def test_nobody_listens(model: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    captioner, pauses = asking(Chat(url=f"http://127.0.0.1:{port}/v1"), model)
    for ask in (captioner.check, lambda: captioner.caption(picture())):
        with pytest.raises(MissingTool) as told:
            ask()
        assert all(word in str(told.value) for word in (str(port), "LM Studio", "Ollama", "llama-server", "vllm serve"))
    assert pauses == (list(PAUSES) if model else []), "one that starts again is waited for"


def test_what_may_pass_is_tried_again(chat: Chat) -> None:
    chat.bad = [(503, '{"error": {"message": "Loading model"}}'), "hang up", (500, "")]
    captioner, pauses = asking(chat)
    assert captioner.caption(picture()).text == chat.text
    assert pauses == list(PAUSES)


@pytest.mark.parametrize(
    ("bad", "kind", "words"),
    [
        ((400, '{"error": {"message": "context too long"}}'), CaptionFailed, "HTTP 400: context too long"),
        ((400, '{"error": "context too long"}'), CaptionFailed, "HTTP 400: context too long"),
        ((422, "x" * 5000), CaptionFailed, r"HTTP 422: x{200}\.\.\.$"),
        ((200, "<html>Welcome</html>"), CaptionFailed, "something else than JSON: Welcome"),
        ((200, "[" * 200_000), CaptionFailed, r"something else than JSON: \[\["),
        ((200, '{"hello": 1}'), CaptionFailed, "holds no message"),
        ((200, '{"choices": []}'), CaptionFailed, "holds no message"),
        (
            (404, '{"error": {"message": "model \\"x\\" not found, try pulling it first"}}'),
            MissingModel,
            "It has: qwen",
        ),
        ((400, '{"error": "No models loaded. Please load a model"}'), MissingModel, "Load it there"),
        ((500, '{"error": {"message": "image input is not supported - hint: mmproj"}}'), MissingModel, "--mmproj"),
        ((401, '{"error": {"message": "Unauthorized"}}'), ToolFailed, "asks for a key"),
        ((404, "<html>Not Found</html>"), MissingTool, "end with /v1"),
    ],
)
def test_what_does_not_pass_is_told_at_once(chat: Chat, bad: Any, kind: type[Exception], words: str) -> None:
    chat.bad = [bad]
    captioner, pauses = asking(chat)
    with pytest.raises(kind, match=words):
        captioner.caption(picture())
    assert not pauses and len(chat.asked) == 1


def test_a_failure_that_stays_is_told_in_the_end(chat: Chat) -> None:
    for bad, words in (((500, '{"error": {"message": "out of memory"}}'), "out of memory"), ("hang up", "broke off")):
        chat.bad = [bad] * (len(PAUSES) + 1)
        captioner, pauses = asking(chat)
        with pytest.raises(CaptionFailed, match=words):
            captioner.caption(picture())
        assert pauses == list(PAUSES) and not chat.bad


def test_an_answer_that_does_not_come_is_not_waited_for_again(chat: Chat) -> None:
    chat.seconds = 1.0
    captioner, pauses = asking(chat, seconds=0.1)
    with pytest.raises(CaptionFailed, match=r"no answer from http://127.* within 0\.1 seconds"):
        captioner.caption(picture())
    assert not pauses


def test_redirects_are_not_followed(chat: Chat) -> None:
    with chatting(Chat()) as other:
        chat.redirect = f"{other.url}/chat/completions"
        with pytest.raises(MissingTool, match="sends on to"):
            asking(chat, "m")[0].caption(picture())
        with pytest.raises(MissingTool, match="sends on to"):
            asking(chat)[0].check()
        assert not other.paths


def test_proxies_of_the_environment_are_not_used(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    with chatting(Chat()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        asking(chat)[0].caption(picture())
        assert len(chat.asked) == 1 and not proxy.paths


@pytest.mark.parametrize("url", ["http://192.168.1.7:1234/v1", "http://example.org/v1", "http://0.0.0.0:1234/v1"])
def test_only_this_machine_is_asked_unless_the_user_says_otherwise(url: str) -> None:
    with pytest.raises(InputError, match=r"not on this machine.*--captioner-anywhere"):
        build_captioner("openai", "m", False, "auto", CaptionServer(url))
    assert build_captioner("openai", "m", False, "auto", CaptionServer(url, anywhere=True)) is not None


def test_a_name_that_stands_for_another_machine_is_sent_nothing(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an odd hosts file would have it: the connection leads elsewhere although the name is local."""
    monkeypatch.setattr(socket.socket, "getpeername", lambda self: ("192.0.2.1", 1))
    with pytest.raises(InputError, match=r"192\.0\.2\.1.*nothing was sent"):
        asking(chat, "m")[0].caption(picture())
    assert not chat.paths


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://127.0.0.1:1234", "http://127.0.0.1:1234/v1"),
        ("http://localhost:1234/v1/", "http://localhost:1234/v1"),
        ("http://[::1]:8080/v1/chat/completions", "http://[::1]:8080/v1"),
        ("https://127.0.0.1/api/v1", "https://127.0.0.1/api/v1"),
    ],
)
def test_addresses_as_people_give_them(url: str, meant: str) -> None:
    assert str(read_address(url)) == meant


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:1234", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:port/v1", "http://[::1", "http://a:b@127.0.0.1/",
     "http://127.0.0.1/v1?key=1", "http://127.0.0.1/v1#x", "http://127.0.0.1/modèle", "http://a..b/v1",
     f"http://{'a' * 64}/v1"],
)  # fmt: skip
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(InputError, match="--captioner-url") as told:
        read_address(url)
    assert "a:b" not in str(told.value), "no password is shown"
    with pytest.raises(InputError, match="--captioner-url"):
        read_address(url, anywhere=True)


def test_without_an_address_the_flag_is_named() -> None:
    with pytest.raises(InputError, match="--captioner-url http://127"):
        build_captioner("openai", "m", False, "auto", CaptionServer())


def test_only_a_server_is_asked_before_the_work(chat: Chat) -> None:
    check_captioner(None)
    check_captioner(build_captioner("openai", "", False, "auto", CaptionServer(chat.url)))
    assert chat.paths == ["/v1/models"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("red scarf,\n smiling", "red scarf, smiling"),
        ("<think>Who is it?\nNobody.</think>\n\nred scarf", "red scarf"),
        ("Okay, let me see.</think> red scarf", "red scarf"),
        ("<think>and on and on", ""),
        ("Here is a caption for the image:\n\n**red scarf**, `smiling`", "red scarf, smiling"),
        ("Sure! Here's the caption: red scarf", "red scarf"),
        ("- red scarf\n- a park\n3. smiling", "red scarf. a park. smiling"),
        ('"red scarf"<|im_end|>', "red scarf"),
        ("", ""),
    ],
)
def test_answers_become_one_plain_line(text: str, plain: str) -> None:
    assert plain_words(text) == plain


def test_answers_in_parts_are_read_and_empty_ones_and_refusals_are_failures(chat: Chat) -> None:
    captioner, _ = asking(chat)
    chat.text = [{"type": "text", "text": "red scarf"}]
    assert captioner.caption(picture()).text == "red scarf"
    for text, words in (
        ("", "empty"),
        (None, "empty"),
        ("I'm sorry, but I can't help with that.", "refuses: I'm sorry"),
    ):
        chat.text = text
        with pytest.raises(CaptionFailed, match=words):
            captioner.caption(picture())


def test_a_list_of_models_that_is_too_deep_is_none() -> None:
    with chatting(Chat()) as chat:
        server = ChatServer(read_address(chat.url))
        server._request = lambda *_: (200, b"[" * 200_000)  # type: ignore[method-assign,assignment]
        with pytest.raises(ToolFailed, match="lists no models"):
            server.models()
