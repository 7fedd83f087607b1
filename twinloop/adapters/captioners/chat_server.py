"""Another program on this machine that answers as OpenAI's chat completions do: LM Studio, Ollama, llama.cpp, vLLM.

Photos of faces go there, so only this machine is talked to unless the user says otherwise. Redirects are not followed,
and proxies of the environment are not used: ``http.client`` does neither.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twinloop.domain.captions import one_line
from twinloop.errors import CaptionFailed, InputError, MissingModel, MissingTool, ToolFailed

ANYWHERE = "--captioner-anywhere"
EXAMPLE = "http://127.0.0.1:1234/v1"
PROGRAMS = (
    "LM Studio (Developer > Start Server, or lms server start; port 1234), Ollama (ollama serve; 11434), llama.cpp"
    " (llama-server -m MODEL.gguf --mmproj MMPROJ.gguf; 8080), vLLM (vllm serve MODEL; 8000)"
)
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 300.0
"""Some programs load the model with the first request."""
PAUSES = (1.0, 3.0, 9.0)
"""Seconds before each further try."""
_MOST_BYTES = 4 << 20
"""Of an answer."""
_SHOWN = 200
"""Signs of what a server says."""
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,120}(?:not found|not loaded|not exist|unknown|is required)|no models? (?:is |are )?loaded"
    r"|load a model|(?:unknown|invalid|no such) model",
    re.IGNORECASE,
)
_NO_EYES = re.compile(
    r"image(?:s| inputs?)?(?: is| are)? not supported|not support (?:image|vision|multimodal)|mmproj"
    r"|not a (?:multimodal|vision)|image_url is only",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        path: of the protocol's root, mostly ``/v1``.
    """

    scheme: str
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}{self.path}"


def read_address(url: str, anywhere: bool = False) -> Address:
    """An address as the user gave it; ``/v1`` where it has no path.

    Args:
        anywhere: other machines are allowed, too.

    Raises:
        InputError: none, not on this machine, or with what does not belong there.
    """
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise InputError(f"--captioner-url {url}: no address ({error}). An example: {EXAMPLE}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"--captioner-url {url}: no address of a server. An example: {EXAMPLE}")
    if parts.username is not None or parts.password is not None:
        raise InputError("--captioner-url: leave name and password out; the address is written into the record.")
    if parts.query or parts.fragment:
        raise InputError(f"--captioner-url {url}: leave out what follows the path. An example: {EXAMPLE}")
    if not parts.path.isascii() or not _is_host(parts.hostname):
        raise InputError(f"--captioner-url {url}: no server has such an address. An example: {EXAMPLE}")
    if not anywhere and not _is_local(parts.hostname):
        raise InputError(
            f"--captioner-url {url} is not on this machine, and photos of faces do not leave it by themselves. Use an"
            f" address such as {EXAMPLE}; if the photos may go there, add {ANYWHERE}."
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return Address(parts.scheme, parts.hostname, port, path or "/v1")


def _is_host(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _is_local(host: str) -> bool:
    try:
        return host.casefold() == "localhost" or ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


class ChatServer:
    """A server at an address. Nothing is sent before the first question.

    Args:
        anywhere: it may be another machine. pause: waits so many seconds.
    """

    def __init__(
        self,
        address: Address,
        anywhere: bool = False,
        answer_seconds: float = ANSWER_SECONDS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        self._anywhere = anywhere
        self._seconds = answer_seconds
        self._pause = pause

    def models(self) -> list[str]:
        """The models that it says it has; those that only embed are left out.

        Raises:
            MissingTool: nobody listens there. ToolFailed: it does not list them.
        """
        try:
            status, body = self._request("GET", "/models", None)
        except (OSError, http.client.HTTPException) as error:
            raise self._nobody(error) from error
        try:
            names = [str(item["id"]) for item in json.loads(body)["data"]] if status == http.HTTPStatus.OK else None
        except (ValueError, KeyError, TypeError, RecursionError):
            names = None
        if names is None:
            raise ToolFailed(
                f"{self.address}/models lists no models (HTTP {status}: {_said(body)}). Is the address right? Those of"
                " LM Studio, Ollama, llama.cpp and vLLM end with /v1. Else name the model: --captioner-model NAME"
            )
        return [name for name in names if "embed" not in name.casefold()]

    def listens(self) -> None:
        """Raises MissingTool unless somebody answers there, whatever it says."""
        try:
            self._request("GET", "/models", None)
        except (OSError, http.client.HTTPException) as error:
            raise self._nobody(error) from error

    def ask(self, question: Mapping[str, Any]) -> Any:
        """The answer to one chat request, as JSON. What may pass is tried again.

        Raises:
            CaptionFailed: this question gets no answer. MissingTool, MissingModel, ToolFailed: no question would.
        """
        body = json.dumps(question).encode()
        for pause in (*PAUSES, None):
            try:
                status, answer = self._request("POST", "/chat/completions", body)
            except ConnectionRefusedError as error:
                failure: Exception = self._nobody(error)
            except TimeoutError as error:
                raise CaptionFailed(f"no answer from {self.address} within {self._seconds:g} seconds") from error
            except (ConnectionError, http.client.HTTPException) as error:
                failure = CaptionFailed(f"the connection to {self.address} broke off ({_reason(error)})")
            except OSError as error:
                raise self._nobody(error) from error
            else:
                if status == http.HTTPStatus.OK:
                    return self._read(answer)
                failure = self._refused(status, answer, str(question.get("model", "")))
                if status not in _AGAIN or not isinstance(failure, CaptionFailed):
                    raise failure
            if pause is None:
                raise failure
            self._pause(pause)
        raise AssertionError("the last try raises")

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Status and body of one request."""
        where = self.address
        kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        connection = kind(where.host, where.port, timeout=CONNECT_SECONDS)
        try:
            try:
                connection.connect()
            except TimeoutError as error:
                raise OSError(f"no connection within {CONNECT_SECONDS:g} seconds") from error
            self._check_peer(connection)
            connection.sock.settimeout(self._seconds)
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, where.path + path, body, {"Accept": "application/json", **headers})
            answer = connection.getresponse()
            if 300 <= answer.status < 400:
                raise MissingTool(
                    f"{where} sends on to {answer.headers.get('Location', 'another address')}, and that is not"
                    " followed. Give the address itself with --captioner-url."
                )
            return answer.status, answer.read(_MOST_BYTES)
        finally:
            connection.close()

    def _check_peer(self, connection: http.client.HTTPConnection) -> None:
        """Before a byte is sent: a name such as localhost can stand for another machine."""
        peer = str(connection.sock.getpeername()[0])
        if not self._anywhere and not _is_local(peer):
            raise InputError(
                f"{self.address} is {peer}, which is not on this machine; nothing was sent. See {ANYWHERE}."
            )

    def _nobody(self, error: Exception) -> MissingTool:
        return MissingTool(
            f"Nobody answers at {self.address} ({_reason(error)}). Start a program there that serves a model which"
            f" reads pictures: {PROGRAMS}. Or give its address: --captioner-url {EXAMPLE}"
        )

    def _refused(self, status: int, body: bytes, model: str) -> Exception:
        """What an answer other than 200 means."""
        said = _said(body)
        told = f"HTTP {status}: {said}"
        if _NO_EYES.search(said):
            return MissingModel(
                f"The model {model} at {self.address} reads no pictures ({told}). Load one that does, such as Qwen-VL"
                " or JoyCaption; llama.cpp also needs its --mmproj file."
            )
        if _NO_MODEL.search(said):
            return MissingModel(
                f"{self.address} has not loaded the model {model} ({told}). Load it there, or name another with"
                f" --captioner-model.{self._has()}"
            )
        if status in (401, 403):
            return ToolFailed(
                f"{self.address} asks for a key ({told}), and none is sent. Start the server without one."
            )
        if status in (404, 405):
            return MissingTool(
                f"{self.address} has no chat completions ({told}). Is the address right? Those of LM Studio, Ollama,"
                f" llama.cpp and vLLM end with /v1: --captioner-url {EXAMPLE}"
            )
        return CaptionFailed(f"{self.address} answers {told}")

    def _has(self) -> str:
        try:
            names = self.models()
        except (MissingTool, ToolFailed):
            return ""
        return f" It has: {shown(names)}." if names else ""

    def _read(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CaptionFailed(f"{self.address} answers something else than JSON: {_said(body)}") from error


def shown(names: list[str]) -> str:
    """The first names of a list that may be long."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _reason(error: Exception) -> str:
    return one_line(str(getattr(error, "strerror", None) or error)) or type(error).__name__


def _said(body: bytes) -> str:
    """What an answer says is wrong, in one short line."""
    text = body.decode("utf-8", "replace")
    try:
        data = json.loads(text)
        error = data.get("error", data) if isinstance(data, dict) else data
        text = str(error.get("message") or error) if isinstance(error, dict) else str(error)
    except (ValueError, RecursionError):
        text = re.sub(r"<[^>]*>", " ", text)
    line = one_line(text) or "nothing"
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
