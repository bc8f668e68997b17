"""Decoding equals a hand-written greedy loop, and does not depend on the batch."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.decode import Decoding, Generated, generate
from speechalign.models.llm import CausalLLM
from tests.models.conftest import noise

GREEDY = Decoding(beams=1, max_new_tokens=8, no_repeat_ngram=0)


def hear(model, *seconds):
    waveform, samples = noise(*seconds)
    return model.frames(waveform, samples, torch.full((len(seconds),), language("deu").row))


def test_greedy_equals_a_loop_over_full_forwards(model):
    frames = hear(model, 0.8)
    llm, end = model.llm, model.tokenizer.eos_token_id
    with torch.no_grad():
        prompt = torch.tensor([model.tokenizer.encode("<|deu|>")])
        sequence = torch.cat([model.listen(frames).embeddings, llm.embed(prompt)], dim=1)
        answer: list[int] = []
        while len(answer) < 8 and end not in answer:
            answer.append(int(llm.transformer(inputs_embeds=sequence).logits[0, -1].argmax()))
            sequence = torch.cat([sequence, llm.embed(torch.tensor([[answer[-1]]]))], dim=1)
    expected = model.tokenizer.decode(answer, skip_special_tokens=True).strip()
    told = Generated(expected, ended=end in answer)
    assert generate(model, frames, ["<|deu|>"], GREEDY) == [told]


@pytest.mark.parametrize("decoding", [GREEDY, Decoding(beams=3, max_new_tokens=8)])
def test_an_answer_does_not_depend_on_the_batch(model, decoding):
    prompts = ["<|deu|>", "a much longer prompt <|deu|>", "?"]
    seconds = [0.6, 2.5, 1.3]
    together = generate(model, hear(model, *seconds), prompts, decoding)
    waveform, samples = noise(*seconds)
    for row, (prompt, answer) in enumerate(zip(prompts, together, strict=True)):
        count = samples[row : row + 1]
        padded = int(count) + 960 + -(int(count) + 960) % 320
        own = waveform[row : row + 1, :padded]
        own = torch.nn.functional.pad(own, (0, padded - own.shape[1]))
        frames = model.frames(own, count, torch.tensor([language("deu").row]))
        assert generate(model, frames, [prompt], decoding) == [answer]


def test_the_llms_own_generation_settings_are_not_used(model, llm_folder, tmp_path):
    shutil.copytree(llm_folder, tmp_path, dirs_exist_ok=True)
    own = {"repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "suppress_tokens": [97]}
    (tmp_path / "generation_config.json").write_text(json.dumps(own))
    frames, long = hear(model, 0.8), replace(GREEDY, max_new_tokens=30)
    expected = generate(model, frames, ["<|deu|>"], long)
    assert len(set(expected[0].text)) < len(expected[0].text)  # a penalty would show
    model.llm = CausalLLM(str(tmp_path), dtype="float32")
    assert generate(model, frames, ["<|deu|>"], long) == expected


def test_no_ngram_is_repeated(model):
    def favour(head, arguments, logits):
        return logits + 100 * torch.tensor([
            1.0 * (token == 70) for token in range(logits.shape[-1])
        ])

    model.llm.transformer.get_output_embeddings().register_forward_hook(favour)
    frames, (letter,) = hear(model, 0.8), model.tokenizer.decode([70])
    (free,) = generate(model, frames, ["<|deu|>"], GREEDY)
    (bound,) = generate(model, frames, ["<|deu|>"], replace(GREEDY, no_repeat_ngram=2))
    assert free == (letter * 8, False)
    assert bound.text.count(letter * 2) == 1
    assert letter * 3 not in bound.text


def test_impossible_settings_are_told():
    with pytest.raises(UserError, match="cannot decode"):
        Decoding(beams=0)
