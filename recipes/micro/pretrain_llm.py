"""Pretrain the micro LLM (Qwen2 architecture) on what an adapter will ask of it, from text alone.

It learns to copy (asr), to translate (st) and to copy and then translate (srt) between all pairs
of languages, see `drill.py`. The loss is due on answers and, weighted little, on the source text,
so that it is a language model too.

    python -m recipes.micro.pretrain_llm --output speechalign/assets/micro/llm

Written: a folder for `AutoModelForCausalLM` and `AutoTokenizer` in float16; beside it, in
`<output>.work`, the checkpoint from which a killed run goes on, the log, and the BLEU of greedy
answers to unseen sentences (`evaluation.json`). A step takes 0.25-0.3 s on an idle core with AMX.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sacrebleu
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from recipes.micro.drill import Drill, Question, TextBatch, Texts
from recipes.micro.loop import Plan, fit, save_half, write_json
from recipes.micro.text import LANGUAGES, Sentence, sentences
from recipes.micro.tokenizer import end_of, train_tokenizer
from speechalign.data.batch import IGNORE
from speechalign.data.prompts import PromptTemplates, Task

VOCABULARY = 1024
SOURCE_WEIGHT = 0.1  # of the loss on source text against the loss on answers


class Shape(NamedTuple):
    """Size of an LLM: 2.0 million parameters by default, with 1024 tokens."""

    width: int = 192
    layers: int = 4


DEFAULT = Shape()


def build(tokenizer: PreTrainedTokenizerBase, shape: Shape) -> Qwen2ForCausalLM:
    """Make a Qwen2 with random weights."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=3 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end_of(tokenizer),
        pad_token_id=end_of(tokenizer),
    )
    model = Qwen2ForCausalLM(config)
    model.set_attn_implementation("eager")  # quicker than sdpa in bfloat16 on a CPU
    return model


def next_token_loss(model: Qwen2ForCausalLM, batch: TextBatch) -> Tensor:
    """Cross-entropy of answers plus SOURCE_WEIGHT times that of source texts.

    Padding stands on the right of a causal model, so that no mask is needed.
    """
    logits = model(input_ids=batch.tokens, use_cache=False).logits[:, :-1]

    def loss(labels: Int[Tensor, "B L"]) -> Tensor:
        wanted = labels[:, 1:] != IGNORE
        return cross_entropy(logits[wanted].float(), labels[:, 1:][wanted])

    return loss(batch.answers) + SOURCE_WEIGHT * loss(batch.sources)


@torch.inference_mode()
def answer(
    model: Any, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]
) -> list[str]:
    """Answer questions greedily, all at once (padded on the left).

    `model` is a causal LM of transformers, whose annotations do not admit its own `generate`.
    """
    asked = [question.source + question.prompt for question in questions]
    longest = max(map(len, asked))
    tokens = [[end_of(tokenizer)] * (longest - len(row)) + row for row in asked]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in asked]
    limit = max(len(question.answer) for question in questions) + 10
    output = model.generate(
        input_ids=torch.tensor(tokens),
        attention_mask=torch.tensor(mask),
        max_new_tokens=limit,
        do_sample=False,
    )
    return tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)


def evaluate(model: Any, tokenizer: PreTrainedTokenizerBase, texts: Texts) -> dict[str, float]:
    """BLEU of `task/source-target` over `texts`: asr of all languages, st and srt into English."""
    prompts, drill = PromptTemplates(), Drill(texts, tokenizer, seed=0)
    others = [code for code in texts if code != "eng"]
    asked: list[tuple[Task, str, str]] = [("asr", code, code) for code in texts]
    for code in others:
        asked.extend((("st", code, "eng"), ("srt", code, "eng"), ("st", "eng", code)))
    scores = {}
    for task, source, target in asked:
        rows = range(len(texts[source]))
        said = answer(model, tokenizer, [drill.ask(task, source, target, row) for row in rows])
        parts = [prompts.split(task, text) for text in said]
        mine = [(part[0] if task == "asr" else part[1]) or "" for part in parts]
        score = sacrebleu.corpus_bleu(mine, [list(texts[target])]).score
        scores[f"{task}/{source}-{target}"] = round(score, 2)
    return scores


def pretrain(
    texts: Texts, unseen: Texts, output: Path, work: Path, plan: Plan, shape: Shape = DEFAULT
) -> dict[str, float]:
    """Train, write the folder and score what was written on `unseen` sentences."""
    everything = (text for sentences in texts.values() for text in sentences)
    tokenizer = train_tokenizer(everything, texts, VOCABULARY)
    torch.manual_seed(plan.seed)
    model, drill = build(tokenizer, shape), Drill(texts, tokenizer, plan.seed)
    fit(model, lambda step: next_token_loss(model, drill(step)), plan, work)
    export(model, tokenizer, output)
    written = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32).eval()
    scores = evaluate(written, tokenizer, unseen)
    write_json(work / "evaluation.json", scores)
    return scores


def export(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, output: Path) -> None:
    """Write the folder that transformers loads, weights rounded to float16."""
    tokenizer.save_pretrained(output)
    save_half(model, output)


def in_columns(drawn: Sequence[Sentence]) -> Texts:
    """Turn sentences in all languages into languages with all sentences."""
    return {code: [sentence.texts[code] for sentence in drawn] for code in LANGUAGES}


def main() -> None:
    """Pretrain the micro LLM on the project's own text."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the LLM")
    parser.add_argument("--work", type=Path, help="folder of the checkpoint [<output>.work]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--sentences", type=int, default=20_000, help="to learn from")
    parser.add_argument("--unseen", type=int, default=100, help="sentences to score")
    parser.add_argument("--float32", action="store_true", help="for a CPU without AMX")
    given = parser.parse_args()
    scores = pretrain(
        in_columns(sentences(given.sentences, given.seed, "pretrain")),
        in_columns(sentences(given.unseen, given.seed, "dev")),
        given.output,
        given.work or given.output.with_name(given.output.name + ".work"),
        Plan(given.steps, rate=3e-3, seed=given.seed, bfloat16=not given.float32),
    )
    print(scores)


if __name__ == "__main__":
    main()
