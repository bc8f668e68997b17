"""`speechalign estimate-bias`: estimate language biases into packs, list packs, merge them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from speechalign.assets import PACKAGED
from speechalign.commands.parsing import run
from speechalign.errors import UserError
from speechalign.languages import language

SPEECH = (
    "CODE=FOLDER with audio of one language, a FLEURS folder, or a manifest (.jsonl); or the word"
    " list or merge, each with its own --help."
)


def main(verb: str, arguments: list[str]) -> None:
    """Run the command line; `list` and `merge` are verbs of their own."""
    others: dict[str, Callable[..., None]] = {"list": list_packs, "merge": merge}
    if arguments and arguments[0] in others:
        name, *rest = arguments
        run(others[name], f"{verb} {name}", rest, files="Bias packs, side by side.")
        return
    run(estimate, verb, arguments, files=SPEECH)


def estimate(
    files: list[str],
    output: str,
    checkpoint: str = PACKAGED,
    encoder: str | None = None,
    attend: Literal["window", "speech"] = "window",
    pooling: Literal["valid", "all"] | None = None,
    languages: str = "",
    split: str = "train",
    limit: int | None = None,
    processes: int = 1,
    batch_size: int = 16,
    device: str = "cpu",
    cache: bool | str = False,
    on_error: Literal["stop", "skip"] = "stop",
    seed: int = 0,
) -> None:
    """Estimate the bias of languages from unlabelled speech, and write it as a pack.

    Languages that OUTPUT has from the same recordings are not heard again, so a call that was
    stopped goes on where it was. Calls for other languages may fill it at the same time. Audio
    that is given twice counts once.

    Args:
        files: Where the speech is.
        output: Folder of the pack.
        checkpoint: Model whose encoder and pooling are used.
        encoder: An encoder instead: a folder or an id on the Hugging Face Hub.
        attend: With `encoder`, whether it hears the whole window or the speech alone.
        pooling: Mean over `valid` frames or `all`; by default as the checkpoint's.
        languages: Of a FLEURS folder or manifest, by any code, parted by commas; by default all
            that have audio.
        split: Of a FLEURS folder.
        limit: Recordings a language, drawn at random; by default all.
        processes: How many work side by side on this machine.
        batch_size: Recordings that are encoded together.
        device: `cpu`, `cuda`, …; `auto` is a GPU where there is one.
        cache: Folder of frames that a training kept, or whether to look in the usual one.
        on_error: At a malformed line, or a recording that is missing or cannot be read, `stop`, or
            `skip` it and say so.
        seed: Of the draw.
    """
    from speechalign.commands import bias_estimation as work  # loads torch, no --help waits for it
    from speechalign.commands.unlabelled import drawn, gather_speech
    from speechalign.data.frames import frames_folder
    from speechalign.models.device import on_device

    for name, number in (("limit", limit), ("processes", processes), ("batch_size", batch_size)):
        if number is not None and number < 1:
            raise UserError(f"{name} is {number}; expected 1 or more.")
    pooled, whisper = work.heard_with(checkpoint, encoder, attend, pooling)
    place = next(on_device(whisper, device).parameters()).device
    skip = on_error == "skip"
    speech = gather_speech(files, languages, split, whisper.window_samples, skip)
    folder = frames_folder(cache)
    kept = folder and work.kept_where(folder, whisper, pooled)
    tools = work.Estimator(whisper.settings(), pooled, batch_size, place, kept)
    pack = work.fill(Path(output), drawn(speech, limit, seed, skip), tools, processes, whisper)
    print(f"Written: {output}, {len(pack.centroids)} languages.")


def list_packs(files: list[str]) -> None:
    """Show what is in bias packs.

    Args:
        files: The packs.
    """
    from speechalign.models.bias_pack import load_pack  # loads torch, as above

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
    from speechalign.commands.bias_output import write  # loads torch, as above
    from speechalign.models.bias_pack import load_pack

    pack, *others = (load_pack(Path(file)) for file in files)
    for other in others:
        pack = pack.merge(other)
    write(pack, Path(output))
    print(f"Written: {output}, {len(pack.centroids)} languages.")
