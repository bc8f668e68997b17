"""What a test leaves behind: predictions and scores of all processes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.readable import ReadableBatch
from speechalign.errors import UserError
from speechalign.evaluation.counted import count
from speechalign.evaluation.predictions import (
    DIGEST,
    PREDICTIONS,
    Prediction,
    digest_of,
    write_predictions,
)
from speechalign.evaluation.presets import Convention, has_spbleu
from speechalign.evaluation.scoring import groups_of, software, summarize
from speechalign.files import write_text
from speechalign.models.decode import Decoding
from speechalign.training.answering import SILENCE, prediction
from speechalign.training.processes import gather


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

    Every example of the split is in them once, whatever the number of processes; recordings that
    are longer than the encoder's window, or cannot be read, count as empty answers.
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
        batch: ReadableBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the answers to one batch."""
        prompts = data_of(trainer).prompts
        heard = batch.batch.examples if batch.batch else []
        pairs = zip(heard, outputs["answers"], strict=True)
        self.rows += [prediction(prompts, example, said) for example, said in pairs]
        self.rows += [
            prediction(prompts, example, SILENCE, "unreadable") for example in batch.unread
        ]

    on_predict_batch_end = on_test_batch_end

    @override
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score all answers of all processes, on the first."""
        rows, folder = self.collect(trainer)
        if not trainer.is_global_zero:
            return
        data = data_of(trainer)
        convention = Convention(with_spbleu=has_spbleu())
        parts = count(rows, convention)
        groups = groups_of(parts, data.languages, data.zero_shot)
        report = {
            "name": Path(trainer.default_root_dir).name,
            "system": {
                "decoding": asdict(self.decoding),
                "languages": {"trained": data.languages, "zero_shot": data.zero_shot},
                DIGEST: digest_of(rows),
            },
            "data": {},
            **summarize(parts, convention, groups),
            "versions": software(),
        }
        write_text(folder / "metrics.json", json.dumps(report, indent=2) + "\n")
        pl_module.log_dict(
            {
                f"test/{name}_{pair}": score["value"]
                for pair, told in report["pairs"].items()
                for name, score in told["scores"].items()
            },
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
        unheard = [
            prediction(data.prompts, example, SILENCE, "too long")
            for example in data.too_long["test"]
        ]
        answered = [row for share in gather(self.rows) for row in share]
        rows = sorted(answered + unheard, key=lambda row: (row.id, row.tgt_lang))
        if trainer.is_global_zero:
            write_predictions(folder / PREDICTIONS, rows)
        return rows, folder
