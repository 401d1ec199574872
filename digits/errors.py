"""Every error this system raises on purpose.

    DigitsError
    ├── RequestError            one request gets no answer; `code` says why
    │   ├── BadInput            the request, or one image of it, cannot be read
    │   ├── Overloaded          the batch queue is full
    │   ├── DeadlineExceeded    it waited too long for the model
    │   └── NotReady            no model is loaded yet
    ├── Abandoned               its sender has gone: nobody waits for the answer
    ├── Wedged                  a model call does not come back
    ├── ModelRejected           model files are not what they claim to be
    ├── DataUnavailable         training data is missing, damaged or invalid
    ├── DiskFull                a disk has no room for a checkpoint or a model
    ├── TrainingFailed          workers failed more often than max_failures allows
    ├── TrackingUnavailable     MLflow cannot be reached
    ├── NotRegistered           MLflow has no such model, version or alias
    ├── AlreadyRegistered       MLflow has it: another process was first
    └── PromotionRefused        a candidate did not pass the gate

All take positional arguments and hand them to Exception: an exception with keyword-only arguments
cannot be unpickled and would die on its way between Ray processes.
"""


class DigitsError(Exception):
    """Base of all; its text is safe to show to whoever caused it."""


class RequestError(DigitsError):
    """`code` is a key of `digits.problems.PROBLEMS`; the text is for the request's sender."""

    code: str


class BadInput(RequestError):
    """The sender's fault: the same request will fail again."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class Overloaded(RequestError):
    code = "overloaded"


class DeadlineExceeded(RequestError):
    code = "timed_out"


class NotReady(RequestError):
    code = "not_ready"


class Abandoned(DigitsError):
    """Nobody reads what is answered to it."""


class Wedged(DigitsError):
    """What Ray Serve's health check must see, to start the replica again."""


class ModelRejected(DigitsError):
    """Missing file, wrong sha256, wrong signature, too slow, or golden digits that come out wrong."""


class DataUnavailable(DigitsError):
    """Training data is missing, damaged or invalid; the text names data that can be used instead."""


class DiskFull(DigitsError):
    """The text names the folder, and the command that continues the training."""


class TrainingFailed(DigitsError):
    """The text holds the failed worker's last error line, and the command that continues the training."""


class TrackingUnavailable(DigitsError):
    """The text holds the tracking server's address."""


class NotRegistered(DigitsError):
    """The text says what was asked for, and of which server."""


class AlreadyRegistered(DigitsError):
    """Of two that create the same thing at once, the second sees this and goes on."""


class PromotionRefused(DigitsError):
    """`reasons` holds one sentence for each rule that failed."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "; ".join(self.reasons)
