"""Inputs that people and attackers send to POST /predict, each with the answer it must get.

Not all are invalid: a misleading one gets the digit that a person sees on it.
"""

import bz2
import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from base64 import b64decode, b64encode, urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.gateway.settings import EdgeSettings
from digits.http.schemas import FailedItem, PredictManyResponse, PredictResponse, ProblemDocument
from digits.inference.settings import ServeSettings
from digits.problems import MEDIA_TYPE, PROBLEMS
from digits.vision.golden import golden_digits
from testkit.encodings import BOUNDARY, Body, base64_png, form, image_file, json_body
from tests.pictures import tagged

MAX_BYTES = EdgeSettings().max_body_bytes
MAX_IMAGES = ServeSettings(model_uri="x").max_images_per_request
IMAGES: NDArray[np.uint8] = golden_digits()[0]
SEVEN, THREE, BLANK = IMAGES[7], IMAGES[3], np.zeros((28, 28), np.uint8)
PNG = image_file(SEVEN)
# For lossy formats: a seven of 280x280, dark on light, which no compression makes illegible.
PAGE = np.kron(255 - SEVEN, np.ones((10, 10), np.uint8))
JPEG = image_file(PAGE, "JPEG")
GIF = image_file(SEVEN, "GIF")
Answer = int | str | list[int | str]


@dataclass(frozen=True)
class Row:
    """`answer` is the expected digit, the code of the problem, or for a list one of these for each item."""

    body: Body
    answer: Answer
    headers: tuple[tuple[bytes, bytes], ...] = ()
    method: str = "POST"
    path: str = "/predict"
    chunked: bool = False

    @property
    def all_headers(self) -> list[tuple[bytes, bytes]]:
        typed = self.body.content_type
        return [*([] if typed is None else [(b"Content-Type", typed.encode("latin-1"))]), *self.headers]


def chunk(name: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def scanlines(levels: NDArray[np.generic]) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in levels), 9)


def png(
    width: int = 28, height: int = 28, depth: int = 8, colour: int = 0, *,
    pixels: bytes | None = None, before: bytes = b"", after: bytes = b"", interlace: int = 0,
) -> bytes:  # fmt: skip
    """Returns a PNG with any header around the pixels of the seven, with chunks before and after them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = chunk(b"IDAT", scanlines(SEVEN) if pixels is None else pixels)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + before + data + after + chunk(b"IEND", b"")


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def replaced(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def jpeg_of_size(height: int, width: int, precision: int = 8) -> bytes:
    """Returns the JPEG with another size in its frame header: marker FF C0, length, precision, size."""
    return replaced(JPEG, JPEG.index(b"\xff\xc0") + 4, struct.pack(">BHH", precision, height, width))


def animated(file_format: str) -> bytes:
    """Returns an animation: a seven, then a three."""
    return saved(
        Image.fromarray(SEVEN), file_format, save_all=True, append_images=[Image.fromarray(THREE)],
        **({"lossless": True} if file_format == "WEBP" else {}),
    )  # fmt: skip


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def palette(**transparency: object) -> bytes:
    """Returns the seven in palette entry 1, black, on entry 0, white."""
    image = Image.fromarray((SEVEN > 127).astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    return saved(image, "PNG", **transparency)


def bmp_top_down() -> bytes:
    """Returns a BMP with a negative height, which stores the top row first."""
    rows = np.dstack([SEVEN] * 3)  # 84 bytes each, which is a multiple of 4 as BMP wants it
    header = struct.pack("<IiiHHIIiiII", 40, 28, -28, 1, 24, 0, rows.size, 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + rows.size, 0, 0, 54) + header + rows.tobytes()


def bmp_of_size(width: int, height: int) -> bytes:
    return replaced(image_file(SEVEN, "BMP"), 18, struct.pack("<ii", width, height))


def gif_of_size(width: int, height: int) -> bytes:
    return replaced(image_file(SEVEN, "GIF"), 6, struct.pack("<HH", width, height))


def webp_of_canvas(side: int) -> bytes:
    size = (side - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size + size
    frames = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", 4 + len(extended + frames)) + b"WEBP" + extended + frames


def exif(tags: int, order: str = "<") -> bytes:
    """Returns an EXIF block with this many tags, none of which turns the image."""
    entries = b"".join(struct.pack(order + "HHII", 1000 + number % 60_000, 3, 1, 7) for number in range(tags))
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, tags) + entries


def segments(block: bytes) -> bytes:
    """Returns EXIF in as many segments of a JPEG as it takes; Pillow joins them."""
    pieces = [block[start : start + 65_000] for start in range(0, len(block), 65_000)]
    return b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 8) + b"Exif\0\0" + one for one in pieces)


def bmp_of_runs(width: int, height: int, runs: bytes) -> bytes:
    """Returns a BMP of 8 bits whose pixels are run-length encoded: a count and a level for each run."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    palette = bytes(channel for level in range(256) for channel in (level, level, level, 0))
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + info + palette + runs


def gif_with(added: bytes) -> bytes:
    """Returns the seven as a GIF, with bytes added between its palette and its frame."""
    start = 13 + 3 * 2 ** ((GIF[10] & 7) + 1)
    return GIF[:start] + added + GIF[start:]


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, SEVEN)
    return file.getvalue()


class Touches:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch /tmp/unpickled",)


def part(headers: str, content: bytes = PNG) -> bytes:
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n"


def parts(*each: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> Body:
    return Body(b"".join(each) + end, f"multipart/form-data; boundary={BOUNDARY}")


FILE = 'Content-Disposition: form-data; name="image"; filename="a.png"'
FORM = parts(part(FILE))


def levels(value: object) -> object:
    return {"pixels": [value, *([0] * 783)]}


def raw_json(content: str) -> Body:
    return Body(content.encode(), "application/json")


def exponent(text: str) -> Body:
    """Returns a pixel as JSON text that json.dumps would not write."""
    return raw_json(f'{{"pixels": [{text}{", 0" * 783}]}}')


def as_png(content: bytes, answer: Answer) -> Row:
    return Row(Body(content, "image/png"), answer)


def as_jpeg(content: bytes, answer: Answer) -> Row:
    return Row(Body(content, "image/jpeg"), answer)


def typed(content_type: str | None, answer: Answer, content: bytes = PNG) -> Row:
    return Row(Body(content, content_type), answer)


def asked(
    *headers: tuple[str, str], answer: Answer = 7, body: Body | None = None, method: str = "POST",
    path: str = "/predict", chunked: bool = False,
) -> Row:  # fmt: skip
    pairs = tuple((name.encode(), value.encode("latin-1")) for name, value in headers)
    return Row(body or Body(PNG, "image/png"), answer, pairs, method, path, chunked)


def rows_of(*bodies: tuple[str, Body, Answer]) -> dict[str, Row]:
    return {name: Row(body, answer) for name, body, answer in bodies}


# A file that ends early is refused, even with all its pixels: the transfer was cut off, and the client must
# learn of it.
CUT = {
    **{f"png cut at {share:.0%}": as_png(cut(PNG, share), "image_unreadable") for share in (0.25, 0.5, 0.75)},
    "png of one byte": as_png(PNG[:1], "image_unsupported"),
    "png of its signature": as_png(PNG[:8], "image_unreadable"),
    "png cut in its header": as_png(PNG[:20], "image_unreadable"),
    "png cut before its end chunk": as_png(PNG[:-12], "image_unreadable"),
    "png cut in its end chunk": as_png(PNG[:-4], "image_unreadable"),
    **{f"jpeg cut at {share:.0%}": as_jpeg(cut(JPEG, share), "image_unreadable")
       for share in (0.1, 0.3, 0.5, 0.99)},
    "jpeg of two bytes": as_jpeg(JPEG[:2], "image_unsupported"),
    "jpeg of its first marker": as_jpeg(b"\xff\xd8\xff", "image_unreadable"),
    "jpeg that ends where it begins": as_jpeg(b"\xff\xd8\xff\xd9", "image_unreadable"),
    **{f"{kind.lower()} cut in half": typed(
        f"image/{kind.lower()}", "image_unreadable", cut(image_file(PAGE, kind), 0.5)
    ) for kind in ("GIF", "BMP", "WEBP")},
    "gif of its signature": typed("image/gif", "image_unreadable", b"GIF89a"),
    "bmp of two letters": typed("image/bmp", "image_unsupported", b"BM"),
    "webp of its signature": typed("image/webp", "image_unreadable", b"RIFF\xff\xff\xff\xffWEBP"),
}  # fmt: skip

# Headers whose size is not that of the pixels.
SIZES = {
    **{f"png of {width}x{height}": as_png(png(width, height), answer) for width, height, answer in (
        (0, 0, "image_unreadable"), (28, 0, "image_unreadable"), (0, 28, "image_unreadable"),
        (2**31 - 1, 2**31 - 1, "image_too_large"), (2**32 - 1, 1, "image_too_large"),
        (65535, 65535, "image_too_large"), (100_000, 100_000, "image_too_large"),
        (9500, 9500, "image_too_large"), (2_000_000_000, 1, "image_too_large"),
        (4001, 4000, "image_too_large"), (4000, 4000, "image_unreadable"),
    )},
    # What a decoder leaves in missing rows must not be answered.
    "png of one row too few": as_png(png(28, 29), "image_unreadable"),
    # More data than the header declares: little of the extra rows is inflated.
    "png of too many rows": as_png(png(pixels=scanlines(np.vstack([SEVEN, SEVEN]))), 7),
    "png that inflates to 50 MB": as_png(
        png(pixels=zlib.compress(zlib.decompress(scanlines(SEVEN)) + bytes(50_000_000), 9)), 7
    ),
    "png of 4000x4000 zeros": as_png(
        png(4000, 4000, pixels=zlib.compress(bytes(4001 * 4000), 9)), "image_blank"
    ),
    "png that inflates to 500 MB": as_png(
        png(pixels=zlib.compress(zlib.decompress(scanlines(SEVEN)) + bytes(500_000_000), 9)), 7
    ),
    "png of a million columns": as_png(image_file(np.zeros((1, 1_000_000), np.uint8)), "image_blank"),
    "png of a million rows": as_png(image_file(np.zeros((1_000_000, 1), np.uint8)), "image_blank"),
    "png of one pixel": as_png(image_file(BLANK[:1, :1] + 255), "image_blank"),
    "png of one row": as_png(image_file(np.zeros((1, 60_000), np.uint8)), "image_blank"),
    "jpeg of 65535x65535": as_jpeg(jpeg_of_size(65535, 65535), "image_too_large"),
    "jpeg of 7000x7000": as_jpeg(jpeg_of_size(7000, 7000), "image_unreadable"),  # it ends too soon
    "jpeg of 7100x7100": as_jpeg(jpeg_of_size(7100, 7100), "image_too_large"),
    "jpeg of 5000x5000 in passes": as_jpeg(
        jpeg_of_size(5000, 5000).replace(b"\xff\xc0", b"\xff\xc2", 1), "image_too_large"
    ),
    "jpeg of 0x0": as_jpeg(jpeg_of_size(0, 0), "image_unreadable"),
    "bmp of 65535x65535": typed("image/bmp", "image_too_large", bmp_of_size(65535, 65535)),
    "bmp of the smallest height": typed("image/bmp", "image_too_large", bmp_of_size(28, -(2**31))),
    "bmp of 0x0": typed("image/bmp", "image_unreadable", bmp_of_size(0, 0)),
    "bmp top down": typed("image/bmp", 7, bmp_top_down()),
    "gif of 65535x65535": typed("image/gif", "image_too_large", gif_of_size(65535, 65535)),
    "gif of 0x0": typed("image/gif", 7, gif_of_size(0, 0)),  # the frame has a size of its own, which counts
    "webp of 16384x16384": typed("image/webp", "image_too_large", webp_of_canvas(16384)),
}  # fmt: skip

_RESOURCES = b"Photoshop 3.0\0" + (b"8BIM" + bytes(8)) * 5400
_PHOTOSHOP = b"\xff\xed" + struct.pack(">H", len(_RESOURCES) + 2) + _RESOURCES
DAMAGED = {
    "png with a wrong header checksum": as_png(replaced(PNG, 29, b"\0\0\0\0"), "image_unreadable"),
    # Pillow alone reads a broken stream as a two.
    "png with a wrong pixel checksum": as_png(PNG[:-16] + b"\0\0\0\0" + PNG[-12:], "image_unreadable"),
    "png with a broken stream": as_png(replaced(PNG, 60, b"\xff" * 20), "image_unreadable"),
    "png with one bit turned": as_png(replaced(PNG, 90, bytes([PNG[90] ^ 4])), "image_unreadable"),
    "png with a broken stream and its checksum": as_png(png(pixels=b"x" * 100), "image_unreadable"),
    "png without pixels": as_png(png(pixels=b""), "image_unreadable"),
    "png with a chunk of 4 GB": as_png(replaced(PNG, 33, b"\xff\xff\xff\xff"), "image_unreadable"),
    "png of depth 3": as_png(png(depth=3), "image_unreadable"),
    "png of colour type 5": as_png(png(colour=5), "image_unreadable"),
    "png of interlace 7": as_png(png(interlace=7, pixels=b"x"), "image_unreadable"),
    "png with an unknown chunk that matters": as_png(png(before=chunk(b"ABCD", b"x")), 7),
    "png with its text inflating to 100 MB": as_png(
        png(before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000), 9))), 7
    ),
    "png with its colour profile inflating to 100 MB": as_png(
        png(before=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000), 9))), 7
    ),
    "png with 4000 texts": as_png(png(before=chunk(b"tEXt", b"a\0" + b"b" * 90) * 4000), 7),
    # Pillow needs 2 us for each chunk and 20 for each tag.
    "png of chunks": as_png(png(before=chunk(b"abCd", b"") * (MAX_BYTES // 12 - 100)), "image_unreadable"),
    "png of chunks behind its pixels": as_png(
        png(after=chunk(b"tEXt", b"a\0") * (MAX_BYTES // 14 - 100)), "image_unreadable"
    ),
    "png of tags": as_png(png(before=chunk(b"eXIf", exif(65_000))), "image_unreadable"),
    "png of tags behind its pixels": as_png(png(after=chunk(b"eXIf", exif(65_000))), "image_unreadable"),
    "png of tags in hexadecimal": as_png(png(before=chunk(
        b"tEXt", b"Raw profile type exif\0\nexif\n1\n" + exif(65_000).hex().encode()
    )), "image_unreadable"),
    "png of a tag": as_png(png(before=chunk(b"eXIf", exif(1))), 7),
    "webp of tags": typed(
        "image/webp", "image_unreadable", saved(Image.fromarray(PAGE), "WEBP", exif=exif(65_000))
    ),
    "jpeg of tags": as_jpeg(JPEG[:2] + segments(exif(65_000)) + JPEG[2:], "image_unreadable"),
    "jpeg of tags in Motorola's order": as_jpeg(
        JPEG[:2] + segments(exif(5_000, ">")) + JPEG[2:], "image_unreadable"
    ),
    "jpeg of print settings": as_jpeg(JPEG[:2] + _PHOTOSHOP * 120 + JPEG[2:], 7),
    "bmp of runs": typed("image/bmp", 7, bmp_of_runs(28, 28, b"".join(
        b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in SEVEN[::-1]) + b"\0\1")),
    "bmp of runs past a line": typed(
        "image/bmp", "image_unreadable", bmp_of_runs(28, 28, b"\1\xff" * (MAX_BYTES // 2 - 1000))),
    "bmp of many runs": typed(
        "image/bmp", "image_too_large", bmp_of_runs(4000, 3000, b"\1\xff" * (MAX_BYTES // 2 - 1000))),
    "gif of a comment": typed("image/gif", 7, gif_with(b"\x21\xfe\x03ABC\0")),
    # Pillow needs 0.1 s for each MB of the shortest blocks.
    "gif of comments": typed(
        "image/gif", "image_unreadable", gif_with(b"\x21\xfe\x01A\0" * (MAX_BYTES // 5 - 200))
    ),
    "gif of zeros": typed("image/gif", "image_unreadable", gif_with(bytes(MAX_BYTES - 1000))),
    "jpeg with 12 bits a sample": as_jpeg(jpeg_of_size(280, 280, precision=12), "image_unreadable"),
    "jpeg with a broken scan": as_jpeg(JPEG[:700] + b"\xff\x00" * 50, "image_unreadable"),
    # Pillow looks for a marker byte by byte: 0.5 s for each MB.
    "jpeg of padding": as_jpeg(b"\xff\xd8" + b"\xff" * (MAX_BYTES - 2), "image_unreadable"),
    "jpeg of padding with an end": as_jpeg(
        b"\xff\xd8" + b"\xff" * (MAX_BYTES - 4) + b"\xff\xd9", "image_unreadable"
    ),
    "jpeg of empty segments": as_jpeg(
        b"\xff\xd8" + b"\xff\xe1\0\2" * (MAX_BYTES // 4 - 1), "image_unreadable"
    ),
    "gif with a broken stream": typed(
        "image/gif", "image_unreadable", replaced(GIF, len(GIF) - 100, b"\xff" * 60)
    ),
    "bmp of an unknown compression": typed(
        "image/bmp", "image_unreadable", replaced(image_file(SEVEN, "BMP"), 30, b"\x63")
    ),
    "webp of nothing": typed("image/webp", "image_unreadable", b"RIFF\x04\0\0\0WEBP"),
}  # fmt: skip

_STROKES = np.dstack([BLANK, BLANK, BLANK, SEVEN])
# Pictures that naive decoders misread without an error.
LOOKS = {
    "png of 16 bits": as_png(image_file(SEVEN.astype(np.uint16) * 257), 7),
    "png of 1 bit": as_png(saved(Image.fromarray(SEVEN > 127), "PNG"), 7),
    "png of a palette": as_png(palette(), 7),
    "png of a palette with one clear entry": as_png(palette(transparency=0), 7),
    "png of a palette with degrees of clearness": as_png(palette(transparency=bytes([0, 255])), 7),
    # Without a palette its numbers stand for no colours.
    "png of a palette that is missing": as_png(png(colour=3), "image_unreadable"),
    "png of grey with alpha": as_png(saved(Image.fromarray(np.dstack([SEVEN, BLANK + 255]), "LA"), "PNG"), 7),
    "png of black strokes on nothing": as_png(image_file(_STROKES), 7),
    "png of white strokes on nothing": as_png(image_file(np.dstack([BLANK + 255] * 3 + [SEVEN])), 7),
    # A mask that a program wrote without filling it: the colours are the picture.
    "png of a seven that is transparent": as_png(image_file(np.dstack([SEVEN] * 3 + [BLANK])), 7),
    "png of nothing": as_png(image_file(np.dstack([BLANK] * 4)), "image_blank"),
    "png in lines between lines": as_png(saved(Image.fromarray(PAGE), "PNG", interlace=1), 7),
    "png in black": as_png(image_file(BLANK), "image_blank"),
    "png in white": as_png(image_file(BLANK + 255), "image_blank"),
    "png of negative colours": as_png(image_file(255 - SEVEN), 7),
    # The first frame counts, as in a viewer that cannot animate.
    "png in motion": typed("image/apng", 7, animated("PNG")),
    "gif in motion": typed("image/gif", 7, animated("GIF")),
    "webp in motion": typed("image/webp", 7, animated("WEBP")),
    # Phones write two pictures into a .jpg; the first is the photo.
    "jpeg of two pictures": as_jpeg(
        saved(Image.fromarray(PAGE), "MPO", save_all=True, append_images=[Image.fromarray(PAGE.T)]), 7
    ),
    "jpeg in inks of print": as_jpeg(saved(Image.fromarray(PAGE).convert("CMYK"), "JPEG"), 7),
    "jpeg in passes": as_jpeg(saved(Image.fromarray(PAGE), "JPEG", progressive=True), 7),
    **{f"jpeg turned by tag {tag}": as_jpeg(tagged(Image.fromarray(PAGE), tag, "JPEG"), 7)
       for tag in (*range(1, 9), 0, 99)},
    "jpeg with a tag of garbage": as_jpeg(saved(Image.fromarray(PAGE), "JPEG", exif=b"Exif\0\0garbage"), 7),
    "png and zip": as_png(PNG + zipped(a=b"b"), 7),
    "png and script": as_png(PNG + b"<script>alert(1)</script>", 7),
    "gif and script": typed("image/gif", 7, image_file(SEVEN, "GIF") + b"*/=1;alert(1)"),
    "png and a megabyte of zeros": as_png(PNG + bytes(2**20), 7),
    **{f"{name} by curl -d": typed(
        "application/x-www-form-urlencoded", "image_unreadable", content.translate(None, b"\0\r\n"))
       for name, content in {"png": PNG, "jpeg": JPEG}.items()},
    "png inside a page": as_png(b"<html>" + PNG, "image_unsupported"),
}  # fmt: skip

_OTHERS = (
    "TIFF", "PPM", "ICO", "TGA", "PDF", "EPS", "PCX", "DDS", "JPEG2000", "AVIF", "QOI", "SGI", "ICNS", "IM",
)  # fmt: skip
_OTHERS_BY_SIGNATURE = ("TIFF", "ICO", "PDF", "JPEG2000", "AVIF")
_BOMB = b'<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;&a;">]><svg>&b;</svg>'
OTHER_FILES = {
    **{f"{kind} as png": as_png(saved(Image.fromarray(PAGE).convert("RGB"), kind), "image_unsupported")
       for kind in _OTHERS},
    **{f"{kind}": as_png(content, "image_unsupported") for kind, content in {
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>", "entity bomb": _BOMB, "html": b"<!doctype html>",
        "pickle that runs a command": pickle.dumps(Touches()), "npy": npy(), "zip": zipped(a=PNG),
        "idx": struct.pack(">IIII", 2051, 1, 28, 28) + SEVEN.tobytes(),
        "torch file": zipped(data=b"\x80\x02"), "gzip of a png": gzip.compress(PNG),
        "bzip2 of a png": bz2.compress(PNG), "program": b"\x7fELF" + bytes(60),
        "random bytes": bytes(range(256)),
        "a megabyte of zeros": bytes(2**20), "text of 16 bits": "seven".encode("utf-16"),
        "a line break before a png": b"\n" + PNG, "a space": b" ",
    }.items()},
    **{f"{kind} as bytes": typed("application/octet-stream", "image_unsupported", content)
       for kind, content in {
        **{kind: saved(Image.fromarray(PAGE).convert("RGB"), kind) for kind in _OTHERS_BY_SIGNATURE},
        "zip": zipped(a=PNG), "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "tiff of the size of many images": b"II*\0" + bytes(784 * 3 - 4),
        "heic": b"\0\0\0\x18ftypheic" + bytes(784),
    }.items()},
    "bytes that are not whole images": typed("application/octet-stream", "body_invalid", bytes(785)),
    "bytes of an npy": typed("application/octet-stream", "body_invalid", npy()),
    **{f"bytes of {kind}": typed("application/octet-stream", "body_invalid", content.tobytes())
       for kind, content in {
        "floats of 0 to 1": (SEVEN / 255).astype(np.float32), "floats of 0 to 255": SEVEN.astype(np.float32),
        "doubles": SEVEN / 255,
        "32-bit integers": SEVEN.astype(np.int32), "64-bit integers": SEVEN.astype(int),
    }.items()},
    "bytes of 0 and 1": typed(
        "application/octet-stream", ["body_invalid"], (SEVEN > 127).astype(np.uint8).tobytes()
    ),
    "bytes of too many images": typed(
        "application/octet-stream", "too_many_images", bytes(784 * (MAX_IMAGES + 1))
    ),
    "bytes of a blank image and a seven": typed(
        "application/octet-stream", ["image_blank", 7], BLANK.tobytes() + SEVEN.tobytes()
    ),
    "svg as svg": typed("image/svg+xml", "image_unsupported", b"<svg/>"),
    "xml": typed("application/xml", "content_type_unsupported", _BOMB),
    "html as html": typed("text/html", "content_type_unsupported", b"<!doctype html>"),
    "zip as zip": typed("application/zip", "content_type_unsupported", zipped(a=PNG)),
}  # fmt: skip

_ENCODED = base64_png(SEVEN)
_THREE = base64_png(THREE)
_LARGE = b64encode(png(4000, 4000, pixels=zlib.compress(bytes(4001 * 4000), 9))).decode()
JSON = rows_of(
    ("json of nothing", raw_json(""), "image_empty"),
    ("json of spaces", raw_json("  "), "body_malformed"),
    ("json broken off", raw_json('{"image": '), "body_malformed"),
    ("json and more", raw_json(json.dumps({"image": _ENCODED}) + "x"), "body_malformed"),
    ("json with a last comma", raw_json('{"image": "x",}'), "body_malformed"),
    ("json in single quotes", raw_json("{'image': 'x'}"), "body_malformed"),
    ("json with a comment", raw_json('{"image": "x"} // x'), "body_malformed"),
    ("json with a bare line break", raw_json('{"image": "\n"}'), "body_malformed"),
    # Windows writes the mark, and RFC 8259 lets a parser ignore it.
    ("json with a byte order mark", raw_json("\ufeff" + json.dumps({"image": _ENCODED})), 7),
    ("json of 16 bits", Body('{"image": "x"}'.encode("utf-16"), "application/json"), "body_malformed"),
    ("json in latin-1", Body('{"image": "é"}'.encode("latin-1"), "application/json"), "body_malformed"),
    ("json with half a surrogate pair", raw_json('{"image": "\\ud800"}'), "body_malformed"),
    ("json with a zero character", raw_json('{"image": "\\u0000"}'), "image_unreadable"),
    ("json of 100,000 lists", raw_json("[" * 100_000 + "]" * 100_000), "body_malformed"),
    ("json of 100,000 objects", raw_json('{"a":' * 100_000 + "1" + "}" * 100_000), "body_malformed"),
    ("json of 50 lists", json_body({"pixels": json.loads("[" * 50 + "]" * 50)}), "body_invalid"),
    ("json list", json_body([1, 2]), "body_invalid"),
    ("json null", json_body(None), "body_invalid"),
    ("json text", json_body("seven"), "body_invalid"),
    ("json number", json_body(7), "body_invalid"),
    ("json of no key", json_body({}), "body_invalid"),
    ("json of two keys", json_body({"image": _ENCODED, "pixels": SEVEN.tolist()}), "body_invalid"),
    ("json of an unknown key", json_body({"image": _ENCODED, "top_k": 3}), "body_invalid"),
    ("json of the key in capitals", json_body({"Image": _ENCODED}), "body_invalid"),
    ("json of python's insides", json_body({"__class__": "x", "image": _ENCODED}), "body_invalid"),
    # The last one wins, as in Python, JavaScript and Go.
    ("json of one key twice", raw_json(f'{{"image": "{_THREE}", "image": "{_ENCODED}"}}'), 7),
    ("image of a number", json_body({"image": 7}), "body_invalid"),
    ("image of null", json_body({"image": None}), "body_invalid"),
    ("image of a list", json_body({"image": [_ENCODED]}), "body_invalid"),
    ("image of an object", json_body({"image": {"b64": _ENCODED}}), "body_invalid"),
    ("image that is empty", json_body({"image": ""}), "image_empty"),
    ("image that is no image", json_body({"image": "aGFsbG8="}), "image_unsupported"),
    ("image that is blank", json_body({"image": base64_png(BLANK)}), "image_blank"),
    ("image that is cut", json_body({"image": _ENCODED[:120]}), "image_unreadable"),
    ("base64 that is none", json_body({"image": "!!"}), "image_unreadable"),
    ("base64 without padding", json_body({"image": _ENCODED[:101]}), "image_unreadable"),
    ("base64 with padding inside", json_body({"image": "iVBO====" + _ENCODED}), "image_unreadable"),
    ("base64 for web addresses", json_body(
        {"image": urlsafe_b64encode(PNG + b"\xfb\xff\xfe").decode()}), "image_unreadable"),
    ("base64 in other letters", json_body({"image": "аБв="}), "image_unreadable"),
    ("base64 of base64", json_body({"image": b64encode(_ENCODED.encode()).decode()}), "image_unsupported"),
    ("base64 of 60,000 pixels a side", json_body(
        {"image": b64encode(png(60_000, 60_000)).decode()}), "image_too_large"),
    ("web address", json_body({"image": "http://127.0.0.1:8000/x.png"}), "image_unreadable"),
    ("cloud metadata address", json_body({"image": "http://169.254.169.254/latest/"}), "image_unreadable"),
    ("file address", json_body({"image": "file:///etc/passwd"}), "image_unreadable"),
    ("data url", json_body({"image": f"data:image/png;base64,{_ENCODED}"}), 7),
    ("data url in capitals", json_body({"image": f"DATA:IMAGE/PNG;BASE64,{_ENCODED}"}), 7),
    ("data url of another type", json_body({"image": f"data:text/html;base64,{_ENCODED}"}), 7),
    ("data url of nothing", json_body({"image": "data:image/png;base64,"}), "image_empty"),
    ("data url without base64", json_body({"image": "data:image/png,%89PNG"}), "image_unreadable"),
    ("data url cut in its head", json_body({"image": "data:image/png;base64"}), "image_unreadable"),
    ("data url in a data url", json_body(
        {"image": "data:a;base64,data:a;base64," + _ENCODED}), "image_unreadable"),
    ("data url with a long head", json_body(
        {"image": f"data:image/png;{'a' * 5000};base64,{_ENCODED}"}), "image_unreadable"),
    ("images of nothing", json_body({"images": []}), "body_invalid"),
    ("images of one text", json_body({"images": _ENCODED}), "body_invalid"),
    ("images that are mixed", json_body(
        {"images": [_ENCODED, "?", base64_png(BLANK), 5, None, [], _THREE]}),
        [7, "image_unreadable", "image_blank", "body_invalid", "body_invalid", "body_invalid", 3]),
    ("images of 16 million pixels each", json_body({"images": [_LARGE] * 256}), ["image_too_large"] * 256),
    ("images of 16 million pixels, eight", json_body({"images": [_LARGE] * 8}), ["image_blank"] * 8),
    ("images that are too many", json_body({"images": ["x"] * (MAX_IMAGES + 1)}), "too_many_images"),
    ("images of many numbers", raw_json(f'{{"images": [{"1," * 2**20}1]}}'), "too_many_images"),
    ("pixels of an image and much else", json_body({"pixels": [SEVEN.tolist()] + [[1]] * 5000}),
     "too_many_images"),
    ("pixels of nothing", json_body({"pixels": []}), "body_invalid"),
    ("pixels of null", json_body({"pixels": None}), "body_invalid"),
    ("pixels of text", json_body({"pixels": "0" * 784}), "body_invalid"),
    ("pixels of an object", json_body({"pixels": {"0": 0}}), "body_invalid"),
    ("pixels that are 783", json_body({"pixels": [0] * 783}), "body_invalid"),
    ("pixels that are 785", json_body({"pixels": [0] * 785}), "body_invalid"),
    ("pixels in ragged rows", json_body({"pixels": [[0] * 28] * 27 + [[0] * 27]}), "body_invalid"),
    ("pixels in 29 rows", json_body({"pixels": [[0] * 28] * 29}), "body_invalid"),
    ("pixels in rows and numbers", json_body({"pixels": [[0] * 28] * 27 + [0] * 28}), "body_invalid"),
    ("pixels in colours", json_body({"pixels": np.dstack([SEVEN] * 3).tolist()}), "body_invalid"),
    ("pixels one level too deep", json_body({"pixels": [[SEVEN.tolist()]]}), "body_invalid"),
    ("pixels that are mixed", json_body(
        {"pixels": [SEVEN.tolist(), [1], BLANK.tolist(), "x", None, {}, THREE.ravel().tolist()]}),
        [7, "body_invalid", "image_blank", "body_invalid", "body_invalid", "body_invalid", 3]),
    ("pixels in rows and a channel", json_body({"pixels": SEVEN[..., None].tolist()}), 7),
    ("pixels as Keras' one image", json_body({"pixels": SEVEN[None, ..., None].tolist()}), 7),
    ("pixels as Keras' two images", json_body({"pixels": np.stack([SEVEN, THREE])[..., None].tolist()}),
     [7, 3]),
    ("pixels of another side", json_body({"pixels": [[0] * 280] * 280}), "body_invalid"),
    ("pixels in a column", json_body({"pixels": [[0]] * 784}), "body_invalid"),
    ("pixels of 0 and 1", json_body({"pixels": (SEVEN > 127).astype(int).tolist()}), "body_invalid"),
    ("pixels slightly above 1", json_body({"pixels": (SEVEN / 250).tolist()}), "body_invalid"),
    ("pixels of which one image is 0 to 1", json_body(
        {"pixels": [(SEVEN / 255).tolist(), THREE.tolist()]}), ["body_invalid", 3]),
    ("pixels of too many images", json_body({"pixels": [[0] * 784] * (MAX_IMAGES + 1)}), "too_many_images"),
    ("pixels of no ink", json_body({"pixels": [0] * 784}), "image_blank"),
    ("pixels from 0 to 1", json_body({"pixels": (SEVEN / 255).ravel().tolist()}), "body_invalid"),
    ("pixel of 256", json_body(levels(256)), "body_invalid"),
    ("pixel of -1", json_body(levels(-1)), "body_invalid"),
    ("pixel of minus nothing", json_body({"pixels": [-0.0, *SEVEN.ravel().tolist()[1:]]}), 7),
    ("pixel of text", json_body(levels("9")), "body_invalid"),
    ("pixel of true", json_body(levels(True)), "body_invalid"),
    ("pixel of null", json_body(levels(None)), "body_invalid"),
    ("pixel of a list", json_body(levels([9])), "body_invalid"),
    ("pixel of NaN", exponent("NaN"), "body_invalid"),
    ("pixel of Infinity", exponent("Infinity"), "body_invalid"),
    ("pixel of -Infinity", exponent("-Infinity"), "body_invalid"),
    ("pixel of 1e400", exponent("1e400"), "body_invalid"),
    ("pixel of 401 digits", exponent("1" + "0" * 400), "body_invalid"),
    ("pixel of 100,000 digits", exponent("9" * 100_000), "body_malformed"),
    ("pixel of 0x10", exponent("0x10"), "body_malformed"),
    ("pixel of 007", exponent("007"), "body_malformed"),
    ("pixel of 1e-400", exponent("1e-400"), "image_blank"),
)  # fmt: skip

_LONG_HEADERS = "\r\n".join(f"X-{number}: {'y' * 90}" for number in range(200))
FORMS = rows_of(
    ("form of no boundary", Body(FORM.content, "multipart/form-data"), "body_malformed"),
    ("form of an empty boundary", Body(FORM.content, "multipart/form-data; boundary="), "body_malformed"),
    ("form of another boundary", Body(FORM.content, "multipart/form-data; boundary=y"), "body_malformed"),
    ("form of a quoted boundary", Body(FORM.content, f'multipart/form-data; boundary="{BOUNDARY}"'), 7),
    ("form of a long boundary", Body(FORM.content, "multipart/form-data; boundary=" + "y" * 5000),
     "body_malformed"),
    ("form cut in its file", Body(FORM.content[:150], FORM.content_type), "body_malformed"),
    ("form cut before its end", Body(FORM.content[:-30], FORM.content_type), "body_malformed"),
    ("form of no end", parts(part(FILE), end=b""), "body_malformed"),
    ("form and more", Body(FORM.content + b"more", FORM.content_type), 7),
    ("form of bare line breaks", Body(FORM.content.replace(b"\r\n", b"\n"), FORM.content_type),
     "body_malformed"),
    ("form of no parts", parts(), "body_invalid"),
    ("form of a text field", form(text_field="7"), "body_invalid"),
    ("form of a file and a text field", form(PNG, text_field="7"), 7),
    ("form of a text field of a megabyte", form(text_field="7" * 2**20), "body_invalid"),
    ("form of 10,000 text fields", parts(*[part('Content-Disposition: form-data; name="a"', b"7")] * 10_000),
     "body_invalid"),
    ("form of nothing but text fields", parts(
        *[part('Content-Disposition: form-data; name="a"', b"7")] * (MAX_BYTES // 80)), "body_invalid"),
    ("form of nothing but files", parts(*[part(FILE, b"7")] * (MAX_BYTES // 90)), "too_many_images"),
    ("form of an empty file", form(b""), "image_empty"),
    ("form of a file that is no image", form(b"seven"), "image_unsupported"),
    ("form of one file twice", form(PNG, PNG), [7, 7]),
    ("form of good and bad files", form(PNG, b"?", image_file(BLANK), b"", image_file(THREE)),
     [7, "image_unsupported", "image_blank", "image_empty", 3]),
    ("form of files of 16 million pixels each", form(*[b64decode(_LARGE)] * 256), ["image_too_large"] * 256),
    ("form of too many files", form(*[b"x"] * (MAX_IMAGES + 1)), "too_many_images"),
    ("form of a file of no name", parts(part('Content-Disposition: form-data; filename="a.png"')),
     "body_malformed"),
    ("form of a part of no headers", parts(f"--{BOUNDARY}\r\n\r\n".encode() + PNG + b"\r\n"),
     "body_malformed"),
    ("form of a part that is an attachment", parts(part('Content-Disposition: attachment; filename="a"')),
     "body_malformed"),
    ("form of a header of no colon", parts(part("Content-Disposition")), "body_malformed"),
    ("form of a header of bad characters", parts(part("Content Disposition: form-data")), "body_malformed"),
    ("form of 200 part headers", parts(part(f"{FILE}\r\n{_LONG_HEADERS}")), "body_malformed"),
    ("form of a long part header", parts(part(f"{FILE}\r\nX: {'y' * 100_000}")), "body_malformed"),
    ("form of a file name that climbs", parts(
        part('Content-Disposition: form-data; name="image"; filename="../../../../tmp/digits-climbed"')), 7),
    # RFC 7578 forbids filename*, but urllib3 1.x sends it alone for a name that is not ASCII.
    ("form of an encoded file name", parts(
        part("Content-Disposition: form-data; name=\"b\"; filename*=UTF-8''%e2%82%ac.png")), 7),
    ("form of an encoded file name, not an image", parts(
        part("Content-Disposition: form-data; name=\"b\"; filename*=UTF-8''%e2%82%ac.png", b"?")),
     "body_invalid"),
    ("form of a data url", form(text_field=f"data:image/png;base64,{_ENCODED}"), 7),
    ("form of base64", form(text_field=_ENCODED), 7),
    ("form of a file and a data url", form(image_file(THREE), text_field=_ENCODED), [3, 7]),
    ("form of a file name in utf-8", parts(
        part('Content-Disposition: form-data; name="b"; filename="\u20ac.png"')), 7),
    ("form of a script as its name", parts(
        part('Content-Disposition: form-data; name="<script>alert(1)</script>"', b"7")), "body_invalid"),
    ("form of a file in base64", parts(
        part(f"{FILE}\r\nContent-Transfer-Encoding: base64", b64encode(PNG))), 7),
    ("form of a file in bad base64", parts(
        part(f"{FILE}\r\nContent-Transfer-Encoding: base64", b"!!!")), "body_malformed"),
    ("form of a file in an unknown encoding", parts(
        part(f"{FILE}\r\nContent-Transfer-Encoding: uuencode")), 7),
    ("form of a file that is said to be text", parts(part(f"{FILE}\r\nContent-Type: text/plain")), 7),
    ("form of a form", parts(part(f"{FILE}\r\nContent-Type: multipart/mixed; boundary=x", FORM.content)),
     "image_unsupported"),
    ("form said to be mixed", Body(FORM.content, f"multipart/mixed; boundary={BOUNDARY}"),
     "content_type_unsupported"),
    ("form said to be json", Body(FORM.content, "application/json"), "body_malformed"),
    ("form said to be png", Body(FORM.content, "image/png"), "image_unsupported"),
)  # fmt: skip

TYPES = {
    "no body": typed(None, "image_empty", b""),
    "empty png": typed("image/png", "image_empty", b""),
    "empty form": typed(FORM.content_type, "image_empty", b""),
    "text": typed("text/plain", "content_type_unsupported", b"seven"),
    "data url as text": typed("text/plain", 7, f"data:image/png;base64,{_ENCODED}".encode()),
    "data url of no type": typed(None, 7, f"data:image/png;base64,{_ENCODED}".encode()),
    "base64 as text": typed("text/plain;charset=UTF-8", 7, _ENCODED.encode()),
    "data url in curl's form": typed(
        "application/x-www-form-urlencoded", 7, f"image={quote(f'data:image/png;base64,{_ENCODED}')}".encode()
    ),
    "data url in a form that is not encoded": typed(
        "application/x-www-form-urlencoded", 7, f"image=data:image/png;base64,{_ENCODED}".encode()
    ),
    "json in curl's own type": typed(
        "application/x-www-form-urlencoded", "content_type_unsupported", b'{"pixels": [0]}'
    ),
    "png said to be text": typed("text/plain", 7),
    "png said to be anything": typed("*/*", "content_type_unsupported"),
    "png said to be json": typed("application/json", "body_malformed"),
    "json said to be png": typed("image/png", "image_unsupported", json.dumps({"image": _ENCODED}).encode()),
    "json said to be text": typed("text/json", "content_type_unsupported", b"{}"),
    "json of a vendor": typed("application/vnd.api+json", "content_type_unsupported", b"{}"),
    "json in another charset": typed("application/json; charset=utf-16", "body_invalid", b"{}"),
    # The bytes decide; many headers are wrong because a file's suffix is.
    "png said to be jpeg": typed("image/jpeg", 7),
    "jpeg said to be png": typed("image/png", 7, JPEG),
    "png of an unknown image type": typed("image/x-unknown", 7),
    "png of any image type": typed("image/*", 7),
    "png in capitals": typed("IMAGE/PNG", 7),
    "png with parameters": typed("image/png; charset=utf-8; x", 7),
    "png of no type": typed(None, 7),
    "png of an empty type": typed("", 7),
    "png of a type of one parameter": typed("; charset=x", 7),
    "type of bad characters": typed("im\xe4ge/png", "content_type_unsupported"),
    "type of a script": typed("<script>alert(1)</script>", "content_type_unsupported"),
    "type of 10,000 characters": typed("a/" + "y" * 10_000, "content_type_unsupported"),
    "png with 2,000 parameters": typed("image/png" + ";a=b" * 2_000, 7),
    "form with 2,000 parameters": typed(
        f"multipart/form-data{';a=b' * 2_000}; boundary={BOUNDARY}", 7, FORM.content
    ),
    "two types": asked(("Content-Type", "image/jpeg"), answer="header_invalid"),
}  # fmt: skip

_PADDED = PNG + bytes(MAX_BYTES - len(PNG))
_JSON_PADDED = json.dumps({"image": _ENCODED}).encode()
REQUESTS = {
    "body at the limit": as_png(_PADDED, 7),
    "body one byte over the limit": as_png(_PADDED + b"\0", "body_too_large"),
    "json at the limit": typed("application/json", 7, _JSON_PADDED.ljust(MAX_BYTES)),
    "json one byte over the limit": typed(
        "application/json", "body_too_large", _JSON_PADDED.ljust(MAX_BYTES + 1)
    ),
    "body in chunks": asked(chunked=True),
    "empty body in chunks": asked(chunked=True, body=Body(b"", "image/png"), answer="image_empty"),
    "body in chunks at the limit": asked(chunked=True, body=Body(_PADDED, "image/png")),
    "body in chunks one byte over the limit": asked(
        chunked=True, body=Body(_PADDED + b"\0", "image/png"), answer="body_too_large"
    ),
    **{f"body encoded in {encoding}": asked(
        ("Content-Encoding", encoding), body=Body(content, "image/png"), answer="content_encoding_unsupported"
    ) for encoding, content in (
        ("gzip", gzip.compress(bytes(10_000_000))), ("deflate", zlib.compress(PNG)), ("br", PNG), ("x", PNG),
        ("gzip, identity", PNG), ("identity, identity", PNG),
    )},
    "body encoded as it is": asked(("Content-Encoding", "Identity")),
    "body encoded twice": asked(
        ("Content-Encoding", "identity"), ("Content-Encoding", "identity"), answer="header_invalid"
    ),
    **{f"{method} of a png": asked(method=method, answer="method_not_allowed")
       for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE")},
    **{f"path {path}": asked(path=path, answer="not_found") for path in (
        "/nothing", "/predict/", "/predict/x", "//predict", "/PREDICT", "/predict%00", "/predict%20",
        "/predict;x=1", "/%2e%2e/predict",
        "/%2e%2e/%2e%2e/etc/passwd", "/predict%2f", "/predict\\", "/predict.json", "/.env", "/docs/../../x",
        "/" + "a" * 4000,
    )},
    # The service never fetches an address.
    "query of a web address": asked(path="/predict?url=http://169.254.169.254/latest/meta-data/"),
    "query of a file": asked(
        path="/predict?image=file:///etc/passwd", body=Body(b"", None), answer="image_empty"
    ),
    "query of bad characters": asked(path="/predict?%ff%00=%0d%0a&[]=&&=;"),
    "query of 4,000 letters": asked(path="/predict?" + "a" * 4000),
    "answer wanted as html": asked(("Accept", "text/html")),
    "answer wanted as nothing there is": asked(("Accept", "x/y;q=0"), ("Accept-Encoding", "x")),
    "part of the answer wanted": asked(("Range", "bytes=0-1")),
    "only if it has changed": asked(("If-None-Match", "*"), ("If-Modified-Since", "x")),
    **{f"request id {name}": asked(("X-Request-Id", value)) for name, value in {
        "of bad characters": "a\xff\xfe", "of a script": "<script>", "of 8 kB": "x" * 8000, "of nothing": "",
        "of json": '","a":"',
    }.items()},
    # No server has to follow them, and uvicorn's own parser would drop the body.
    **{f"upgrade to {protocol}": asked(("Connection", f"Upgrade, {more}"), ("Upgrade", protocol))
       for protocol, more in (
        ("h2c", "HTTP2-Settings"), ("TLS/1.0", "x"), ("foo/1", "x"), ("h2c, foo/1", "keep-alive"),
    )},
    # HAProxy answers 400 to `websocket` without this key, which every client of that protocol sends.
    **{f"upgrade to {protocol}": asked(
        ("Connection", "Upgrade"), ("Upgrade", protocol), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ) for protocol in ("websocket", "h2c, websocket")},
    "upgrade of a body in chunks": asked(("Connection", "Upgrade"), ("Upgrade", "h2c"), chunked=True),
    "two request ids": asked(("X-Request-Id", "a"), ("X-Request-Id", "b")),
    "64 headers and more": asked(*((f"X-{n}", "y") for n in range(70)), answer="headers_too_large"),
    # Ray Serve obeys these headers from any client; the gateway drops them.
    **{f"{name}: {value}": asked((name, value)) for name, value in (
        ("X-Request-Timeout-Seconds", "\xff"), ("X-Request-Timeout-Seconds", "-1"),
        ("X-Request-Timeout-Seconds", "nan"), ("X-Request-Timeout-Seconds", "0.000001"),
        ("X-Request-Disconnect-Disabled", "?1"), ("Serve_Multiplexed_Model_Id", "x"),
        ("X-Session-Id", "\xff"),
        ("Traceparent", "\xff"), ("Cookie", "a=\xff"), ("X-Forwarded-For", "\xff"),
        ("X-Forwarded-Proto", "gopher"),
    )},
}  # fmt: skip

TABLE: dict[str, Row] = {
    **CUT, **SIZES, **DAMAGED, **LOOKS, **OTHER_FILES, **JSON, **FORMS, **TYPES, **REQUESTS,
}  # fmt: skip


def check(row: Row, status: int, headers: dict[str, str], content: bytes) -> None:
    """Checks an answer against its row, and the form of problems and predictions."""
    if isinstance(row.answer, str):
        problem = ProblemDocument.model_validate_json(content, strict=True)
        assert (problem.code, status) == (row.answer, PROBLEMS[row.answer].status), problem.detail
        assert headers["content-type"] == MEDIA_TYPE
        assert headers.items() >= {k.lower(): v for k, v in PROBLEMS[row.answer].headers.items()}.items()
        _check_problem(problem)
        return
    assert status == 200, content[:500]
    assert headers["content-type"] == "application/json"
    if isinstance(row.answer, int):
        assert PredictResponse.model_validate_json(content, strict=True).position == row.answer
        return
    items = PredictManyResponse.model_validate_json(content).predictions
    assert [
        item.error.code if isinstance(item, FailedItem) else item.position for item in items
    ] == row.answer
    for item in items:
        if isinstance(item, FailedItem):
            _check_problem(item.error)


def _check_problem(problem: ProblemDocument) -> None:
    assert problem.status == PROBLEMS[problem.code].status
    assert 0 < len(problem.detail) < 300
    # It must not reveal the code or the machine, or echo the request.
    for leaked in ("Traceback", "site-packages", "PIL", "/tmp/", " object at 0x"):
        assert leaked not in problem.detail
