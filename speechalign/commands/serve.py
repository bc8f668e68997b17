"""`speechalign serve`: answer requests for transcripts and translations over HTTP."""

import ipaddress
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from speechalign.assets import PACKAGED
from speechalign.commands.parsing import run
from speechalign.commands.translate import check_decoding, load
from speechalign.errors import Caution, UserError

NEEDED = {"serve": ("fastapi", "uvicorn", "python_multipart"), "page": ("gradio",)}  # by extra
MICRO = "speechalign-micro"


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line."""
    run(serve, verb, arguments)


def serve(
    checkpoint: str = PACKAGED,
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    page: bool = False,
    api_key_file: str | None = None,
    max_upload_mb: float = 100.0,
    max_seconds: float = 3600.0,
    queue: int = 128,
    timeout: float = 300.0,
    device: str = "auto",
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    llm_bits: int | None = None,
    batch_size: int = 16,
    beams: int | None = None,
    bias: str | None = None,
) -> None:
    """Answer requests for transcripts and translations, as OpenAI's API.

    Args:
        checkpoint: A checkpoint of `speechalign fit`, an exported folder, or its Hub id.
        name: By which clients ask for the model; by default that of the checkpoint.
        host: Address to answer at; by default this machine alone reaches it.
        port: To answer at; 0 takes any that is free.
        page: Also give readers a page, at /page (of the extra `page`).
        api_key_file: File with the key that clients must send. Or set SPEECHALIGN_API_KEY; with
            neither, anybody who reaches the server may ask.
        max_upload_mb: Mebibytes of a request at most.
        max_seconds: Of a recording at most.
        queue: Requests in flight at most; further ones are told to come again (429).
        timeout: Seconds that a request may take.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        dtype: Number format of encoder and LLM; by default that of the training.
        llm_bits: 8 or 4, to quantise the LLM's weights (of the extra `quantize`).
        batch_size: Segments, of any requests, decoded together; no effect on the text.
        beams: Width of the beam, 1 for greedy; by default as stored with the model.
        bias: A bias pack with languages to know beside the model's own.
    """
    check_installed("serve")
    if page:
        check_installed("page")
    check_decoding(batch_size, beams, llm_bits)
    from speechalign.inference.serving.app import build_app
    from speechalign.inference.serving.limits import MEBIBYTE, Limits, stored_key
    from speechalign.inference.serving.process import Server, address, bound

    limits = Limits(round(max_upload_mb * MEBIBYTE), max_seconds, queue, timeout)
    key = stored_key(None if api_key_file is None else Path(api_key_file))
    with bound(host, port) as taken:  # before the model is loaded, which takes longer
        caution(host, key)
        settings = {"dtype": dtype, "llm_bits": llm_bits, "beams": beams}
        translator = load(checkpoint, device, bias, **settings)
        app = build_app(translator, name or called(checkpoint), limits, batch_size, key, page)
        where = f"{address(taken)}{' with a page at /page' if page else ''}"
        with translator:
            Server(app, f"Serving {app.state.desk.name} at {where} (Ctrl-C stops)").run(
                sockets=[taken]
            )


def check_installed(extra: str) -> None:
    """See that the packages of an extra are there.

    Raises:
        UserError: If one is not.
    """
    for package in NEEDED[extra]:
        if find_spec(package) is None:
            raise UserError(
                f"`speechalign serve` needs {package}, which is not installed: run"
                f' `pip install "speechalign[{extra}]"`.'
            )


def caution(host: str, key: str | None) -> None:
    """Warn where others than this machine may ask without a key."""
    try:
        own = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        own = False
    if not own and key is None:
        warnings.warn(
            f"At {host} others than this machine can reach the server, and it asks for no key: give"
            " --api-key-file, or set SPEECHALIGN_API_KEY.",
            Caution,
            stacklevel=2,
        )


def called(checkpoint: str) -> str:
    """Name a model by its checkpoint: the Hub id, or the last part of a path."""
    if checkpoint == PACKAGED:
        return MICRO
    return Path(checkpoint).stem if Path(checkpoint).exists() else checkpoint
