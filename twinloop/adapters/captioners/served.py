"""A captioner that another program on this machine serves: a vision model such as Qwen-VL or JoyCaption in LM Studio,
Ollama, llama.cpp or vLLM, asked by OpenAI's chat-completions protocol.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from functools import cached_property
from typing import Any

from PIL import Image

from twinloop.adapters.captioners.chat_server import ChatServer, shown
from twinloop.domain.captions import Description, one_line
from twinloop.domain.faces import ImageArray
from twinloop.errors import CaptionFailed, InputError, MissingModel

EDGE = 1024
"""Longest side of the picture that is sent, in pixels."""
QUALITY = 95
"""Of its JPEG."""
MOST_TOKENS = 1024
"""Of an answer, with what a model thinks before it."""
PROMPT = (
    "Describe this picture as a caption for training an image model: plain short phrases separated by commas, the most"
    " important first, at most 100 words, no introduction, no headings, no list. Say what is visible and could differ"
    " in another picture of the same person: clothes, accessories, glasses, make-up, how the hair is worn, expression,"
    " gaze, pose, what the person does and holds, other people, place, background, light, framing and kind of picture."
    " Leave out what is always the same about the person: features of the face, hair colour, hair length, eye colour,"
    " skin, age, origin, sex, build. Name nobody and guess nothing."
)
"""What is asked where the user asks nothing else."""

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_END_OF_THOUGHT = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_SIGNS = re.compile(r"<\|[^|>]*\|>|```\w*|[*`#\"“”\[\]]")
"""Special tokens and what Markdown marks up with."""
_BULLET = re.compile(r"^(?:[-•–]|\d+[.)])\s+")
_LEAD = re.compile(
    r"^(?:(?:sure|certainly|of course)\b[^:\n]{0,80}:|here(?:'s|’s| is| are)\b[^:\n]{0,80}:"
    r"|(?:caption|description):)\s*",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"(?:i['’]?m |i am )?(?:sorry\b|unable to\b)|i (?:can['’]?t|cannot|can not|won['’]?t)\b", re.IGNORECASE
)


class ServedCaptioner:
    """A model behind a server, which is asked with the first picture.

    Args:
        model: its name there; "" = the only one that the server has. prompt: "" = `PROMPT`.
    """

    def __init__(self, server: ChatServer, model: str = "", prompt: str = "") -> None:
        self._server = server
        self._named = model
        self._prompt = prompt or PROMPT

    @cached_property
    def fingerprint(self) -> str:
        """Of the model's name and the prompt, wherever it is served.

        Raises:
            InputError, MissingModel, MissingTool, ToolFailed: no model was named, and the server does not tell which.
        """
        said = json.dumps([self.model, self._prompt, EDGE, QUALITY, MOST_TOKENS])
        return f"openai-1:{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    @cached_property
    def model(self) -> str:
        """The name that the server knows the model by."""
        if self._named:
            return self._named
        names = self._server.models()
        if not names:
            raise MissingModel(
                f"{self._server.address} has no model loaded. Load one there that reads pictures, such as Qwen-VL or"
                " JoyCaption."
            )
        if len(names) > 1:
            raise InputError(
                f"{self._server.address} has several models: {shown(names)}. Name the one that is to describe the"
                " pictures: --captioner-model NAME"
            )
        return names[0]

    def check(self) -> None:
        """Ask now whether somebody answers, and which model; no picture is sent.

        Raises:
            InputError, MissingModel, MissingTool, ToolFailed: says what to start or to name.
        """
        if self._named:
            self._server.listens()
        else:
            _ = self.model

    def caption(self, image: ImageArray) -> Description:
        """The model's words, without what it thought and marked up.

        Raises:
            CaptionFailed: it says nothing of this picture. MissingTool, MissingModel, ToolFailed: nor of any other.
        """
        content = [
            {"type": "text", "text": self._prompt},
            {"type": "image_url", "image_url": {"url": _data_url(image)}},
        ]
        answer = self._server.ask(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": content}],
                "temperature": 0,
                "max_tokens": MOST_TOKENS,
                "stream": False,
            }
        )
        return Description(text=_words(answer))


def _data_url(image: ImageArray) -> str:
    """The picture as a JPEG without metadata; its pixels are upright already."""
    picture = Image.fromarray(image)
    picture.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _words(answer: Any) -> str:
    """The text of an answer.

    Raises:
        CaptionFailed: it has none.
    """
    try:
        choice = answer["choices"][0]
        content = choice["message"]["content"] or ""
        text = content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in content)
        cut_off = choice.get("finish_reason") == "length"
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise CaptionFailed("the answer holds no message: is this a server of chat completions?") from error
    found = plain_words(text)
    if not found:
        why = f"all of its {MOST_TOKENS} tokens went into thinking; switch that off, or take another model"
        raise CaptionFailed(why if cut_off else "the answer is empty")
    if _REFUSAL.match(found):
        raise CaptionFailed(f"the model refuses: {found[:120]}")
    return found


def plain_words(text: str) -> str:
    """An answer on one line: no thoughts, no introduction, no Markdown; each line of a list is a sentence."""
    bare = _SIGNS.sub("", _END_OF_THOUGHT.sub("", _THOUGHT.sub("", text)))
    lines = [one_line(_BULLET.sub("", line.strip())) for line in bare.splitlines()]
    lines = [line for line in (_LEAD.sub("", line) for line in lines) if line]
    ended = [line if line[-1] in ".,;:!?" else f"{line}." for line in lines[:-1]]
    return one_line(" ".join([*ended, *lines[-1:]]))
