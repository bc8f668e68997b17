"""Time the translation of many short recordings: in batches, one by one, and by a plain loop.

    python -m recipes.benchmarks.translating

The plain loop is what one writes first: each recording is encoded, and answered by `generate` of
transformers, over the same encoder, adapter and LLM. The candidates take turns, so
that a busy machine slows all alike. Batches of all sizes must write the same. Speed is told as
seconds of speech in a second.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from operator import eq
from statistics import median

import torch
from torch import Tensor

from speechalign import Translator
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.languages import language

LANGUAGES = ("deu", "fra", "ita", "spa")


def plain(translator: Translator, heard: list[tuple[Tensor, str]]) -> list[str]:
    """Translate one by one, without anything of `speechalign.inference`."""
    model, texts = translator.model, []
    with torch.inference_mode():
        for waveform, code in heard:
            samples, row = torch.tensor([len(waveform)]), torch.tensor([language(code).row])
            padded = torch.nn.functional.pad(waveform, (0, -len(waveform) % 320))[None]
            speech = model.listen(model.frames(padded, samples, row)).embeddings
            prompt = translator.prompts.prompt("st", code, translator.target)
            tokens = model.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
            embeddings = torch.cat([speech, model.llm.embed(tokens.input_ids)], dim=1)
            answer = model.llm.transformer.generate(
                inputs_embeds=embeddings,
                attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long),
                max_new_tokens=translator.decoding.max_new_tokens,
                do_sample=False,
                eos_token_id=model.llm.end,
                pad_token_id=model.llm.end,
            )
            texts += model.tokenizer.batch_decode(answer, skip_special_tokens=True)
    return [text.strip() for text in texts]


def ours(translator: Translator, heard: list[tuple[Tensor, str]], batch_size: int) -> list[str]:
    """Translate language by language, in batches."""
    texts = []
    for code in LANGUAGES:
        waveforms = [waveform for waveform, spoken in heard if spoken == code]
        answers = translator.translate(waveforms, from_=code, batch_size=batch_size)
        texts += [answer.text for answer in answers]
    return texts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    translator = Translator.from_pretrained(device="cpu")
    corpus = Fleurs("assets:micro/fleurs")
    utterances = [u for code in LANGUAGES for u in corpus.utterances(code, "test")]
    utterances = utterances[:: max(1, len(utterances) // given.recordings)][: given.recordings]
    heard = [(read_audio(utterance), utterance.language) for utterance in utterances]
    seconds = sum(len(waveform) for waveform, _ in heard) / SAMPLE_RATE
    candidates: dict[str, Callable[[], list[str]]] = {
        "plain loop": partial(plain, translator, heard),
        **{f"batches of {n}": partial(ours, translator, heard, n) for n in (1, 8, 16, 32)},
    }
    times: dict[str, list[float]] = {name: [] for name in candidates}
    texts: dict[str, list[str]] = {}
    for _ in range(given.rounds):
        for name, work in candidates.items():
            start = time.perf_counter()
            texts[name] = work()
            times[name].append(time.perf_counter() - start)
    alone = median(times["plain loop"])
    for name, found in times.items():
        took = median(found)
        alike = sum(map(eq, texts[name], texts["batches of 1"]))
        assert alike == len(heard) or name == "plain loop", f"{name} wrote other texts"
        print(
            f"{name}: {took:.2f} s, {seconds / took:.0f} x real time,"
            f" {alone / took:.2f} x the plain loop, {alike} of {len(heard)} texts as one by one"
        )


if __name__ == "__main__":
    main()
