"""A model that is ready to answer: verified files, ONNX Runtime, golden digits.

The only module that imports onnxruntime.  An ONNX file is data: loading one runs no code of its maker.
"""

import os
import time
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from digits.errors import ModelRejected
from digits.models.manifest import ONNX_FILE, read_manifest, read_verified
from digits.vision.golden import golden_digits

# Read while the library is loaded; it would keep an id of this machine in HOME, and report to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

INPUT, OUTPUT = "pixels", "probabilities"
PROVIDERS = "CUDAExecutionProvider", "CPUExecutionProvider"  # the first that the installed package offers


class DigitModel:
    """Thread-safe: ONNX Runtime's `run` may be called from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._seconds: dict[int, float] = {}  # of one run, by batch size

    @classmethod
    def load(cls, folder: Path, *, threads: int, max_batch_size: int) -> Self:
        """Read, verify and warm up to `max_batch_size`; raises ModelRejected if any of it fails."""
        content = read_verified(folder, read_manifest(folder), ONNX_FILE)
        try:
            model = cls(_session(content, threads))
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise ModelRejected(
                f"{folder / ONNX_FILE} is not a model ONNX Runtime can run: {error}"
            ) from error
        model._check_signature(folder)
        model._warm_up(max_batch_size)
        return model

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, 28, 28) pixels 0-255 -> (n, 10) probabilities whose rows add up to 1."""
        (probabilities,) = self._session.run([OUTPUT], {INPUT: images})
        return probabilities  # type: ignore[no-any-return]

    def expected_seconds(self, batch_size: int) -> float:
        """What a run takes on this machine, between the sizes that were timed at the start."""
        return float(np.interp(batch_size, list(self._seconds), list(self._seconds.values())))

    def check_golden_digits(self) -> None:
        """Raises ModelRejected if one of them comes out wrong."""
        images, labels = golden_digits()
        read = self.predict(images).argmax(axis=1)
        if (read != labels).any():
            raise ModelRejected(f"the golden digits {labels.tolist()} are read as {read.tolist()}")

    def check_speed(self, batch_size: int, budget_ms: float) -> None:
        """Raises ModelRejected if a run of so many images took longer, in the best of a few."""
        seconds = min(self._timed(batch_size) for _ in range(3))
        if seconds * 1000 > budget_ms:
            raise ModelRejected(
                f"a batch of {batch_size} takes {seconds * 1000:.0f} ms, and {budget_ms:g} ms are allowed"
            )

    def _check_signature(self, folder: Path) -> None:
        found = [
            (value.name, value.type, value.shape[1:])
            for value in (*self._session.get_inputs(), *self._session.get_outputs())
        ]
        wanted = [(INPUT, "tensor(uint8)", [28, 28]), (OUTPUT, "tensor(float)", [10])]
        if found != wanted:
            raise ModelRejected(f"{folder / ONNX_FILE} has the signature {found}, not {wanted}")

    def _warm_up(self, max_batch_size: int) -> None:
        """The first run of each size allocates; let no request pay for it.  The second one is timed."""
        sizes = [2**power for power in range(max_batch_size.bit_length()) if 2**power < max_batch_size]
        for size in (*sizes, max_batch_size):
            self._timed(size)
            self._seconds[size] = self._timed(size)

    def _timed(self, batch_size: int) -> float:
        images = np.zeros((batch_size, 28, 28), np.uint8)
        start = time.perf_counter()
        self.predict(images)
        return time.perf_counter() - start


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads burn the CPU that decoding needs while no batch runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    offered = onnxruntime.get_available_providers()
    providers = [provider for provider in PROVIDERS if provider in offered]
    return onnxruntime.InferenceSession(content, options, providers=providers)
