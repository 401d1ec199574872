"""Counts process deaths for each part and picture, so that no picture kills processes for ever.

Ray replaces a process that dies and gives its part to another one, without a limit. So a part that has been
begun has a file in the results' folder until it is written. The next process finds the file, scores one
picture at a time, and records each picture before it reads it.
"""

import json
from typing import Any

from digits.scoring.results import Results

MOST_DEATHS = 2  # processes that may die while they read one picture alone; one may be an accident
# Processes that may die before they reach a single picture: the first, which reads many together, and two
# that die while they read a row group.
MOST_DEATHS_BEFORE = 3
BEFORE = "before"


class Attempts:
    """The attempts at one part. Those of another `run` belong to a command that ended, not to a death."""

    def __init__(self, results: Results, number: int, run: str) -> None:
        self._results = results
        self._number = number
        found = results.read_attempts(number)
        self.is_repeated = found is not None and found["run"] == run
        self._state: dict[str, Any] = {"run": run, "at": BEFORE, "deaths": {}}
        if found is not None and self.is_repeated:
            self._state["deaths"] = found["deaths"] | {found["at"]: found["deaths"].get(found["at"], 0) + 1}
        self._note(BEFORE)

    @property
    def is_hopeless(self) -> bool:
        """Whether processes die before they come to any picture."""
        return self.deaths(BEFORE) >= MOST_DEATHS_BEFORE

    def deaths(self, place: int | str) -> int:
        count: int = self._state["deaths"].get(str(place), 0)
        return count

    def may_read(self, place: int) -> bool:
        """Records that this picture is read next; returns False if it has killed too many processes."""
        if self.deaths(place) >= MOST_DEATHS:
            return False
        self._note(str(place))
        return True

    def end(self) -> None:
        """Removes the record; call it once the part is written."""
        self._results.remove_attempts(self._number)

    def _note(self, at: str) -> None:
        self._state["at"] = at
        self._results.write_attempts(self._number, json.dumps(self._state).encode())
