"""What is no configuration is told in one sentence."""

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from support.foreign_configuration import assert_refused

from harness.commands import loader
from harness.commands.compose import compositions
from harness.errors import InputError

pytestmark = pytest.mark.usefixtures("few_methods")


@pytest.mark.parametrize("kind", [HydraException, OmegaConfBaseException, KeyError, RecursionError, UnicodeError])
def test_whatever_composing_raises_is_a_sentence(monkeypatch, kind):
    def broken(*_, **__):
        raise kind("first\nsecond")

    monkeypatch.setattr(loader.ConfigLoaderImpl, "load_configuration", broken)
    with pytest.raises(InputError) as raised:
        compositions([])
    assert str(raised.value).isprintable()


BROKEN = {"no YAML": b"{", "no text": b"\xff\xfe\x00", "a list": b"[1]", "a tag": b"!!python/object/apply:os.getpid []"}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_a_file_that_is_no_configuration_is_one_sentence(folder, capsys, content):
    (folder / "experiment").mkdir()
    (folder / "experiment" / "evil.yaml").write_bytes(content)
    assert_refused(capsys, f"--config-dir={folder}", "experiment=evil")


def test_a_folder_that_is_none_is_named(tmp_path, capsys):
    assert "is no folder" in assert_refused(capsys, f"--config-dir={tmp_path / 'none'}")
