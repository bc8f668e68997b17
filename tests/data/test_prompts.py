"""Prompts and answers, and answers taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechalign.data.prompts import PromptTemplates

TEXT = st.text().map(str.strip)


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        ("asr", "<|deu|><|asr|>"),
        ("st", "<|deu|><|st|><|eng|>"),
        ("srt", "<|deu|><|srt|><|eng|>"),
    ],
)
def test_the_prompt_names_task_and_languages(task, prompt):
    assert PromptTemplates().prompt(task, "deu", "eng") == prompt


def test_templates_can_be_worded_otherwise():
    prompts = PromptTemplates(st="Translate {source} to {target}: ", tag=" => ")
    assert prompts.prompt("st", "deu", "eng") == "Translate deu to eng: "
    assert prompts.answer("srt", "Haus", "house") == "Haus => house"


@given(transcript=TEXT.filter(lambda text: "<|st|>" not in text), translation=TEXT)
def test_splitting_an_answer_gives_its_parts_back(transcript, translation):
    prompts = PromptTemplates()
    parts = {"asr": (transcript, None), "st": (None, translation), "srt": (transcript, translation)}
    for task, expected in parts.items():
        assert prompts.split(task, prompts.answer(task, transcript, translation)) == expected


def test_an_answer_without_its_tag_was_never_translated():
    assert PromptTemplates().split("srt", " Haus ") == ("Haus", None)
    assert PromptTemplates().split("srt", "Haus <|st|> house <|st|> home") == (
        "Haus",
        "house <|st|> home",
    )
