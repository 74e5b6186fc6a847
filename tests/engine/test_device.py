"""A setting's name of a device means a device that is here, or is refused under the setting's name."""

import pytest
import torch

from harness.engine.device import find_device
from harness.errors import InputError


@pytest.mark.parametrize("gpus", [0, 2])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    assert find_device("auto") == ("cuda" if gpus else "cpu")


def test_of_two_gpus_the_second_is_cuda_1_and_there_is_no_third(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [find_device(name) for name in ("cpu", "cuda", "cuda:0", "cuda:1")] == ["cpu", "cuda", "cuda:0", "cuda:1"]
    with pytest.raises(InputError, match="--device=cuda:2 is not here, of cuda there are 2"):
        find_device("cuda:2", "--device")


def test_a_kind_that_a_command_cannot_use_is_unknown_to_it():
    with pytest.raises(InputError, match="--device=mps is unknown: choose from auto, cpu, cuda, cuda:N"):
        find_device("mps", "--device", ("cpu", "cuda"))


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cuda:-1", "CUDA", "cpu:0", "", "xpu", "meta"])
def test_a_device_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(InputError, match=f"^model.device={name} is"):
        find_device(name)


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=r"model\.device=cuda is not here"):
        find_device("cuda")
