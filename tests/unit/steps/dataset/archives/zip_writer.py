"""Zips as other programs write them: raw names, flags, extra fields and systems of entries."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
MS_DOS, UNIX = 0, 3
DATA_DESCRIPTOR, UTF_8 = 0x8, 0x800


@dataclass(frozen=True)
class Entry:
    """An entry of a zip; stored, or deflated if its system is not Unix."""

    name: bytes
    data: bytes = b""
    flags: int = 0
    extra: bytes = b""
    system: int = MS_DOS
    attributes: int = 0
    method: int = 0


def unicode_path(raw: bytes, name: str, *, crc: int | None = None) -> bytes:
    """Info-ZIP's extra field 0x7075 for a raw name; `crc` for a false checksum."""
    checksum = zlib.crc32(raw) if crc is None else crc
    text = name.encode()
    return struct.pack("<HHBI", 0x7075, 5 + len(text), 1, checksum) + text


def zip_bytes(
    entries: Sequence[Entry], *, before: bytes = b"", comment: bytes = b"", disk: int = 0
) -> bytes:
    """A zip with exactly these entries; `before` is a self-extractor in front of it."""
    out, directory = bytearray(before), bytearray()
    for entry in entries:
        data = entry.data
        if entry.method == 8:
            packer = zlib.compressobj(wbits=-15)
            data = packer.compress(data) + packer.flush()
        crc, sizes = zlib.crc32(entry.data), (len(data), len(entry.data))
        late = entry.flags & DATA_DESCRIPTOR
        common = (entry.flags, entry.method, 0, 33)
        offset = len(out) - len(before)
        out += _LOCAL + struct.pack("<5H", 20, *common)
        out += struct.pack("<3I2H", *((0, 0, 0) if late else (crc, *sizes)), len(entry.name), 0)
        out += entry.name + data
        if late:
            out += b"PK\x07\x08" + struct.pack("<3I", crc, *sizes)
        directory += _CENTRAL + struct.pack("<BB5H", 20, entry.system, 20, *common)
        directory += struct.pack("<3I", crc, *sizes)
        lengths = len(entry.name), len(entry.extra), 0
        directory += struct.pack("<5H2I", *lengths, 0, 0, entry.attributes, offset)
        directory += entry.name + entry.extra
    start = len(out) - len(before)
    numbers = disk, disk, len(entries), len(entries)
    end = struct.pack("<4H2IH", *numbers, len(directory), start, len(comment))
    return bytes(out) + bytes(directory) + _END + end + comment
