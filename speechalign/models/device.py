"""The device that a model works on, by its name."""

from typing import TypeVar

import torch
from torch import nn

from speechalign.errors import UserError

Model = TypeVar("Model", bound=nn.Module)


def on_device(model: Model, device: str) -> Model:
    """Move a model to a device; `auto` is a GPU where there is one.

    Raises:
        UserError: If there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA at all
        reason = str(error).splitlines()[0]
        raise UserError(
            f"The model cannot work on the device {device!r} ({reason}): say cpu, cuda, or auto."
        ) from error
