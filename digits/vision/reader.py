"""The reader that the task names: image files and levels -> candidates.

`read_file` and `read_levels` give the candidates of one picture; `are_ready` says of many arrays of levels at
once which are images already.
"""

from digits.task import READER

if READER == "digit":
    from digits.vision.mnist import are_surely_mnist_like as are_ready
    from digits.vision.reading import read_file, read_levels
else:
    from digits.vision.resizing import are_ready, read_file, read_levels

__all__ = ["are_ready", "read_file", "read_levels"]
