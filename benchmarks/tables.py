"""The tables of docs/benchmarks.md.  Each figure is the median over rounds."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

NAMED = ("200", "429", "503")
OURS, CEILING = "digits-haproxy-1", "asgi"
COMPARED = 16  # connections at which services are compared on pictures
Round = dict[str, Any]
Rounds = Mapping[str, Sequence[Round]]


def throughput(rounds: Rounds) -> str:
    connections = [point["connections"] for point in next(iter(rounds.values()))[0]["closed"]]
    best = {name: over(measured, capacity) for name, measured in rounds.items()}
    rows = []
    for name, measured in rounds.items():
        rates = [figure(measured, "closed", place, "rate") for place in range(len(connections))]
        capacities = [capacity(one) for one in measured]
        failed = sum(point["refused"] + point["lost"] for one in measured for point in one["closed"])
        rows.append([
            name, *map(number, rates), f"{number(min(capacities))} to {number(max(capacities))}",
            ratio(best[name], best.get(CEILING)), ratio(best[name], best.get(OURS)), failed,
        ])  # fmt: skip
    head = ["requests/s by connections", *connections, "best, by round", f"to `{CEILING}`", f"to `{OURS}`"]
    return table([*head, "failed"], rows)


def pictures(rounds: Rounds) -> str:
    """Returns the closed loop of the mix, for the services that take image files.

    Services are compared where none refuses photos, since what is left would be an easier mix.
    """
    measured = {name: ones for name, ones in rounds.items() if ones[0]["pictures"]}
    places = [point["connections"] for point in next(iter(measured.values()))[0]["pictures"]]
    place = places.index(COMPARED)
    ours = figure(measured[OURS], "pictures", place, "rate") if OURS in measured else None
    rows = []
    for name, ones in measured.items():
        rates = [figure(ones, "pictures", each, "rate") for each in range(len(places))]
        latencies = [
            ", ".join(number(figure(ones, "pictures", each, key)) for key in ("p50_ms", "p99_ms"))
            for each in (place, -1)
        ]
        refused, lost = (sum(one["pictures"][-1][key] for one in ones) for key in ("refused", "lost"))
        rows.append([name, *map(number, rates), ratio(rates[place], ours), *latencies, refused, lost])
    at = [f"p50, p99 in ms at {each}" for each in (COMPARED, places[-1])]
    ends = [f"{name} at {places[-1]}" for name in ("refused", "lost")]
    return table(["requests/s by connections", *places, f"to `{OURS}` at {COMPARED}", *at, *ends], rows)


def latency(rounds: Rounds) -> str:
    """Returns the latencies below the capacity; above it they grow with the time of the measurement."""
    rows = []
    for name, measured in rounds.items():
        cells = []
        for place, share in enumerate(shares(measured)):
            if share < 1:
                p50, p99 = (open_ms(measured, place, key) for key in ("p50_ms", "p99_ms"))
                cells.append(f"{number(figure(measured, 'open', place, 'rate'))}/s: {p50}, {p99}")
        rows.append([name, *cells])
    below = [share for share in shares(next(iter(rounds.values()))) if share < 1]
    return table(["p50, p99 in ms", *(f"at {share:.0%} of its best" for share in below)], rows)


def overload(rounds: Rounds) -> str:
    rows = []
    for name, measured in rounds.items():
        for place, share in enumerate(shares(measured)):
            if share < 1:
                continue
            statuses: Counter[str] = Counter()
            for one in measured:
                statuses.update(one["open"][place]["statuses"])
            total = statuses.total() or 1
            others = sum(count for status, count in statuses.items() if status not in NAMED)
            rows.append([
                name, number(figure(measured, "open", place, "rate")),
                *(f"{statuses[status] / total:.0%}" for status in NAMED), f"{others / total:.0%}",
                sum(one["open"][place]["lost"] for one in measured),
                open_ms(measured, place, "p50_ms"), open_ms(measured, place, "p99_ms"),
            ])  # fmt: skip
    head = ["", "requests/s", "200", "429", "503", "other", "unanswered", "p50 of 200, ms", "p99 of 200, ms"]
    return table(head, rows)


def many_images(alone: Sequence[Mapping[str, float]], rounds: Rounds) -> str:
    rows: list[list[object]] = []
    for threads, batch in sorted({(one["threads"], one["batch"]) for one in alone}):
        rates = [one["images_per_s"] for one in alone if (one["threads"], one["batch"]) == (threads, batch)]
        rows.append(
            [f"ONNX Runtime alone, {threads} thread{'s' * (threads > 1)}", batch, number(median(rates))]
        )
    for name, measured in rounds.items():
        for place, sent in enumerate(measured[0]["many"] or ()):
            rate = over(measured, lambda one, place=place: one["many"][place]["images_per_s"])  # type: ignore[misc]
            rows.append([f"{name}: {sent['form']}", sent["images"], number(rate)])
    return table(["", "images in one call or request", "images/s"], rows)


def footprint(rounds: Rounds) -> str:
    rows = [
        [name, *(number(median(one[key] for one in measured)) for key in ("start_s", "process_mb", "all_mb"))]
        for name, measured in rounds.items()
    ]
    head = [
        "",
        "command to first answer, s",
        "resident, largest process that answers, MB",
        "all processes, MB",
    ]
    return table(head, rows)


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def capacity(one: Round) -> float:
    """Returns the best closed-loop rate with more than one connection, of which the open loop has shares."""
    rates: list[float] = [point["rate"] for point in one["closed"][1:]]
    return max(rates)


def shares(measured: Sequence[Round]) -> list[float]:
    return [point["share"] for point in measured[0]["open"]]


def over(measured: Iterable[Round], value: Callable[[Round], float]) -> float:
    return median(map(value, measured))


def figure(measured: Iterable[Round], loop: str, place: int, key: str) -> float:
    return over(measured, lambda one: one[loop][place][key])


def open_ms(measured: Sequence[Round], place: int, key: str) -> str:
    """Returns the median latency, or "-" if a round accepted nothing and so has none."""
    nothing = any(one["open"][place][key] is None for one in measured)
    return "-" if nothing else number(figure(measured, "open", place, key))


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def ratio(value: float, reference: float | None) -> str:
    return f"{value / reference:.2g}" if reference else "-"
