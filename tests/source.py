"""The package's modules and their imports, read from the source without importing it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "digits"


def _dotted(file: Path) -> str:
    """Returns `inference.batcher` for digits/inference/batcher.py, `errors` for digits/errors.py."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


MODULES = sorted(_dotted(file) for file in PACKAGE.rglob("*.py") if file.stem != "__init__")
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def room_of(module: str) -> str:
    """Returns the folder of a module, or the module itself if it is at the top; `__main__` wherever it is."""
    return "__main__" if module.endswith("__main__") else module.partition(".")[0]


def tree_of(module: str) -> ast.Module:
    """Returns a module's syntax tree without the code that only a type checker reads."""
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return tree


def imports(tree: ast.Module) -> set[str]:
    """Returns every imported dotted name, at the top or inside a function."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(module: str) -> set[str]:
    """Returns the package's modules that a module imports."""
    names = {name.removeprefix("digits.") for name in imports(tree_of(module)) if name.startswith("digits.")}
    return {known for known in MODULES for name in names if name == known or name.startswith(f"{known}.")}
