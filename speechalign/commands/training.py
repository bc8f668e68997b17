"""`speechalign fit | validate | test | predict`: Lightning's command line over our modules."""

import logging
import re
import shlex
import warnings
from pathlib import Path
from typing import Any, cast

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from typing_extensions import override

from speechalign.commands.parsing import OneLineErrors
from speechalign.data.datamodule import SpeechDataModule
from speechalign.errors import UserError
from speechalign.models import artifact
from speechalign.training.module import SpeechTranslation
from speechalign.training.progress import Progress

# Lightning's hints that are wrong here: frozen parts stay in eval, `workers` is a choice, and
# `Checkpoints` looks after its folder itself, and what Lightning 2.6 asks of torch is its own
NOT_FOR_US = (
    ".*does not have many workers.*",
    r"Found \d+ module\(s\) in eval mode",
    "Checkpoint directory .* not empty",
    "The dirpath has changed",
    ".*treespec, LeafSpec.*",
)


# and notes of no use to anybody who runs `speechalign`: the bar says when it is at its end
IDLE = ("💡 Tip", "GPU available", "TPU available", "`Trainer.fit` stopped: `max_steps")

LIGHTNINGS_OWN = ("last", "hpc", "registry")  # checkpoints that Lightning finds itself
SHARDED = ("meta.pt", ".metadata", "latest")  # found in a checkpoint of FSDP or DeepSpeed


class Parser(OneLineErrors, LightningArgumentParser):
    """Lightning's parser with our errors."""


class CommandLine(LightningCLI):
    """LightningCLI for one model class and one data class."""

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the given arguments, also where they are not those of the process."""
        self.config = parser.parse_args(cast("list[str]", args))
        verb = self.config.subcommand
        settings = self.config[verb]
        if settings.get("ckpt_path"):
            check_checkpoint(settings.ckpt_path)
            settings.model.init_from = None  # a checkpoint has all that the run started from
        elif verb != "fit" and not settings.model.init_from:
            raise UserError(
                f"{verb} needs trained weights: say --ckpt_path FILE, or --model.init_from with "
                "an exported folder."
            )

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Log to CSV and TensorBoard in `default_root_dir`/logs, and show the way of a training.

        Both unless the config says other.
        """
        config = self._get(self.config_init, "trainer")
        callbacks = config["callbacks"] or []
        callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
        bars = [callback for callback in callbacks if isinstance(callback, ProgressBar)]
        if config["enable_progress_bar"] is not False and not bars:
            kwargs["callbacks"] = [*callbacks, Progress()]
        if config["logger"] is None:
            root = config["default_root_dir"] or "."
            table = CSVLogger(root, name="logs")
            kwargs["logger"] = [table, TensorBoardLogger(root, name="logs", version=table.version)]
        return super().instantiate_trainer(**kwargs)


def check_checkpoint(path: str) -> None:
    """Look at a file before a model is built for it.

    Raises:
        UserError: If there is none, or it was not written to its end.
    """
    if path in LIGHTNINGS_OWN:
        return
    if path == "best":
        raise UserError("--ckpt_path best: name the file, RUN/checkpoints/best.ckpt.")
    if not Path(path).exists():
        raise UserError(f"There is no checkpoint {path!r}: check --ckpt_path.")
    if (Path(path) / "config.json").is_file():
        raise UserError(f"{path!r} is an exported folder: say --model.init_from instead.")
    if Path(path).is_file():
        artifact.read(path)
    elif not any((Path(path) / name).exists() for name in SHARDED):
        raise UserError(
            f"{path!r} is a folder: name a checkpoint, as {path}/checkpoints/best.ckpt."
        )


def check_order(arguments: list[str]) -> None:
    """See that options stand after the configurations that they change.

    Raises:
        UserError: If one stands before; the configuration would silently win.
    """
    configs = [i for i, word in enumerate(arguments) if re.match("(--config|-c)(=|$)", word)]
    options = [i for i, word in enumerate(arguments) if re.match("--(?!config(=|$))", word)]
    if configs and options and options[0] < configs[-1]:
        raise UserError(
            f"{arguments[options[0]]} stands before a --config, which would win over it: put all "
            "--config first."
        )


def check_configured(verb: str, arguments: list[str]) -> None:
    """See that there is a configuration.

    Raises:
        UserError: If there is none, and no part of a model is given as an option.
    """
    if not any(re.match("(--config|-c|--model.*|--help|-h)(=|$)", word) for word in arguments):
        raise UserError(
            f"{verb} needs a configuration: give --config, e.g. --config configs/micro.yaml."
        )


def main(verb: str, arguments: list[str]) -> None:
    """Run one of Lightning's verbs."""
    check_configured(verb, arguments)
    done = command_line(verb, arguments)
    if verb == "fit" and done.trainer.is_global_zero:
        print(ending(done.trainer, arguments))


def ending(trainer: Trainer, arguments: list[str]) -> str:
    """Say where the best checkpoint of a run is, and what to do with it."""
    kept = trainer.checkpoint_callback
    if not isinstance(kept, ModelCheckpoint) or not kept.best_model_path:
        return "No checkpoint was written."
    path = Path(kept.best_model_path)
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    score = f" ({kept.monitor} {kept.best_model_score:.3f})" if kept.monitor else ""
    file, given = shlex.quote(str(path)), shlex.join(without_checkpoint(arguments))
    return (
        f"Best checkpoint{score}: {path}. To score it: speechalign test {given} --ckpt_path {file}."
        f" To translate with it: speechalign translate FILE --checkpoint {file}"
    )


def without_checkpoint(arguments: list[str]) -> list[str]:
    """Leave out the checkpoint that a run went on from."""
    kept = [word for word in arguments if not word.startswith("--ckpt_path=")]
    if "--ckpt_path" in kept:
        place = kept.index("--ckpt_path")
        del kept[place : place + 2]
    return kept


def of_use(record: logging.LogRecord) -> bool:
    """Tell notes of use from advertisements."""
    return not record.getMessage().startswith(IDLE)


def command_line(verb: str, arguments: list[str]) -> CommandLine:
    """Parse, build and run; the result has the trainer, the model and the data.

    Raises:
        UserError: If a setting, or something that it names, is wrong.
    """
    for hint in NOT_FOR_US:
        warnings.filterwarnings("ignore", message=hint)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(of_use)
    check_order(arguments)
    try:
        return CommandLine(
            SpeechTranslation,
            SpeechDataModule,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            parser_class=Parser,
            load_from_checkpoint_support=False,
            args=[verb, *arguments],
        )
    except (MisconfigurationException, ModuleNotFoundError, OSError) as error:
        raise UserError(" ".join(str(error).split())) from error
    except ValueError as error:
        raise own_fault(error) from error


def own_fault(error: ValueError) -> ValueError:
    """Find the UserError of a part that jsonargparse built, or give the error itself.

    Where a setting may be a part or null, jsonargparse tries both and tells of both, in its words.
    """
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, UserError):
        inner = inner.__cause__ or inner.__context__
    return inner or error
