"""Marks on synthetic pixels: A1111 ``parameters`` text and XMP ``DigitalSourceType`` (IPTC), written before an image
enters a dataset.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image, PngImagePlugin

from twinloop.domain.faces import ImageArray

TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_MARK = b"trainedAlgorithmicMedia"
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 Iptc4xmpExt:DigitalSourceType="{source}" xmp:CreatorTool="{tool}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


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
        info.add_itxt("XML:com.adobe.xmp", synthetic_xmp().decode())
    picture.info.clear()  # an ICC profile or text chunks would go along
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def synthetic_xmp() -> bytes:
    """The XMP packet that marks a picture as made by a model, for any format that takes XMP."""
    return _XMP.format(source=TRAINED_ALGORITHMIC_MEDIA, tool="twinloop").encode()


def is_marked_synthetic(data: bytes) -> bool:
    """Whether the bytes of an image file carry the IPTC mark (in the metadata at either end,
    where all writers put it).
    """
    return _MARK in data[: 1 << 20] or _MARK in data[-(1 << 16) :]
