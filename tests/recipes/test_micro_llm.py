"""The pretraining of the micro LLM, with a model so small that a step takes milliseconds."""

import random
import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.micro import pretrain_llm
from recipes.micro.drill import POOL, Drill
from recipes.micro.loop import Plan, fit
from recipes.micro.text import LANGUAGES
from recipes.micro.tokenizer import END, tags
from speechalign.data.batch import IGNORE


@given(text=st.text())
def test_any_text_survives_the_tokenizer(tokenizer, text):
    text = unicodedata.normalize("NFC", text)
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_every_tag_is_one_token_that_decoding_keeps(tokenizer):
    assert len(tags(LANGUAGES)) == len(LANGUAGES) + 3
    for tag in tags(LANGUAGES):
        (token,) = tokenizer(tag)["input_ids"]
        assert tokenizer.decode([token], skip_special_tokens=True) == tag
    assert tokenizer.eos_token == tokenizer.pad_token == END
    assert len(tokenizer) == 400


def test_a_drill_asks_for_the_answer_and_its_end_and_nothing_else(texts, tokenizer):
    batch = Drill(texts, tokenizer, seed=0, batch=8)(0)
    for tokens, answers, sources in zip(*batch, strict=True):
        asked = tokenizer.decode(tokens[: (answers != IGNORE).nonzero()[0, 0]])
        source, _, prompt = asked.partition("<|")
        source_code, task, *target = prompt.removesuffix("|>").split("|><|")
        row = texts[source_code].index(source)
        translation = texts[target[0]][row] if target else ""
        expected = {"asr": source, "st": translation, "srt": f"{source}<|st|>{translation}"}[task]
        assert tokenizer.decode(answers[answers != IGNORE]) == expected + END
        assert tokenizer.decode(sources[sources != IGNORE]) == source


def test_drills_repeat_with_the_seed_and_wander_with_the_step(texts, tokenizer):
    one, same, other = (Drill(texts, tokenizer, seed, batch=4) for seed in (0, 0, 1))
    last = [one(step).tokens.tolist() for step in (POOL, 0, 1)]
    assert last == [same(step).tokens.tolist() for step in (POOL, 0, 1)]
    assert last[1] != other(0).tokens.tolist()
    assert len({str(batch) for batch in last}) == 3


def test_most_translations_are_into_english(texts, tokenizer):
    drill, generator = Drill(texts, tokenizer, seed=0), random.Random(0)
    pairs = [drill.draw_pair(generator, "st") for _ in range(2000)]
    assert sum(target == "eng" for _, target in pairs) / 2000 >= 0.6
    assert len(set(pairs)) == 72
    assert all(source != target for source, target in pairs)


def test_a_killed_run_ends_like_one_that_was_not(tmp_path):
    def run(work, killed_at=None):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))

        def loss(step):
            if step == killed_at:
                raise KeyboardInterrupt
            return model(torch.randn(16, 4)).square().mean()

        plan = Plan(steps=12, rate=0.1, warmup=3, save_every=5, log_every=4, bfloat16=False)
        fit(model, loss, plan, work)
        return model.state_dict()

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", killed_at=8)
    assert_close(run(tmp_path / "killed"), whole, rtol=0, atol=0)


def test_the_learning_rate_rises_and_falls():
    plan = Plan(steps=100, rate=1.0, warmup=10)
    rates = [plan.rate_at(step) for step in range(100)]
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.03


def test_the_llm_folder_answers_as_the_model_that_was_trained(texts, tmp_path):
    texts = {code: texts[code] for code in ("eng", "deu")}
    few = {code: column[:2] for code, column in texts.items()}
    plan = Plan(steps=3, rate=1e-3, warmup=1, log_every=1, bfloat16=False)
    shape = pretrain_llm.Shape(width=16, layers=1)
    scores = pretrain_llm.pretrain(texts, few, tmp_path / "llm", tmp_path / "work", plan, shape)
    assert set(scores) == {"asr/eng-eng", "asr/deu-deu", "st/deu-eng", "st/eng-deu", "srt/deu-eng"}
    assert (tmp_path / "work" / "evaluation.json").is_file()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "llm", dtype=torch.float32)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "llm")
    assert (tmp_path / "llm" / "model.safetensors").stat().st_mode & 0o444 == 0o444
    assert model.config.eos_token_id == loaded.eos_token_id == loaded.pad_token_id
    trained = torch.load(tmp_path / "work" / "checkpoint.pt", weights_only=True)["model"]
    assert_close(model.state_dict(), {name: w.half().float() for name, w in trained.items()})
    text = "Fährt Äneas?<|deu|><|st|><|eng|>"
    drill = Drill(texts, loaded, seed=0)
    assert loaded.decode(drill.encode(text)) == text


def test_the_llm_learns_one_batch(texts, tokenizer, tmp_path):
    torch.manual_seed(0)
    model = pretrain_llm.build(tokenizer, pretrain_llm.Shape(width=32, layers=1))
    drill = Drill({code: column[:1] for code, column in texts.items()}, tokenizer, 0, batch=4)
    batch = drill(0)
    plan = Plan(steps=80, rate=1e-2, warmup=5, bfloat16=False)
    before = pretrain_llm.next_token_loss(model, batch).item()
    fit(model, lambda step: pretrain_llm.next_token_loss(model, batch), plan, tmp_path)
    assert pretrain_llm.next_token_loss(model, batch).item() < 0.05 * before
    questions = drill.pool(0)[0]
    assert pretrain_llm.answer(model, tokenizer, questions) == [
        tokenizer.decode(question.answer[:-1]) for question in questions
    ]
