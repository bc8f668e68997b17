"""What the processes of a distributed run tell one another."""

from typing import TypeVar

from torch.distributed import all_gather_object, get_world_size, is_available, is_initialized

Value = TypeVar("Value")


def gather(value: Value) -> list[Value]:
    """Collect one value from every process, by rank; a process alone collects its own."""
    if not (is_available() and is_initialized()):
        return [value]
    values = [value] * get_world_size()
    all_gather_object(values, value)
    return values
