"""Tells whether the client of a request is still connected."""

from starlette.types import Receive


class Disconnect:
    """Create it after the body has been read: the only message that can follow is the disconnect."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    def __call__(self) -> bool:
        """Returns whether the client has disconnected, without waiting.

        `receive` would wait for the message. Running it for one step shows whether the message is already
        there; Starlette's Request.is_disconnected does the same. With Ray's own proxy `receive` raises after
        the proxy has died, which took the client's connection with it. The batch queue asks for each request
        of a batch, so an exception here would leave the others unanswered.
        """
        step = self._receive().__await__()
        try:
            next(step)
        except StopIteration as message:
            return bool(message.value["type"] == "http.disconnect")
        except Exception:
            return True
        step.close()
        return False
