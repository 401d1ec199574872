"""MkDocs' hooks: the site also holds the documents outside docs/, and a page for each file that they link.

Links in the documents are those of the repository, so that they work on a forge; here each is turned into the
link of a page.  Only the standard library and MkDocs are imported: the site is built in .docs/.
"""

import os
import re
from pathlib import PurePosixPath
from typing import Any

from project.documents import DOCS, DOCUMENTS, ROOT

LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")
DECISIONS = "Decisions"  # the section of mkdocs.yml with a page for each file of docs/decisions/
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "sh", ".html": "html"}


def place_of(path: str) -> str:
    """Returns where a file or folder of the repository is in the site, as a path of MkDocs' sources."""
    if path == "docs" or path.startswith("docs/"):
        return path.removeprefix("docs").removeprefix("/") or "README.md"
    if path.endswith(".md"):
        return path if "/" in path else f"root/{path}"
    return f"source/{path}.md"


def target_of(link: str, document: str) -> str:
    """Returns the file or folder of the repository that a link of a document names."""
    path = os.path.normpath(PurePosixPath(document).parent / link)
    for index in ("README.md", "__init__.py"):
        if (ROOT / path / index).exists():
            return f"{path}/{index}"
    return path


def with_site_links(text: str, document: str) -> str:
    """Returns the document's Markdown with each link to a file of the repository as one within the site."""
    here = PurePosixPath(place_of(document)).parent

    def changed(found: re.Match[str]) -> str:
        return os.path.relpath(place_of(target_of(found[1], document)), here)

    return LINK.sub(changed, text)


def linked_files() -> set[str]:
    """Returns the files and folders outside docs/ that documents link, without the documents themselves."""
    found = set()
    for document in DOCUMENTS:
        name = document.relative_to(ROOT).as_posix()
        found |= {target_of(link, name) for link in LINK.findall(document.read_text())}
    return {path for path in found if place_of(path).startswith("source/")}


def page_of(path: str) -> str:
    """Returns the page that shows a file, or lists a folder."""
    file = ROOT / path
    if file.is_dir():
        rows = "".join(f"- `{one.name}`\n" for one in sorted(file.iterdir()) if one.name[0] not in "._")
        return f"# {path}\n\n{rows}"
    return f"# {path}\n\n`````{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text()}\n`````\n"


def on_config(config: Any) -> Any:
    """Lists the decisions in the navigation."""
    pages = [f"decisions/{file.name}" for file in sorted((DOCS / "decisions").glob("*.md"))]
    config.nav = [{DECISIONS: pages} if DECISIONS in entry else entry for entry in config.nav]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the documents outside docs/, and the linked files."""
    from mkdocs.structure.files import File

    outside = [file.relative_to(ROOT).as_posix() for file in DOCUMENTS if DOCS not in file.parents]
    for path in outside:
        files.append(File.generated(config, place_of(path), content=(ROOT / path).read_text()))
    for path in sorted(linked_files()):
        files.append(File.generated(config, place_of(path), content=page_of(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns the links of the repository into links of the site."""
    place = page.file.src_uri
    if place.startswith("source/"):
        return markdown
    outside = {place_of(file.relative_to(ROOT).as_posix()): file for file in DOCUMENTS}
    return with_site_links(markdown, outside[place].relative_to(ROOT).as_posix())
