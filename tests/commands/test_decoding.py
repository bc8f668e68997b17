"""What a process decodes on."""

import pytest

from speechalign.commands.decoding import of_rank


@pytest.mark.parametrize(
    ("device", "gpus", "devices"),
    [
        ("auto", 2, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda", 1, ["cuda:0"] * 3),
        ("cuda:1", 2, ["cuda:1"] * 3),
        ("cpu", 2, ["cpu"] * 3),
        ("auto", 0, ["auto"] * 3),
    ],
)
def test_each_process_has_a_gpu_as_far_as_there_are_some(device, gpus, devices, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert [of_rank(device, rank) for rank in range(3)] == devices
