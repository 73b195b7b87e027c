"""Zip archives made by hand, byte by byte, so that they can be wrong in any way."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field, replace

from puffin_api._testing.wheels import metadata_text, record_digest

WHEEL_TEXT = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass
class Member:
    """One entry; `local` and `central` replace fields in one of its two headers."""

    name: str | bytes
    content: bytes = b""
    method: int = 8
    mode: int = 0o100644
    flags: int = 0x0800
    descriptor: bytes | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    before: bytes = b""
    packed: bytes | None = None
    local: dict = field(default_factory=dict)
    central: dict = field(default_factory=dict)

    def raw_name(self) -> bytes:
        return self.name.encode() if isinstance(self.name, str) else self.name

    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if self.method != 8:
            return self.content
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        return squeeze.compress(self.content) + squeeze.flush()

    def fields(self) -> dict:
        return {
            "signature": b"PK",
            "flags": self.flags | (8 if self.descriptor is not None else 0),
            "method": self.method,
            "crc": zlib.crc32(self.content),
            "packed": len(self.body()),
            "size": len(self.content),
            "name": self.raw_name(),
            "disk": 0,
            "system": 3,
            "attributes": self.mode << 16,
        }

    def local_part(self) -> bytes:
        f = self.fields()
        if self.descriptor is not None:
            f |= {"crc": 0, "packed": 0, "size": 0}
        f |= self.local
        head = struct.pack(
            "<4s5H3L2H",
            f["signature"] + b"\3\4", 20, f["flags"], f["method"], 0, 33,
            f["crc"], f["packed"], f["size"], len(f["name"]), len(self.local_extra),
        )  # fmt: skip
        return head + f["name"] + self.local_extra + self.body() + (self.descriptor or b"")

    def central_part(self, offset: int) -> bytes:
        f = {**self.fields(), "offset": offset, **self.central}
        head = struct.pack(
            "<4s2B5H3L5H2L",
            f["signature"] + b"\1\2", 20, f["system"], 20, f["flags"], f["method"], 0, 33,
            f["crc"], f["packed"], f["size"], len(f["name"]), len(self.extra), 0, f["disk"], 0,
            f["attributes"], f["offset"],
        )  # fmt: skip
        return head + f["name"] + self.extra

    def descriptor_of(self, layout: str = "<4s3L") -> bytes:
        """Return the descriptor that fits, in one of its four layouts."""
        values = (zlib.crc32(self.content), len(self.body()), len(self.content))
        return struct.pack(layout, *((b"PK\7\x08",) if "s" in layout else ()), *values)


def craft(members, *, prefix=b"", gap=b"", suffix=b"", comment=b"", end=None, zip64=None) -> bytes:
    """Return an archive; `end` and `zip64` replace fields of the end records, and zip64={} adds one."""
    data, directory = prefix, b""
    for member in members:
        data += member.before
        directory += member.central_part(len(data))
        data += member.local_part()
    data += gap
    fields = {"disk": 0, "first": 0, "here": len(members), "count": len(members)}
    fields |= {"length": len(directory), "offset": len(data)}
    data += directory
    if zip64 is not None:
        wide = {"signature": b"PK\6\6", "more": 44, "disks": 1, "at": len(data), **fields, **zip64}
        data += struct.pack(
            "<4sQ2H2L4Q", wide["signature"], wide["more"], 45, 45, wide["disk"], wide["first"],
            wide["here"], wide["count"], wide["length"], wide["offset"],
        )  # fmt: skip
        data += struct.pack("<4sLQL", b"PK\6\7", 0, wide["at"], wide["disks"])
    fields |= {"comment": len(comment), **(end or {})}
    data += struct.pack(
        "<4s4H2LH", b"PK\5\6", fields["disk"], fields["first"], fields["here"], fields["count"],
        fields["length"], fields["offset"], fields["comment"],
    )  # fmt: skip
    return data + comment + suffix


def wheel_members(*members, name="demo", version="1.0", record=None) -> list[Member]:
    """Complete members to those of a valid wheel, RECORD included; `record` replaces or drops rows."""
    folder = f"{name}-{version}.dist-info"
    described = [
        Member(f"{folder}/METADATA", metadata_text(name, version).encode()),
        Member(f"{folder}/WHEEL", WHEEL_TEXT.encode()),
    ]
    every = [*members, *(m for m in described if m.raw_name() not in {x.raw_name() for x in members})]
    rows = {
        m.raw_name().decode("utf-8", "replace"): f"{record_digest(m.content)},{len(m.content)}"
        for m in every
        if not m.raw_name().endswith(b"/")
    }
    rows |= {f"{folder}/RECORD": ",", **(record or {})}
    text = "".join(
        ('"' + path.replace('"', '""') + '"' if any(c in path for c in ',"\r\n') else path) + f",{row}\n"
        for path, row in rows.items()
        if row is not None
    )
    return [*every, Member(f"{folder}/RECORD", text.encode())]


def changed(members, index, **fields) -> list[Member]:
    """Return the members with fields of one replaced, after RECORD was made."""
    return [replace(m, **fields) if i == index else m for i, m in enumerate(members)]
