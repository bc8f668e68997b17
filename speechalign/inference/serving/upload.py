"""The body of a request: a form with one file, read onto the disk within bounds.

No name or path that a client sends is ever used, only bytes. The file has no name on the disk that
outlives the request.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from speechalign.inference.serving.errors import RefusalError
from speechalign.inference.serving.limits import Limits

PREFIX = "speechalign-upload-"


class Upload(NamedTuple):
    """What a client has sent."""

    fields: dict[str, list[str]]  # in the order sent
    file: Path  # until the request has ended


@asynccontextmanager
async def received(request: Request, limits: Limits) -> AsyncIterator[Upload]:
    """Read the form of a request; its file is on the disk within the block.

    Raises:
        RefusalError: If it is no such form, too large, or has no file in it.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise RefusalError(
            415 if kind else 400,
            f"The content type is {kind or 'not told'!r}: send multipart/form-data with the fields"
            " `file` and `model`.",
        )
    bounds: dict[str, Any] = {"max_files": 1, "max_fields": limits.fields}
    parser = MultiPartParser(
        request.headers, counted(request, limits), max_part_size=limits.field, **bounds
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RefusalError(
            400, f"The form cannot be read ({error.message.rstrip('.')}): send one file, at most"
            f" {limits.fields} fields of {limits.field // 1024} KiB, and an end.",
        ) from error  # fmt: skip
    try:
        file = the_file(form)
        with tempfile.NamedTemporaryFile(prefix=PREFIX) as disk:
            await asyncio.to_thread(shutil.copyfileobj, file.file, disk)
            disk.flush()
            await form.close()
            yield Upload(texts(form), Path(disk.name))
    finally:
        await form.close()


async def counted(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """Give a body part by part, as far as it may go."""
    read = 0
    async for part in request.stream():
        read += len(part)
        if read > limits.upload:
            raise limits.too_large()
        yield part


def the_file(form: FormData) -> UploadFile:
    """Find the one file of a form.

    Raises:
        RefusalError: If there is none, or it is empty.
    """
    file = form.get("file")
    if not isinstance(file, UploadFile):
        sent = ", ".join(f"`{name}`" for name in form) or "nothing"
        raise RefusalError(
            400,
            f"There is no file in the field `file` (sent: {sent}): send the recording there.",
            "file",
            "missing_file",
        )
    if not file.size:
        raise RefusalError(
            400, "The file is empty (0 bytes): record or read it again.", "file", "empty_file"
        )
    return file


def texts(form: FormData) -> dict[str, list[str]]:
    """Gather the fields of a form that are no files."""
    fields: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value)
    return fields
