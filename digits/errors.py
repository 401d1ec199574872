"""Every error this system raises on purpose.

    DigitsError
    ├── RequestError            a request that cannot be answered; `code` says why
    │   ├── BadInput            the request, or one image of it, cannot be read
    │   │   └── NoDigit         an image was read, and shows no digit or several
    │   ├── Overloaded          the batch queue is full
    │   ├── DeadlineExceeded    the request waited too long for the model
    │   └── NotReady            no model is loaded yet
    ├── InvalidSettings         a setting is unknown, missing or out of bounds
    ├── Abandoned               the client has disconnected
    ├── Wedged                  a model call does not return
    ├── ModelRejected           a model failed a check
    ├── DataUnavailable         training data is missing or invalid
    ├── DiskFull                no space for a checkpoint or a model
    ├── TrainingFailed          workers failed more often than allowed, or do not fit the cluster
    ├── TrainingInterrupted     Ctrl-C or SIGTERM
    ├── TrackingUnavailable     MLflow cannot be reached
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
    """`code` is a key of `digits.problems.PROBLEMS`; the text is for the client."""

    code: str


class BadInput(RequestError):
    """The client's fault: the same request will fail again."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class NoDigit(BadInput):
    """`guess` is what the model says all the same: its is_digit is low, and 0 for several digits."""

    def __init__(self, code: str, detail: str, guess: "Prediction") -> None:
        super().__init__(code, detail)
        self.guess = guess
        self.args = (code, detail, guess)


class Overloaded(RequestError):
    """`retry_after_s`: seconds after which the same request may be accepted."""

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
    """The text names each wrong setting and what is allowed."""


class Abandoned(DigitsError):
    """The client has disconnected, so no one would read an answer."""


class Wedged(DigitsError):
    """Raised from the health check, so that Ray Serve restarts the replica."""


class ModelRejected(DigitsError):
    """Missing file, wrong sha256, wrong signature, too slow, or golden digits that come out wrong."""


class DataUnavailable(DigitsError):
    """Training data is missing, damaged or invalid; the text names data that can be used instead."""


class DiskFull(DigitsError):
    """The text names the folder, and the command that continues the training."""


class TrainingFailed(DigitsError):
    """The text holds what was needed, or the failed worker's last error line and the command to continue."""


class ScoringFailed(DigitsError):
    """The text holds the failed worker's last error line; the same command goes on with what is left."""


class TrainingInterrupted(DigitsError):
    """The text holds the command that continues the training."""


class TrackingUnavailable(DigitsError):
    """The tracking server does not answer, or its address is none; the text holds the address."""


class NotRegistered(DigitsError):
    """The text names what was asked for, and the tracking server."""


class AlreadyRegistered(DigitsError):
    """Of two processes that create the same thing at once, the second one gets this and goes on."""


class PromotionRefused(DigitsError):
    """`reasons` holds a sentence for each rule that failed."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "; ".join(self.reasons)
