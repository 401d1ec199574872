"""Loads TensorFlow without its output about devices, oneDNN and CUDA, which would hide the progress."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# Only FATAL lines, because errors are exceptions anyway.  TensorFlow applies this only once it is loaded.
VARIABLES = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}


def quiet_tensorflow() -> None:
    """Makes this process load TensorFlow without its output on stderr. Call it before any import of it."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    sys.meta_path.insert(0, _QuietLoader())


class _QuietLoader(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "tensorflow" else None
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                with _without_stderr():
                    load(module)

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Buffers what is written to the descriptor, and shows it only if the block fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as shown:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            shutil.copyfileobj(kept, shown)
            raise
        finally:
            os.dup2(shown.fileno(), 2)
