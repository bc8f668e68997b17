"""Loops are told from ordinary text, in any script."""

import random

import pytest

from speechalign.inference.repetition import is_repetitive, repetition

SENTENCES = {
    "English": "The committee will meet again on Thursday to discuss the new budget.",
    "Russian": "Комитет снова соберётся в четверг, чтобы обсудить новый бюджет.",
    "Arabic": "ستجتمع اللجنة مرة أخرى يوم الخميس لمناقشة الميزانية الجديدة.",
    "Hindi": "समिति नए बजट पर चर्चा करने के लिए गुरुवार को फिर से बैठक करेगी।",
    "Tamil": "புதிய வரவு செலவுத் திட்டம் குறித்து விவாதிக்க குழு வியாழக்கிழமை மீண்டும் கூடும்.",
    "Burmese": "ဘတ်ဂျက်အသစ်ကို ဆွေးနွေးရန် ကော်မတီသည် ကြာသပတေးနေ့တွင် ထပ်မံတွေ့ဆုံမည်။",
    "Thai": "คณะกรรมการจะประชุมอีกครั้งในวันพฤหัสบดีเพื่อหารือเกี่ยวกับงบประมาณใหม่",
    "Korean": "위원회는 새 예산을 논의하기 위해 목요일에 다시 모일 것이다.",
    "Japanese": "委員会は新しい予算について話し合うため、木曜日に再び集まる予定です。",
    "Chinese": "委员会将于星期四再次开会讨论新的预算和明年的计划。",
}


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
def test_a_script_is_no_repetition_and_a_loop_is_one(sentence):
    assert not is_repetitive(sentence)
    assert is_repetitive(" ".join([sentence] * 3))
    phrase = sentence[:12].strip()
    assert is_repetitive(" ".join([phrase] * 3))
    assert is_repetitive(f"{sentence} {' '.join([sentence[-6:]] * 12)}")


@pytest.mark.parametrize("text", ["danke danke danke", "the the the the", "хорошо " * 3, "了" * 20])
def test_a_word_again_and_again_is_a_loop(text):
    assert is_repetitive(text)


@pytest.mark.parametrize("text", ["", "No, no, no.", "Yes, yes, yes!", "1914, 1915, 1916, 1917"])
def test_what_people_say_is_none(text):
    assert not is_repetitive(text)


def test_sentences_of_18_languages_are_told_from_phrases_said_thrice(shared):
    files = sorted((shared / "text" / "flores_dev_300").iterdir())
    assert len(files) == 18
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        spoken = [" ".join(lines[at : at + n]) for n in (1, 2, 3) for at in range(len(lines) - n)]
        assert not [text for text in spoken if is_repetitive(text)]
        joint = "" if file.stem[:3] in ("jpn", "zho", "tha") else " "
        for line in lines:
            words = line.split()[:4] if joint else [line[:12]]
            assert is_repetitive(joint.join(words * 3))


def test_many_different_letters_are_no_repetition():
    letters = [chr(0x4E00 + number) for number in range(600)]
    random.Random(0).shuffle(letters)
    assert repetition("".join(letters)) < 1.1
    assert is_repetitive("".join(letters) * 3)
