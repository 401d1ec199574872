"""Every error this system raises on purpose.

    DigitsError
    ├── RequestError            a request that cannot be answered; `code` says why
    │   ├── BadInput            the request, or one image of it, cannot be read
    │   │   └── NoDigit         an image was read, and shows no digit or several
    │   ├── Overloaded          the batch queue is full
    │   ├── DeadlineExceeded    the request waited too long for the model
    │   └── NotReady            no model is loaded yet
    ├── InvalidSettings         a setting is unknown, missing or out of bounds
    ├── InvalidTask             the constants of digits/task.py contradict each other
    ├── Abandoned               the client has disconnected
    ├── Wedged                  a model call does not return
    ├── ModelRejected           a model failed a check
    ├── DataUnavailable         training data is missing or invalid
    │   └── DataDamaged         a file is there, but some of its content cannot be read
    ├── DiskFull                no space for a checkpoint or a model
    ├── RayUnavailable          Ray does not start, or the cluster does not answer
    ├── TrainingFailed          workers failed more often than allowed, or do not fit the cluster
    ├── ScoringFailed           a worker of a scoring failed
    ├── TrainingInterrupted     Ctrl-C or SIGTERM
    ├── TrackingUnavailable     MLflow cannot be reached, or fails
    ├── NotRegistered           MLflow has no such model, version or alias
    ├── AlreadyRegistered       MLflow has it already
    └── PromotionRefused        a candidate did not pass the gate

All take positional arguments and pass them to Exception: an exception with keyword-only arguments
cannot be unpickled, so it would not reach another Ray process.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digits.task import Prediction


class DigitsError(Exception):
    """The base class; the text is safe to show to the user who caused the error."""


class RequestError(DigitsError):
    """The base of errors for clients: `code` is a key of `digits.problems.PROBLEMS`."""

    code: str


class BadInput(RequestError):
    """The request is invalid: the same request will fail again."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class NoDigit(BadInput):
    """A picture shows no digit or several. `guess` has the model's best guess and a low is_digit."""

    def __init__(self, code: str, detail: str, guess: "Prediction") -> None:
        super().__init__(code, detail)
        self.guess = guess
        self.args = (code, detail, guess)


class Overloaded(RequestError):
    """A queue is full; the same request may be accepted after `retry_after_s` seconds."""

    code = "overloaded"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail, retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return str(self.args[0])


class DeadlineExceeded(RequestError):
    code = "timed_out"


class NotReady(RequestError):
    code = "not_ready"


class InvalidSettings(DigitsError):
    """Settings are invalid; the text names each wrong one and what is allowed."""


class Abandoned(DigitsError):
    """The client has disconnected, so an answer would reach no client."""


class Wedged(DigitsError):
    """A model call hangs; raised from the health check, so that Ray Serve restarts the replica."""


class InvalidTask(DigitsError):
    """digits/task.py was edited so that its constants contradict each other; the text says which."""


class ModelRejected(DigitsError):
    """A model failed a check: missing file, wrong sha256 or signature, too slow, misread golden digits."""


class DataUnavailable(DigitsError):
    """Training data is missing, damaged or invalid; the text names data that can be used instead."""


class DataDamaged(DataUnavailable):
    """Some content of a file cannot be read. A training skips the rows that this affects."""


class DiskFull(DigitsError):
    """The disk is full; the text names the folder, and the command that continues the training."""


class RayUnavailable(DigitsError):
    """Ray does not start here, or nothing answers at RAY_ADDRESS; the text has the address."""


class TrainingFailed(DigitsError):
    """A training failed; the text says what was needed, or the last error line and how to continue."""


class ScoringFailed(DigitsError):
    """A scoring failed; the text has the last error line. The same command continues."""


class TrainingInterrupted(DigitsError):
    """A training was interrupted; the text has the command that continues it."""


class TrackingUnavailable(DigitsError):
    """MLflow does not answer or fails, or its address is invalid; the text has the address."""


class NotRegistered(DigitsError):
    """MLflow has no such model, version or alias; the text names it and the tracking server."""


class AlreadyRegistered(DigitsError):
    """Another process has created the same thing at the same time, or the run has finished."""


class PromotionRefused(DigitsError):
    """A candidate failed the gate; `reasons` has a sentence for each failed rule."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "; ".join(self.reasons)


PYDANTICS_HINT = "For further information visit https://errors.pydantic.dev"


def last_line(text: str) -> str:
    """Returns the last line with text that another process wrote, without the class of an error above.

    It is "" if there is none. Pydantic's line with the address of its documentation is no reason: skipped.
    """
    lines = [line.strip() for line in text.splitlines()]
    line = next((line for line in reversed(lines) if line and not line.startswith(PYDANTICS_HINT)), "")
    return line.partition(": ")[2] if line.startswith(f"{__name__}.") else line
