"""Where copies of FLEURS keep one split: the layouts that exist, told by the names of files.

    data/<locale>/<split>.tsv                               the release, also without data/
    data/<locale>/audio/<split>.tar.gz (.tar)               the recordings, also beside the TSV
    data/<locale>/audio/<split>/<file>                      or unpacked
    parquet-data/<locale>/<split>-00000-of-00002.parquet    both in parquet
    <locale>/fleurs-<split>-00000-of-00002.parquet          as converted by the Hub
    <locale>/<split>/0000.parquet                           as converted by it later

In parquet the split `dev` may be called `validation`.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from speechalign.errors import UserError

SPLITS = ("train", "dev", "test")
PREFIXES = ("data/", "parquet-data/", "")


class Parts(NamedTuple):
    """The files that hold one split, by their paths in the copy."""

    tsv: str | None
    archive: str | None
    loose: list[str]  # recordings, one a file
    shards: list[str]  # parquet, in order

    def chosen(self, audio: bool) -> list[str]:
        """Name the files to fetch: the release's own if they are there, else parquet."""
        if self.tsv and not audio:
            return [self.tsv]
        if self.tsv and self.archive:
            return [self.tsv, self.archive]
        return [self.tsv, *self.loose] if self.tsv and self.loose else self.shards


def find_parts(paths: Iterable[str], locale: str, split: str) -> Parts:
    """Find one split among the files of a copy.

    Raises:
        UserError: If some shards of a parquet file are missing.
    """
    paths = sorted(paths)
    tsv = _matching(paths, locale, rf"{split}\.tsv")
    archive = _matching(paths, locale, rf"(audio/)?{split}\.tar(\.gz)?")
    loose = _matching(paths, locale, rf"audio/{split}/[^/]+")
    name = pattern_of(split)
    shards = _matching(paths, locale, rf"((fleurs-)?{name}-\d+-of-\d+|{name}/\d+)\.parquet")
    _check_shards(shards)
    return Parts(next(iter(tsv), None), next(iter(archive), None), loose, shards)


def pattern_of(split: str) -> str:
    """Match the names of a split."""
    return "(dev|validation)" if split == "dev" else split


def _matching(paths: list[str], locale: str, pattern: str) -> list[str]:
    """List the paths that match below the first of PREFIXES that has any."""
    for prefix in PREFIXES:
        known = re.compile(re.escape(f"{prefix}{locale}/") + pattern)
        found = [path for path in paths if known.fullmatch(path)]
        if found:
            return found
    return []


def _check_shards(shards: list[str]) -> None:
    """Hold the shards against the number of them in their names."""
    told = re.search(r"-of-(\d+)\.parquet$", shards[0]) if shards else None
    if told and len(shards) != int(told[1]):
        raise UserError(
            f"{shards[0]}: {len(shards)} of its {int(told[1])} shards are there; fetch the others."
        )
