"""Results come in the order of the items, and little is made before it is asked for."""

from collections.abc import Iterator
from itertools import count, islice
from threading import Event, active_count

import pytest

from digits.corpus import threads
from digits.corpus.threads import in_threads


def test_results_are_in_the_order_of_the_items() -> None:
    """The first is the last to be made."""
    made = Event()

    def second_first(item: int) -> int:
        if item == 0:
            assert made.wait(30)
        made.set()
        return item * 10

    assert list(in_threads(second_first, range(40))) == [item * 10 for item in range(40)]


def test_a_slow_item_stops_no_other() -> None:
    """As a photo of 24 megapixels among small samples, if enough results may wait for it."""
    made = Event()

    def slow_first(item: int) -> bool:
        if item == 60:
            made.set()
        return item > 0 or made.wait(30)

    assert all(in_threads(slow_first, range(80), 64))


def test_items_are_read_only_a_little_ahead() -> None:
    """Thousands of pictures are never all in memory, and no thread outlives the results."""
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in count(1):
            read.append(item)
            yield item

    before = active_count()
    results = in_threads(str, items())
    assert list(islice(results, 5)) == ["1", "2", "3", "4", "5"]
    assert len(read) <= 5 + threads.WAITING * threads.MOST_THREADS + 1
    results.close()  # type: ignore[attr-defined]
    assert active_count() == before


def test_an_exception_is_raised_at_its_item() -> None:
    results = in_threads(lambda item: 1 // item, (1, 1, 0, 1))
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
