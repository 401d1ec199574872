"""Writes the Serve configuration into the manifests of this folder: `make manifests`.

    python -m kuberay.manifests

The configuration is serve_config.yaml; serve_config_changes.yaml declares what each manifest changes in it
and why, and which applications all of them add.  KubeRay takes it as one string, so each manifest holds a
copy: the text below the line that ends with MARK.  All other lines are written by hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import yaml

FOLDER = Path(__file__).parent
SOURCE = FOLDER.parent / "serve_config.yaml"
CHANGES = FOLDER / "serve_config_changes.yaml"
MARK = "|  # written by `make manifests`"


@dataclass(frozen=True)
class Change:
    key: str  # section.name
    value: str | int
    reason: str


def more_applications() -> str:
    """Returns the applications that every manifest has after those of serve_config.yaml."""
    text: str = yaml.safe_load(CHANGES.read_text())["applications"]
    return text


def declared_changes() -> dict[str, list[Change]]:
    """Returns the changes of each manifest, by its path in this folder."""
    manifests = yaml.safe_load(CHANGES.read_text())
    del manifests["applications"]
    shared = manifests.pop("all")
    return {
        manifest: [Change(key, **change) for key, change in (shared | own).items()]
        for manifest, own in manifests.items()
    }


def serve_config(changes: list[Change]) -> str:
    """Returns serve_config.yaml without its head comment, with the changes made and the applications added.

    Its last section is the list of applications.
    """
    _, _, text = SOURCE.read_text().partition("\n\n")
    for change in changes:
        text = _changed(text, change)
    text += indent(more_applications(), "  ")
    if text.count('"') != 2:
        raise ValueError(f"{SOURCE.name}: quote model_uri and nothing else, for kuberay/components/champion")
    return text


def _changed(text: str, change: Change) -> str:
    """The key's line is replaced, comment and all, because that comment is about the other value."""
    section, name = change.key.split(".")
    found = [mapping for key, mapping in _sections(yaml.compose(text)) if key == section]
    if len(found) != 1:
        raise ValueError(f"{CHANGES.name}: {SOURCE.name} has {len(found)} sections {section}, not one")
    line_of = {key.value: key.start_mark.line for key, _ in found[0].value}
    last = max(line_of.values())
    lines = text.splitlines()
    indented = " " * found[0].start_mark.column + f"{name}: {change.value}"
    comment_column = lines[line_of.get(name, last)].find("#")
    start, end = (line_of[name], line_of[name] + 1) if name in line_of else (last + 1, last + 1)
    lines[start:end] = [f"{indented.ljust(comment_column - 2)}  # {change.reason}"]
    return "\n".join(lines) + "\n"


def _sections(node: yaml.Node | None) -> Iterator[tuple[str, yaml.MappingNode]]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _sections(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(value, yaml.MappingNode):
                yield key.value, value
            yield from _sections(value)


def with_config(manifest: str, config: str) -> str:
    """Returns the manifest's text with the configuration below its marked line."""
    lines = manifest.splitlines(keepends=True)
    marked = [number for number, line in enumerate(lines) if line.rstrip().endswith(MARK)]
    if len(marked) != 1:
        raise ValueError(f"a manifest needs one line that ends with {MARK!r}, not {len(marked)}")
    (start,) = marked
    depth = _depth(lines[start])
    after = (n for n in range(start + 1, len(lines)) if lines[n].strip() and _depth(lines[n]) <= depth)
    end = next(after, len(lines))
    return "".join([*lines[: start + 1], indent(config, " " * (depth + 2)), *lines[end:]])


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def main() -> None:
    for manifest, changes in declared_changes().items():
        file = FOLDER / manifest
        file.write_text(with_config(file.read_text(), serve_config(changes)))


if __name__ == "__main__":
    main()
