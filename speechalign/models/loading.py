"""Loading of pretrained parts from a folder or the Hugging Face Hub, with errors that help."""

from importlib.util import find_spec
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from huggingface_hub import constants, file_exists, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase
from transformers.utils import logging

from speechalign.errors import UserError

DType = Literal["float32", "bfloat16", "float16"]


def torch_dtype(name: DType) -> torch.dtype:
    """Turn the name of a number format into torch's.

    Raises:
        UserError: If there is no such format.
    """
    if name not in get_args(DType):
        raise UserError(f"dtype is {name!r}: choose one of {', '.join(get_args(DType))}.")
    return getattr(torch, name)


def load_pretrained(
    cls: Any,
    path: str,
    family: str | None,
    revision: str | None = None,
    dtype: torch.dtype | None = None,
    bits: int | None = None,
) -> Any:
    """Load `cls.from_pretrained(path)` in an explicit dtype, without executing code from the Hub.

    Args:
        cls: A transformers class with `from_pretrained`.
        path: Folder or Hub id.
        family: `model_type` that the folder must have, if it matters.
        revision: Commit or tag on the Hub.
        dtype: Type of the weights.
        bits: Of the weights of linear layers, if they are to be quantised.

    Raises:
        UserError: If nothing can be loaded from there, with what to do about it.
    """
    check_location(path)
    hub_logging.set_verbosity_error()  # each retry of a request would be told
    check_reachable(path, revision)
    logging.disable_progress_bar()  # small or large, weights are loaded before anything is shown
    try:
        found = AutoConfig.from_pretrained(path, revision=revision).model_type
        if family and found != family:
            raise UserError(f"{path!r} holds a {found!r} model where a {family!r} one is needed.")
        quantised = {} if bits is None else {"quantization_config": quantisation(bits, dtype)}
        return cls.from_pretrained(
            path, revision=revision, dtype=dtype, local_files_only=False, **quantised
        )
    except UserError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0]
        advice = "" if Path(path).is_dir() else f" {elsewhere(path)}"
        raise UserError(f"No model could be loaded from {path!r}: {first_line}{advice}") from error


def quantisation(bits: int, dtype: torch.dtype | None) -> BitsAndBytesConfig:
    """Tell transformers to quantise linear layers by bitsandbytes as they are loaded.

    Eight bits are those of LLM.int8() (Dettmers et al., 2022), four the doubly quantised
    NormalFloat of QLoRA (Dettmers et al., 2023).

    Args:
        bits: Of a weight.
        dtype: Type that is computed in.

    Raises:
        UserError: If bitsandbytes is not installed.
    """
    if bits not in (4, 8):
        raise UserError(f"Weights can be quantised to 4 or 8 bits, not to {bits}.")
    if find_spec("bitsandbytes") is None or find_spec("accelerate") is None:
        raise UserError(
            f"Weights of {bits} bits need bitsandbytes: pip install 'speechalign[quantize]'."
        )
    getLogger("bitsandbytes").setLevel(ERROR)  # it tells what it could do faster, in every process
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def load_tokenizer(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder or Hub id that a model was loaded from.

    Raises:
        UserError: If it is damaged, or needs a library that is not installed.
    """
    try:
        return AutoTokenizer.from_pretrained(path, revision=revision)
    except Exception as error:  # what a damaged file raises is up to two libraries
        first_line = str(error).strip().splitlines()[0]
        raise UserError(
            f"The tokenizer of {path!r} cannot be loaded ({type(error).__name__}): {first_line}"
        ) from error


def check_location(path: str) -> None:
    """Tell a mistyped folder from a Hub id before transformers asks the network for it.

    Raises:
        UserError: If `path` can only be a folder and there is none, or one without a model.
    """
    folder = Path(path)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"The folder {path!r} holds no config.json: give a model's folder or Hub id."
            )
    elif folder.is_absolute() or path.startswith(".") or path.count("/") > 1:
        raise UserError(f"There is no model folder {path!r}: check the path, or give a Hub id.")


def check_reachable(path: str, revision: str | None) -> None:
    """Ask the Hub once for a model that is not on this machine.

    (The Hub's library asks for half a minute before it gives up, and has no setting for that.)

    Raises:
        UserError: If it does not answer.
    """
    known = Path(path).is_dir() or constants.HF_HUB_OFFLINE
    if known or isinstance(try_to_load_from_cache(path, "config.json", revision=revision), str):
        return
    try:
        file_exists(path, "config.json", revision=revision)
    except (HfHubHTTPError, HFValidationError):
        return  # it answers: what is wrong is told where the model is loaded
    except Exception as error:  # of httpx or httpx2, by the version of huggingface_hub
        raise UserError(
            f"{path!r} is not on this machine and the Hugging Face Hub does not answer ({error}): "
            f"try again with a network. {elsewhere(path)}"
        ) from error


def elsewhere(path: str) -> str:
    """Say what to do without a network."""
    return (
        f"Or download it on another machine (`hf download {path} --local-dir FOLDER`) and give the"
        " folder as the model's path."
    )
