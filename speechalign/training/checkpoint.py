"""Files of checkpoints, and the trained weights in them: never a frozen one."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from typing_extensions import override

from speechalign.errors import UserError
from speechalign.models.artifact import (
    Artifact,
    check_bases,
    describe,
    differences,
    known_by_hash,
)
from speechalign.models.speech_llm import FROZEN, SpeechLLM

PREFIX = "speech_llm."
FROZEN_KEYS = tuple(PREFIX + part for part in FROZEN)


class Checkpoints(ModelCheckpoint):
    """Lightning's checkpoints, in one folder of the run: `default_root_dir`/checkpoints.

    (By default they are beside the logs, in a folder of another version after every restart, and
    a resumed run would forget which checkpoint was best.)

    With `save_last` the last one is as new as the last look at dev or the end. (Lightning 2.6
    writes it only when dev improved.) Two runs never share a folder.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(enable_version_counter=False, **options)

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settle on the folder before anything is written."""
        self.settle(trainer)
        super().setup(trainer, pl_module, stage)

    @override
    def _find_last_checkpoints(self, trainer: Trainer) -> set[str]:
        """Look for `--ckpt_path last` there too: Lightning asks before `setup`.

        Raises:
            UserError: If there is none.
        """
        self.settle(trainer)
        found = super()._find_last_checkpoints(trainer)
        if not found:
            raise UserError(
                f"There is no last checkpoint in {self.dirpath}: give the "
                "--trainer.default_root_dir of the run that is meant."
            )
        return found

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last checkpoint as well where the best one is an earlier one."""
        super().on_validation_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last checkpoint also where the steps end between two looks at dev."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse to mix two runs in one folder.

        Raises:
            UserError: If there are checkpoints, and none of them is gone on with.
        """
        folder = Path(self.dirpath or "").absolute()
        goes_on = trainer.ckpt_path and Path(trainer.ckpt_path).absolute().parent == folder
        saves = not getattr(trainer, "fast_dev_run", False)  # set late, unknown to type checkers
        if saves and not goes_on and any(folder.glob("*.ckpt")):
            raise UserError(
                f"{self.dirpath} holds the checkpoints of another run: go on with it by "
                "--ckpt_path last, or choose another --trainer.default_root_dir."
            )

    def settle(self, trainer: Trainer) -> None:
        """Take the run's folder, unless `dirpath` names another."""
        self.dirpath = self.dirpath or str(Path(trainer.default_root_dir, "checkpoints").absolute())


def without_frozen(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the weights of frozen parts from a Lightning module's state."""
    return {key: value for key, value in state.items() if not key.startswith(FROZEN_KEYS)}


def trained_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the trained weights of the speech LLM out of a Lightning module's state."""
    trained = without_frozen(state)
    return {k.removeprefix(PREFIX): v for k, v in trained.items() if k.startswith(PREFIX)}


def initialize(model: SpeechLLM, earlier: Artifact) -> None:
    """Start from another run's trained weights.

    A bias that the other run lacked, or that is of other frames, is left to be estimated anew.

    Raises:
        UserError: If any other weight is missing or does not fit, or the adapter's settings or the
            frozen models are others.
    """
    check_bases(model, earlier.parts)
    check_settings(differences(describe(model), earlier.parts, ("qformer", "projector")))
    own = model.trained_state()
    bias = {k: v for k, v in own.items() if k.startswith("bias.")}
    kept = {k: v for k, v in earlier.weights.items() if not k.startswith("bias.")}
    stored = {k: v for k, v in earlier.weights.items() if k in bias}
    model.load_trained_state({**bias, **stored, **kept})
    if model.bias is not None and not same_centroids(describe(model), earlier.parts):
        model.bias.forget()


def check_settings(others: list[str]) -> None:
    """See that weights are used with the settings that they were trained with.

    Raises:
        UserError: If there are other ones.
    """
    if others:
        raise UserError(
            f"The weights were trained with other settings ({'; '.join(others)}): use the "
            "configuration that they were trained with."
        )


def same_centroids(now: dict[str, Any], then: dict[str, Any]) -> bool:
    """Tell whether a bias is of the same frames, pooled in the same way."""
    named = ("attend",) if known_by_hash(then["encoder"]) else ("attend", "path", "revision")
    heard = all(now["encoder"][name] == then["encoder"][name] for name in named)
    pooling = [(parts["bias"] or {}).get("pooling") for parts in (now, then)]
    return heard and pooling[0] == pooling[1]


def keep_frozen_out_of_ddp(module: LightningModule) -> None:
    """Have DistributedDataParallel neither broadcast nor reduce what never changes.

    Buffers stay out as well: broadcasting them before every forward would make ranks with fewer
    evaluation batches wait for ever.
    """
    frozen = [name for name, _ in module.named_parameters() if name.startswith(FROZEN_KEYS)]
    buffers = [name for name, _ in module.named_buffers()]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, frozen + buffers)
