"""Makes the programs of others find their libraries beside them: their RUNPATH (ld.so(8)), in the file as it is.

In: the bytes of an ELF file, 64-bit and little-endian. Out: the same with another RUNPATH; offsets and contents stay as
they are but for what is said here. Refuses (SystemExit) a file that has no room for it. The layout is elf(5)'s.
"""

import struct
from typing import NamedTuple

_LOAD, _DYNAMIC = 1, 2
_STRTAB, _STRSZ, _RUNPATH = 5, 10, 29


class _Segment(NamedTuple):
    type: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    align: int


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int


_SEGMENT, _SECTION, _ENTRY = struct.Struct("<IIQQQQQQ"), struct.Struct("<IIQQQQ"), struct.Struct("<QQ")


def replace_runpath(elf: bytes, old: bytes, new: bytes) -> bytes:
    """In the place of `old`, where that is the RUNPATH; `new` may be as long."""
    _, strings = _find_section(elf, b".dynstr")
    start, end = strings.offset, strings.offset + strings.size
    return elf[:start] + elf[start:end].replace(old, new.ljust(len(old), b"\0")) + elf[end:]


def add_runpath(elf: bytes, runpath: bytes) -> bytes:
    """To a file that has none: in a spare entry of its dynamic section. Its string table grows by moving to the end of
    the first segment, into the padding before the next."""
    out = bytearray(elf)
    at, section = _find_section(elf, b".dynstr")
    strings = elf[section.offset : section.offset + section.size] + runpath + b"\0"
    segments = _segments(elf)
    where, text = next((n, s) for n, s in segments if s.type == _LOAD and s.offset <= section.offset < _end(s))
    place, address = _end(text), text.address + text.file_size
    if any(elf[place : place + len(strings)]) or any(place <= s.offset < place + len(strings) for _, s in segments):
        raise SystemExit("no room for a RUNPATH behind the first segment")
    grown = text._replace(file_size=text.file_size + len(strings), memory_size=text.memory_size + len(strings))
    _SEGMENT.pack_into(out, where, *grown)
    _SECTION.pack_into(out, at, *section._replace(address=address, offset=place, size=len(strings)))
    out[place : place + len(strings)] = strings
    dynamic = next(s for _, s in segments if s.type == _DYNAMIC)
    moved = {_STRTAB: address, _STRSZ: len(strings)}
    for entry in range(dynamic.offset, _end(dynamic), _ENTRY.size):
        tag, value = _ENTRY.unpack_from(elf, entry)
        if tag == 0:
            break
        _ENTRY.pack_into(out, entry, tag, moved.get(tag, value))
    if entry + 2 * _ENTRY.size > _end(dynamic):
        raise SystemExit("no entry for a RUNPATH in the dynamic section")
    _ENTRY.pack_into(out, entry, _RUNPATH, section.size)
    return bytes(out)


def _end(segment: _Segment) -> int:
    return segment.offset + segment.file_size


def _segments(elf: bytes) -> list[tuple[int, _Segment]]:
    """Each with the offset of its header."""
    (table,) = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    places = range(table, table + size * count, size)
    return [(place, _Segment(*_SEGMENT.unpack_from(elf, place))) for place in places]


def _find_section(elf: bytes, name: bytes) -> tuple[int, _Section]:
    """With the offset of its header."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", elf, 0x3A)
    places = range(table, table + size * count, size)
    sections = [(place, _Section(*_SECTION.unpack_from(elf, place))) for place in places]
    names_at = sections[names_index][1].offset
    for place, section in sections:
        if elf.startswith(name + b"\0", names_at + section.name):
            return place, section
    raise SystemExit(f"no {name.decode()} in an ELF file")
