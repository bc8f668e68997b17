"""What the frozen encoder does before training: keep frames, estimate languages' centroids."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from typing_extensions import override

from speechalign.audio.features import FRAME
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.batch import pad_waveforms
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.examples import read_audio
from speechalign.data.frames import FrameCache, check_space, chunks, kept_frames
from speechalign.data.records import Utterance
from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.bias import LanguageBias
from speechalign.models.encoder import Frames, WhisperEncoder, frame_counts
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
    batches = trainer.max_steps * trainer.accumulate_grad_batches * trainer.world_size
    if 0 < batches * data.batch_size < 2 * len(train):
        return  # most would be heard once
    dev = [item for items, _ in data.exams("dev") for item in items]
    heard = [item[0].utterance for item in (*train, *dev)]
    for code in languages_with_centroid(model.bias, data):
        heard += data.estimation_utterances(code)
    cache = FrameCache(cache_folder(data.cache, data, model.encoder))
    parts = chunks(heard)
    try:
        new = [cache.missing(part) for part in parts[trainer.global_rank :: trainer.world_size]]
        announce(cache.folder, sum(gather(frame_bytes(new, data, model.encoder))))
        for part in filter(None, new):
            cache.write(part, *stored(encode(model.encoder, data, part, device), data))
    except OSError as error:
        rank_zero_warn(f"Frames are not kept but computed again and again: {error}")
    trainer.strategy.barrier("frames are kept")
    cache.refresh()
    rank_zero_info(f"Frames of {sum(map(len, parts))} recordings in {cache.folder}")
    data.frames = cache


def cache_folder(cache: Path, data: SpeechDataModule, encoder: WhisperEncoder) -> Path:
    """Name the folder of frames of one encoder in one form.

    Raises:
        UserError: If padding is to be kept which is another in each batch.
    """
    if data.cache_frames == "all" and not encoder.pads_to_window:
        raise UserError(
            "cache_frames: all keeps the frames of the encoder's whole window, but attend: speech"
            " gives it the speech alone: say cache_frames: valid, or attend: window."
        )
    form = f"{data.cache_frames}-{data.cache_dtype or encoder.dtype_name}"
    return cache / encoder.fingerprint()[:32] / form


def frame_bytes(
    parts: Iterable[Iterable[Utterance]], data: SpeechDataModule, encoder: WhisperEncoder
) -> int:
    """Estimate the size of the frames of recordings."""
    frame = encoder.width * getattr(torch, data.cache_dtype or encoder.dtype_name).itemsize
    if data.cache_frames == "all":
        return sum(encoder.window_samples // FRAME for part in parts for _ in part) * frame
    samples = [round(u.duration * SAMPLE_RATE) for part in parts for u in part]
    return int(frame_counts(torch.tensor(samples, dtype=torch.long)).sum()) * frame


def announce(folder: Path, size: int) -> None:
    """Tell what will be written, and see that it fits."""
    if size:
        rank_zero_info(f"Frames to keep: {size / 1e6:.0f} MB, in {folder}")
        check_space(folder, size)


def stored(batches: Iterable[Frames], data: SpeechDataModule) -> tuple[list[Tensor], list[int]]:
    """Bring frames into the form that is kept: (those of each utterance, number that are valid)."""
    dtype = getattr(torch, data.cache_dtype) if data.cache_dtype else None
    hidden, valid = [], []
    for frames in batches:
        for row, length in zip(frames.hidden, frames.lengths.tolist(), strict=True):
            hidden.append(row[: None if data.cache_frames == "all" else length].to("cpu", dtype))
            valid.append(length)
    return hidden, valid


class EstimateBias(Callback):
    """Before the first step, set the centroid of every language that has none yet.

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
        for code in languages_with_centroid(bias, data):
            if not bias.utterances[language(code).row]:
                own = data.estimation_utterances(code)[trainer.global_rank :: trainer.world_size]
                own = sorted(own, key=lambda utterance: utterance.duration)
                self.estimate(bias, code, self.frames(bias, data, own, pl_module.device))
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

    def frames(
        self,
        bias: LanguageBias,
        data: SpeechDataModule,
        utterances: Sequence[Utterance],
        device: torch.device,
    ) -> Iterator[Frames]:
        """Give the frames of recordings: kept ones, if all were kept, with what is pooled."""
        padded = bias.pooling == "all"
        usable = not padded or data.cache_frames == "all"
        kept = kept_frames(data.frames, utterances) if usable else []
        if not kept:
            yield from encode(self.model.encoder, data, utterances, device)
        for hidden, valid in kept:
            one = hidden if padded else hidden[:valid]
            yield Frames(one[None].to(device), torch.tensor([valid], device=device))

    def estimate(self, bias: LanguageBias, code: str, batches: Iterable[Frames]) -> None:
        """Set one centroid from all processes' shares."""
        total, count = bias.total(batches)
        shares = gather((total.cpu(), count))
        everything = torch.stack([share for share, _ in shares]).sum(dim=0)
        utterances = sum(count for _, count in shares)
        if not utterances:
            rank_zero_info(f"No audio of {code} to estimate its bias from: as if it were unknown.")
            return
        bias.set_centroid(code, everything.to(total), utterances, trained=False)
        rank_zero_info(f"Bias of {code} estimated from {utterances} recordings.")


def languages_with_centroid(bias: LanguageBias | None, data: SpeechDataModule) -> list[str]:
    """List the languages whose centroids a run needs."""
    if bias is None:
        return []
    return data.languages + (data.zero_shot if bias.unknown == "unlabelled" else [])


def encode(
    encoder: WhisperEncoder,
    data: SpeechDataModule,
    utterances: Sequence[Utterance],
    device: torch.device,
) -> Iterator[Frames]:
    """Encode recordings batch by batch, without any compensation."""
    size = data.eval_batch_size
    for start in range(0, len(utterances), size):
        heard = [read_audio(utterance) for utterance in utterances[start : start + size]]
        waveform, samples = pad_waveforms(heard, encoder.window_samples, encoder.pads_to_window)
        yield encoder(waveform.to(device), samples.to(device))
