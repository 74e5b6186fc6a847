"""Rules that hold for every file of the package; each test lists the files that break one."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).parent
FILES = {str(file.relative_to(ROOT)): file for file in sorted(ROOT.rglob("*.py"))}
LAYERS = [
    ["errors", "names", "paths", "strict_json", "text", "__init__"],
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
    "hydra": ["commands/compose.py", "commands/loader.py"],
    "omegaconf": ["commands/compose.py", "commands/loader.py"],
    "lm_eval": ["evaluation/"],
    "rich": ["sweep/console.py"],
    "datasets": ["data/rows.py"],
    "transformers": ["hf/"],
    "huggingface_hub": ["data/hub.py", "hf/hub.py", "hf/retry.py"],
    "safetensors": ["hf/vetting/weights.py"],
    "scipy": ["tables/intervals.py"],
    "kvpress": ["hf/kvpress_package.py"],
    "fa3_fwd_interface": ["bench/rivals/fa3.py"],
    "flashinfer": ["bench/rivals/flashinfer.py"],
}
"""The files and packages that may import a foreign library."""

WITHOUT_TORCH = ["forecast", "report", "store", "tables"]
FRAGMENTS = {"Of", "As", "Such", "Whether", "Where", "What", "How", "The", "A", "An", "From", "All", "Every", "No"}
"""Words with which a docstring would begin that is no sentence of its own."""
LONG_FUNCTIONS = 4
"""Functions of more than 25 lines that there still are, those that run on a GPU apart. Only ever lower this."""


@functools.cache
def tree(name):
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def imports(name):
    """Full names of the modules that a file imports; those for type checkers only do not count."""
    typing_only = [n for n in ast.walk(tree(name)) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    hidden = {id(inner) for node in typing_only for inner in ast.walk(node)}
    for node in ast.walk(tree(name)):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "harness":
            yield from (f"harness.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def part(name):
    """The package directly below harness/ that a module's or a file's name lies in."""
    return name.split(".")[1] if "." in name else "__init__"


def functions(name):
    """Every function of a file that runs on the CPU."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef) and not any("jit" in ast.unparse(d) for d in node.decorator_list):
            yield node


def test_every_part_has_a_layer():
    assert {name.split("/")[0].removesuffix(".py") for name in FILES} == set(HEIGHT)


def test_a_lower_layer_never_imports_a_higher_one():
    wrong = [
        f"{name} imports {module}"
        for name in FILES
        for module in imports(name)
        if module.split(".")[0] == "harness" and HEIGHT[part(module)] > HEIGHT[name.split("/")[0].removesuffix(".py")]
    ]
    assert wrong == []


def test_no_import_is_relative():
    assert [name for name in FILES for n in ast.walk(tree(name)) if isinstance(n, ast.ImportFrom) and n.level] == []


@pytest.mark.parametrize("library", ONLY)
def test_one_place_knows_a_foreign_library(library):
    users = [name for name in FILES if any(module.split(".")[0] == library for module in imports(name))]
    assert users
    assert [user for user in users if not user.startswith(tuple(ONLY[library]))] == []


@pytest.mark.parametrize(("word", "owner"), [("conf", "commands/compose.py"), ("git", "store/provenance.py")])
def test_one_place_reads_the_configuration_and_one_asks_git(word, owner):
    users = [name for name in FILES for n in ast.walk(tree(name)) if isinstance(n, ast.Constant) and n.value == word]
    assert users == [owner]


def test_no_other_file_lists_methods_by_name():
    # dense apart, which every comparison names; a kernel's binding and the defaults of a benchmark name what they
    # serve, and a knob of Quest, of Twilight and of ThinK those that they come after
    on_others = tuple(f"methods/{name}.py" for name in ("selection/quest", "selection/twilight", "compressed/think"))
    allowed = ("kernels/", "bench/attention.py", "commands/bench/", *on_others)
    families = [name.split("/") for name in FILES if name.startswith("methods/") and name.count("/") == 2]
    methods = {path[2].removesuffix(".py") for path in families} - {"__init__", "dense"}
    assert methods
    strings = {name: {n.value for n in ast.walk(tree(name)) if isinstance(n, ast.Constant)} for name in FILES}
    assert {name: found for name in FILES if (found := strings[name] & methods) and not name.startswith(allowed)} == {}


def test_what_reads_results_needs_no_torch():
    modules = [name.removesuffix(".py").replace("/", ".") for name in FILES if name.startswith(tuple(WITHOUT_TORCH))]
    code = "".join(f"import harness.{module.removesuffix('.__init__')}\n" for module in modules)
    code += "import sys; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("False\n", "")


def test_a_file_is_a_page_of_at_most_200_lines():
    assert {name: n for name, f in FILES.items() if (n := len(f.read_text(encoding="utf-8").splitlines())) > 200} == {}


def test_functions_of_more_than_25_lines_become_fewer():
    lengths = {f"{name}: {f.name}": f.end_lineno - f.lineno + 1 for name in FILES for f in functions(name)}
    found = {where: lines for where, lines in lengths.items() if lines > 25}
    assert len(found) <= LONG_FUNCTIONS, found


def test_a_docstring_begins_with_a_sentence_of_its_own():
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = {(name, ast.get_docstring(n) or "") for name in FILES for n in ast.walk(tree(name)) if isinstance(n, kinds)}
    assert [(name, text.split("\n")[0]) for name, text in sorted(found) if set(text.split()[:1]) & FRAGMENTS] == []
