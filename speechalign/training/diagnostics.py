"""A callback that shows on dev, layer by layer, whether languages are being aligned."""

import random
from math import isfinite
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.data.datamodule import SpeechDataModule
from speechalign.data.records import Utterance
from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.representations import stages as stages_of
from speechalign.models.speech_llm import SpeechLLM
from speechalign.training.callbacks import data_of
from speechalign.training.collection import Heard, collect
from speechalign.training.comparison import diagnose_stage
from speechalign.training.processes import gather


def model_of(module: LightningModule) -> SpeechLLM:
    """The speech LLM of a run.

    Raises:
        UserError: If the trainer was given something else.
    """
    model = getattr(module, "speech_llm", None)
    if not isinstance(model, SpeechLLM):
        raise UserError("AlignmentDiagnostics needs a module that has a `speech_llm`.")
    return model


class AlignmentDiagnostics(Callback):
    """Log on dev, for every block of the Q-Former, how well languages are aligned.

    `align/<what>_layer_<l>` is of one recording each of some sentences that all languages have,
    the same in every validation and whatever the number of processes, as a mean over all pairs of
    languages: `recall` (Recall@1 by pooled cosine), `cka` (unbiased linear CKA), `collapse` (cosine
    of sentences that differ), and by transport `cost`, `margin` (to shuffled pairs),
    `plan_entropy`, `diagonal_mass` and `marginal_error`. What is not defined is not logged.

    Each process hears its share, the first one computes. Nothing of the training changes.

    Args:
        every: At every n-th validation, from the first on.
        languages: By any code; by default those that are trained.
        sentences: How many are heard, at most.
        transported: Of how many of them the tokens are kept and transported, which takes time.
        stages: Others than the Q-Former's blocks, as `projector` or `llm.3`, logged as
            `align/<what>_<stage>`. Of the encoder's there is no transport.
        divergence: By default the paper's, whatever is trained with, so that runs compare.
        seed: Of the draw of sentences.

    Raises:
        UserError: If a number is too small, or there is no such language or stage.
    """

    def __init__(
        self,
        every: int = 1,
        languages: list[str] | None = None,
        sentences: int = 32,
        transported: int = 8,
        stages: list[str] | None = None,
        divergence: SinkhornDivergence | None = None,
        seed: int = 0,
    ) -> None:
        if every < 1 or sentences < 2 or transported < 0:
            raise UserError(
                f"every is {every}, sentences {sentences} and transported {transported}; expected"
                " at least 1, 2 and 0."
            )
        self.every, self.sentences, self.transported = every, sentences, transported
        self.languages = [language(code).code for code in languages or ()]
        self.stages = stages
        self.divergence = divergence or SinkhornDivergence()
        self.seed = seed
        self.validations = 0
        self.chosen: list[list[Utterance]] = []  # by sentence

    @override
    def state_dict(self) -> dict[str, Any]:
        """Remember how many validations there were."""
        return {"validations": self.validations}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.validations = state_dict["validations"]

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose sentences before anything is trained: a fault of the setting is told at once."""
        self.chosen = self.choose(data_of(trainer))
        self.looked_at(model_of(pl_module))

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose them where nothing is trained."""
        if not self.chosen:
            self.on_fit_start(trainer, pl_module)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hear the sentences, and log what has become of them."""
        if trainer.sanity_checking:
            return
        self.validations += 1
        if (self.validations - 1) % self.every:
            return
        model = model_of(pl_module)
        heard = self.hear(trainer, model)
        if not trainer.is_global_zero:
            return
        numbers = {
            f"align/{what}_{stage.replace('qformer.', 'layer_')}": number
            for stage in self.looked_at(model)
            for what, number in diagnose_stage(
                heard, stage, self.divergence, pl_module.device
            ).items()
        }
        known = {name: number for name, number in numbers.items() if isfinite(number)}
        pl_module.log_dict(known, rank_zero_only=True)

    def choose(self, data: SpeechDataModule) -> list[list[Utterance]]:
        """Draw sentences that dev has in all languages, and one recording each.

        Raises:
            UserError: If there are not two languages or not two sentences.
        """
        codes = self.languages or data.languages
        absent = sorted(set(codes) - {*data.languages, *data.zero_shot})
        if absent or len(set(codes)) < 2:
            raise UserError(
                "AlignmentDiagnostics compares two or more of the data's languages, not"
                f" {', '.join(absent or codes)}: name others as its languages."
            )
        found: dict[str, dict[str, Utterance]] = {}
        for items, _ in data.exams("dev"):
            told = zip(items.languages, items.sentences, strict=True)
            for at, (code, sentence) in enumerate(told):
                if code in codes:
                    found.setdefault(sentence, {}).setdefault(code, items[at][0].utterance)
        shared = sorted(sentence for sentence, by in found.items() if len(by) == len(set(codes)))
        if len(shared) < 2:
            raise UserError(
                f"dev has fewer than two sentences in all of {', '.join(codes)}: name fewer"
                " languages of AlignmentDiagnostics."
            )
        random.Random(f"diagnostics/{self.seed}").shuffle(shared)
        return [list(found[sentence].values()) for sentence in shared[: self.sentences]]

    def looked_at(self, model: SpeechLLM) -> list[str]:
        """Name the stages that are looked at; without a Q-Former, the projector's.

        Raises:
            UserError: If the model lacks one.
        """
        there = stages_of(model)
        blocks = [stage for stage in there if stage.startswith("qformer.")] or ["projector"]
        chosen = self.stages or blocks
        unknown = [stage for stage in chosen if stage not in there]
        if unknown:
            raise UserError(f"No stage {unknown[0]!r}; this model has {', '.join(there)}.")
        return chosen

    def hear(self, trainer: Trainer, model: SpeechLLM) -> list[Heard]:
        """Follow the sentences through the model, each process its share; all get all."""
        data, stages = data_of(trainer), self.looked_at(model)
        with_tokens = [stage for stage in stages if not stage.startswith("encoder")]
        near = [one for sentence in self.chosen[: self.transported] for one in sentence]
        rest = [one for sentence in self.chosen[self.transported :] for one in sentence]
        own: list[Heard] = []
        with trainer.precision_plugin.forward_context():
            for utterances, tokens in ((near, with_tokens), (rest, [])):
                share = utterances[trainer.global_rank :: trainer.world_size]
                batch, kept = data.eval_batch_size, data.frames
                own += collect(model, share, stages, tokens, batch_size=batch, cache=kept)
        everything = [one for part in gather(own) for one in part]
        return sorted(everything, key=lambda one: one.utterance.id)
