"""What the frozen encoder does before training: keep frames, estimate languages' centroids."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from typing_extensions import override

from speechalign.assets import resolve
from speechalign.audio.features import FRAME
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.batch import pad_waveforms
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.examples import read_audio
from speechalign.data.frames import FrameCache, FrameForm, check_space, chunks
from speechalign.data.records import Utterance
from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.bias import LanguageBias
from speechalign.models.bias_pack import load_pack
from speechalign.models.encoder import Frames, WhisperEncoder, frame_counts
from speechalign.models.moments import join
from speechalign.models.speech_llm import SpeechLLM
from speechalign.training.callbacks import data_of
from speechalign.training.processes import gather


def keep_frames(trainer: Trainer, model: SpeechLLM, device: torch.device) -> None:
    """Before a training that hears its recordings twice or more, encode them and keep the frames.

    The frozen encoder would say the same each time. (Not of recordings that are augmented: then
    only the frames of dev and of the bias are kept.) Each process encodes its share of what is not
    kept yet; what was kept by an earlier run of the same encoder on the same files is used again.
    """
    data = data_of(trainer)
    if data.cache is None:
        return
    train = [] if data.augment else data.train_items()
    if data.augment:
        rank_zero_info("Recordings of training are encoded anew each epoch: they are augmented.")
    if train and hears_once(trainer, data.batch_size, len(train)):
        return
    dev = [item for items, _ in data.exams("dev") for item in items]
    heard = [item[0].utterance for item in (*train, *dev)]
    for code in languages_with_centroid(model.bias, data):
        heard += data.estimation_utterances(code)
    cache = FrameCache(cache_folder(data.cache, data.form, model.encoder))
    parts = chunks(heard)
    try:
        new = [cache.missing(part) for part in parts[trainer.global_rank :: trainer.world_size]]
        announce(cache.folder, sum(gather(frame_bytes(new, data.form, model.encoder))))
        for part in filter(None, new):
            batches = encode(model.encoder, part, data.eval_batch_size, device)
            cache.write(part, *stored(batches, data.form))
    except OSError as error:
        rank_zero_warn(f"Frames are not kept but computed again and again: {error}")
    trainer.strategy.barrier("frames are kept")
    cache.refresh()
    rank_zero_info(f"Frames of {sum(map(len, parts))} recordings in {cache.folder}")
    data.frames = cache


def hears_once(trainer: Trainer, batch_size: int, recordings: int) -> bool:
    """Whether a training ends before most of its recordings are heard again.

    Args:
        trainer: Knows when it ends.
        batch_size: Recordings per process and batch.
        recordings: How many there are.
    """
    batches = trainer.max_steps * trainer.accumulate_grad_batches * trainer.world_size
    return trainer.max_epochs == 1 or 0 < batches * batch_size < 2 * recordings


def cache_folder(cache: Path, form: FrameForm, encoder: WhisperEncoder) -> Path:
    """Name the folder of frames of one encoder in one form.

    Raises:
        UserError: If padding is to be kept which is another in each batch.
    """
    if form.frames == "all" and not encoder.pads_to_window:
        raise UserError(
            "cache_frames: all keeps the frames of the encoder's whole window, but attend: speech"
            " gives it the speech alone: say cache_frames: valid, or attend: window."
        )
    dtype = form.dtype or encoder.dtype_name
    return cache / encoder.fingerprint()[:32] / f"{form.frames}-{dtype}"


def frame_bytes(
    parts: Iterable[Iterable[Utterance]], form: FrameForm, encoder: WhisperEncoder
) -> int:
    """Estimate the size of the frames of recordings."""
    frame = encoder.width * getattr(torch, form.dtype or encoder.dtype_name).itemsize
    if form.frames == "all":
        return sum(encoder.window_samples // FRAME for part in parts for _ in part) * frame
    samples = [round(u.duration * SAMPLE_RATE) for part in parts for u in part]
    return int(frame_counts(torch.tensor(samples, dtype=torch.long)).sum()) * frame


def announce(folder: Path, size: int) -> None:
    """Tell what will be written, and see that it fits."""
    if size:
        rank_zero_info(f"Frames to keep: {size / 1e6:.0f} MB, in {folder}")
        check_space(folder, size)


def stored(batches: Iterable[Frames], form: FrameForm) -> tuple[list[Tensor], list[int]]:
    """Bring frames into the form that is kept: (those of each utterance, number that are valid)."""
    dtype = getattr(torch, form.dtype) if form.dtype else None
    hidden, valid = [], []
    for frames in batches:
        for row, length in zip(frames.hidden, frames.lengths.tolist(), strict=True):
            hidden.append(row[: None if form.frames == "all" else length].to("cpu", dtype))
            valid.append(length)
    return hidden, valid


class EstimateBias(Callback):
    """Before the first step, set the centroid of every language that has none yet.

    Those of a pack are taken from there, if the model knows no language from an earlier run.
    Trained languages give their training audio; zero-shot languages give audio without text, and
    only where the bias is to use it (`unknown: unlabelled`). What an earlier run trained on counts
    as trained in this one only if its data have it too.
    """

    def __init__(self, model: SpeechLLM) -> None:
        self.model = model

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Run the frozen encoder once over the audio, each process over its share."""
        bias, data = self.model.bias, data_of(trainer)
        if bias is None:
            return
        if bias.pack is not None and not bias.utterances.any():
            taken = load_pack(Path(resolve(bias.pack))).apply(bias, self.model.encoder)
            rank_zero_info(f"Bias of {', '.join(taken)} taken from {bias.pack}.")
        for code in languages_with_centroid(bias, data):
            if not bias.utterances[language(code).row]:
                own = data.estimation_utterances(code)[trainer.global_rank :: trainer.world_size]
                batch, device = data.eval_batch_size, pl_module.device
                padded = bias.pooling == "all"
                heard = hear(self.model.encoder, own, batch, device, data.frames, padded)
                self.estimate(bias, code, heard)
        bias.trained.zero_()
        bias.trained[[language(code).row for code in data.languages]] = True
        bias.trained &= bias.utterances > 0

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse to score a model whose bias nobody estimated.

        Raises:
            UserError: If there is a bias and no language is known.
        """
        bias = self.model.bias
        if bias is not None and not bias.utterances.any():
            raise UserError(
                "This model has no language centroids yet, or they are of another encoder: train "
                "it, or name the encoder and the pooling that it was trained with."
            )

    on_predict_start = on_test_start

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse as for a test, except in the course of training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self.on_test_start(trainer, pl_module)

    def estimate(self, bias: LanguageBias, code: str, batches: Iterable[Frames]) -> None:
        """Set one centroid from all processes' shares."""
        moments = join(gather(bias.moments(batches)), self.model.encoder.width)
        if not moments.number:
            rank_zero_info(f"No audio of {code} to estimate its bias from: as if it were unknown.")
            return
        bias.learn(code, moments, trained=False)
        rank_zero_info(f"Bias of {code} estimated from {moments.number} recordings.")


def languages_with_centroid(bias: LanguageBias | None, data: SpeechDataModule) -> list[str]:
    """List the languages whose centroids a run needs."""
    if bias is None:
        return []
    return data.languages + (data.zero_shot if bias.unknown == "unlabelled" else [])


def hear(
    encoder: WhisperEncoder,
    utterances: Sequence[Utterance],
    batch_size: int,
    device: torch.device,
    cache: FrameCache | None = None,
    padded: bool = False,
) -> Iterator[Frames]:
    """Give the frames of recordings, kept ones where there are such, without any compensation.

    Args:
        encoder: Gives the others.
        utterances: The recordings.
        batch_size: How many are encoded at a time.
        device: Where.
        cache: Has kept ones.
        padded: Whether frames of padding are needed too.
    """
    usable = cache is not None and (not padded or cache.padded)
    lacking = []
    for utterance in utterances:
        kept = cache.get(utterance) if cache and usable else None
        if kept is None:
            lacking.append(utterance)
            continue
        hidden, valid = kept
        one = hidden if padded else hidden[:valid]
        yield Frames(one[None].to(device), torch.tensor([valid], device=device))
    lacking.sort(key=lambda utterance: utterance.duration)
    yield from encode(encoder, lacking, batch_size, device)


def encode(
    encoder: WhisperEncoder,
    utterances: Sequence[Utterance],
    batch_size: int,
    device: torch.device,
) -> Iterator[Frames]:
    """Encode recordings batch by batch, without any compensation."""
    for start in range(0, len(utterances), batch_size):
        heard = [read_audio(utterance) for utterance in utterances[start : start + batch_size]]
        waveform, samples = pad_waveforms(heard, encoder.window_samples, encoder.pads_to_window)
        yield encoder(waveform.to(device), samples.to(device))
