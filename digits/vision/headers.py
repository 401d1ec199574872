"""Checks of a file's structure that run before any decoder reads the file.

Decoders walk markers, tags and chunks one by one, some of them in Python: a crafted file can keep them busy
for seconds for each megabyte. The limits here are far above what cameras and programs write.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

MAX_JPEG_SEGMENTS, MAX_JPEG_GAP, MAX_PNG_CHUNKS, MAX_EXIF_TAGS = 512, 1024, 4096, 256
MAX_GIF_BLOCKS = 4096  # before the first frame, and pieces of them: some 250 bytes each, 50 in XMP
MAX_TEXT_PROFILE = 2**17  # hexadecimal digits of EXIF in a PNG's text chunk, as ImageMagick writes it

ORIENTATION = 0x0112
START_OF_SCAN, APP1, EXIF = 0xDA, 0xE1, b"Exif\0\0"
GIF_EXTENSION = 0x21
# Start-of-frame markers: C4, C8 and CC in the same range are tables and extensions.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SINGLE_PASS = (0xC0, 0xC1)  # baseline and extended sequential, both with Huffman codes
_JPEG_GAP = re.compile(rb"[^\xff]*\xff+")

# Chunks that change neither pixels nor orientation, so that every decoder gives the same picture.
_NEUTRAL_CHUNKS = frozenset(b"IHDR PLTE IDAT IEND sRGB gAMA cHRM pHYs tIME bKGD sBIT iCCP".split())


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG's header says about the cost of decoding it."""

    width: int
    height: int
    components: int  # 1 grey, 3 colour, 4 CMYK
    scans: int  # 1 for a baseline file whose components are interleaved
    single_pass: bool  # whether the decoder needs no memory of the whole picture's coefficients
    orientation: int  # EXIF's tag: 1 upright, up to 8; 0 if only an XMP block may have one


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the chunks of a PNG say."""

    width: int
    height: int
    bits: int
    colour: int  # PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
    neutral: bool  # whether no chunk holds transparency, orientation or an animation
    compressed: int  # bytes of the compressed pixels

    @property
    def bytes_of_pixel(self) -> int:
        """Bytes of a decoded pixel."""
        return {2: 3, 3: 3, 4: 4, 6: 4}.get(self.colour, 1) * (2 if self.bits > 8 else 1)


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """Returns the header of a JPEG, or None if it is mostly padding, or no camera wrote its EXIF block."""
    position, exif, xmp, frame = 2, b"", False, b""
    for _ in range(MAX_JPEG_SEGMENTS):
        gap = _JPEG_GAP.match(data, position)
        if gap is None or gap.end() >= len(data):
            return _jpeg_header(frame, 1, 1)  # the decoder reports what is missing
        if len(gap[0]) > MAX_JPEG_GAP:
            return None
        marker = data[gap.end()]
        if marker == START_OF_SCAN:
            if is_hostile_exif(exif):
                return None
            scans = _count_scans(data, gap.end() - 1)
            return _jpeg_header(frame, scans, _orientation(exif) or (0 if xmp else 1))
        length = int.from_bytes(data[gap.end() + 1 : gap.end() + 3], "big")
        content, position = gap.end() + 3, gap.end() + 1 + max(length, 2)
        if marker == APP1 and data.startswith(EXIF, content):
            exif += data[content + len(EXIF) : position]  # Pillow joins several blocks
        elif marker == APP1:
            xmp = xmp or b"tiff:Orientation" in data[content:position]
        elif marker in _FRAMES:
            frame = bytes([marker]) + data[content : content + 6]
    return None


def _count_scans(data: bytes, start: int) -> int:
    """The scans that begin from `start` on: the byte after FF is 0 in coded pixels, so each FF DA is one.

    numpy counts pairs at even and at odd places twelve times as fast as `bytes.count`, which takes 2 ms for a
    photo.
    """
    pairs = (np.frombuffer(data, "<u2", (len(data) - place) // 2, place) for place in (start, start + 1))
    return sum(int(np.count_nonzero(each == 0xDAFF)) for each in pairs)


def _jpeg_header(frame: bytes, scans: int, orientation: int) -> JpegHeader:
    """Makes a header of a start-of-frame marker's last byte and what follows its length."""
    frame = frame.ljust(7, b"\0")
    height, width = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    return JpegHeader(width, height, frame[6], scans, frame[0] in _SINGLE_PASS, orientation)


def _orientation(exif: bytes) -> int:
    """The orientation tag of an EXIF block, 0 if it has none that is valid."""
    order: Literal["big", "little"] = "big" if exif.startswith(b"MM") else "little"
    start = int.from_bytes(exif[4:8], order)
    for place in range(start + 2, start + 2 + 12 * int.from_bytes(exif[start : start + 2], order), 12):
        if int.from_bytes(exif[place : place + 2], order) == ORIENTATION:
            value = int.from_bytes(exif[place + 8 : place + 10], order)
            return value if 1 <= value <= 8 else 0
    return 0


def read_png_header(data: bytes) -> PngHeader | None:
    """Returns the header of a PNG whose chunks are whole to the last one, None if they are not.

    Decoders ignore the checksums of pixels: a changed byte would give other pixels instead of an error.
    """
    if not data.startswith(b"\0\0\0\rIHDR", 8):
        return None
    place, neutral, compressed = 8, True, 0
    for _ in range(MAX_PNG_CHUNKS):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(data):
            return None
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return None
        kind = data[place + 4 : place + 8]
        if kind == b"IDAT":
            compressed += length
        elif kind not in _NEUTRAL_CHUNKS and (kind != b"tEXt" or data.startswith(b"Raw profile", place + 8)):
            neutral = False
        if kind == b"IEND":
            width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
            return PngHeader(width, height, data[24], data[25], neutral, compressed)
        place = end + 4
    return None


def is_hostile_exif(exif: bytes) -> bool:
    """Whether the first directory of an EXIF block has more tags than any camera writes.

    Pillow needs 20 us for each, and 65,535 are possible. Cameras write some 20.
    """
    tiff = exif.removeprefix(EXIF)
    order: Literal["big", "little"] = "big" if tiff.startswith(b"MM") else "little"
    start = int.from_bytes(tiff[4:8], order)
    return int.from_bytes(tiff[start : start + 2], order) > MAX_EXIF_TAGS


def is_hostile_gif(data: bytes) -> bool:
    """Whether more blocks stand before the first frame of a GIF than any program writes.

    Pillow reads them one by one, 0.1 s for each megabyte of the shortest.
    """
    place = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10:11] >= b"\x80" else 0)
    in_extension = False
    for _ in range(MAX_GIF_BLOCKS):
        if place >= len(data):
            return False  # the decoder reports what is missing
        byte = data[place]
        if in_extension:
            place, in_extension = place + 1 + byte, byte != 0
        elif byte == GIF_EXTENSION:
            place, in_extension = place + 2, True
        elif byte == 0:
            place += 1  # padding, which Pillow skips
        else:
            return False
    return True
