"""Random changes to training images: rotation, scale, slant, shift, stroke width, blur.

They are TensorFlow operations on whole batches, so that one core keeps up with the training step.
"""

import math
from typing import TYPE_CHECKING, Any

from digits.task import CHANNELS, SHAPE, SIDE

if TYPE_CHECKING:
    import tensorflow as tf

    from digits.training.settings import TrainSettings

CENTRE = (SIDE - 1) / 2  # the centre of the image, in pixel coordinates


def augment(images: "tf.Tensor", settings: "TrainSettings", seed: "tf.Tensor") -> "tf.Tensor":
    """Returns (n, *SHAPE) uint8 images, each changed independently; `seed` is two integers."""
    import tensorflow as tf

    seeds = tf.random.split(seed, 3)
    levels = tf.reshape(tf.cast(images, tf.float32), (-1, SIDE, SIDE, CHANNELS))
    moved = _transformed(levels, settings, seeds[0])
    written = _with_other_stroke_width(moved, settings.thickness, seeds[1])
    blurred = _blurred_or_sharpened(written, settings.blur, seeds[2])
    return tf.cast(tf.clip_by_value(tf.round(tf.reshape(blurred, (-1, *SHAPE))), 0, 255), tf.uint8)


def _transformed(images: Any, settings: "TrainSettings", seed: Any) -> Any:
    """Returns images rotated, scaled, slanted and shifted in one resampling, about the centre."""
    import tensorflow as tf

    count = tf.shape(images)[0]
    uniform = tf.random.stateless_uniform([7, count], seed, -1.0, 1.0)
    angle = uniform[0] * math.radians(settings.rotation_deg)
    across, down = 1 + uniform[1] * settings.scale, 1 + uniform[2] * settings.scale
    slant = uniform[3] * settings.slant
    shift_x, shift_y = uniform[4] * settings.shift_px, uniform[5] * settings.shift_px
    # The matrix that maps an output pixel to the input pixel it shows, row by row.
    a, b = tf.cos(angle) / across, (tf.sin(angle) + slant) / across
    c, d = -tf.sin(angle) / down, tf.cos(angle) / down
    x0 = CENTRE - a * (CENTRE + shift_x) - b * (CENTRE + shift_y)
    y0 = CENTRE - c * (CENTRE + shift_x) - d * (CENTRE + shift_y)
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=tf.stack([a, b, x0, c, d, y0, zero, zero], axis=1),
        output_shape=[SIDE, SIDE], fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT",
    )  # fmt: skip


def _with_other_stroke_width(images: Any, thickness: float, seed: Any) -> Any:
    """Returns images with strokes thickened or thinned by up to `thickness` pixels on each side."""
    import tensorflow as tf

    share = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed, -thickness, thickness)
    dilated = tf.nn.max_pool2d(images, 3, 1, "SAME")
    eroded = -tf.nn.max_pool2d(-images, 3, 1, "SAME")
    thicker = images + share * (dilated - images)
    thinner = images + share * (images - eroded)
    return tf.where(share > 0, thicker, thinner)


def _blurred_or_sharpened(images: Any, blur: float, seed: Any) -> Any:
    """Returns images with up to the share `blur` of a 3x3 average mixed in or subtracted."""
    import tensorflow as tf

    share = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed, -blur, blur)
    average = tf.nn.avg_pool2d(images, 3, 1, "SAME")
    return images + share * (average - images)
