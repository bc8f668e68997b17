"""Numbers of things in messages: `1 recording`, `2 recordings`."""


def so_many(number: int, noun: str) -> str:
    """Write so many of a thing, whose plural ends in s."""
    return f"{number} {noun}{'s' * (number != 1)}"
