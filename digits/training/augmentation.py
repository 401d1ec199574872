"""Training images as pictures come: turned, moved, scaled, slanted, written with other pens, blurred.

TensorFlow operations on whole batches, so that one core keeps up with the training step.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

    from digits.training.settings import TrainSettings


def augment(images: "tf.Tensor", settings: "TrainSettings", seed: "tf.Tensor") -> "tf.Tensor":
    """(n, 28, 28) uint8 -> the same, each image changed in its own way; `seed` is two integers."""
    import tensorflow as tf

    seeds = tf.random.split(seed, 3)
    moved = _moved(tf.cast(images[..., None], tf.float32), settings, seeds[0])
    written = _written(moved, settings.thickness, seeds[1])
    blurred = _blurred(written, settings.blur, seeds[2])
    return tf.cast(tf.clip_by_value(tf.round(blurred[..., 0]), 0, 255), tf.uint8)


def _moved(images: Any, settings: "TrainSettings", seed: Any) -> Any:
    """Rotation, scale, slant and shift in one resampling, about the centre of the image."""
    import tensorflow as tf

    count = tf.shape(images)[0]
    uniform = tf.random.stateless_uniform([7, count], seed, -1.0, 1.0)
    angle = uniform[0] * (settings.rotation_deg * 3.14159265 / 180)
    across, down = 1 + uniform[1] * settings.scale, 1 + uniform[2] * settings.scale
    slant = uniform[3] * settings.slant
    shift_x, shift_y = uniform[4] * settings.shift_px, uniform[5] * settings.shift_px
    # Rows of the matrix that takes an output pixel to the input pixel it shows.
    a, b = tf.cos(angle) / across, (tf.sin(angle) + slant) / across
    c, d = -tf.sin(angle) / down, tf.cos(angle) / down
    middle = 13.5
    x0 = middle - a * (middle + shift_x) - b * (middle + shift_y)
    y0 = middle - c * (middle + shift_x) - d * (middle + shift_y)
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=tf.stack([a, b, x0, c, d, y0, zero, zero], axis=1),
        output_shape=[28, 28], fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT",
    )  # fmt: skip


def _written(images: Any, thickness: float, seed: Any) -> Any:
    """Thicker by grey dilation or thinner by erosion, by a share of one pixel on each side."""
    import tensorflow as tf

    share = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed, -thickness, thickness)
    dilated = tf.nn.max_pool2d(images, 3, 1, "SAME")
    eroded = -tf.nn.max_pool2d(-images, 3, 1, "SAME")
    thicker = images + share * (dilated - images)
    thinner = images + share * (images - eroded)
    return tf.where(share > 0, thicker, thinner)


def _blurred(images: Any, blur: float, seed: Any) -> Any:
    """Softer by a share of a 3x3 average, or crisper by the same."""
    import tensorflow as tf

    share = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed, -blur, blur)
    average = tf.nn.avg_pool2d(images, 3, 1, "SAME")
    return images + share * (average - images)
