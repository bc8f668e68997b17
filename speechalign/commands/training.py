"""`speechalign fit | validate | test | predict`: Lightning's command line over our modules."""

import warnings
from pathlib import Path
from typing import Any, NoReturn, cast

from lightning.pytorch import Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from transformers.utils import logging
from typing_extensions import override

from speechalign.commands.parsing import raise_in_one_line
from speechalign.data.datamodule import SpeechDataModule
from speechalign.errors import UserError
from speechalign.training.module import SpeechTranslation

# Lightning's hints that are wrong here: frozen parts stay in eval, `workers` is a choice
NOT_FOR_US = (".*does not have many workers.*", r"Found \d+ module\(s\) in eval mode")


LIGHTNINGS_OWN = ("last", "best", "hpc", "registry")  # checkpoints that Lightning finds itself


class Parser(LightningArgumentParser):
    """A parser whose errors are one line."""

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise instead of printing a page of usage."""
        raise_in_one_line(message, ex)


class CommandLine(LightningCLI):
    """LightningCLI for one model class and one data class."""

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the given arguments, also where they are not those of the process."""
        self.config = parser.parse_args(cast("list[str]", args))
        checkpoint = self.config[self.config.subcommand].get("ckpt_path")
        if checkpoint and checkpoint not in LIGHTNINGS_OWN and not Path(checkpoint).exists():
            raise UserError(f"There is no checkpoint {checkpoint!r}: check --ckpt_path.")
        if checkpoint:  # a resumed run goes on in its own folder, a test may be elsewhere
            warnings.filterwarnings("ignore", message="Checkpoint directory .* not empty")
            if self.config.subcommand != "fit":
                warnings.filterwarnings("ignore", message="The dirpath has changed")

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Log to CSV and TensorBoard in `default_root_dir`/logs, unless the config says other."""
        config = self._get(self.config_init, "trainer")
        if config["logger"] is None:
            root = config["default_root_dir"] or "."
            table = CSVLogger(root, name="logs")
            kwargs["logger"] = [table, TensorBoardLogger(root, name="logs", version=table.version)]
        return super().instantiate_trainer(**kwargs)


def main(verb: str, arguments: list[str]) -> None:
    """Run one of Lightning's verbs."""
    command_line(verb, arguments)


def command_line(verb: str, arguments: list[str]) -> CommandLine:
    """Parse, build and run; the result has the trainer, the model and the data.

    Raises:
        UserError: If a setting, or something that it names, is wrong.
    """
    logging.disable_progress_bar()  # of transformers, while it loads weights
    for hint in NOT_FOR_US:
        warnings.filterwarnings("ignore", message=hint)
    return CommandLine(
        SpeechTranslation,
        SpeechDataModule,
        save_config_kwargs={"overwrite": True},
        seed_everything_default=0,
        parser_class=Parser,
        load_from_checkpoint_support=False,
        args=[verb, *arguments],
    )
