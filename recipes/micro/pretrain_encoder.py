r"""Pretrain the micro encoder (Whisper architecture) as Whisper was: transcribe and translate.

First the encoder learns to spell (CTC), which teaches it to listen; then, spelling on,
encoder and decoder learn to write every recording down in its own language and in English. An
encoder that has learnt that goes on with `--start`: it only writes, which puts meaning into frames
that spelling had filled with sounds.

    python -m recipes.micro.corpus --pretrain all
    python -m recipes.micro.pretrain_encoder --speech all --llm speechalign/assets/micro/llm \
        --output hearing
    python -m recipes.micro.corpus --pretrain simple --pretrain-count 2500 --pretrain-style simple
    python -m recipes.micro.pretrain_encoder --speech simple --llm speechalign/assets/micro/llm \
        --start hearing --rate 1e-3 --steps 4500 --output speechalign/assets/micro/encoder

For experiments, an encoder that only spells: `--spelling-alone 1`.

Written: a folder for `WhisperModel` in float16 with the settings of `WhisperFeatureExtractor`. It
holds the encoder alone (`decoder_layers` 0, 2.4 MB), because nothing else is used later and the
decoder would add 1.7 MB; the whole is in the checkpoint beside it, in `<output>.work`, with the log
and the scores of the decoder on unseen sentences by unseen voices (`evaluation.json`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import sacrebleu
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, ctc_loss
from torchaudio.functional import edit_distance
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerBase,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from recipes.micro.augment import vary
from recipes.micro.lessons import Lesson, Lessons
from recipes.micro.listener import WINDOW, Listener, Shape, whisper_config
from recipes.micro.loop import Plan, fit, save_half, write_json
from recipes.micro.recordings import Spoken, read_recordings, speak_unseen
from speechalign.data.prompts import Task
from speechalign.models.encoder import Frames


class Course(NamedTuple):
    """What an encoder learns."""

    start: Path | None = None  # folder of an encoder to go on from; it no longer spells
    spelling_alone: float = 0.25  # share of a new one's steps that teach to spell, nothing else

    @property
    def writes(self) -> bool:
        """Whether it learns to write too."""
        return self.start is not None or self.spelling_alone < 1


DEFAULT = Shape()
USUAL = Course()


def hear_varied(model: Listener, lesson: Lesson) -> Frames:
    """Encode another take of the recordings."""
    return model.hear(*vary(lesson.features, lesson.lengths))


def spelling_loss(model: Listener, lesson: Lesson, frames: Frames) -> Tensor:
    """CTC: the letters of each recording, in whichever frames."""
    spelt = model.spell(frames.hidden).float().log_softmax(-1).transpose(0, 1)
    lengths = (lesson.letters > 0).sum(1)
    return ctc_loss(spelt, lesson.letters, frames.lengths, lengths, zero_infinity=True)


def writing_loss(model: Listener, lesson: Lesson, frames: Frames) -> Tensor:
    """Cross-entropy of transcripts plus that of translations."""
    said = [model.say(frames, tokens).float() for tokens in lesson.tokens]
    pairs = zip(said, lesson.labels, strict=True)
    return torch.stack([cross_entropy(p.flatten(0, 1), to.flatten()) for p, to in pairs]).sum()


@torch.inference_mode()
def evaluate(model: Listener, lessons: Lessons) -> dict[str, float]:
    """Score transcripts (CER in %) and translations (BLEU) by language."""
    scores = {}
    for language in sorted({spoken.language for spoken in lessons.recordings}):
        rows = [i for i, one in enumerate(lessons.recordings) if one.language == language]
        spoken = [lessons.recordings[row] for row in rows]
        lesson = lessons.make(rows)
        frames = model.hear(lesson.features, lesson.lengths)
        written = write(model, frames, lessons, "asr", language)
        scores[f"asr_cer/{language}"] = error_rate(written, [one.text for one in spoken])
        if language != "eng":
            translated = write(model, frames, lessons, "st", language)
            bleu = sacrebleu.corpus_bleu(translated, [[one.translation for one in spoken]]).score
            scores[f"st_bleu/{language}"] = round(bleu, 2)
    return scores


@torch.inference_mode()
def evaluate_spelling(model: Listener, lessons: Lessons) -> dict[str, float]:
    """Score the letters of an encoder that only spells: the likeliest of each frame (CER in %)."""
    scores = {}
    for language in sorted({spoken.language for spoken in lessons.recordings}):
        rows = [i for i, one in enumerate(lessons.recordings) if one.language == language]
        lesson = lessons.make(rows)
        frames = model.hear(lesson.features, lesson.lengths)
        likeliest = model.spell(frames.hidden).argmax(-1)
        spelt = [
            "".join(
                lessons.alphabet[letter - 1]
                for letter in row[:length].unique_consecutive()
                if letter
            )
            for row, length in zip(likeliest, frames.lengths, strict=True)
        ]
        said = [lessons.recordings[row].spelling for row in rows]
        scores[f"spelling_cer/{language}"] = error_rate(spelt, said)
    return scores


def write(
    model: Listener, frames: Frames, lessons: Lessons, task: Task, language: str
) -> list[str]:
    """Let the decoder do a task for utterances of one language."""
    prompt = torch.tensor([lessons.prompt(task, language)] * len(frames.hidden))
    tokens = model.continue_greedily(frames, prompt, lessons.end)
    return lessons.tokenizer.batch_decode(tokens, skip_special_tokens=True)


def error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Levenshtein distance per character of the references, in %."""
    edits = sum(map(edit_distance, hypotheses, references))
    return round(100 * edits / sum(map(len, references)), 2)


def export(model: Listener, output: Path) -> None:
    """Write the encoder, rounded to float16, as a Whisper that has no decoder blocks."""
    settings = {
        "decoder_layers": 0,
        "decoder_attention_heads": 1,
        "decoder_ffn_dim": 1,
        "vocab_size": 1,
        "max_target_positions": 1,
        "begin_suppress_tokens": None,
    }
    config = WhisperConfig(**{**model.whisper.config.to_dict(), **settings})
    alone = WhisperModel(config)
    alone.encoder.load_state_dict(model.whisper.encoder.state_dict())
    save_half(alone, output)
    WhisperFeatureExtractor(chunk_length=WINDOW // 50).save_pretrained(output)


def pretrain(
    recordings: Sequence[Spoken],
    unseen: Sequence[Spoken],
    tokenizer: PreTrainedTokenizerBase,
    output: Path,
    work: Path,
    plan: Plan,
    shape: Shape = DEFAULT,
    course: Course = USUAL,
) -> dict[str, float]:
    """Train, write the folder and score the model on `unseen` recordings.

    Args:
        recordings: Speech to train on.
        unseen: Speech to score.
        tokenizer: Of the LLM.
        output: Folder for the encoder.
        work: Folder for checkpoint, log and scores.
        plan: How long and how fast to train.
        shape: Size of a new encoder.
        course: What is learnt.
    """
    alphabet = "".join(sorted({letter for spoken in recordings for letter in spoken.spelling}))
    torch.manual_seed(plan.seed)
    model = Listener(whisper_config(shape, len(tokenizer)), len(alphabet))
    if course.start is not None:
        earlier = WhisperModel.from_pretrained(course.start).encoder
        model.whisper.encoder.load_state_dict(earlier.state_dict())
    lessons = Lessons(recordings, tokenizer, alphabet, plan.seed)

    def loss(step: int) -> Tensor:
        lesson = lessons(step)
        frames = hear_varied(model, lesson)
        if course.start is not None:
            return writing_loss(model, lesson, frames)
        spelling = spelling_loss(model, lesson, frames)
        if step < course.spelling_alone * plan.steps:
            return spelling
        return spelling + writing_loss(model, lesson, frames)

    fit(model, loss, plan, work)
    export(model, output)
    score = evaluate if course.writes else evaluate_spelling
    scores = score(model, Lessons(unseen, tokenizer, alphabet, plan.seed))
    write_json(work / "evaluation.json", scores)
    return scores


def main() -> None:
    """Pretrain the micro encoder on speech that `corpus.py --pretrain` made."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="what `--pretrain` wrote")
    parser.add_argument("--llm", type=Path, required=True, help="folder with the tokenizer")
    parser.add_argument("--output", type=Path, required=True, help="folder of the encoder")
    parser.add_argument("--work", type=Path, help="folder of the checkpoint [<output>.work]")
    parser.add_argument("--start", type=Path, help="encoder to go on from, without spelling")
    parser.add_argument(
        "--spelling-alone",
        type=float,
        default=USUAL.spelling_alone,
        help="share of the steps that teach to spell alone; 1: an encoder that only spells",
    )
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=9600)
    parser.add_argument("--unseen", type=int, default=50, help="sentences to score")
    parser.add_argument("--float32", action="store_true", help="for a CPU without AMX")
    given = parser.parse_args()
    if not 0 <= given.spelling_alone <= 1:
        parser.error("give --spelling-alone from 0 to 1")
    if given.start and given.spelling_alone != USUAL.spelling_alone:
        parser.error("--start goes on without spelling: leave --spelling-alone out")
    scores = pretrain(
        read_recordings(given.speech),
        speak_unseen(given.unseen, given.seed),
        AutoTokenizer.from_pretrained(given.llm),
        given.output,
        given.work or given.output.with_name(given.output.name + ".work"),
        Plan(given.steps, rate=given.rate, seed=given.seed, bfloat16=not given.float32),
        course=Course(given.start, given.spelling_alone),
    )
    print(scores)


if __name__ == "__main__":
    main()
