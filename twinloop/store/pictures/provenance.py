"""Marks on synthetic pixels: A1111 ``parameters`` text and XMP ``DigitalSourceType`` (IPTC), written before an image
enters a dataset; and those that other programs write.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from PIL import Image, PngImagePlugin

from twinloop.domain.faces import ImageArray
from twinloop.store.pictures.image_texts import exif_of, png_texts

TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_MARK = b"trainedAlgorithmicMedia"
_MAKER, _COPIER = "twinloop", "twinloop (a copy)"
_MADE_HERE = f'CreatorTool="{_MAKER}"'.encode()
_VERSION = "Version: twinloop"
"""At the end of the ``parameters`` that this program writes."""
_SETTINGS = re.compile(r"\bSteps: \d+,.*\b(?:Sampler|Schedule type|CFG scale|Seed): ", re.IGNORECASE)
"""The line of settings that A1111, Forge and SD.Next end their texts with; other comments have steps, too."""
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 Iptc4xmpExt:DigitalSourceType="{source}" xmp:CreatorTool="{tool}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


class Maker(Enum):
    """Who made a picture, by its own word."""

    UNTOLD = "untold"
    THIS_PROGRAM = "this program"
    ANOTHER = "another generator"


def synthetic_png(pixels: ImageArray, parameters: str, extra: Mapping[str, str]) -> bytes:
    """A PNG that says what it is.

    Args:
        pixels: uint8 HxWx3 RGB.
        parameters: the text that A1111, Forge and ComfyUI users' tools read.
        extra: further text chunks.
    """
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", parameters)
    for key, value in extra.items():
        info.add_itxt(key, value)
    info.add_itxt("XML:com.adobe.xmp", synthetic_xmp().decode())
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def clean_png(picture: Image.Image, synthetic: bool) -> bytes:
    """A PNG with nothing of its source's metadata, except the mark of what a model made."""
    info = PngImagePlugin.PngInfo()
    if synthetic:
        info.add_itxt("XML:com.adobe.xmp", synthetic_xmp(Maker.ANOTHER).decode())
    picture.info.clear()  # an ICC profile or text chunks would go along
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def synthetic_xmp(maker: Maker = Maker.THIS_PROGRAM) -> bytes:
    """The XMP packet that marks a picture as made by a model, for any format that takes XMP.

    Args:
        maker: of the picture; another one's carries this program's name as that of who copied it.
    """
    tool = _MAKER if maker is Maker.THIS_PROGRAM else _COPIER
    return _XMP.format(source=TRAINED_ALGORITHMIC_MEDIA, tool=tool).encode()


def maker_of(data: bytes) -> Maker:
    """Who the bytes of an image file say made it, by the IPTC mark, or by the settings that A1111, Forge, ComfyUI and
    NovelAI leave in their pictures.
    """
    marked, texts = has_iptc_mark(data), png_texts(data)
    exif = "" if texts else exif_of(data)
    own = "twinloop" in texts or _VERSION in texts.get("parameters", "") or _VERSION in exif
    if own or (marked and _carries(data, _MADE_HERE)):
        return Maker.THIS_PROGRAM
    return Maker.ANOTHER if marked or _tells_generator(texts) or _is_generation(exif) else Maker.UNTOLD


def made_here(path: Path) -> bool:
    """Whether a file says that this program made it; one that cannot be read says nothing."""
    try:
        return maker_of(path.read_bytes()) is Maker.THIS_PROGRAM
    except OSError:
        return False


def has_iptc_mark(data: bytes) -> bool:
    """Whether the metadata at either end, where all writers put it, calls the picture made by a model."""
    return _carries(data, _MARK)


def _carries(data: bytes, text: bytes) -> bool:
    return text in data[: 1 << 20] or text in data[-(1 << 16) :]


def is_marked_synthetic(data: bytes) -> bool:
    """Whether the bytes of an image file say that a model made it."""
    return maker_of(data) is not Maker.UNTOLD


def _tells_generator(texts: Mapping[str, str]) -> bool:
    """Whether the texts of a PNG are those of A1111 and Forge, of NovelAI, or of ComfyUI."""
    if "Steps:" in texts.get("parameters", ""):
        return True
    named = texts.get("Software", "").startswith("NovelAI") or "NovelAI" in texts.get("Title", "")
    if named and texts.get("Comment", "").lstrip().startswith("{"):
        return True
    nodes = texts.get("prompt", "").lstrip()
    return nodes.startswith("{") and '"class_type"' in nodes


def _is_generation(exif: str) -> bool:
    """Whether the texts of EXIF are those of A1111 and Forge, or of ComfyUI."""
    return _SETTINGS.search(exif) is not None or ("prompt:{" in exif and '"class_type"' in exif)
