"""Tables read from a corpus' files once, and mapped into memory from then on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from speechalign.data.archive import default_cache_dir
from speechalign.files import digest, remove_leftovers, replacing

FORMAT = 2  # of the tables; another number makes all of them anew


def indexed(
    kind: str, files: Sequence[Path], build: Callable[[], pa.Table], cache_dir: Path | None = None
) -> pa.Table:
    """Give the table that is made from files: the kept one, if none of them changed since.

    It is found by the place, size and time of change of every file, and kept in
    `<cache_dir>/index/`. Where that cannot be written it is made anew each time. A kept table
    appears whole or not at all, and one that was cut short is made anew.

    Args:
        kind: What the table is; one file may have several.
        files: What it is made from; folders count as their list of names.
        build: Makes it.
        cache_dir: By default `default_cache_dir()`.
    """
    states = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    name = digest(repr((FORMAT, kind, states)))
    file = Path(cache_dir or default_cache_dir()) / "index" / f"{name}.arrow"
    try:
        return _read(file)
    except (OSError, pa.ArrowInvalid):  # absent or damaged
        table = build()
    try:
        _write(table, file)
        return _read(file)
    except (OSError, pa.ArrowInvalid):
        return table


def _read(file: Path) -> pa.Table:
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()


def _write(table: pa.Table, file: Path) -> None:
    remove_leftovers(file.parent)
    with (
        replacing(file) as scratch,
        pa.OSFile(str(scratch), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
