"""What a training checkpoint holds beside Lightning's, so that a stopped run goes on exactly.

Lightning stores optimizer, learning-rate schedule, loops and callbacks; added here are the
description of the model (`speech_llm`), the layer schedule and the random states of all processes.
The data module adds the sampler's position. Everything is plain types and tensors, so that
checkpoints load with `weights_only=True`.
"""

import random
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from typing_extensions import override

from speechalign.alignment.schedule import LayerScheduler
from speechalign.data.batch import SpeechBatch
from speechalign.data.loader import trained_batches
from speechalign.errors import UserError
from speechalign.models import artifact
from speechalign.models.artifact import Artifact
from speechalign.models.decode import Decoding
from speechalign.models.speech_llm import SpeechLLM
from speechalign.training.callbacks import data_of
from speechalign.training.checkpoint import check_settings, initialize, trained_part, without_frozen
from speechalign.training.processes import gather


class Drawn(NamedTuple):
    """What chance goes on from in this process, beside the sampler."""

    layers: dict[str, Any] | None  # of the layer schedule
    random: dict[str, Any]


class ResumableModule(LightningModule):
    """A module whose checkpoints tell the model, and what chance goes on from.

    Attributes:
        speech_llm: What is trained.
        schedule: Of the aligned layers, or None.
        decoding: How answers are searched for.
        random_states: Of the stopped run that is resumed, until its first batch.
        weights_of: What `start_from` was given, until the first training.
        before_step: Where chance stood when the first batch of the optimizer step began.
    """

    speech_llm: SpeechLLM
    schedule: LayerScheduler | None
    decoding: Decoding

    def __init__(self) -> None:
        super().__init__()
        self.strict_loading = False  # frozen weights are not stored; the rest is checked here
        self.random_states: list[dict[str, Any]] = []
        self.before_step: Drawn | None = None
        self.weights_of: Artifact | None = None

    def start_from(self, earlier: Artifact) -> None:
        """Take the trained weights of another run.

        Raises:
            UserError: If they do not fit the adapter.
        """
        initialize(self.speech_llm, earlier)
        self.weights_of = earlier

    @override
    def on_train_start(self) -> None:
        """From here on the weights are this run's."""
        self.weights_of = None

    @override
    def on_test_start(self) -> None:
        """See that the weights are asked as they were trained.

        Raises:
            UserError: If a setting that their answers depend on is another.
        """
        if self.weights_of is not None:
            self.check_description(self.weights_of.parts, self.weights_of.about)

    on_predict_start = on_test_start

    @override
    def on_validation_start(self) -> None:
        """See to it as for a test, except in the course of training."""
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self.on_test_start()

    def check_description(self, parts: dict[str, Any], about: dict[str, Any]) -> None:
        """Compare a description that came with weights with this run's."""
        own = artifact.describe(self.speech_llm)
        prompts, were = asdict(data_of(self.trainer).prompts), about["prompts"]
        check_settings(
            artifact.differences(own, parts)
            + [
                f"the prompt {k} is {v!r}, was {were.get(k)!r}"
                for k, v in prompts.items()
                if were.get(k) != v
            ]
        )
        artifact.check_bases(self.speech_llm, parts)
        for name in artifact.BASES:
            moved = own[name]["path"] != parts[name]["path"]
            if moved and not artifact.known_by_hash(parts[name]):
                rank_zero_warn(
                    f"The weights were trained with the {name} {parts[name]['path']}, this is "
                    f"{own[name]['path']}: the answers are right only if it is the same model."
                )

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave frozen weights out, and add what Lightning does not know of."""
        checkpoint["state_dict"] = without_frozen(checkpoint["state_dict"])
        checkpoint["speech_llm"] = {
            "parts": artifact.describe(self.speech_llm),
            "about": self.about(),
        }
        drawn = self.drawn()
        _, accumulated = trained_batches(self.trainer)
        if accumulated and self.before_step:  # their gradients are lost: they are trained again
            rewind(checkpoint["loops"], accumulated)
            drawn = self.before_step
        checkpoint["layer_schedule"] = drawn.layers
        checkpoint["random_states"] = gather(drawn.random)

    def drawn(self) -> Drawn:
        """Where chance stands now."""
        layers = self.schedule and self.schedule.state_dict()
        return Drawn(layers, random_state())

    def about(self) -> dict[str, Any]:
        """Plain facts that inference needs beside the weights."""
        data = data_of(self.trainer)
        return {
            "prompts": asdict(data.prompts),
            "decoding": asdict(self.decoding),
            "tasks": list(data.tasks),
            "languages": {
                "trained": list(data.languages),
                "zero_shot": list(data.zero_shot),
                "target": data.target,
            },
        }

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the checkpoint is of this model, and put back what Lightning does not.

        Raises:
            UserError: If a setting that the answers depend on is another, a trained weight is
                missing, misshapen or unknown, or the layer schedule is another.
        """
        self.check_description(**checkpoint["speech_llm"])
        state = trained_part(checkpoint["state_dict"])
        self.speech_llm.load_trained_state(state)
        goes_on = self.trainer.state.fn == TrainerFn.FITTING
        if goes_on:
            self.resume_schedule(checkpoint["layer_schedule"])
        self.random_states = checkpoint["random_states"]

    def resume_schedule(self, state: dict[str, Any] | None) -> None:
        """Go on with the layer schedule of a stopped run.

        Raises:
            UserError: If this run has one and that had none, or the other way round.
        """
        if (state is None) != (self.schedule is None):
            had, has = ("without" if one is None else "with" for one in (state, self.schedule))
            raise UserError(
                f"The checkpoint is of a run {had} alignment, the configuration is {has}: resume "
                "with the same, or start a new run with --model.init_from."
            )
        if self.schedule is not None and state is not None:
            self.schedule.load_state_dict(state)

    @override
    def on_train_batch_start(self, batch: SpeechBatch, batch_idx: int) -> None:
        """Go on with a stopped run's random numbers, once all set-up has drawn its own."""
        if self.random_states:
            restore_random_state(self.random_states, self.global_rank)
            self.random_states = []
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.before_step = self.drawn()


def random_state() -> dict[str, Any]:
    """Random state of this process."""
    return {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def rewind(loops: dict[str, Any], batches: int) -> None:
    """Take the last batches back, in Lightning's counters that a checkpoint holds."""
    progress = loops["fit_loop"]["epoch_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        left = counts["processed"] - batches
        counts |= {"ready": left, "started": left, "processed": left, "completed": left}


def restore_random_state(states: list[dict[str, Any]], rank: int) -> None:
    """Go on with the random numbers of a stopped run, if it had as many processes.

    Raises:
        UserError: If the number of processes differs, since then nothing can be resumed exactly.
    """
    processes = len(gather(rank))
    if len(states) != processes:
        raise UserError(
            f"The checkpoint was written by {len(states)} processes and cannot be resumed by "
            f"{processes}: use as many, or start a new run with --model.init_from."
        )
    own = states[rank]
    random.setstate(own["python"])
    torch.set_rng_state(own["torch"].cpu())
    if own["cuda"] and torch.cuda.device_count() == len(own["cuda"]):
        torch.cuda.set_rng_state_all([state.cpu() for state in own["cuda"]])
