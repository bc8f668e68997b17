"""Answers that cannot be right are asked for again; how long they may be; how likely they are."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from speechalign import Translator
from speechalign.assets import resolve
from speechalign.audio.io import load_audio
from speechalign.inference import asking
from speechalign.inference.asking import (
    TEMPERATURES,
    Question,
    ask,
    geometric_means,
    longest_answers,
    probabilities,
    repeats,
    sampled,
)
from speechalign.languages import language
from speechalign.models.decode import Decoding, Generated
from speechalign.models.encoder import Frames
from speechalign.models.llm import CausalLLM

CLIP = Path(resolve("assets:micro/clips")) / "deu.ogg"
QUESTION = Question("st", "translation", "eng")
PROMPT = "<|deu|><|st|><|eng|>"
LOOP = Generated("the man and " * 9, ended=True)
RIGHT = Generated("The man reads.", ended=True)
CUT = Generated("The man reads a", ended=False)


@pytest.fixture(scope="module")
def translator() -> Translator:
    return Translator.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def frames(translator) -> Frames:
    return translator.frames([load_audio(CLIP)], language("deu"))[0]


@pytest.fixture
def asked(translator, frames, monkeypatch):
    """Ask with an LLM that says what it is told to, and the temperatures that it was asked at."""

    def asked(*answers: Generated, most: int | None = None):
        waiting, temperatures = list(answers), []

        def generate(model, frames, prompts, decoding, limits):
            temperatures.append(decoding.temperature)
            return [waiting.pop(0)]

        monkeypatch.setattr(asking, "generate", generate)
        args = translator.model, translator.prompts, Decoding(), frames, ["deu"], QUESTION, most
        (reply,) = ask(*args)
        return reply, temperatures

    return asked


@pytest.mark.parametrize("wrong", [LOOP, CUT])
def test_what_is_wrong_is_asked_again_until_it_is_right(asked, wrong):
    reply, temperatures = asked(wrong, wrong, RIGHT)
    assert temperatures == [0.0, *TEMPERATURES[:2]]
    assert (reply.text, reply.temperature) == (RIGHT.text, TEMPERATURES[1])
    assert not reply.doubtful


@pytest.mark.parametrize("wrong", [LOOP, CUT])
def test_what_stays_wrong_is_told_as_doubtful(asked, wrong):
    reply, temperatures = asked(wrong, *[LOOP] * 5)
    assert temperatures == [0.0, *TEMPERATURES]
    assert (reply.text, reply.temperature) == (wrong.text.strip(), 0.0)
    assert reply.doubtful


def test_what_is_right_is_asked_once(asked):
    reply, temperatures = asked(RIGHT)
    assert temperatures == [0.0]
    assert (reply.text, reply.temperature, reply.doubtful) == (RIGHT.text, 0.0, False)


def test_what_only_the_limit_cuts_is_not_asked_again(asked):
    reply, temperatures = asked(CUT, most=5)
    assert temperatures == [0.0]
    assert (reply.text, reply.doubtful) == (CUT.text, True)
    reply, temperatures = asked(LOOP, CUT, most=5)  # better cut than going round in circles
    assert temperatures == [0.0, TEMPERATURES[0]]
    assert (reply.text, reply.doubtful) == (CUT.text, True)


def test_a_translation_that_equals_the_transcript_is_no_loop(translator):
    name = "Wolfgang Amadeus Mozart, Johann Sebastian Bach, Ludwig van Beethoven"
    assert not repeats(translator.prompts, "srt", f"{name}<|st|>{name}")
    assert repeats(translator.prompts, "srt", f"{name}<|st|>{f'{name} ' * 3}")


def test_answers_have_as_many_tokens_as_their_speech_has_time_for():
    frames = Frames(torch.zeros(2, 1500, 4), torch.tensor([1500, 50]))
    assert longest_answers(frames, "st").tolist() == [766, 41]
    assert longest_answers(frames, "srt").tolist() == [1532, 82]


def test_the_stored_limit_is_that_of_evaluations(translator):
    short = Decoding(beams=1, max_new_tokens=3, no_repeat_ngram=0)
    parts = translator.model, translator.prompts, short, ["st", "asr"], ["deu"], [], "eng"
    assert Translator(*parts).translate(CLIP).text == translator.translate(CLIP).text


def test_a_limit_that_is_told_holds(translator):
    short = Translator.from_pretrained(device="cpu", max_new_tokens=3)
    (cut,), (whole,) = short.translate(CLIP).segments, translator.translate(CLIP).segments
    assert whole.text.startswith(cut.text)
    assert len(cut.text) < len(whole.text)
    assert (cut.doubtful, cut.temperature, whole.doubtful) == (True, 0.0, False)


def test_the_llms_context_limits_answers(translator, frames, monkeypatch):
    limits = []

    def generate(model, frames, prompts, decoding, limit):
        limits.append(limit.tolist())
        return [CUT]

    monkeypatch.setattr(asking, "generate", generate)
    args = translator.model, translator.prompts, Decoding(), frames, ["deu"], QUESTION
    read = 24 + len(translator.model.tokenizer.encode(PROMPT, add_special_tokens=False))
    settings = translator.model.llm.transformer.config
    monkeypatch.setattr(settings, "max_position_embeddings", read + 8)
    (reply,) = ask(*args)
    assert limits == [[7]]  # and its end; asked once
    assert reply.doubtful
    monkeypatch.setattr(CausalLLM, "context", None)
    ask(*args)
    assert limits[1] == longest_answers(frames, "st").tolist()


def test_a_drawn_answer_is_the_same_each_time(translator, frames):
    hot, limit = Decoding(temperature=3.0), longest_answers(frames, "st")

    def draw(seed: int) -> list[Generated]:
        return sampled(translator.model, frames, PROMPT, hot, limit, seed)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = draw(0)
    assert_close(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert draw(0) == first
    assert len({draw(seed)[0].text for seed in range(4)}) > 1


def test_sampling_is_reproducible_by_seed(translator):
    hot = Translator.from_pretrained(device="cpu", temperature=3.0, beams=4)

    def said(seed: int) -> str:
        torch.manual_seed(seed)
        (segment,) = hot.translate(CLIP).segments
        assert segment.temperature > 0
        return segment.text

    assert said(0) == said(0)
    assert len({said(seed) for seed in range(4)}) > 1


@torch.inference_mode()
def test_probabilities_equal_those_of_tokens_read_one_by_one(translator, frames):
    model, answers = translator.model, ["The man reads.", "A child"]
    both = Frames(frames.hidden.expand(2, -1, -1), frames.lengths.expand(2))
    found = probabilities(model, both, [PROMPT] * 2, answers)
    for answer, one in zip(answers, found, strict=True):
        before = model.tokenizer.encode(PROMPT, add_special_tokens=False)
        tokens = [*model.tokenizer.encode(answer, add_special_tokens=False), model.llm.end]
        logs = []
        for count, token in enumerate(tokens):
            text = model.llm.embed(torch.tensor([[*before, *tokens[:count]]]))
            read = torch.cat([model.listen(frames).embeddings, text], dim=1)
            logits = model.llm.transformer(inputs_embeds=read).logits[0, -1]
            logs.append(float(logits.log_softmax(dim=-1)[token]))
        assert one == pytest.approx(torch.tensor(logs).mean().exp().item(), rel=1e-4)


def test_geometric_means_are_of_labelled_tokens():
    logits = torch.tensor([[0.5, 0.5], [0.8, 0.2], [0.1, 0.9]]).log()[None]
    found = geometric_means(logits, torch.tensor([[-100, 0, 1]]))
    assert_close(found, torch.tensor([(0.8 * 0.9) ** 0.5]))
