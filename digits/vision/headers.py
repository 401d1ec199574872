"""Checks of a file's structure that run before any decoder reads the file.

Decoders process markers, tags and chunks one by one, some of them in Python: a crafted file can occupy them
for seconds per megabyte. The limits here are far above what cameras and programs write.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

MAX_JPEG_SEGMENTS, MAX_JPEG_GAP, MAX_PNG_CHUNKS, MAX_EXIF_TAGS = 512, 1024, 4096, 256
MAX_JPEG_TABLES = 2**15  # bytes of tables before the first scan; twelve of the largest have 2.7 kB
MAX_GIF_BLOCKS = 4096  # blocks before the first frame, and their pieces: about 250 bytes each, 50 in XMP
BMP_RUNS, OS2 = (1, 2), (12).to_bytes(4, "little")  # compression of 8 and of 4 bits; a header without it
MAX_BMP_REST = 2**14  # bytes behind the pixels, such as a colour profile
MAX_TEXT_PROFILE = 2**17  # hexadecimal digits of EXIF in a PNG's text chunk, as ImageMagick writes it

ORIENTATION = 0x0112
START_OF_SCAN, APP1, EXIF = 0xDA, 0xE1, b"Exif\0\0"
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
GIF_EXTENSION = 0x21
# Start-of-frame markers: C4, C8 and CC in the same range are tables and extensions.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SINGLE_PASS = (0xC0, 0xC1)  # baseline and extended sequential, both with Huffman codes
# Metadata: application segments but Adobe's (0xEE), which says what the colours of four components are.
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE} - {0xEE})
_JPEG_GAP = re.compile(rb"[^\xff]*\xff+")

# The chunks that pixels are made of, and the beginnings of those that may hold the orientation.
_PIXEL_CHUNKS = frozenset(b"IHDR PLTE tRNS IDAT IEND".split())
_PNG_ORIENTATION = re.compile(rb"eXIf|(?:tEXt|[iz]TXt)(?:Raw profile type exif|XML:com\.adobe\.xmp)\0")


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """The facts in a JPEG's header that determine the cost of decoding it."""

    width: int
    height: int
    components: int  # 1 grey, 3 colour, 4 CMYK
    scans: int  # 1 for a baseline file whose components are interleaved
    single_pass: bool  # whether the decoder needs no memory of the whole picture's coefficients
    orientation: int  # of EXIF, else of XMP: 1 upright, up to 8
    tables: bytes  # the segments before the first scan, without metadata
    scan: int  # place of the first scan

    def without_metadata(self, data: bytes) -> bytes:
        """Returns the file without metadata: Pillow parses it in Python, 80 ms for each megabyte."""
        return b"".join((data[:2], self.tables, data[self.scan :]))


@dataclass(frozen=True, slots=True)
class PngHeader:
    """The facts in a PNG's chunks."""

    width: int
    height: int
    bits: int
    colour: int  # PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
    neutral: bool  # whether no chunk holds transparency or orientation
    compressed: int  # bytes of the compressed pixels
    content: bytes  # the file without chunks that hold neither pixels nor orientation

    @property
    def bytes_of_pixel(self) -> int:
        """The bytes of a decoded pixel."""
        return png_pixel_bytes(self.bits, self.colour)


def png_pixel_bytes(bits: int, colour: int) -> int:
    """Returns the bytes of a decoded pixel of a PNG with so many bits of a sample and this colour type."""
    return {2: 3, 3: 3, 4: 4, 6: 4}.get(colour, 1) * (2 if bits > 8 else 1)


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """Returns the header of a JPEG; None if it is mostly padding, or its EXIF block is implausible."""
    position, exif, xmp, frame, tables = 2, bytearray(), 1, b"", bytearray()
    for _ in range(MAX_JPEG_SEGMENTS):
        gap = _JPEG_GAP.match(data, position)
        if gap is None or gap.end() >= len(data):
            return _jpeg_header(frame, 1, 1, b"", len(data))  # the decoder reports what is missing
        if len(gap[0]) > MAX_JPEG_GAP or len(tables) > MAX_JPEG_TABLES:
            return None
        marker = data[gap.end()]
        if marker == START_OF_SCAN:
            if is_hostile_exif(bytes(exif)):
                return None
            scans = _count_scans(data, gap.end() - 1)
            return _jpeg_header(frame, scans, _orientation(bytes(exif)) or xmp, bytes(tables), gap.end() - 1)
        length = int.from_bytes(data[gap.end() + 1 : gap.end() + 3], "big")
        content, position = gap.end() + 3, gap.end() + 1 + max(length, 2)
        if marker == APP1 and data.startswith(EXIF, content):
            exif += data[content + len(EXIF) : position]  # Pillow joins several blocks
        elif marker == APP1:
            if found := XMP_ORIENTATION.search(data, content, position):
                xmp = int(found[1])
        elif marker in _FRAMES:
            frame = bytes([marker]) + data[content : content + 6]
        if marker not in _METADATA:
            tables += b"\xff" + data[gap.end() : position]
    return None


def _count_scans(data: bytes, start: int) -> int:
    """Returns the number of scans from `start` on: FF is followed by 0 in coded pixels, so each FF DA is one.

    numpy counts pairs at even and at odd places twelve times as fast as `bytes.count`, which takes 2 ms for a
    photo.
    """
    pairs = (np.frombuffer(data, "<u2", (len(data) - place) // 2, place) for place in (start, start + 1))
    return sum(int(np.count_nonzero(each == 0xDAFF)) for each in pairs)


def _jpeg_header(frame: bytes, scans: int, orientation: int, tables: bytes, scan: int) -> JpegHeader:
    """Returns a header from a start-of-frame marker's last byte and what follows its length."""
    frame = frame.ljust(7, b"\0")
    height, width = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    return JpegHeader(width, height, frame[6], scans, frame[0] in _SINGLE_PASS, orientation, tables, scan)


def _orientation(exif: bytes) -> int:
    """Returns the orientation tag of an EXIF block, 0 if it has no valid one."""
    order: Literal["big", "little"] = "big" if exif.startswith(b"MM") else "little"
    start = int.from_bytes(exif[4:8], order)
    for place in range(start + 2, start + 2 + 12 * int.from_bytes(exif[start : start + 2], order), 12):
        if int.from_bytes(exif[place : place + 2], order) == ORIENTATION:
            value = int.from_bytes(exif[place + 8 : place + 10], order)
            return value if 1 <= value <= 8 else 0
    return 0


def read_png_header(data: bytes) -> PngHeader | None:
    """Returns the header of a PNG whose chunks are all intact, else None.

    Decoders ignore the checksums of pixels: a changed byte would give other pixels instead of an error. They
    inflate profiles and texts, up to 1 MB of each kilobyte, and write a line to the log for each invalid one.
    """
    if not data.startswith(b"\0\0\0\rIHDR", 8):
        return None
    place, neutral, compressed = 8, True, 0
    orientations: set[bytes] = set()
    dropped: list[tuple[int, int]] = []
    for _ in range(MAX_PNG_CHUNKS):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(data):
            return None
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return None
        kind = data[place + 4 : place + 8]
        if kind in _PIXEL_CHUNKS:
            compressed += length if kind == b"IDAT" else 0
            neutral = neutral and kind != b"tRNS"
        elif (found := _PNG_ORIENTATION.match(data, place + 4)) and found[0] not in orientations:
            orientations.add(found[0])
            neutral = False
        else:
            dropped.append((place, end + 4))
        if kind == b"IEND":
            width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
            content = _without(dropped, data)
            return PngHeader(width, height, data[24], data[25], neutral, compressed, content)
        place = end + 4
    return None


def _without(places: list[tuple[int, int]], data: bytes) -> bytes:
    """Returns the data without these places, each from a start to an end, in their order."""
    if not places:
        return data
    starts, ends = zip(*places, strict=True)
    view = memoryview(data)
    return b"".join(view[end:start] for end, start in zip((0, *ends), (*starts, len(data)), strict=True))


def is_hostile_exif(exif: bytes) -> bool:
    """Returns whether an EXIF block's first directory has more tags than any camera writes.

    Pillow needs 20 us for each, and 65,535 are possible. Cameras write about 20.
    """
    tiff = exif.removeprefix(EXIF)
    order: Literal["big", "little"] = "big" if tiff.startswith(b"MM") else "little"
    start = int.from_bytes(tiff[4:8], order)
    return int.from_bytes(tiff[start : start + 2], order) > MAX_EXIF_TAGS


def is_hostile_gif(data: bytes) -> bool:
    """Returns whether a GIF has more blocks before its first frame than any program writes.

    Pillow reads them one by one, 0.1 s per megabyte of the shortest.
    """
    return first_frame(data) is None


def first_frame(data: bytes) -> int | None:
    """Returns the place of a GIF's first frame, the end if it has none, None after MAX_GIF_BLOCKS."""
    place = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10:11] >= b"\x80" else 0)
    in_extension = False
    for _ in range(MAX_GIF_BLOCKS):
        if place >= len(data):
            return len(data)  # the decoder reports what is missing
        byte = data[place]
        if in_extension:
            place, in_extension = place + 1 + byte, byte != 0
        elif byte == GIF_EXTENSION:
            place, in_extension = place + 2, True
        elif byte == 0:
            place += 1  # padding, which Pillow skips
        else:
            return place
    return None


def bmp_size(data: bytes) -> tuple[int, int]:
    """Returns width and height of a BMP."""
    if data[14:18] == OS2:
        width, height = (int.from_bytes(data[at : at + 2], "little") for at in (18, 20))
    else:
        width, height = (abs(int.from_bytes(data[at : at + 4], "little", signed=True)) for at in (18, 22))
    return width, height


def runs_of_bmp(data: bytes) -> int:
    """Returns the bytes of a BMP's run-length encoded pixels, 0 of one whose pixels are not encoded."""
    has_runs = len(data) >= 54 and int.from_bytes(data[30:34], "little") in BMP_RUNS
    return max(0, len(data) - int.from_bytes(data[10:14], "little")) if has_runs and data[14:18] != OS2 else 0


def is_hostile_bmp(data: bytes) -> bool:
    """Returns whether a BMP has more runs than its pixels need: Pillow reads them one by one, in Python."""
    width, height = bmp_size(data)
    return runs_of_bmp(data) > 2 * (width + 1) * height + MAX_BMP_REST
