"""Seeded ways to damage a file: its bytes, its pixels, or the values in its JSON or config."""

import copy
import io
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

JUNK = (None, "x", "", -1, 0, 3.5, True, [], {}, [[]], (1,), math.nan, math.inf, 10**30, "None",
        {"type": "x"}, "\x00", "../..", 1e308, -10**6)


# -------------------------------------------------------------------------------------------- bytes
def cut(data: bytes, rng: Random) -> bytes:
    return data[:rng.randrange(len(data))]


def flip(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_start(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(min(64, len(data)))] = rng.randrange(256)
    return bytes(changed)


def swap(data: bytes, rng: Random) -> bytes:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def zero(data: bytes, rng: Random) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:a] + bytes(b - a) + data[b:]


def insert(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 100, 5000))) + data[place:]


def append(data: bytes, rng: Random) -> bytes:
    return data + rng.choice((data, bytes(5000), rng.randbytes(5000)))


def replace(data: bytes, rng: Random) -> bytes:
    """Return a file of another kind."""
    return rng.choice((
        b"", b"\n", b"{}", b"[]", b"null", b"PK\x05\x06" + bytes(18), b"\x80\x02}q\x00.",
        rng.randbytes(1000), b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0", b"GIF89a", b"\x1f\x8b\x08" + bytes(20)))


BYTES = (cut, flip, flip_start, swap, zero, insert, append, replace)


# ------------------------------------------------------------------------------------------- images
def png(width: int, height: int, bits: int, colour: int, data: bytes) -> bytes:
    """Assemble a PNG with any header."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
            + chunk(b"IEND", b""))


def unusual_image(data: bytes, rng: Random) -> bytes:
    """Return an image of unusual mode, size or format, or with a header that claims too much."""
    return rng.choice(_IMAGES)(Image.open(io.BytesIO(data)), rng)


def _saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _turned(image: Image.Image, rng: Random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = rng.choice((2, 3, 6, 8, 99))
    return _saved(image.convert("L" if image.mode != "RGB" else "RGB"), "JPEG", exif=exif)


def _noise(image: Image.Image, rng: Random) -> bytes:
    shape = rng.choice(((7, 5), (80, 100, 3), (64, 64, 4), (64, 64, 2)))
    return _saved(Image.fromarray(
        np.random.default_rng(rng.randrange(99)).integers(0, 256, shape, np.uint8)))


_IMAGES: tuple[Callable[[Image.Image, Random], bytes], ...] = (
    *(lambda image, rng, mode=mode: _saved(image.convert("RGB").convert(mode))
      for mode in ("1", "L", "LA", "RGBA", "P", "I", "I;16", "RGB")),
    lambda image, rng: _saved(image.convert("CMYK"), "JPEG"),
    lambda image, rng: _saved(image.convert("F"), "TIFF"),
    lambda image, rng: _saved(image.convert("P"), "GIF", save_all=True, append_images=[image] * 2),
    lambda image, rng: _saved(image, "PNG", save_all=True, append_images=[image] * 2),
    lambda image, rng: _saved(image, "WEBP"),
    lambda image, rng: _saved(image, "BMP"),
    lambda image, rng: _saved(image.convert("RGB"), "JPEG", progressive=True),
    *(lambda image, rng, size=size: _saved(image.resize(size, 0))
      for size in ((1, 1), (1, 90), (90, 1), (2, 3), (3000, 2), (300, 200))),
    _turned, _turned, _noise, _noise,
    *(lambda image, rng, case=case: png(*case, zlib.compress(bytes(1000))) for case in (
        (2**31 - 1, 2**31 - 1, 8, 2), (100_000, 100_000, 8, 0), (30_000, 30_000, 8, 2),
        (0, 5, 8, 2), (64, 64, 8, 7), (64, 64, 3, 2), (64, 64, 16, 2), (2**31 - 1, 1, 8, 0))),
    lambda image, rng: png(20_000, 10_000, 8, 0, zlib.compress(bytes(200_000_000), 1)),
)


# ----------------------------------------------------------------------------------------- values
def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the paths of all values inside nested dicts and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(
        node, list | tuple) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def change_value(content: Any, rng: Random, junk: tuple = JUNK) -> Any:
    """Replace, remove or rename one value of nested dicts and lists, or put in a deep nest."""
    content = copy.deepcopy(content)
    path = rng.choice(list(places(content)))
    node = content
    for key in path[:-1]:
        node = node[key]
    if isinstance(node, tuple):
        return change_value(content, rng, junk)
    way, key = rng.random(), path[-1]
    if way < 0.6:
        node[key] = rng.choice(junk)
    elif way < 0.75:
        del node[key]
    elif way < 0.95 and isinstance(node, dict) and isinstance(key, str):
        place = rng.randrange(len(key)) if key else 0
        node[key[:place] + rng.choice(("", "x", "_")) + key[place + 1:]] = node.pop(key)
    else:
        node[key] = [node[key]]
    return content


# ------------------------------------------------------------------------------------------- places
def not_a_file(path: Path, rng: Random) -> None:
    """Replace a file by a folder, a link to itself, a dangling link or nothing."""
    way = rng.randrange(4)
    path.unlink()
    if way == 0:
        path.mkdir()
    elif way == 1:
        path.symlink_to(path.name)
    elif way == 2:
        path.symlink_to("nowhere")


def damage(path: Path, rng: Random) -> str:
    """Damage a file's bytes, or replace it by something that is no file; return the way."""
    if rng.random() < 0.08:
        not_a_file(path, rng)
        return "not a file"
    way = rng.choice(BYTES)
    path.write_bytes(way(path.read_bytes(), rng))
    os.utime(path)
    return way.__name__
