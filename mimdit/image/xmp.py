"""XMP packets, changed as text: only what must change does, whoever wrote the rest.

Nothing here parses XML: packets come from strangers, and an XML parser expands what they define.
"""

import re

__all__ = [
    "escape",
    "has_gain_map",
    "orientation",
    "read_property",
    "reset",
    "unescape",
    "with_description",
    "without_gain_map",
]

_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
).encode()
_END = re.compile(rb"</([A-Za-z_][\w.-]*):RDF\s*>")
_ORIENTATION = re.compile(rb"""(\btiff:Orientation(?:\s*=\s*["']|\s*>\s*))([1-8])""")
_EMPTY_DESCRIPTION = re.compile(rb"<([\w.-]+):Description(?:\s[^>]*)?\sxmlns:mimdit=[^>]*>\s*</\1:Description\s*>")
_GAIN_MAP = re.compile(rb"\b(?:hdrgm|HDRGainMap):|\bContainer:Directory\b")


def orientation(packet: bytes) -> int:
    """1 to 8; 1 where the packet does not say."""
    found = _ORIENTATION.search(packet)
    return int(found[2]) if found else 1


def reset(packet: bytes) -> bytes:
    """The packet of an upright photo, its thumbnails taken out."""
    return _without(_ORIENTATION.sub(rb"\g<1>1", packet), b"xmp:Thumbnails")


def has_gain_map(packet: bytes) -> bool:
    """Whether the packet announces a gain map behind the picture, which brightens it on HDR screens."""
    return _GAIN_MAP.search(packet) is not None


def without_gain_map(packet: bytes) -> bytes:
    """The packet without its words on a gain map: a reader would look for what is not there any more."""
    packet = _without(packet, b"Container:Directory")
    return re.sub(rb"""\s(?:hdrgm|HDRGainMap):\w+\s*=\s*(?:"[^"]*"|'[^']*')""", b"", packet)


def with_description(packet: bytes | None, text: str, *, replacing: tuple[str, ...]) -> bytes:
    """The packet with one more rdf:Description, and without the properties `replacing` ("prefix:Name").

    text: the description, with the prefix rdf. A packet without an end of its RDF is damaged, and a new one takes its
    place.
    """
    packet = packet or _EMPTY
    for name in replacing:
        packet = _without(packet, name.encode())
    packet = _EMPTY_DESCRIPTION.sub(b"", packet)
    if _END.search(packet) is None:
        packet = _EMPTY
    end = list(_END.finditer(packet))[-1]
    prefix = end[1]
    block = text.encode().replace(b"rdf:", prefix + b":")
    return packet[: end.start()] + block + packet[end.start() :]


def read_property(packet: bytes, name: str) -> str | None:
    """The text of an element `name`, its entities resolved; None where there is none."""
    key = re.escape(name.encode())
    found = re.search(rb"<" + key + rb"\s*>([^<]*)</" + key + rb"\s*>", packet)
    return None if found is None else unescape(found[1].decode("utf-8", "replace"))


def escape(text: str) -> str:
    """Text → what may stand in an XML element or attribute."""
    for character, entity in _ENTITIES:
        text = text.replace(character, entity)
    return text


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    for character, entity in reversed(_ENTITIES):
        text = text.replace(entity, character)
    return text


_ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"))


def _without(packet: bytes, name: bytes) -> bytes:
    """Without a property, whether it is written as an element, an empty element or an attribute."""
    key = re.escape(name)
    packet = re.sub(rb"<" + key + rb"(?:\s[^>]*)?/>", b"", packet)
    packet = re.sub(rb"<" + key + rb"(?:\s[^>]*)?>.*?</" + key + rb"\s*>", b"", packet, flags=re.DOTALL)
    return re.sub(rb"\s" + key + rb"""\s*=\s*(?:"[^"]*"|'[^']*')""", b"", packet)
