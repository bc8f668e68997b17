"""The device that a model or tensor is moved to, by its name."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from speechalign.errors import UserError

Moved = TypeVar("Moved", bound=nn.Module | Tensor)


def on_device(what: Moved, device: str) -> Moved:
    """Move a model or tensor to a device; `auto` is a GPU where there is one.

    Raises:
        UserError: If there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return what.to(device)  # pyright: ignore[reportReturnType] - it stays what it is
    except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA at all
        reason = str(error).splitlines()[0]
        raise UserError(
            f"speechalign cannot work on the device {device!r} ({reason}): say cpu, cuda, or auto."
        ) from error
