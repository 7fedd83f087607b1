"""A stand-in for LM Studio, Ollama and their kin, on this machine: it speaks the chat-completions protocol, well or
badly, and keeps what it was asked.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.helpers.local_server import QuietHandler, listening


@dataclass
class Chat:
    """What the server says.

    Attributes:
        models: in its list; None = it has no list. text: of every answer. bad: (status, body) of the first answers
            instead, or "hang up". fails: pictures (by order, from 1) that are refused each time they are sent. seconds:
            before an answer. redirect: address that every request is sent on to. asked: the questions. paths: of all
            requests. pictures: the different ones that were sent.
    """

    models: Sequence[str] | None = ("qwen2.5-vl-7b",)
    text: Any = "wearing a red scarf, standing in a park"
    bad: list[tuple[int, str] | str] = field(default_factory=list)
    fails: frozenset[int] = frozenset()
    seconds: float = 0.0
    redirect: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    url: str = ""

    def picture(self, number: int = -1) -> bytes:
        """The file that was sent with a question."""
        url = str(self.asked[number]["messages"][0]["content"][1]["image_url"]["url"])
        assert url.startswith("data:image/jpeg;base64,")
        return base64.b64decode(url.split(",", 1)[1], validate=True)


@contextmanager
def chatting(chat: Chat) -> Iterator[Chat]:
    """Serve ``chat`` on a free port of this machine; its ``url`` says where, with ``/v1``."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            chat.paths.append(self.path)
            if chat.redirect:
                _redirected(self, chat)
            elif self.path == "/v1/models" and chat.models is not None:
                _send(self, 200, json.dumps({"object": "list", "data": [{"id": name} for name in chat.models]}))
            else:
                _send(self, 404, '{"error": "no such path"}')

        def do_POST(self) -> None:
            chat.paths.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if chat.redirect:
                _redirected(self, chat)
                return
            chat.asked.append(json.loads(body))
            _answer(self, chat)

    with listening(Handler) as address:
        chat.url = f"{address}/v1"
        yield chat


def _answer(request: BaseHTTPRequestHandler, chat: Chat) -> None:
    if chat.bad:
        bad = chat.bad.pop(0)
        if isinstance(bad, str):
            request.close_connection = True
        else:
            _send(request, *bad)
        return
    if request.path != "/v1/chat/completions":
        _send(request, 404, "<html><h1>Not Found</h1></html>")
        return
    picture = str(chat.asked[-1]["messages"][0]["content"][1])
    if picture not in chat.pictures:
        chat.pictures.append(picture)
    time.sleep(chat.seconds)
    if chat.pictures.index(picture) + 1 in chat.fails:
        _send(request, 400, '{"error": {"message": "this picture is too much"}}')
        return
    message = {"role": "assistant", "content": chat.text}
    _send(request, 200, json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))


def _redirected(request: BaseHTTPRequestHandler, chat: Chat) -> None:
    request.send_response(307)
    request.send_header("Location", chat.redirect)
    request.send_header("Content-Length", "0")
    request.end_headers()


def _send(request: BaseHTTPRequestHandler, status: int, body: str) -> None:
    data = body.encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
