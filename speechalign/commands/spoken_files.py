"""Files of speech become files of text: found, worked on past faulty ones, written whole."""

import glob
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from speechalign.commands.evaluation_folder import make_folder
from speechalign.errors import UserError
from speechalign.files import write_text
from speechalign.inference.written_text import FORMATS, Format, rendered
from speechalign.languages import language
from speechalign.plurals import so_many

if TYPE_CHECKING:  # they load torch, for which no --help waits
    from speechalign.inference.answers import Answer, Segment
    from speechalign.inference.asking import Wanted
    from speechalign.inference.manner import Manner
    from speechalign.inference.translator import Translator

STDIN = "-"


class Output(NamedTuple):
    """Where texts go, and in which form."""

    format: Format | Literal["all"]
    folder: Path | None  # None: the terminal
    width: int  # of a line of subtitles
    resume: bool

    @property
    def endings(self) -> tuple[Format, ...]:
        """Of the files that are written of each recording."""
        return FORMATS if self.format == "all" else (self.format,)

    def files(self, name: str) -> list[Path]:
        """Name what is written of a recording."""
        folder = self.folder or Path()
        return [folder / f"{stem_of(name)}.{ending}" for ending in self.endings]


class Job(NamedTuple):
    """What is wanted of all files."""

    wanted: "Wanted"
    to: str | None  # language of a translation; None: the model's own
    from_: str
    manner: "Manner"
    output: Output


def stem_of(name: str) -> str:
    """Call an output by its recording."""
    return "stdin" if name == STDIN else Path(name).stem


def found(names: Sequence[str]) -> list[str]:
    """Resolve patterns as `*.wav`, for shells that do not.

    Raises:
        UserError: If a file is not there, is a folder, or a pattern fits none.
    """
    files: list[str] = []
    for name in names:
        if name == STDIN or Path(name).is_file():
            files.append(name)
        elif Path(name).is_dir():
            raise UserError(f"{name!r} is a folder: give the audio files in it, as '{name}/*.wav'.")
        elif glob.has_magic(name):
            fitting = glob.glob(name, recursive=True)  # noqa: PTH207 (patterns may be absolute)
            fitting = sorted(one for one in fitting if Path(one).is_file())
            if not fitting:
                raise UserError(f"No file fits {name!r}: check the path.")
            files += fitting
        else:
            raise UserError(f"{name!r} does not exist: check the path of the audio file.")
    return list(dict.fromkeys(files))


def check_output(files: Sequence[str], output: Output) -> None:
    """See that each text has a place of its own.

    Raises:
        UserError: If two would be written to one, or the terminal is asked for what it cannot show.
    """
    if output.width < 10:
        raise UserError(f"--max-line-width is {output.width}: give 10 or more.")
    if output.folder is None:
        if output.resume:
            raise UserError("--resume looks for what was written: say where by --output-dir.")
        if output.format == "all" or (output.format != "txt" and len(files) > 1):
            raise UserError(f"--output-format {output.format} makes files: say where by"
                            " --output-dir.")  # fmt: skip
        return
    by_stem: dict[str, str] = {}
    for file in files:
        other = by_stem.setdefault(stem_of(file), file)
        if other != file:
            raise UserError(
                f"{other} and {file} would both become {stem_of(file)}.*: give them to two runs,"
                " each with an --output-dir of its own."
            )


def work(files: Sequence[str], job: Job, load: Callable[[], "Translator"]) -> None:
    """Understand all files, and write what was understood of each as soon as it is.

    Raises:
        UserError: At the end, if there were faulty ones; names them.
    """
    waiting = [
        file
        for file in files
        if not (job.output.resume and all(one.exists() for one in job.output.files(file)))
    ]
    if len(waiting) < len(files):
        print(f"{len(files) - len(waiting)} of {len(files)} files are done.", file=sys.stderr)
    if not waiting:
        return
    if job.output.folder is not None:
        make_folder(job.output.folder)
    translator = load()
    target = job.to or translator.target
    faults = []
    with ExitStack() as stack:
        places = [stack.enter_context(on_disk(file)) for file in waiting]
        told = translator.tell(places, job.wanted, target, job.from_, job.manner)
        for number, answer in answers(told, job, target, places):
            name = waiting[number]
            try:
                if isinstance(answer, UserError):
                    raise answer
                put(name, answer, job, target, alone=len(files) == 1)
                tell_language(name, answer)
            except UserError as error:
                faults.append(name)
                told = str(error).replace(repr(places[number]), repr(name))
                print(f"speechalign: {told}", file=sys.stderr)
    if job.output.folder is not None:
        count = len(waiting) - len(faults)
        print(f"Written to {job.output.folder}: the text of {count} of {len(files)} recordings.")
    if faults:
        raise UserError(
            f"{len(faults)} of {len(files)} files could not be understood or written: "
            f"{', '.join(faults)}."
        )


@contextmanager
def on_disk(name: str) -> Iterator[str]:
    """Give the place of a file; what comes from stdin is put on the disk, where it has room."""
    if name != STDIN:
        yield name
        return
    with tempfile.NamedTemporaryFile(prefix="speechalign-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield file.name


def answers(
    told: Iterator[Any], job: Job, target: str, places: Sequence[str]
) -> "Iterator[tuple[int, Answer | UserError]]":
    """Put segments together, recording by recording, and show how far it is."""
    from speechalign.commands.progress import Progress
    from speechalign.inference.answers import put_together
    from speechalign.inference.long_audio import joint_of

    segments = []
    with Progress(places) as progress:
        for one in told:
            if one.segment is not None:
                segments.append(one.segment)
                progress.reached(one.recording, one.segment.end)
                continue
            progress.reached(one.recording, one.duration)
            joint = joint_of(segments, job.wanted, language(target).joint)
            whole = put_together(tuple(segments), one.duration, joint)
            yield one.recording, whole if one.error is None else with_lost(one.error, segments)
            segments = []


def with_lost(fault: UserError, segments: "Sequence[Segment]") -> UserError:
    """Say how much was understood before a fault, and is not written."""
    if not segments:
        return fault
    heard = f"{so_many(len(segments), 'segment')} until {segments[-1].end:.1f} s"
    return UserError(f"{fault} What was understood before, {heard}, is not written.")


def put(name: str, answer: "Answer", job: Job, target: str, alone: bool) -> None:
    """Write what was understood of one recording, or print it.

    Raises:
        UserError: If it cannot be written.
    """
    shown_in = language(target).code if job.wanted == "translation" else None
    texts = {ending: rendered(answer, ending, shown_in, job.output.width)
             for ending in job.output.endings}  # fmt: skip
    if job.output.folder is None:
        (text,) = texts.values()
        print(text if alone else f"{name}: {text}", end="" if job.output.format != "txt" else "\n")
    else:
        for file, text in zip(job.output.files(name), texts.values(), strict=True):
            try:
                write_text(file, text if text.endswith("\n") or not text else f"{text}\n")
            except OSError as error:
                raise UserError(
                    f"{file} cannot be written ({error.strerror}): make room for it, and run the"
                    " same with --resume."
                ) from error


def tell_language(name: str, answer: "Answer") -> None:
    """Say what a recording was taken for, where nobody said it."""
    if answer.no_speech:
        print(f"{name}: nobody speaks in it", file=sys.stderr)
    elif answer.certainty is not None:
        spoken = language(answer.language).name
        print(
            f"{name}: taken for {spoken} ({percent(answer.certainty)} sure); "
            "say --from if that is wrong",
            file=sys.stderr,
        )


def percent(share: float) -> str:
    """Write a probability; one that is rounded up to certainty is said to be near it."""
    return "over 99 %" if share > 0.99 else f"{100 * share:.0f} %"
