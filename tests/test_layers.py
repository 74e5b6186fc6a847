"""Who may import whom."""

import ast
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).parent
LAYERS = [
    ["errors", "paths", "__init__"],
    ["attention"],
    ["methods"],
    ["kernels"],
    ["engine"],
    ["hf", "data", "store", "forecast"],
    ["evaluation"],
    ["tables"],
    ["sweep"],
    ["bench", "report"],
    ["commands"],
    ["__main__"],
]
"""From the bottom. Parts of one layer may import each other."""

HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}
ONLY = {
    "hydra": ["commands/compose.py"],
    "omegaconf": ["commands/compose.py"],
    "lm_eval": ["evaluation/"],
    "rich": ["sweep/console.py"],
    "datasets": ["data/rows.py"],
    "transformers": ["hf/"],
    "huggingface_hub": ["data/sources.py", "hf/retry.py"],
    "scipy": ["tables/stats.py"],
}


def files():
    return sorted(ROOT.rglob("*.py"))


def imports(file, also_when_called=True):
    """Full names of the modules that a file imports; those for type checkers only do not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    hidden = {id(inner) for node in typing_only for inner in ast.walk(node)}
    nodes = list(ast.walk(tree)) if also_when_called else tree.body
    for node in nodes:
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            if node.module == "harness":
                yield from (f"harness.{alias.name}" for alias in node.names)
            else:
                yield node.module


def part(name):
    return name.split(".")[1] if "." in name else "__init__"


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(ROOT)))
def test_a_lower_layer_never_imports_a_higher_one(file):
    own = file.relative_to(ROOT).parts[0].removesuffix(".py")
    assert own in HEIGHT, "give the new part its layer above"
    for name in imports(file):
        if name.split(".")[0] == "harness":
            assert part(name) in HEIGHT, f"{name} has no layer"
            assert HEIGHT[part(name)] <= HEIGHT[own], f"imports {name}"


@pytest.mark.parametrize("library", ONLY)
def test_one_place_knows_a_foreign_library(library):
    users = {str(f.relative_to(ROOT)) for f in files() if any(n.split(".")[0] == library for n in imports(f))}
    assert users
    assert all(any(user == place or user.startswith(place) for place in ONLY[library]) for user in users), users


def test_no_file_is_long():
    assert {str(f): n for f in files() if (n := len(f.read_text(encoding="utf-8").splitlines())) > 250} == {}
