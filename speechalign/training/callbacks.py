"""Callbacks that every run has: centroids before training, predictions and scores after testing."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from typing_extensions import override

from speechalign.assets import resolve
from speechalign.data.archive import ArchiveMember
from speechalign.data.batch import SpeechBatch
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.frames import FrameCache
from speechalign.data.records import Example, Utterance
from speechalign.errors import UserError
from speechalign.evaluation.bleu import Score, mean_score
from speechalign.evaluation.predictions import (
    Prediction,
    score_predictions,
    software,
    write_predictions,
)
from speechalign.files import write_text
from speechalign.languages import language
from speechalign.models.bias import LanguageBias
from speechalign.models.decode import Decoding
from speechalign.models.encoder import Frames, WhisperEncoder
from speechalign.models.speech_llm import SpeechLLM
from speechalign.training.processes import gather


class KeepFrames(Callback):
    """Before a training that hears its recordings twice or more, encode them and keep the frames.

    The frozen encoder would say the same each time. Each process encodes its share of what is not
    kept yet; what was kept by an earlier run of the same encoder on the same files is used again.
    """

    def __init__(self, model: SpeechLLM) -> None:
        self.model = model

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fill the cache of the data, and let its loaders read from it."""
        data, encoder = data_of(trainer), self.model.encoder
        if data.cache is None:
            return
        train = [item[0].utterance for item in data.train_items()]
        batches = trainer.max_steps * trainer.accumulate_grad_batches * trainer.world_size
        if 0 < batches * data.batch_size < 2 * len(train):
            return  # most would be heard once
        dev = [
            item[0].utterance for item in data.exam_items(data.languages + data.zero_shot, "dev")[0]
        ]
        cache = FrameCache(Path(resolve(data.cache)) / encoder.fingerprint()[:32])
        chunks = [*cache.chunks(train), *cache.chunks(dev)]
        new = [chunk for chunk in chunks if not chunk.file.exists()]
        for chunk in new[trainer.global_rank :: trainer.world_size]:
            cache.write(chunk, self.encoded(data, chunk.utterances, pl_module.device))
        trainer.strategy.barrier("frames are kept")
        rank_zero_info(
            f"Frames of {sum(len(c.utterances) for c in chunks)} recordings in {cache.folder}"
        )
        data.frames = cache

    def encoded(
        self, data: SpeechDataModule, utterances: Sequence[Utterance], device: torch.device
    ) -> list[Tensor]:
        """Frames of each utterance, without padding."""
        heard = encode(self.model.encoder, data.heard(utterances), device)
        return [
            hidden[:length].cpu()
            for frames in heard
            for hidden, length in zip(frames.hidden, frames.lengths, strict=True)
        ]


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
        unlabelled = data.zero_shot if bias.unknown == "unlabelled" else []
        for code in [*data.languages, *unlabelled]:
            if not bias.utterances[language(code).row]:
                own = data.bias_batches(code, trainer.global_rank, trainer.world_size)
                heard = encode(self.model.encoder, own, pl_module.device)
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

    def estimate(self, bias: LanguageBias, code: str, batches: Iterator[Frames]) -> None:
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


def encode(
    encoder: WhisperEncoder, batches: Iterator[tuple[Tensor, Tensor]], device: torch.device
) -> Iterator[Frames]:
    """Encode batches of (waveform, samples) without any compensation."""
    for waveform, samples in batches:
        yield encoder(waveform.to(device), samples.to(device))


def data_of(trainer: Trainer) -> SpeechDataModule:
    """The data of a run.

    Raises:
        UserError: If the trainer was given something else.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, SpeechDataModule):
        raise UserError("Give the trainer a SpeechDataModule: trainer.fit(model, datamodule=…).")
    return data


class Scores(Callback):
    """Write `predictions.jsonl` after `test` and `predict`, and `metrics.json` after `test`.

    Every example of the split is in them once, whatever the number of processes; recordings longer
    than the encoder's window count as empty answers.
    """

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self.rows: list[Prediction] = []

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier round."""
        self.rows = []

    on_predict_start = on_test_start

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: SpeechBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the answers to one batch."""
        data = data_of(trainer)
        pairs = zip(batch.examples, outputs["answers"], strict=True)
        self.rows += [prediction(data, example, answer) for example, answer in pairs]

    on_predict_batch_end = on_test_batch_end

    @override
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score all answers of all processes, on the first."""
        rows, folder = self.collect(trainer)
        if not trainer.is_global_zero:
            return
        data = data_of(trainer)
        pairs = score_predictions(rows)
        report = {
            "pairs": pairs,
            "trained": average(pairs, data.languages),
            "zero_shot": average(pairs, data.zero_shot),
            "languages": {"trained": data.languages, "zero_shot": data.zero_shot},
            "decoding": asdict(self.decoding),
            "versions": software(),
        }
        write_text(folder / "metrics.json", json.dumps(report, indent=2) + "\n")
        pl_module.log_dict(
            {f"test/bleu_{pair}": scores["bleu"] for pair, scores in pairs.items()},
            rank_zero_only=True,
        )

    @override
    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the answers of all processes."""
        self.collect(trainer)

    def collect(self, trainer: Trainer) -> tuple[list[Prediction], Path]:
        """Gather all answers in one order and write them beside the logs: (answers, folder)."""
        data = data_of(trainer)
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # asked of every process
        unheard = [prediction(data, example, "") for example in data.too_long["test"]]
        answered = [row for share in gather(self.rows) for row in share]
        rows = sorted(answered + unheard, key=lambda row: (row.id, row.tgt_lang))
        if trainer.is_global_zero:
            write_predictions(folder / "predictions.jsonl", rows)
        return rows, folder


def prediction(data: SpeechDataModule, example: Example, answer: str) -> Prediction:
    """Turn an answer into the record that is written and scored."""
    utterance = example.utterance
    transcript, said = data.prompts.split(example.task, answer)
    expected_transcript, expected = data.prompts.split(example.task, example.answer)
    return Prediction(
        id=utterance.id,
        sentence_id=utterance.sentence_id,
        src_lang=utterance.language,
        tgt_lang=example.target,
        audio=told_place(utterance.audio),
        duration=utterance.duration,
        prediction=(transcript if example.task == "asr" else said) or "",
        transcript=transcript,
        reference=(expected_transcript if example.task == "asr" else expected) or "",
    )


def told_place(audio: Path | ArchiveMember) -> str:
    """Name a recording's file; one in an archive as `test.tar.gz/test/a.wav`."""
    return f"{audio.source}/{audio.name}" if isinstance(audio, ArchiveMember) else str(audio)


def average(pairs: dict[str, dict[str, Any]], sources: list[str]) -> float | None:
    """Mean BLEU over source languages, None where there are none or their scores differ in kind.

    (Transcripts of Japanese and of German are counted in other tokens.)
    """
    scores = [
        Score(s["bleu"], s["signature"], s["recordings"])
        for pair, s in pairs.items()
        if pair.split("-")[0] in sources
    ]
    alike = len({score.signature for score in scores}) == 1
    return mean_score(scores) if alike else None
