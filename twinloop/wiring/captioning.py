"""Name and model -> captioner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.choices import CAPTIONERS
from twinloop.errors import InputError
from twinloop.ports import Captioner
from twinloop.wiring.extras import with_extra


@dataclass(frozen=True)
class CaptionServer:
    """Where the captioner ``openai`` is served, and what it is asked.

    Attributes:
        prompt: "" = the captioner's own. anywhere: it may be another machine.
    """

    url: str = ""
    prompt: str = ""
    anywhere: bool = False


def build_captioner(
    name: str,
    model: str,
    allow_download: bool,
    device: str,
    server: CaptionServer,
) -> Captioner | None:
    """The captioner of that name, or None for the template alone.

    Args:
        model: its folder, or (not for ``wd14``) a hub id; for ``openai`` its name on the server, "" = the only one.

    Raises:
        InputError: unknown name, no model named, or no address that may be asked. MissingExtra, MissingModel,
            ModelFileError: it cannot be used; says why.
    """
    if name == "template":
        return None
    if name not in CAPTIONERS:
        raise InputError(f"Unknown captioner '{name}'. Known: {', '.join(CAPTIONERS)}.")
    if name == "openai":
        return _served(model, server)
    if not model:
        raise InputError(f"Which {name} model? Name its folder: --captioner-model PATH")
    if name == "wd14":
        from twinloop.adapters.captioners.wd14 import WdTagger

        return WdTagger(Path(model))

    def load() -> Captioner:
        from twinloop.adapters.captioners import sentences

        return sentences.SentenceCaptioner(
            sentences.BLIP if name == "blip" else sentences.FLORENCE2, model, allow_download, device
        )

    return with_extra(f"Captioning with {name}", "train", load)


def _served(model: str, server: CaptionServer) -> Captioner:
    from twinloop.adapters.captioners.chat_server import EXAMPLE, ChatServer, read_address
    from twinloop.adapters.captioners.served import ServedCaptioner

    if not server.url:
        raise InputError(
            f"Which server? Give its address: --captioner-url {EXAMPLE} (the port of LM Studio; Ollama has 11434,"
            " llama.cpp 8080, vLLM 8000)"
        )
    address = read_address(server.url, server.anywhere)
    return ServedCaptioner(ChatServer(address, server.anywhere), model, server.prompt)


def check_captioner(captioner: Captioner | None) -> None:
    """Whether the server of a captioner answers, before an hour of work; no picture is sent. Others were looked at when
    they were built.

    Raises:
        InputError, MissingModel, MissingTool, ToolFailed: says what to start or to name.
    """
    from twinloop.adapters.captioners.served import ServedCaptioner

    if isinstance(captioner, ServedCaptioner):
        captioner.check()
