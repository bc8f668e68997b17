"""A run that is stopped at any moment and resumed trains on the batches of one that was not."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from speechalign.data.batch import SpeechBatch
from speechalign.errors import UserError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


class StopError(Exception):
    """The run ends here."""


class Recorder(LightningModule):
    """Remembers its batches; at one moment it saves a checkpoint and stops."""

    def __init__(self, moment: tuple[str, int] | None = None, path: Path | None = None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.moment, self.path = moment, path
        self.seen: list[tuple] = []

    def at(self, hook: str, count: int) -> None:
        if (hook, count) == self.moment:
            self.trainer.save_checkpoint(self.path)
            raise StopError

    def training_step(self, batch: SpeechBatch) -> Tensor:
        self.at("step", self.trainer.fit_loop.epoch_loop.total_batch_idx)
        tasks = tuple(example.task for example in batch.examples)
        ids = tuple(example.utterance.id for example in batch.examples)
        self.seen.append((ids, tasks, batch.pairs.tolist(), batch.waveform.sum().item()))
        return self.weight**2

    def on_train_batch_end(self, *_) -> None:
        self.at("batch end", self.trainer.fit_loop.epoch_loop.total_batch_idx + 1)

    def validation_step(self, batch: SpeechBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        pass

    def on_validation_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.at("validation end", self.trainer.fit_loop.epoch_loop.total_batch_idx + 1)

    def on_train_epoch_end(self) -> None:
        self.at("epoch end", self.trainer.fit_loop.epoch_loop.total_batch_idx + 1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def train(data, moment=None, path=None, resume_from=None, **settings) -> list[tuple]:
    """Train for two epochs, or up to the moment, and list the batches."""
    module = Recorder(moment, path)
    trainer = Trainer(
        **{"max_epochs": 2} | settings,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume_from)
        assert moment is None, "the run should have stopped"
    except StopError:
        trainer.fit_loop.teardown()  # stopped in validation, Lightning forgets training's workers
    return module.seen


@pytest.fixture(scope="module")
def whole_runs() -> dict[str, list[tuple]]:
    """Runs that were not stopped, by settings: the corpus is the same in all tests."""
    return {}


STEPS = {"max_epochs": -1, "max_steps": 14}


@pytest.mark.parametrize(
    ("settings", "moment", "workers"),
    [
        ({}, ("batch end", 2), 0),
        ({}, ("batch end", 9), 0),
        ({}, ("batch end", 9), 2),
        ({}, ("batch end", 7), 0),  # the last of an epoch
        ({}, ("step", 9), 0),  # a step that fails is trained again
        ({}, ("step", 9), 2),
        ({}, ("validation end", 7), 0),
        ({}, ("validation end", 7), 2),
        ({}, ("epoch end", 7), 0),
        ({}, ("epoch end", 7), 2),
        ({"val_check_interval": 3}, ("validation end", 10), 0),
        ({"accumulate_grad_batches": 2}, ("batch end", 9), 0),
        ({"limit_train_batches": 4}, ("batch end", 6), 0),
        ({"limit_train_batches": 4}, ("validation end", 4), 2),
        (STEPS, ("batch end", 9), 0),
        (STEPS, ("validation end", 7), 0),
        (
            STEPS | {"val_check_interval": 3, "check_val_every_n_epoch": None},
            ("validation end", 9),
            0,
        ),
        (STEPS, ("epoch end", 7), 0),  # the trainer then counts one epoch too many
        (STEPS, ("epoch end", 7), 2),
    ],
)
def test_stopping_and_resuming_is_going_on(
    make_data, tmp_path, whole_runs, settings, moment, workers
):
    def data(workers: int):
        tasks = {"st": 1.0, "asr": 1.0}
        return make_data(batch_size=4, workers=workers, tasks=tasks, zero_shot=[])

    key = str(settings)
    whole_runs[key] = whole_runs.get(key) or train(data(0), **settings)
    path = tmp_path / "stopped.ckpt"
    before = train(data(workers), moment, path, **settings)
    after = train(data(workers), resume_from=path, **settings)
    assert len(before) == moment[1]
    assert before + after == whole_runs[key]


def test_workers_do_not_change_the_batches(make_data):
    alone = train(make_data(batch_size=4))
    assert len(alone) == len(make_data(batch_size=4).train_dataloader()) * 2
    assert train(make_data(batch_size=4, workers=2)) == alone


def test_skipped_batches_are_not_read(make_data, monkeypatch):
    loader = make_data(batch_size=4).train_dataloader()
    loader.load_state_dict({"epoch": 0, "batch": len(loader) - 1, "batches": len(loader)})
    read = []
    monkeypatch.setattr(
        "speechalign.data.examples.load_audio",
        lambda *_, **__: read.append(1) or torch.ones(320),
    )
    assert len(list(loader)) == 1
    assert len(read) == 4


def test_an_epoch_of_another_length_cannot_be_resumed_in_its_middle(make_data):
    loader = make_data(batch_size=4).train_dataloader()
    with pytest.raises(UserError, match="middle of an epoch of 99 batches; now an epoch has 7"):
        loader.load_state_dict({"epoch": 2, "batch": 5, "batches": 99})
    loader.load_state_dict({"epoch": 2, "batch": 0, "batches": 99})
    state = loader.state_dict()
    assert (state["epoch"], state["batch"], state["batches"]) == (2, 0, 7)


def test_loading_leaves_the_global_random_numbers_alone(make_data):
    for workers in (0, 2):
        data = make_data(batch_size=4, workers=workers)
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        list(data.train_dataloader())
        for loader in data.val_dataloader():
            list(loader)
        assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_in_mid_epoch_wants_the_same_recordings(make_data):
    """One recording less may leave as many batches, but all of them other ones."""
    loader = make_data().train_dataloader()
    state = {"epoch": 0, "batch": 2, "batches": len(loader.pairs), "order": loader.pairs.identity}
    loader.load_state_dict(state)
    for other in ({"seed": 1}, {"recordings": "all"}, {"max_train_sentences": 8}):
        changed = make_data(**other).train_dataloader()
        with pytest.raises(UserError, match="in the middle of an epoch"):
            changed.load_state_dict(state | {"batches": len(changed.pairs)})
        changed.load_state_dict(state | {"batch": 0})
