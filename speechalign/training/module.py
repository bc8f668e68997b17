"""Training of the adapter: translation cross-entropy plus optimal transport between languages."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import AdamW, Optimizer
from typing_extensions import override

from speechalign.alignment.base import Alignment
from speechalign.alignment.diagnostics import collapse
from speechalign.alignment.schedule import LayerScheduler
from speechalign.data.batch import SpeechBatch
from speechalign.data.readable import ReadableBatch
from speechalign.errors import UserError
from speechalign.models import artifact
from speechalign.models.bias import LanguageBias
from speechalign.models.decode import Decoding, Generated, generate
from speechalign.models.encoder import WhisperEncoder
from speechalign.models.llm import CausalLLM, Predictions
from speechalign.models.projector import Projector
from speechalign.models.qformer import Bridge, SpeechTokens
from speechalign.models.speech_llm import SpeechLLM
from speechalign.training.callbacks import Scores
from speechalign.training.checkpoint import keep_frozen_out_of_ddp
from speechalign.training.encoding import EstimateBias, keep_frames
from speechalign.training.losses import pair_costs, summed_cross_entropy
from speechalign.training.optim import WarmupConstant, WarmupLinear
from speechalign.training.resume import ResumableModule

PAPER_DECODING = Decoding()


class SpeechTranslation(ResumableModule):
    """L = CE + λ · OT, on the bias, the bridge and the projector of a speech LLM (POTSA).

    Args:
        encoder: Frozen.
        llm: Frozen.
        qformer: Called with the encoder's width.
        projector: Called with the widths of the bridge and of the LLM.
        bias: Called with the encoder's width; None for no bias compensation.
        alignment: Distance between the token sequences of a parallel pair; None for none.
        schedule: Which hidden layers it acts on at each step.
        strength: λ. The paper's 10 belongs to a cost of ½‖x-y‖² on normalised tokens.
        strength_warmup: Optimizer steps over which λ rises, in a line from 0.
        optimizer: Called with the trained parameters.
        lr_scheduler: Called with the optimizer; advances every optimizer step.
        decoding: How `test` and `predict` search.
        init_from: Checkpoint, exported folder or Hub id whose trained weights to start from.

    Raises:
        UserError: If the parts do not fit one another, or `init_from` does not fit them.
    """

    def __init__(
        self,
        encoder: WhisperEncoder,
        llm: CausalLLM,
        qformer: Callable[[int], Bridge],
        projector: Callable[[int, int], Projector],
        bias: Callable[[int], LanguageBias] | None = None,
        alignment: Alignment | None = None,
        schedule: LayerScheduler | None = None,
        strength: float = 10.0,
        strength_warmup: int = 0,
        optimizer: OptimizerCallable = AdamW,
        lr_scheduler: LRSchedulerCallable = WarmupConstant,
        decoding: Decoding = PAPER_DECODING,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        bridge = qformer(encoder.width)
        self.speech_llm = SpeechLLM(
            encoder,
            bias and bias(encoder.width),
            bridge,
            projector(bridge.width, llm.width),
            llm,
        )
        self.alignment, self.schedule = alignment, schedule
        self.strength, self.strength_warmup = strength, strength_warmup
        self.optimizer, self.lr_scheduler, self.decoding = optimizer, lr_scheduler, decoding
        self.layers: tuple[int, ...] = ()  # of the optimizer step under way
        self.layer_costs: dict[int, list[float]] = {}  # of its batches so far
        self.dev_sums = torch.zeros(2, 2)  # cross-entropy and tokens, by loader
        keep_frozen_out_of_ddp(self)
        if (alignment is None) != (schedule is None):
            raise UserError("alignment and schedule go together: set both, or neither.")
        if schedule is not None and max(schedule.layers) > bridge.depth:
            raise UserError(
                f"The schedule asks for layer {max(schedule.layers)}, but the bridge has "
                f"{bridge.depth}: set model.schedule's layers within that."
            )
        if init_from is not None:
            self.start_from(artifact.read(init_from))

    @override
    def training_step(self, batch: SpeechBatch) -> Tensor:
        """L = CE + λ · OT(source_l, other_l) at the scheduled layers l.

        Both terms are means over the global batch; batches that are accumulated count the same.
        """
        predicted, speech = self.speech_llm(*batch.inputs)
        ce = self.cross_entropy(predicted)
        ot = self.transport(speech, batch)
        loss = ce + self.strength * self.ramp() * ot
        self.log_dict({"train/loss": loss, "train/ce": ce}, sync_dist=True)
        self.log_collapse(speech, batch)
        self.check_finite(loss, {"cross-entropy": ce, "alignment": ot}, batch)
        return loss

    def ramp(self) -> float:
        """Share of λ in this step: it rises from 0 to 1 over the first `strength_warmup` steps."""
        return min(1.0, (self.global_step + 1) / (self.strength_warmup + 1))

    def cross_entropy(self, predicted: Predictions) -> Tensor:
        """Mean over all labelled tokens of the global batch."""
        return self.global_mean(*summed_cross_entropy(predicted))

    def transport(self, speech: SpeechTokens, batch: SpeechBatch) -> Tensor:
        """Mean over the pairs of the global batch and the scheduled layers; 0 without pairs."""
        if self.alignment is None or self.schedule is None:
            return speech.last.new_zeros(())
        own_pairs = torch.tensor(len(batch.pairs), device=self.device)
        if not self.of_all(own_pairs).sum():
            return speech.last.new_zeros(())
        costs = []
        layers, sentence = self.scheduled_layers(self.schedule), self.sentences(batch)
        for layer in layers:
            tokens = speech.layers[layer]
            origin = self.mean_answer(tokens) if self.alignment.center else None
            total = pair_costs(self.alignment, tokens, speech.mask, batch.pairs, sentence, origin)
            costs.append(self.global_mean(total, own_pairs))
            self.note_cost(layer, costs[-1].detach())
        self.log("train/layer", sum(layers) / len(layers), rank_zero_only=True)
        ot = torch.stack(costs).mean()
        self.log("train/ot", ot, sync_dist=True)
        return ot

    @torch.no_grad()
    def mean_answer(self, tokens: Tensor) -> Tensor:
        """What each query answers, averaged over the utterances of all processes."""
        count = torch.tensor(len(tokens), device=self.device)
        return self.of_all(tokens.float().sum(dim=0)).sum(dim=0) / self.of_all(count).sum()

    def sentences(self, batch: SpeechBatch) -> Tensor:
        """Number the utterances by what they say."""
        ids = [example.utterance.sentence_id for example in batch.examples]
        return torch.tensor([ids.index(one) for one in ids], device=self.device)

    def scheduled_layers(self, schedule: LayerScheduler) -> tuple[int, ...]:
        """Choose once an optimizer step, on rank 0: batches that are accumulated share layers."""
        if not self.layers:
            self.layers = self.trainer.strategy.broadcast(schedule.choose())
        return self.layers

    def note_cost(self, layer: int, cost: Tensor) -> None:
        """Note, for the log and the schedule, what one layer cost over all processes."""
        everywhere = self.of_all(cost).mean().item()
        self.layer_costs.setdefault(layer, []).append(everywhere)
        self.log(f"train/ot_layer_{layer}", everywhere, rank_zero_only=True)

    @override
    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Tell the schedule what its layers cost: once a step, the mean of accumulated batches."""
        for layer, costs in self.layer_costs.items():
            assert self.schedule is not None
            self.schedule.observe(layer, sum(costs) / len(costs))
        self.layers, self.layer_costs = (), {}

    def of_all(self, value: Tensor) -> Tensor:
        """Gather a tensor of every process, in a new first dimension."""
        gathered = self.all_gather(value)
        assert isinstance(gathered, Tensor)
        return gathered.reshape(-1, *value.shape)

    def global_mean(self, total: Tensor, count: Tensor) -> Tensor:
        """Divide by the count over all processes, so that DDP's average is the global mean."""
        counts = self.of_all(count)
        return total * counts.numel() / counts.sum().clamp(min=1)

    def log_collapse(self, speech: SpeechTokens, batch: SpeechBatch) -> None:
        """Log how alike unrelated utterances have become in each layer (1: all the same)."""
        sentence = self.sentences(batch)
        for layer, tokens in enumerate(speech.layers[1:], start=1):
            alike = self.of_all(collapse(tokens, sentence)).nanmean()  # NaN where all are parallel
            if torch.isfinite(alike):
                self.log(f"train/collapse_layer_{layer}", alike, rank_zero_only=True)

    def check_finite(self, loss: Tensor, terms: dict[str, Tensor], batch: SpeechBatch) -> None:
        """Stop at the first loss that is not a number, and say which term of which utterances.

        Raises:
            UserError: If the loss is infinite or NaN.
        """
        if torch.isfinite(loss):
            return
        bad = [name for name, term in terms.items() if not torch.isfinite(term)]
        ids = ", ".join(example.utterance.id for example in batch.examples[:8])
        raise UserError(
            f"Step {self.global_step}: the {' and '.join(bad) or 'sum'} is not finite for {ids}. "
            "Lower the learning rate, clip gradients, or train in bf16-mixed or 32-true."
        )

    @override
    def validation_step(
        self, batch: SpeechBatch, batch_idx: int = 0, dataloader_idx: int = 0
    ) -> None:
        """Sum the cross-entropy on dev: of the trained languages, then of the zero-shot ones."""
        predicted, _ = self.speech_llm(*batch.inputs)
        self.dev_sums[dataloader_idx] += torch.stack(summed_cross_entropy(predicted)).cpu()

    @override
    def on_validation_epoch_end(self) -> None:
        """Log the mean over all tokens of all processes; checkpoints are selected by `val/ce`.

        (Lightning 2.6 would round the mean number of tokens of several processes to an integer.)
        """
        sums = self.of_all(self.dev_sums.to(self.device)).sum(dim=0)
        for name, (losses, tokens) in zip(("val/ce", "val/ce_zero_shot"), sums, strict=True):
            if tokens:
                self.log(name, losses / tokens, sync_dist=True)
        self.dev_sums.zero_()

    @override
    def test_step(
        self, batch: ReadableBatch, batch_idx: int = 0, dataloader_idx: int = 0
    ) -> dict[str, list[Generated]]:
        """Answer every utterance that can be read; the callback `Scores` keeps the answers."""
        if batch.batch is None:
            return {"answers": []}
        return {"answers": self.answers(batch.batch)}

    def answers(self, batch: SpeechBatch) -> list[Generated]:
        """Answer every utterance of a batch."""
        frames = self.speech_llm.frames(
            batch.waveform, batch.samples, batch.language, batch.encoded
        )
        prompts = [example.prompt for example in batch.examples]
        return generate(self.speech_llm, frames, prompts, self.decoding)

    predict_step = test_step

    @override
    def configure_callbacks(self) -> list[Callback]:
        """What every run needs, whatever its configuration."""
        return [EstimateBias(self.speech_llm), Scores(self.decoding)]

    @override
    def on_fit_start(self) -> None:
        """Encode once what is heard often, once all callbacks agree to the run."""
        keep_frames(self.trainer, self.speech_llm, self.device)

    @override
    def configure_optimizers(self) -> Any:
        """Optimize the trained weights; the learning rate moves with every optimizer step."""
        optimizer = self.optimizer([p for p in self.parameters() if p.requires_grad])
        scheduler = self.lr_scheduler(optimizer)
        if isinstance(scheduler, WarmupLinear):
            scheduler.end_at(self.trainer.estimated_stepping_batches)
        schedule = {"scheduler": scheduler, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
