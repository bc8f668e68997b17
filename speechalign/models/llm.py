"""The frozen large language model, any causal one of Hugging Face transformers."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerBase
from typing_extensions import override

from speechalign.assets import resolve
from speechalign.errors import UserError
from speechalign.models.base import base_of
from speechalign.models.loading import DType, load_pretrained, load_tokenizer, torch_dtype


class Predictions(NamedTuple):
    """Next-token logits at K of the L positions, and what should stand there."""

    logits: Float[Tensor, "U K V"]
    labels: Int[Tensor, "U K"]  # negative where no loss is due


class CausalLLM(nn.Module):
    """A frozen causal LLM that reads speech tokens before text tokens.

    Args:
        path: Folder or Hugging Face id of a causal LM with its tokenizer, or `assets:micro/llm`.
        revision: Commit or tag of that id; the default is its main branch.
        dtype: Type of its weights; never taken from the checkpoint's own setting.
        bits: 8 or 4, to quantise the weights of its linear layers (of the extra `quantize`).

    Raises:
        UserError: If there is no such model, or it lacks a tokenizer that fits and can end a text.
    """

    def __init__(
        self,
        path: str,
        revision: str | None = None,
        dtype: DType = "bfloat16",
        bits: int | None = None,
    ) -> None:
        super().__init__()
        self.path, self.revision = path, revision
        self.dtype_name: DType = dtype
        self.bits = bits
        folder = resolve(path)
        self.transformer: Any = load_pretrained(  # causal classes share no base with `generate`
            AutoModelForCausalLM, folder, None, revision, torch_dtype(dtype), bits
        )
        self.transformer.eval().requires_grad_(requires_grad=False)
        # `generate` would fill whatever `Decoding` leaves open from the folder's own settings
        self.transformer.generation_config = GenerationConfig()
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(folder, revision)
        self.end = self._check_tokenizer()
        self.base = base_of(path, self.transformer.config, revision, self.width, self.depth)

    def _check_tokenizer(self) -> int:
        """Return the token that ends an answer.

        Raises:
            UserError: If there is none, or text does not become tokens of this LLM.
        """
        tokenizer = self.tokenizer
        # transformers makes an empty tokenizer for a folder that has none
        if not tokenizer.encode("speech", add_special_tokens=False):
            raise UserError(f"{self.path!r} holds no tokenizer: add its files (tokenizer.json).")
        rows = self.transformer.get_input_embeddings().num_embeddings
        if len(tokenizer) > rows:
            raise UserError(
                f"The tokenizer of {self.path!r} has {len(tokenizer)} tokens, its LLM embeds only "
                f"{rows}: they do not belong together."
            )
        if not isinstance(tokenizer.eos_token_id, int):
            raise UserError(
                f"The tokenizer of {self.path!r} has no end-of-sequence token to stop at."
            )
        return tokenizer.eos_token_id

    @property
    def width(self) -> int:
        """E, the width of an embedding."""
        return self.transformer.get_input_embeddings().embedding_dim

    @property
    def depth(self) -> int:
        """How many blocks it has."""
        return self.transformer.config.get_text_config().num_hidden_layers

    @property
    def context(self) -> int | None:
        """How many tokens it can read and write; None if it does not say."""
        settings = self.transformer.config.get_text_config()
        return getattr(settings, "max_position_embeddings", None)

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and embeddings."""
        return torch_dtype(self.dtype_name)

    def settings(self) -> dict[str, Any]:
        """What rebuilds this part."""
        revision = self.revision or self.base.revision
        return {
            "path": self.path,
            "revision": revision,
            "dtype": self.dtype_name,
            "bits": self.bits,
        }

    @override
    def train(self, mode: bool = True) -> "CausalLLM":
        """Stay in eval mode, whatever `mode`: dropout of a frozen part is noise."""
        return super().train(mode=False)

    def embed(self, tokens: Int[Tensor, "U L"]) -> Float[Tensor, "U L E"]:
        """Look tokens up in the embedding table."""
        return self.transformer.get_input_embeddings()(tokens)

    def forward(
        self,
        speech: Float[Tensor, "U Q E"],
        speech_mask: Bool[Tensor, "U Q"],
        tokens: Int[Tensor, "U L"],
        token_mask: Bool[Tensor, "U L"],
        labels: Int[Tensor, "U L"],
    ) -> Predictions:
        """Predict the labelled tokens after speech and the tokens before them.

        The head, as wide as the vocabulary, sees only positions that some utterance has a label
        for. Masked positions may stand anywhere: positions count valid tokens only.
        """
        text = self.embed(tokens)
        mask = torch.cat([speech_mask, token_mask], dim=1)
        labelled = (labels >= 0).any(dim=0).nonzero().flatten()
        output = self.transformer(
            inputs_embeds=torch.cat([speech.to(text.dtype), text], dim=1),
            attention_mask=mask.long(),
            position_ids=positions(mask),
            logits_to_keep=labelled + speech.shape[1] - 1,  # a token is predicted one step before
            use_cache=False,
        )
        return Predictions(output.logits, labels[:, labelled])

    @torch.no_grad()
    def attention(
        self, speech: Float[Tensor, "1 Q E"], prompt: list[int], answer: list[int]
    ) -> Float[Tensor, "layers K Q"]:
        """Tell where each of K answered tokens looks in the speech, by layer, mean over heads.

        What a token looks at is what is looked at when it is predicted, one step before.
        """
        tokens = torch.tensor([*prompt, *answer], device=speech.device)[None]
        usual: Any = self.transformer.config._attn_implementation
        self.transformer.set_attn_implementation("eager")  # others do not tell their weights
        try:
            output = self.transformer.base_model(
                inputs_embeds=torch.cat([speech.to(self.dtype), self.embed(tokens)], dim=1),
                output_attentions=True,
                use_cache=False,
            )
        finally:
            self.transformer.set_attn_implementation(usual)
        count = speech.shape[1]
        rows = slice(count + len(prompt) - 1, count + len(prompt) + len(answer) - 1)
        found = [layer[0, :, rows, :count].float().mean(dim=0) for layer in output.attentions]
        return torch.stack(found)

    def hidden_states(
        self, speech: Float[Tensor, "U Q E"], mask: Bool[Tensor, "U Q"]
    ) -> tuple[Float[Tensor, "U Q E"], ...]:
        """States of the speech in every layer: 0 is the input, l the output of block l.

        A causal LLM forms them before it reads any text. transformers normalizes the last one, for
        the head.
        """
        output = self.transformer.base_model(
            inputs_embeds=speech.to(self.dtype),
            attention_mask=mask.long(),
            position_ids=positions(mask),
            output_hidden_states=True,
            use_cache=False,
        )
        return output.hidden_states


def positions(mask: Bool[Tensor, "U L"]) -> Int[Tensor, "U L"]:
    """Number the valid tokens of each row from 0; padding repeats a valid number."""
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)
