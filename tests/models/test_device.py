"""Devices by name; a wrong one is a user's fault."""

import pytest
import torch
from torch import nn

from speechalign.errors import UserError
from speechalign.models.device import on_device


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    moved = []

    def to(model, device):
        moved.append(device)
        return model

    monkeypatch.setattr(nn.Linear, "to", to)
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=there: found)
        on_device(nn.Linear(1, 1), "auto")
    assert moved == ["cuda", "cpu"]


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(UserError, match=r"device 'cuba' .*say cpu, cuda, or auto"):
        on_device(nn.Linear(1, 1), "cuba")
