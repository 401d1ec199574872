"""Each row of an epoch is trained on once, however often the workers change in it."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from digits.streaming.plan import MIXED, Stretch, Window, longest, shares

ROWS = st.lists(st.integers(1, 3000), min_size=1, max_size=30)
STRETCHES = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4000)), max_size=4)


def taken(share: list[Window], rows: list[int], count: int, seed: int, epoch: int) -> list[tuple[int, int]]:
    """Returns the first rows of a share, each as its chunk and its place there."""
    found = []
    for window in share:
        all_rows = [(chunk, place) for chunk in window.chunks for place in range(rows[chunk])]
        assert len(all_rows) == window.done + window.rows
        found += [all_rows[place] for place in window.order(seed, epoch)]
    return found[:count]


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, stretches=STRETCHES, workers=st.integers(1, 5), seed=st.integers(0, 99))
def test_each_row_is_taken_once_whatever_workers_there_are(
    rows: list[int], stretches: list[tuple[int, int]], workers: int, seed: int
) -> None:
    seen: Counter[tuple[int, int]] = Counter()
    done: list[Stretch] = []
    for count, each in [*stretches, (workers, sum(rows))]:
        for share in shares(rows, seed, 3, done, count):
            seen.update(taken(share, rows, each, seed, 3))
        done.append(Stretch(count, 1, each))
    assert seen == Counter((chunk, place) for chunk, many in enumerate(rows) for place in range(many))
    assert longest(shares(rows, seed, 3, done, workers)) == 0


@settings(deadline=None)
@given(rows=ROWS, workers=st.integers(1, 8), seed=st.integers(0, 99))
def test_shares_differ_by_no_more_than_a_chunk(rows: list[int], workers: int, seed: int) -> None:
    sizes = [sum(window.rows for window in share) for share in shares(rows, seed, 0, [], workers)]
    assert max(sizes) - min(sizes) <= max(rows)
    assert longest(shares(rows, seed, 0, [], workers)) == max(sizes)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    rows = [100] * 50
    first = shares(rows, 1, 0, [], 2)
    assert shares(rows, 1, 0, [], 2) == first
    assert shares(rows, 1, 1, [], 2) != first
    assert shares(rows, 2, 0, [], 2) != first
    window = first[0][0]
    assert window.order(1, 0).tolist() == window.order(1, 0).tolist()
    assert window.order(1, 0).tolist() != window.order(1, 1).tolist()


def test_a_window_mixes_chunks_up_to_its_size() -> None:
    (share,) = shares([1000] * 40, 1, 0, [], 1)
    assert [len(window.chunks) for window in share] == [MIXED // 1000, MIXED // 1000, 8]
