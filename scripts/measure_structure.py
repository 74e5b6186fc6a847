"""Print the shape of the code as a table: modules, packages, small files with one importer, longest file and function.

python scripts/measure_structure.py [CHECKOUT] [ENTRY]: ENTRY is the module of `harness run` whose imports are followed.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

SMALL = 40
"""Lines below which a file with a single importer should have joined it, unless it is a leaf found by its name."""
LEAVES = ("commands", "figures", "methods")
ENTRIES = ("harness.commands.run", "harness.cli")


def main() -> int:
    """Measure the checkout on the command line, or this one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    modules = {_name(root, file): file for file in sorted((root / "harness").rglob("*.py"))}
    entry = sys.argv[2] if len(sys.argv) > 2 else next(name for name in ENTRIES if name in modules)
    trees = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in modules.items()}
    imports = {name: _imported(tree, modules) for name, tree in trees.items()}
    lines = {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in modules.items()}
    behind = _closure(entry, imports)
    for what, value in _shape(trees, imports, lines, behind).items():
        print(f"| {what} | {value} |")
    return 0


def _shape(
    trees: dict[str, ast.Module], imports: dict[str, set[str]], lines: dict[str, int], behind: set[str]
) -> dict[str, str]:
    """Describe the code in a line per measure."""
    small = _small_with_one_importer(imports, lines)
    longest = max(lines, key=lambda name: lines[name])
    functions = {f"{name}.{node.name}": _length(node) for name, tree in trees.items() for node in _functions(tree)}
    device = {name for name in functions if ".jit_" in name or ".triton" in name}
    host = max(functions.keys() - device, key=lambda name: functions[name])
    return {
        "modules": str(len(lines)),
        "lines": f"{sum(lines.values()):,}",
        "packages": str(len(_packages(lines))),
        "modules behind `harness run`": str(len(behind)),
        "packages behind `harness run`": str(len(_packages(behind))),
        f"files under {SMALL} lines with one importer, leaves apart": f"{len(small)} {' '.join(small)}".strip(),
        "longest file": f"{lines[longest]} lines, {longest}",
        "longest function, device code apart": f"{functions[host]} lines, {host}",
        "functions over 25 lines, device code apart": str(sum(functions[n] > 25 for n in functions.keys() - device)),
    }


def _name(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _packages(modules: Iterable[str]) -> set[str]:
    """Name the top-level packages of some modules: harness.report for harness.report.figures.grid."""
    return {name.split(".")[1] for name in modules if name.count(".") > 1}


def _imported(tree: ast.Module, modules: dict[str, Path]) -> set[str]:
    """Name the modules of the project that a file imports, also when a function is called."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & modules.keys()) or {node.module}
    return found & modules.keys()


def _closure(entry: str, imports: dict[str, set[str]]) -> set[str]:
    seen, waiting = set[str](), [entry]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports[name]
    return seen


def _small_with_one_importer(imports: dict[str, set[str]], lines: dict[str, int]) -> list[str]:
    importers = Counter(name for found in imports.values() for name in found)
    packages = {name.rpartition(".")[0] for name in lines}
    candidates = lines.keys() - packages - {"harness.__main__"}
    return sorted(
        name
        for name in candidates
        if lines[name] < SMALL and importers[name] == 1 and not set(name.split(".")[1:-1]) & set(LEAVES)
    )


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _length(node: ast.FunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


if __name__ == "__main__":
    sys.exit(main())
