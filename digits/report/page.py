"""The page of a report: HTML and CSS in one self-contained file without scripts."""

from collections.abc import Iterable, Sequence
from html import escape

from digits.report.answers import Answers, Wrong, worst_kinds
from digits.report.figures import calibration_svg, confusion_svg, pixels_png, thumbnail_png
from digits.task import LABELS
from digits.training.data import Dataset

MOST_PICTURES = 40  # the maximum number of pictures shown in each section
MOST_OF_KIND = 3
STYLE = """
:root {
  color-scheme: light dark; --ink: #1a1d21; --paper: #fff; --line: #d5d9de; --good: #1a7f37; --bad: #b42318
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --paper: #14171a; --line: #3a4046; --good: #56c271; --bad: #ff8a7a }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 64rem;
  margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .8rem; border-bottom: 1px solid var(--line) }
td { text-align: right; font-variant-numeric: tabular-nums } th, td:first-child { text-align: left }
.better { color: var(--good) } .worse { color: var(--bad) }
.plots, .pictures { display: flex; flex-wrap: wrap; gap: 1rem }
.plots img { background: #fff; max-width: 100% }
figure { margin: 0; font-size: 12px; max-width: 11rem } figcaption { overflow-wrap: anywhere }
figure img { vertical-align: top; margin-right: .3rem; border: 1px solid var(--line) }
"""


def page(model: Answers, champion: Answers | None, dataset: Dataset, objections: Sequence[str]) -> str:
    """Returns the HTML; `objections` are the gate's to the model."""
    both = [model] if champion is None else [model, champion]
    names = names_of(both)
    title = f"{names[0]} on {dataset.name}"
    beside = f", beside {names[1]}" if champion else ""
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(dataset.test_images):,} test images{escape(beside)}.</p>",
        _verdict(objections),
        _section("Figures", _figures(both)),
        _section("Accuracy by kind", _by_kind(both)),
        _section("By label", _by_label(both)),
        _section("Calibration", _plots([calibration_svg(
            zip(names, (each.evaluation for each in both), strict=True), dataset.test_labels
        )])),
        _section("Confusion", _plots([confusion_svg(each.evaluation) for each in both], names)),
        _section("The most confident mistakes on test images", _worst_images(model, dataset)),
        _section("Pictures that are read wrong, the worst kinds first", _wrong_pictures(model.wrong)),
        _section("Provenance", _provenance(both)),
    ]  # fmt: skip
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def names_of(models: Sequence[Answers]) -> list[str]:
    """Returns the names and versions; with the start of the SHA-256 if two models have the same ones."""
    names = [f"{model.version.name} {model.version.version}" for model in models]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({model.version.sha256[:8]})" for name, model in zip(names, models, strict=True)]


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>\n{content}\n" if content else ""


def _verdict(objections: Sequence[str]) -> str:
    if not objections:
        return '<p class="better">The gate would promote this model.</p>'
    items = "".join(f"<li>{escape(objection)}</li>" for objection in objections)
    return f'<p class="worse">The gate would not promote this model:</p><ul>{items}</ul>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table whose cells are HTML."""
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _compared(
    what: str,
    both: Sequence[Answers],
    rows: Iterable[tuple[str, Sequence[float]]],
    less_is_better: bool = False,
) -> str:
    """Returns a table of shares: one for each model, and the difference to the champion's."""
    head = [what, *map(escape, names_of(both)), *(["difference"] if len(both) > 1 else [])]
    return _table(head, ([escape(name), *_cells(values, less_is_better)] for name, values in rows))


def _cells(values: Sequence[float], less_is_better: bool) -> list[str]:
    cells = [f"{value:.2%}" for value in values]
    if len(values) > 1:
        difference = values[0] - values[1]
        is_better = (difference < 0) == less_is_better
        colour = "" if f"{difference:.4f}".strip("-") == "0.0000" else "better" if is_better else "worse"
        cells.append(f'<span class="{colour}">{difference:+.2%}</span>')
    return cells


def _figures(both: Sequence[Answers]) -> str:
    good = [("accuracy", [each.evaluation.accuracy for each in both])]
    bad = [("calibration error", [each.evaluation.ece for each in both])]
    return _compared("", both, good) + _compared("", both, bad, less_is_better=True)


def _by_kind(both: Sequence[Answers]) -> str:
    slices = [(name, [each.evaluation.slices[name] for each in both]) for name in both[0].evaluation.slices]
    groups = [(name, [each.groups[name] for each in both]) for name in both[0].groups]
    kinds = [(kind, [each.kinds[kind] for each in both]) for kind in worst_kinds(both)]
    content = _compared("test images, changed", both, slices)
    if groups:
        content += _compared("corpus pictures", both, groups)
        all_kinds = _compared("kind", both, kinds)
        content += f"<details><summary>{len(kinds)} kinds of pictures</summary>{all_kinds}</details>"
    return content


def _by_label(both: Sequence[Answers]) -> str:
    head = ["label"]
    for name in names_of(both):
        head += [f"{escape(name)}: precision", "recall"]
    shares = [share for each in both for share in (each.evaluation.precision, each.evaluation.recall)]
    return _table(
        head,
        ([str(label), *(f"{share[place]:.2%}" for share in shares)] for place, label in enumerate(LABELS)),
    )


def _plots(addresses: Iterable[str], names: Iterable[str] = ("",)) -> str:
    images = (
        f'<img alt="{escape(name)}" src="{address}">' for address, name in zip(addresses, names, strict=True)
    )
    return f'<div class="plots">{"".join(images)}</div>'


def _worst_images(model: Answers, dataset: Dataset) -> str:
    shown = []
    for index in model.evaluation.worst[:MOST_PICTURES]:
        row = model.evaluation.probabilities[index]
        caption = f"{LABELS[dataset.test_labels[index]]} read as {LABELS[row.argmax()]}, {row.max():.0%}"
        shown.append(_picture([pixels_png(dataset.test_images[index])], caption))
    return f'<div class="pictures">{"".join(shown)}</div>' if shown else "<p>None.</p>"


def _wrong_pictures(wrong: Sequence[Wrong]) -> str:
    shown: list[str] = []
    of_kind: dict[str, int] = {}
    for one in wrong:
        kind = one.example.kind
        of_kind[kind] = of_kind.get(kind, 0) + 1
        if of_kind[kind] > MOST_OF_KIND or len(shown) == MOST_PICTURES:
            continue
        images = [
            thumbnail_png(one.example.data),
            *([pixels_png(one.pixels)] if one.pixels is not None else []),
        ]
        shown.append(
            _picture(images, f"{kind}: {one.example.label} read as {one.answer}, {one.confidence:.0%}")
        )
    return f'<div class="pictures">{"".join(shown)}</div>' if shown else ""


def _picture(addresses: Sequence[str], text: str) -> str:
    images = "".join(f'<img alt="" src="{address}">' for address in addresses)
    return f"<figure>{images}<figcaption>{escape(text)}</figcaption></figure>"


def _provenance(both: Sequence[Answers]) -> str:
    rows = []
    for name, each in zip(names_of(both), both, strict=True):
        manifest = each.manifest
        cells = (name, each.version.sha256[:16], manifest.data, manifest.git_commit[:12], manifest.command)
        rows.append([escape(cell) for cell in cells])
    return _table(["model", "sha256", "trained on", "commit", "command"], rows)
