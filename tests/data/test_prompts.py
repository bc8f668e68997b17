"""Prompts and answers, and answers taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechalign.data.prompts import PromptTemplates
from speechalign.errors import UserError

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


@pytest.mark.parametrize(
    "template",
    ["<{src}>", "{", "}{source}", "{}", "{0}", "{source.code}", "{source[a]}", "{target!x}"],
)
@pytest.mark.parametrize("task", ["asr", "st", "srt"])
def test_a_template_that_cannot_be_filled_is_told(task, template):
    with pytest.raises(UserError, match=f"The prompt {task} is .*; in braces .* {{{{ and }}}}"):
        PromptTemplates(**{task: template})


def test_doubled_braces_are_braces():
    assert PromptTemplates(st="{{{source}}} {{}}").prompt("st", "deu", "eng") == "{deu} {}"


def test_an_answer_needs_its_tag():
    with pytest.raises(UserError, match="tag is empty"):
        PromptTemplates(tag="")
