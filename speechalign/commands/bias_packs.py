"""Show and merge packs of language biases."""

from pathlib import Path

from speechalign.languages import language
from speechalign.models.bias_pack import load_pack, save_pack


def list_packs(files: list[str]) -> None:
    """Show what is in bias packs.

    Args:
        files: The packs.
    """
    for file in files:
        pack = load_pack(Path(file))
        print(
            f"{file}: encoder {pack.encoder[:12]}, {pack.pooling} frames, width {len(pack.scatter)}"
        )
        for code, told in pack.centroids.items():
            name, norm = language(code).name, float(told.mean.norm())
            print(f"  {code}  {name:<22}{told.utterances:>7} utterances, |b| {norm:.3f}")


def merge(files: list[str], output: str) -> None:
    """Put bias packs together; a language of several becomes that of all its utterances.

    Args:
        files: The packs, of one encoder.
        output: Folder of the new pack.
    """
    pack, *others = (load_pack(Path(file)) for file in files)
    for other in others:
        pack = pack.merge(other)
    save_pack(pack, Path(output))
    print(f"Written: {output}, {len(pack.centroids)} languages.")
