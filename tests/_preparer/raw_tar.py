"""Tar archives made by hand, for those that no honest tool makes."""

from __future__ import annotations

import gzip

BLOCK = 512
END = bytes(2 * BLOCK)


def header(
    name: str | bytes,
    size: int = 0,
    *,
    kind: bytes = b"0",
    mode: int = 0o644,
    mtime: int = 1_600_000_000,
    target: str = "",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    fields: dict[int, bytes] | None = None,
) -> bytes:
    """One header with its checksum; `fields` are bytes to put at an offset."""
    block = bytearray(BLOCK)

    def put(at: int, data: bytes) -> None:
        block[at : at + len(data)] = data

    put(0, name if isinstance(name, bytes) else name.encode())
    put(100, b"%07o" % mode)
    put(124, b"%011o" % size)
    put(136, b"%011o" % mtime)
    put(156, kind)
    put(157, target.encode())
    put(257, magic)
    put(345, prefix)
    for at, data in (fields or {}).items():
        put(at, data)
    put(148, b" " * 8)
    put(148, b"%06o\0 " % sum(block))
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: str | bytes, content: bytes = b"", **options) -> bytes:
    return header(name, len(content), **options) + padded(content)


def link(name: str, target: str) -> bytes:
    return header(name, kind=b"2", target=target)


def pax(kind: bytes = b"x", **values: str) -> bytes:
    """An extension header; double underscores in keywords stand for dots."""
    data = b"".join(record(keyword.replace("__", "."), value) for keyword, value in values.items())
    return member("pax", data, kind=kind)


def record(keyword: str, value: str) -> bytes:
    body = f" {keyword}={value}\n".encode()
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def tar(*members: bytes, end: bytes = END) -> bytes:
    return b"".join(members) + end


def tar_gz(*members: bytes, end: bytes = END) -> bytes:
    return gzip.compress(tar(*members, end=end), mtime=0)
