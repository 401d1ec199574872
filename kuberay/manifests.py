"""Writes the Serve configuration and the version into the manifests of this folder: `make manifests`.

    python -m kuberay.manifests

The configuration is serve_config.yaml; serve_config_changes.yaml declares what each manifest changes in it
and why, and which applications all of them add.  KubeRay takes it as one string, so each manifest holds a
copy: the text below the line that ends with MARK.  Nothing is written if a copy would have a mistake.  The
images' tags are the version of pyproject.toml, in the files of VERSIONED, too.  All other lines are written
by hand.
"""

import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import yaml

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
SOURCE = ROOT / "serve_config.yaml"
CHANGES = FOLDER / "serve_config_changes.yaml"
MARK = "|  # written by `make manifests`"
# What names images with their tags: digits-serve:0.1.0, newTag: 0.1.0, newTag: 0.1.0-gpu.
VERSIONED = ("Dockerfile", "kuberay/README.md")
TAG = re.compile(r"(digits-(?:serve|train):|newTag: )\d+\.\d+\.\d+")


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
    """Returns the text with a change made, and its reason in place of the comment on the other value."""
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


def version() -> str:
    """Returns the version of this project, which is the tag of its images."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def fresh_texts() -> dict[Path, str]:
    """Returns what each file with a configuration or a tag should hold."""
    changes = {FOLDER / manifest: serve_config(own) for manifest, own in declared_changes().items()}
    texts = {}
    for file in [*sorted(FOLDER.rglob("*.yaml")), *(ROOT / name for name in VERSIONED)]:
        text = TAG.sub(rf"\g<1>{version()}", file.read_text())
        texts[file] = with_config(text, changes[file]) if file in changes else text
    return texts


def stale_files() -> list[str]:
    """Returns the files that `make manifests` would change."""
    return [str(file.relative_to(ROOT)) for file, text in fresh_texts().items() if file.read_text() != text]


def check() -> None:
    """Raises InvalidSettings for a mistake in serve_config.yaml or in a declared change.

    Ray ignores some unknown keys, so what answers could lose its settings by a misspelt one.
    """
    from digits.errors import InvalidSettings
    from digits.local.config import read_config
    from digits.local.schema import check_by_rays_schema  # which loads Ray

    read_config(SOURCE, model_is_here=False)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / SOURCE.name
        for manifest, changes in declared_changes().items():
            copy.write_text(serve_config(changes))
            try:
                check_by_rays_schema(read_config(copy, model_is_here=False))
            except InvalidSettings as error:
                raise InvalidSettings(f"kuberay/{manifest}: {str(error).replace(f'{copy}, ', '')}") from None


def main() -> None:
    """Checks, then writes what has changed; a mistake is one line without a traceback."""
    from digits.errors import InvalidSettings

    try:
        check()
    except (InvalidSettings, ValueError, yaml.YAMLError) as error:
        sys.exit(f"{error}\nNothing has been written.")
    for file, text in fresh_texts().items():
        if file.read_text() != text:
            file.write_text(text)


if __name__ == "__main__":
    main()
