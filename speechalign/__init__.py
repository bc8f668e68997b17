"""Speech translation by large language models, aligned across languages by optimal transport."""

from typing import TYPE_CHECKING, Any

from speechalign.version import __version__

if TYPE_CHECKING:
    from speechalign.inference.translator import Translator

__all__ = ["Translator", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `Translator` on first use, so that `speechalign --help` does not wait for torch."""
    if name == "Translator":
        from speechalign.inference.translator import Translator

        return Translator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
