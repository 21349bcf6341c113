"""The packing of RTF in Outlook's mails.

Standard: [MS-OXRTFCP]. A window of 4,096 bytes that begins with a fixed text;
each bit of a control byte tells a literal byte from a reference into it.
"""

import struct

from api.core.rag.extraction import ExtractionFailed

PACKED, PLAIN = 0x75465A4C, 0x414C454D
HEADER_BYTES = 16
WINDOW_BYTES = 4096
PRESET = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}"
    rb"{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier"
    rb"{\colortbl\red0\green0\blue0" + b"\r\n" + rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def unpack(data: bytes) -> bytes:
    """Return the RTF of packed bytes. Raises ExtractionFailed for what is no such packing."""
    if len(data) < HEADER_BYTES:
        raise ExtractionFailed("The mail's text is damaged; save it again from Outlook.")
    (kind,) = struct.unpack_from("<I", data, 8)
    if kind == PLAIN:
        return data[HEADER_BYTES:]
    if kind != PACKED:
        raise ExtractionFailed("The mail's text is damaged; save it again from Outlook.")
    return _unpack(data[HEADER_BYTES:])


def _unpack(data: bytes) -> bytes:
    window = bytearray(PRESET.ljust(WINDOW_BYTES, b"\0"))
    write, at = len(PRESET), 0
    unpacked = bytearray()
    while at < len(data):
        control, at = data[at], at + 1
        for bit in range(8):
            if control >> bit & 1:
                reference = int.from_bytes(data[at : at + 2], "big")
                at += 2
                offset, length = reference >> 4, (reference & 0xF) + 2
                if offset == write or at > len(data):
                    return bytes(unpacked)
                run = range(offset, offset + length)
            else:
                if at >= len(data):
                    return bytes(unpacked)
                window[write] = data[at]
                run, at = range(write, write + 1), at + 1
            for source in run:
                byte = window[source % WINDOW_BYTES]
                window[write] = byte
                unpacked.append(byte)
                write = (write + 1) % WINDOW_BYTES
    return bytes(unpacked)
