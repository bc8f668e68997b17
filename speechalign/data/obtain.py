"""FLEURS is brought to disk: what is wanted, what of it is there, and the rest from a store.

Whatever is interrupted can be called again: a file is in its place only when it is whole and
checked, and what was on its way is taken up where it stopped.
"""

import shutil
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from speechalign.data.archive import DamagedArchiveError
from speechalign.data.check import check_split
from speechalign.data.hub import REPOSITORY, Hub
from speechalign.data.layout import SPLITS, find_parts
from speechalign.data.parquet import add_member, convert
from speechalign.data.shelf import Obtained, Shelf, Wanted
from speechalign.data.store import Store, adopt
from speechalign.errors import Caution, UserError
from speechalign.languages import LANGUAGES, language


def plan(languages: list[str], texts: list[str], splits: list[str]) -> list[Wanted]:
    """List the splits to obtain, by language and split.

    Args:
        languages: Codes of the languages whose speech is wanted; `all` means every one.
        texts: Codes of those whose texts are wanted alone.
        splits: Of `train`, `dev`, `test`.

    Raises:
        UserError: If a language or split is unknown, or nothing is wanted.
    """
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise UserError(f"Unknown split {unknown[0]!r}: FLEURS has {', '.join(SPLITS)}.")
    spoken, written = _entries(languages), _entries(texts)
    if not splits or not spoken | written:
        raise UserError("Nothing is wanted: give --languages or --texts, and --splits.")
    return [
        Wanted(code, locale, split, code in spoken)
        for code, locale in (spoken | written).items()
        for split in dict.fromkeys(splits)
    ]


def obtain(
    wanted: list[Wanted],
    shelf: Shelf,
    open_store: Callable[[list[Wanted]], Store],
    tell: Callable[[str], None],
) -> list[Obtained]:
    """Complete the shelf, and fetch nothing that is whole on it.

    Args:
        wanted: What is to be there in the end.
        shelf: Where it is brought.
        open_store: Opens the place to fetch from; called with what is missing, if anything is.
        tell: Called with a line for each split that is fetched.

    Raises:
        UserError: If something cannot be had or is not whole, or the disk is full.
    """
    try:
        found = {each: _there(each, shelf) for each in wanted}
        for each, there in found.items():
            if there:
                shelf.sweep(each)
        missing = [each for each, there in found.items() if there is None]
        if missing:
            store = open_store(missing)
            _check_room(missing, store, shelf)
            found |= {each: _fetch(each, store, shelf, tell) for each in missing}
    except OSError as error:
        raise UserError(
            f"{error.filename or shelf.root}: {error.strerror or error}; mend that and run the"
            " same command again, it goes on from where it stopped."
        ) from error
    return [there for there in found.values() if there]


def how_to_get(missing: list[Wanted], shelf: Shelf, revision: str, reason: str) -> str:
    """Say in one line what to download elsewhere and where to put it."""
    spoken = [each for each in missing if each.audio]
    written = [each for each in missing if not each.audio]
    files = [f"data/{_braced(spoken, 0)}/audio/{_braced(spoken, 1)}.tar.gz"] * bool(spoken)
    files += [
        f"data/{_braced(each, 0)}/{_braced(each, 1)}.tsv" for each in (spoken, written) if each
    ]
    count = 2 * len(spoken) + len(written)
    return (
        f"The Hub cannot be asked ({reason}); files missing: {count}, of a size not known here."
        f" Elsewhere, download {' and '.join(files)} of the dataset {REPOSITORY} at"
        f" {revision}, and put what is in its data/ into {shelf.base}; or give a copy with --from."
    )


def _braced(wanted: list[Wanted], part: int) -> str:
    """List locales (part 0) or splits (part 1) as a shell would: `{de_de,en_us}`."""
    names = list(dict.fromkeys(each.key.split("/")[part] for each in wanted))
    return names[0] if len(names) == 1 else f"{{{','.join(names)}}}"


def _entries(codes: list[str]) -> dict[str, str]:
    """Map canonical codes to locales, in the order given."""
    entries = LANGUAGES if codes == ["all"] else [language(code) for code in codes]
    return {entry.code: entry.fleurs for entry in entries}


def _there(wanted: Wanted, shelf: Shelf) -> Obtained | None:
    """Find a split on the shelf, and check it if that was not done before."""
    tsv, audio = shelf.tsv(wanted), shelf.audio(wanted)
    known = shelf.whole(wanted)
    if known or not tsv.is_file() or (wanted.audio and audio is None):
        return known
    try:
        count = check_split(wanted, tsv, audio if wanted.audio else None, shelf.skip)
    except DamagedArchiveError as error:
        warnings.warn(Caution(f"{error} That is tried now."), stacklevel=2)
        return None
    return shelf.enter(wanted, count)


def _fetch(wanted: Wanted, store: Store, shelf: Shelf, tell: Callable[[str], None]) -> Obtained:
    """Bring one split, check it, and only then put it into its place."""
    files = store.files(wanted.locale)
    names = _choose(wanted, store)
    size = sum(files[name] for name in names) / 1e6
    tell(f"{wanted.key}: {size:,.1f} MB from {store.name}")
    brought = {name: store.bring(name) for name in names}
    tsv, audio = _unify(wanted, brought, shelf.scratch)
    count = check_split(wanted, tsv, audio, shelf.skip)
    if audio:
        folder = shelf.tsv(wanted).parent / "audio"
        gzipped = names[-1].endswith(".tar.gz")
        suffix, other = (".tar.gz", ".tar") if gzipped else (".tar", ".tar.gz")
        adopt(audio, folder / f"{wanted.split}{suffix}", shelf.scratch)
        (folder / f"{wanted.split}{other}").unlink(missing_ok=True)  # damaged, or not here
    adopt(tsv, shelf.tsv(wanted), shelf.scratch)
    shelf.sweep(wanted)
    return shelf.enter(wanted, count)


def _choose(wanted: Wanted, store: Store) -> list[str]:
    """Name the files of a store that hold a split."""
    names = find_parts(store.files(wanted.locale), wanted.locale, wanted.split).chosen(wanted.audio)
    if not names:
        sound = f" with audio/{wanted.split}.tar.gz" if wanted.audio else ""
        raise UserError(
            f"{store.name} has no {wanted.split} of {wanted.locale}: expected"
            f" data/{wanted.locale}/{wanted.split}.tsv{sound}, or parquet-data/{wanted.key}-*."
        )
    return names


def _unify(wanted: Wanted, brought: dict[str, Path], scratch: Path) -> tuple[Path, Path | None]:
    """Turn what was brought, in any layout, into a TSV and an archive.

    Layouts are told by the names in the store: files that these link to may be called anything.
    """
    (name, first), *rest = brought.items()
    if name.endswith(".tsv") and not rest:
        return first, None
    if name.endswith(".tsv") and rest[0][0].endswith((".tar", ".tar.gz")):
        return first, rest[0][1]
    folder = scratch / wanted.key
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{wanted.split}.tar" if wanted.audio else None
    if name.endswith(".tsv"):
        with tarfile.open(folder / f"{wanted.split}.tar", "w") as packed:
            for path, file in rest:
                add_member(packed, f"{wanted.split}/{PurePosixPath(path).name}", file.read_bytes())
        return first, archive
    tsv = folder / f"{wanted.split}.tsv"
    convert(list(brought.values()), wanted.split, tsv, archive)
    return tsv, archive


def _check_room(missing: list[Wanted], store: Store, shelf: Shelf) -> None:
    """Find before a download of hours that the disk is too small for it."""
    needed = 0
    for each in missing:
        names, files = _choose(each, store), store.files(each.locale)
        needed += sum(files[name] for name in names)
    arrived = sum(p.stat().st_size for p in shelf.scratch.rglob("*") if p.is_file())
    free = shutil.disk_usage(shelf.root).free
    if isinstance(store, Hub) and needed - arrived > free:
        raise UserError(
            f"{shelf.root}: {needed / 1e9:,.1f} GB are to be fetched and {free / 1e9:,.1f} GB are"
            " free; give another --output, or fewer languages or splits."
        )
