"""What the READMEs of the operators say is there."""

import re
from pathlib import Path

import pytest

import harness.kernels
from harness.kernels.binding import bindings

FOLDER = Path(harness.kernels.__file__).parent
FOLDERS = sorted(path.parent for path in FOLDER.glob("*/__init__.py"))
KERNEL = re.compile(r"^def (\w+_kernel)\(", re.MULTILINE)


def kernels_in(folder):
    code = [*folder.rglob("triton.py"), *folder.rglob("triton/*.py")]
    return {name for file in code for name in KERNEL.findall(file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_readme_names_every_kernel_of_its_folder_and_none_that_is_not(folder):
    named = set(re.findall(r"`(\w+_kernel)`", (folder / "README.md").read_text(encoding="utf-8")))
    assert kernels_in(folder) <= named <= kernels_in(FOLDER)


@pytest.mark.parametrize("folder", [FOLDER, *FOLDERS], ids=lambda folder: folder.name)
def test_a_readme_names_files_that_exist(folder, repository):
    text = (folder / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:harness|tests)/[\w/]+(?:\.py|/))`", text):
        assert (repository / name).exists(), name
    for link in re.findall(r"\]\(([\w/.]+)\)", text):
        assert (folder / link).exists(), link


def test_a_readme_names_the_definition_of_every_method_that_its_folder_serves(repository):
    texts = {folder.name: (folder / "README.md").read_text(encoding="utf-8") for folder in FOLDERS}
    for method, bind in bindings().items():
        file = Path(*method.__module__.split(".")).with_suffix(".py")
        assert (repository / file).exists()
        assert file.name in texts[bind.__module__.split(".")[2]]
