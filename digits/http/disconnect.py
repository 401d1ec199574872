"""Whether the client of a request is still connected."""

from starlette.types import Receive


class Disconnect:
    """Call it once the body has been read: the only message that can follow is the client's disconnect."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    def __call__(self) -> bool:
        """Whether the client has disconnected; never waits.

        `receive` would wait for the message.  One step of it shows whether the message is there already, as
        Starlette's Request.is_disconnected does it.
        """
        step = self._receive().__await__()
        try:
            next(step)
        except StopIteration as message:
            return bool(message.value["type"] == "http.disconnect")
        step.close()
        return False
