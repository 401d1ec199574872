"""Kinds of pictures that a camera takes."""

import cv2
import numpy as np

from digits.corpus import camera, files
from digits.corpus.canvas import Canvas, Range, Rng, blank, shade, write
from digits.corpus.colours import dark_ink, near, paper, vivid
from digits.corpus.grounds import board, cloth, creased, ruled, wood
from digits.corpus.handwriting import Writing

FORMATS = ((800, 600), (600, 800), (640, 640), (960, 540), (480, 360))


def photo_of_paper(writing: Writing, rng: Rng) -> bytes:
    return _taken(_page(writing, rng), rng)


def photo_of_ruled_paper(writing: Writing, rng: Rng) -> bytes:
    sheet = blank(*_format(rng), paper(rng, 215))
    ruled(
        sheet,
        rng,
        near(rng, (130, 150, 190), 30),
        rng.uniform(0.3, 0.7),
        min(sheet.shape[:2]) / rng.uniform(5, 12),
        rng.random() < 0.5,
    )
    return _taken(write(sheet, writing, rng, dark_ink(rng)), rng)


def photo_1_megapixel(writing: Writing, rng: Rng) -> bytes:
    return _large(writing, rng, (1, 2.5))


def photo_12_megapixels(writing: Writing, rng: Rng) -> bytes:
    return _large(writing, rng, (7, 13))


def photo_24_megapixels(writing: Writing, rng: Rng) -> bytes:
    return _large(writing, rng, (20, 25))


def card_on_a_desk(writing: Writing, rng: Rng) -> bytes:
    card = write(blank(360, 360 * rng.uniform(0.6, 1.3), paper(rng, 215)), writing, rng, dark_ink(rng))
    desk = wood(*_format(rng), rng)
    return _taken(camera.lie_on(desk, card, rng, (0.45, 0.85), 25), rng, turn=2, tilt=0.01)


def note_on_cloth(writing: Writing, rng: Rng) -> bytes:
    pale = tuple(0.5 * level + 125 for level in vivid(rng))
    note = write(blank(320, 320, pale), writing, rng, near(rng, (35, 35, 45), 25))
    return _taken(camera.lie_on(cloth(*_format(rng), rng), note, rng, (0.5, 0.9), 20), rng, turn=2, tilt=0.01)


def written_on_wood(writing: Writing, rng: Rng) -> bytes:
    ground = wood(*_format(rng), rng)
    dark = ground.mean() > 110
    return _taken(
        write(
            ground, writing, rng, near(rng, (25, 20, 20) if dark else (235, 230, 220), 20), pens=(0.06, 0.13)
        ),
        rng,
    )


def written_on_cloth(writing: Writing, rng: Rng) -> bytes:
    ground = cloth(*_format(rng), rng)
    dark = ground.mean() > 120
    return _taken(
        write(
            ground, writing, rng, near(rng, (25, 25, 30) if dark else (240, 240, 235), 15), pens=(0.07, 0.13)
        ),
        rng,
    )


def chalk_on_a_board(writing: Writing, rng: Rng) -> bytes:
    ground = board(*_format(rng), rng)
    chalk = near(rng, (232, 230, 222), 15) if rng.random() < 0.8 else tuple(0.5 * c + 125 for c in vivid(rng))
    return _taken(write(ground, writing, rng, chalk, pens=(0.05, 0.1), grain=rng.uniform(0.3, 0.7)), rng)


def whiteboard(writing: Writing, rng: Rng) -> bytes:
    ground = blank(*_format(rng), near(rng, (215, 218, 222), 15))
    inks = ((25, 25, 30), (190, 30, 40), (30, 60, 170), (20, 130, 70))
    write(ground, writing, rng, near(rng, inks[rng.integers(len(inks))], 15), pens=(0.04, 0.08))
    return _taken(camera.reflection(ground, rng, rng.uniform(0.3, 0.75)), rng)


def shadow_of_a_hand(writing: Writing, rng: Rng) -> bytes:
    page = _page(writing, rng)
    light = camera.hand_shadow(rng, page.shape[1], page.shape[0], rng.uniform(0.25, 0.6))
    return _taken(shade(page, light), rng)


def uneven_light(writing: Writing, rng: Rng) -> bytes:
    page = _page(writing, rng)
    return _taken(shade(page, camera.uneven(rng, page.shape[1], page.shape[0], rng.uniform(0.4, 0.75))), rng)


def vignetted(writing: Writing, rng: Rng) -> bytes:
    page = _page(writing, rng)
    return _taken(shade(page, camera.vignette(rng, page.shape[1], page.shape[0], rng.uniform(0.4, 0.8))), rng)


def dark_photo(writing: Writing, rng: Rng) -> bytes:
    return _taken(camera.exposed(_page(writing, rng), rng.uniform(0.15, 0.35)), rng, noise=(2, 4))


def overexposed(writing: Writing, rng: Rng) -> bytes:
    return _taken(camera.exposed(_page(writing, rng), rng.uniform(0.8, 1.1), rng.uniform(60, 120)), rng)


def faded_photo(writing: Writing, rng: Rng) -> bytes:
    """Little contrast, as through a dirty lens."""
    return _taken(
        camera.exposed(_page(writing, rng), rng.uniform(0.2, 0.4), rng.uniform(60, 130)), rng, noise=(0, 2.5)
    )


def grainy_photo(writing: Writing, rng: Rng) -> bytes:
    """A photo taken in the dark with a sensitive sensor."""
    return _taken(_page(writing, rng), rng, noise=(14, 28))


def coloured_light(writing: Writing, rng: Rng) -> bytes:
    """The yellow, red or blue light of a lamp or a screen."""
    page = _page(writing, rng)
    light = [level / 255 for level in vivid(rng)]
    return _taken(cv2.multiply(page, (*(0.45 + 0.55 * level for level in light), 1.0)), rng)


def finger_at_the_edge(writing: Writing, rng: Rng) -> bytes:
    """A finger that holds the sheet reaches into the picture."""
    page = write(
        blank(*_format(rng), paper(rng, 215)), writing, rng, dark_ink(rng), share=(0.3, 0.55), spread=0.2
    )
    return _taken(camera.with_a_finger(page, rng), rng)


def negative_photo(writing: Writing, rng: Rng) -> bytes:
    """Inverted colours, as some readers show pages at night."""
    page = camera.noisy(camera.lit(camera.tilted(_page(writing, rng), rng, 8, 0.04), rng), rng, 2)
    return files.photo(255 - page, rng)


def moved_camera(writing: Writing, rng: Rng) -> bytes:
    return _taken(camera.moved(_page(writing, rng), rng, rng.uniform(0.008, 0.022)), rng)


def out_of_focus(writing: Writing, rng: Rng) -> bytes:
    return _taken(camera.blurred(_page(writing, rng), rng.uniform(0.005, 0.014)), rng)


def creased_photo(writing: Writing, rng: Rng) -> bytes:
    return _taken(creased(_page(writing, rng), rng, rng.uniform(0.05, 0.15)), rng)


def photo_of_a_screen(writing: Writing, rng: Rng) -> bytes:
    """A screen's pixels show as a fine pattern, its frame as a dark rim."""
    screen = write(
        blank(*_format(rng), (245, 247, 250)), writing, rng, near(rng, (20, 20, 30), 20), spread=0.3
    )
    period = rng.uniform(2.2, 4.5)
    waves = np.sin(np.arange(max(screen.shape[:2]), dtype=np.float32) * (2 * np.pi / period))
    pattern = 1 - 0.06 * (1 + waves[: screen.shape[0], None]) - 0.06 * (1 + waves[None, : screen.shape[1]])
    seen = camera.tilted(shade(screen, pattern.astype(np.float32)), rng, 4, 0.03, near(rng, (18, 18, 20), 10))
    return _taken(seen, rng, turn=0, tilt=0)


def photo_of_a_page_on_a_desk(writing: Writing, rng: Rng) -> bytes:
    """The whole page is seen, with the desk around it, and the writing small on it."""
    page = write(blank(420, 594, paper(rng, 220)), writing, rng, dark_ink(rng), share=(0.25, 0.5), spread=0.6)
    ground = (wood if rng.random() < 0.6 else cloth)(*_format(rng), rng)
    return _taken(camera.lie_on(ground, page, rng, (0.8, 1.1), 12), rng, turn=2, tilt=0.01)


def thumbnail_of_a_photo(writing: Writing, rng: Rng) -> bytes:
    """28x28 pixels in colour of a photo of a digit that fills it."""
    page = write(
        blank(280, 280, paper(rng, 215)), writing, rng, dark_ink(rng), share=(0.6, 0.8), pens=(0.08, 0.14)
    )
    seen = camera.noisy(camera.lit(camera.tilted(page, rng, 6, 0.02), rng), rng, 3)
    small = cv2.resize(seen, (28, 28), interpolation=cv2.INTER_AREA)
    return files.png(small) if rng.random() < 0.6 else files.jpeg(small, int(rng.integers(80, 96)))


def messenger_thumbnail(writing: Writing, rng: Rng) -> bytes:
    """A photo reduced to some 100 pixels and compressed hard."""
    page = camera.lit(camera.tilted(_page(writing, rng), rng, 6, 0.03), rng)
    scale = rng.uniform(80, 160) / max(page.shape)
    small = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return files.jpeg(small, int(rng.integers(30, 70)))


def _format(rng: Rng) -> tuple[int, int]:
    return FORMATS[rng.integers(len(FORMATS))]


def _page(writing: Writing, rng: Rng) -> Canvas:
    return write(blank(*_format(rng), paper(rng, 215)), writing, rng, dark_ink(rng), share=(0.3, 0.75))


def _taken(scene: Canvas, rng: Rng, turn: float = 8, tilt: float = 0.04, noise: Range = (1, 5)) -> bytes:
    """Returns a photo of a scene: slightly rotated, in a room's light, with the camera's blur and noise."""
    return files.photo(_seen(scene, rng, turn, tilt, noise), rng)


def _seen(scene: Canvas, rng: Rng, turn: float = 8, tilt: float = 0.04, noise: Range = (1, 5)) -> Canvas:
    seen = camera.lit(camera.tilted(scene, rng, turn, tilt) if turn else scene, rng)
    tint = near(rng, (250, 248, 245), 14)
    seen = cv2.multiply(seen, (*(level / 255 for level in tint), 1.0))
    return camera.noisy(camera.blurred(seen, rng.uniform(0.0005, 0.002)), rng, rng.uniform(*noise))


def _large(writing: Writing, rng: Rng, megapixels: Range) -> bytes:
    page = _seen(_page(writing, rng), rng, noise=(0.5, 2))
    return files.jpeg(camera.enlarged(page, rng.uniform(*megapixels)), int(rng.integers(60, 88)))


KINDS = {
    kind.__name__: kind
    for kind in (
        photo_of_paper, photo_of_ruled_paper, photo_1_megapixel, photo_12_megapixels, photo_24_megapixels,
        card_on_a_desk, note_on_cloth, written_on_wood, written_on_cloth, chalk_on_a_board, whiteboard,
        shadow_of_a_hand, uneven_light, vignetted, dark_photo, overexposed, faded_photo, grainy_photo,
        coloured_light, finger_at_the_edge, negative_photo, moved_camera, out_of_focus, creased_photo,
        photo_of_a_screen, photo_of_a_page_on_a_desk, thumbnail_of_a_photo, messenger_thumbnail,
    )
}  # fmt: skip
