"""A model that is ready to answer: verified files, ONNX Runtime, golden digits.

An ONNX file is data: loading one runs no code from it.
"""

import os
import time
from pathlib import Path
from typing import Self

import numpy as np

from digits.errors import ModelRejected
from digits.models.manifest import Manifest, read_model
from digits.task import CLASSES, SHAPE, Images, Scores
from digits.vision.golden import golden_digits
from digits.vision.identity import preprocessing_sha256

# The library reads this at import; without it, it stores a machine id in HOME and sends telemetry.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

INPUT, OUTPUT, IS_DIGIT = "pixels", "probabilities", "is_digit"  # the last one is optional
PROVIDERS = "CUDAExecutionProvider", "CPUExecutionProvider"  # the first that the installed package offers


class DigitModel:
    """Thread-safe: ONNX Runtime's `run` may be called from several threads at once."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: Manifest) -> None:
        self._session = session
        self.manifest = manifest
        self.outputs = [value.name for value in session.get_outputs()]
        self._seconds: dict[int, float] = {}  # seconds of one run, by batch size

    @classmethod
    def load(cls, folder: Path, *, sha256: str, threads: int, max_batch_size: int) -> Self:
        """Reads the model with this SHA-256 and warms it up to `max_batch_size`.

        It parses exactly the bytes whose SHA-256 was checked. Raises ModelRejected if any step fails.
        """
        manifest, content = read_model(folder, sha256)
        try:
            model = cls(_session(content, threads), manifest)
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise ModelRejected(f"the model in {folder} cannot be run by ONNX Runtime: {error}") from error
        model._check_signature(folder)
        model._warm_up(max_batch_size)
        return model

    @property
    def says_is_digit(self) -> bool:
        """Whether `predict` returns a last column with is_digit."""
        return IS_DIGIT in self.outputs

    @property
    def reject_below(self) -> float:
        """The is_digit below which a picture is rejected; 0 for a model without is_digit."""
        return self.manifest.reject_below if self.says_is_digit else 0.0

    def predict(self, images: Images) -> Scores:
        """Returns (n, CLASSES) or (n, CLASSES + 1) float32 scores of (n, *SHAPE) uint8 images, 0 to 255."""
        probabilities, *is_digit = self._session.run(self.outputs, {INPUT: images})
        if is_digit:
            return np.column_stack((probabilities, is_digit[0]))
        return probabilities  # type: ignore[no-any-return]

    def expected_seconds(self, batch_size: int) -> float:
        """Returns the seconds for a batch on this machine, interpolated from sizes timed at the start."""
        return float(np.interp(batch_size, list(self._seconds), list(self._seconds.values())))

    def check_golden_digits(self) -> None:
        """Raises ModelRejected if the model misreads one of them."""
        images, labels = golden_digits()
        read = self.predict(images)[:, :CLASSES].argmax(axis=1)
        if (read != labels).any():
            raise ModelRejected(f"the golden digits {labels.tolist()} are read as {read.tolist()}")

    def preprocessing_difference(self) -> str | None:
        """Returns a warning if the model was evaluated with other preprocessing, else None.

        It is no reason to stop serving: the model still answers, with an unknown accuracy.
        """
        here = preprocessing_sha256()
        if self.manifest.preprocessing_sha256 == here:
            return None
        return (
            f"the model was evaluated with preprocessing {self.manifest.preprocessing_sha256[:12]}, this "
            f"installation has {here[:12]}: its accuracy here is unknown; train it again, or evaluate "
            "it again with `python -m digits registry import`"
        )

    def check_speed(self, batch_size: int, budget_ms: float) -> None:
        """Raises ModelRejected if the fastest of three batches of this size took longer than the budget."""
        seconds = min(self._timed(batch_size) for _ in range(3))
        if seconds * 1000 > budget_ms:
            raise ModelRejected(
                f"a batch of {batch_size} takes {seconds * 1000:.0f} ms; batch_budget_ms allows {budget_ms:g}"
            )

    def _check_signature(self, folder: Path) -> None:
        found = [
            (value.name, value.type, value.shape[1:])
            for value in (*self._session.get_inputs(), *self._session.get_outputs())
        ]
        wanted = [(INPUT, "tensor(uint8)", [*SHAPE]), (OUTPUT, "tensor(float)", [CLASSES])]
        if found not in (wanted, [*wanted, (IS_DIGIT, "tensor(float)", [])]):
            raise ModelRejected(
                f"the model in {folder} has the signature {found}, not {wanted} (and an optional {IS_DIGIT})"
            )

    def _warm_up(self, max_batch_size: int) -> None:
        """Runs each size twice: the first run allocates memory, the second one is timed."""
        sizes = [2**power for power in range(max_batch_size.bit_length()) if 2**power < max_batch_size]
        for size in (*sizes, max_batch_size):
            self._timed(size)
            self._seconds[size] = self._timed(size)

    def _timed(self, batch_size: int) -> float:
        images = np.zeros((batch_size, *SHAPE), np.uint8)
        start = time.perf_counter()
        self.predict(images)
        return time.perf_counter() - start


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take CPU from decoding while no batch runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    offered = onnxruntime.get_available_providers()
    providers = [provider for provider in PROVIDERS if provider in offered]
    return onnxruntime.InferenceSession(content, options, providers=providers)
