"""Decoding equals a hand-written greedy loop, and does not depend on the batch."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from speechalign.errors import UserError
from speechalign.languages import language
from speechalign.models.decode import Decoding, Generated, generate
from speechalign.models.encoder import Frames
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


def test_sampling_is_a_draw_from_all_tokens_without_beams(model):
    hot, end = (
        Decoding(beams=4, max_new_tokens=8, no_repeat_ngram=0, temperature=2.0),
        model.llm.end,
    )
    frames, llm = hear(model, 0.8), model.llm
    torch.manual_seed(3)
    (found,) = generate(model, frames, ["<|deu|>"], hot)
    torch.manual_seed(3)
    with torch.no_grad():
        prompt = torch.tensor([model.tokenizer.encode("<|deu|>")])
        sequence = torch.cat([model.listen(frames).embeddings, llm.embed(prompt)], dim=1)
        answer: list[int] = []
        while len(answer) < 8 and end not in answer:
            logits = llm.transformer(inputs_embeds=sequence).logits[0, -1]
            answer.append(int(torch.multinomial((logits / 2.0).softmax(dim=-1)[None], 1)))
            sequence = torch.cat([sequence, llm.embed(torch.tensor([[answer[-1]]]))], dim=1)
    assert found.text == model.tokenizer.decode(answer, skip_special_tokens=True).strip()


@pytest.mark.parametrize("decoding", [GREEDY, Decoding(beams=3, max_new_tokens=2)])
def test_limits_replace_the_stored_one_and_do_not_depend_on_the_batch(model, decoding):
    prompts, frames = ["<|deu|>"] * 2, hear(model, 0.8, 0.8)
    together = generate(model, frames, prompts, decoding, torch.tensor([20, 4]))
    one = Frames(frames.hidden[1:], frames.lengths[1:])
    assert generate(model, one, prompts[:1], decoding, torch.tensor([4])) == together[1:]
    long = replace(decoding, max_new_tokens=20)
    assert together[0].text == generate(model, frames, prompts, long)[0].text
    assert not together[1].ended


def test_impossible_settings_are_told():
    with pytest.raises(UserError, match="cannot decode"):
        Decoding(beams=0)
