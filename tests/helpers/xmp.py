"""XMP packets as photo programs write them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

Area = tuple[float, float, float, float]
"""Centre x, centre y, width, height, as shares."""

_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"'
    ' xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"'
    ' xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"'
    ' xmlns:MP="http://ns.microsoft.com/photo/1.2/"'
    ' xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#"'
    ' xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#"'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' xmlns:digiKam="http://www.digikam.org/ns/1.0/">'
)
_TAIL = f'</rdf:Description></rdf:RDF></x:xmpmeta>\n{" " * 2048}<?xpacket end="w"?>'


def packet(body: str) -> bytes:
    return (_HEAD + body + _TAIL).encode()


def lightroom(regions: Sequence[tuple[str, Area]], applied: tuple[int, int] = (400, 300)) -> str:
    """Descriptions with attributes."""
    items = "".join(
        f'<rdf:li><rdf:Description mwg-rs:Rotation="0.00000" mwg-rs:Name={quoteattr(name)} mwg-rs:Type="Face">'
        f'<mwg-rs:Area stArea:h="{h}" stArea:w="{w}" stArea:x="{x}" stArea:y="{y}"/></rdf:Description></rdf:li>'
        for name, (x, y, w, h) in regions
    )
    return (
        f'<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="{applied[0]}"'
        f' stDim:h="{applied[1]}" stDim:unit="pixel"/><mwg-rs:RegionList><rdf:Bag>{items}</rdf:Bag>'
        "</mwg-rs:RegionList></mwg-rs:Regions>"
    )


def picasa(regions: Sequence[tuple[str, Area]], kind: str = "Face") -> str:
    """Everything in elements, and the dimensions missing."""
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><mwg-rs:Name>{escape(name)}</mwg-rs:Name><mwg-rs:Type>{kind}</mwg-rs:Type>'
        f'<mwg-rs:Area rdf:parseType="Resource"><stArea:x>{x}</stArea:x><stArea:y>{y}</stArea:y><stArea:w>{w}'
        f"</stArea:w><stArea:h>{h}</stArea:h><stArea:unit>normalized</stArea:unit></mwg-rs:Area></rdf:li>"
        for name, (x, y, w, h) in regions
    )
    return (
        '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>'
        f"{items}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


def windows(regions: Mapping[str, str]) -> str:
    """Windows Photo Gallery: name -> "x, y, w, h" of the upper left corner."""
    items = "".join(
        f"<rdf:li><rdf:Description><MPReg:Rectangle>{box}</MPReg:Rectangle>"
        f"<MPReg:PersonDisplayName>{escape(name)}</MPReg:PersonDisplayName></rdf:Description></rdf:li>"
        for name, box in regions.items()
    )
    return (
        f"<MP:RegionInfo><rdf:Description><MPRI:Regions><rdf:Bag>{items}</rdf:Bag></MPRI:Regions>"
        "</rdf:Description></MP:RegionInfo>"
    )


def digikam_regions(regions: Mapping[str, str]) -> str:
    """The same region of Microsoft's as digiKam writes it."""
    items = "".join(
        f'<rdf:li MPReg:PersonDisplayName={quoteattr(name)} MPReg:Rectangle="{box}"/>' for name, box in regions.items()
    )
    return (
        f'<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>{items}</rdf:Bag></MPRI:Regions>'
        "</MP:RegionInfo>"
    )


def keywords(persons: Sequence[str] = (), tags: Sequence[str] = ()) -> str:
    """Names of a photo as a whole: IPTC's list, and digiKam's tags."""

    def items(texts: Sequence[str]) -> str:
        return "".join(f"<rdf:li>{escape(text)}</rdf:li>" for text in texts)

    iptc = f"<Iptc4xmpExt:PersonInImage><rdf:Bag>{items(persons)}</rdf:Bag></Iptc4xmpExt:PersonInImage>"
    digikam = f"<digiKam:TagsList><rdf:Seq>{items(tags)}</rdf:Seq></digiKam:TagsList>"
    return (iptc if persons else "") + (digikam if tags else "")


def in_jpeg(data: bytes, xmp: bytes) -> bytes:
    """A JPEG with a packet put in front, not saved anew."""
    body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
