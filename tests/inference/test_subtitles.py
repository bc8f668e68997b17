"""Subtitles are valid by independent readers, in order, and their lines are short."""

import io

import pytest
import srt as reader
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from speechalign.inference.answers import Segment, Word
from speechalign.inference.subtitles import apart, clock, cues, srt, tsv, vtt, wide, wrapped

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Mn")), max_size=400
).map(lambda text: " ".join(text.split()))


def segment(start, end, text, source=None, code="deu", words=()):
    return Segment(start, end, text, code, None, 1.0, source_text=source, words=tuple(words))


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 5000), TEXTS), max_size=6))
def test_cues_are_valid_in_order_and_short(parts):
    segments, place = [], 0
    for spoken, pause, text in parts:
        segments.append(segment(place / 1000, (place + spoken) / 1000, text))
        place += spoken + pause
    shown = list(cues(segments, "eng"))
    assert all(wide(line) <= 42 for cue in shown for line in cue.lines)
    times = [time for cue in shown for time in (cue.start, cue.end)]
    assert times == sorted(times)
    assert all(cue.start < cue.end for cue in shown)
    said = "".join("".join(text.split()) for _, _, text in parts)
    assert "".join("".join(line.split()) for cue in shown for line in cue.lines) == said
    read = list(reader.parse(srt(shown)))
    assert [one.start.total_seconds() for one in read] == pytest.approx([c.start for c in shown])
    assert [one.end.total_seconds() for one in read] == pytest.approx([c.end for c in shown])


def test_independent_readers_find_times_and_text():
    segments = [segment(0.5, 2.25, "Fish & chips <b> --> now"), segment(3661.2, 3662, "Äpfel")]
    (first, second) = reader.parse(srt(cues(segments, None)))
    assert (first.content, first.end.total_seconds()) == ("Fish & chips <b> → now", 2.25)
    assert (second.start.total_seconds(), second.content) == (3661.2, "Äpfel")
    one, two = webvtt.from_buffer(io.StringIO(vtt(cues(segments, None))))
    assert (one.start, one.end) == ("00:00:00.500", "00:00:02.250")
    assert one.raw_text == "Fish &amp; chips &lt;b&gt; → now"
    assert two.start == "01:01:01.200"


def test_a_long_text_is_shown_in_several_cues_that_begin_with_their_words():
    words = [Word(f"word{n:02}", n + 0.5 if n else 0.0, n + 1.5) for n in range(20)]
    text = " ".join(word.text for word in words)
    timed = list(cues([segment(0.0, 20.5, text, words=words)], "eng"))
    assert len(timed) == 2
    first = sum(len(line.split()) for line in timed[0].lines)
    assert timed[0].end == timed[1].start == words[first].start
    by_share = list(cues([segment(0.0, 20.0, text)], "eng"))
    assert by_share[1].start == pytest.approx(20.0 * first / 20)


def test_the_transcript_stands_above_the_translation():
    (one,) = cues([segment(0, 1, "A house.", "Ein Haus.")], "eng")
    assert one.lines == ("Ein Haus.", "A house.")
    long, source = " ".join(["apple"] * 30), " ".join(["Apfel"] * 30)
    shown = list(cues([segment(0, 9, long, source)], "eng"))
    assert len(shown) == 3
    assert all(len(line) <= 42 for cue in shown for line in cue.lines)
    assert sum(line.count("Apfel") for cue in shown for line in cue.lines) == 30


@given(TEXTS, TEXTS, st.sampled_from(["deu", "jpn", "kor"]))
def test_each_language_has_two_lines_of_a_cue_and_nothing_is_lost(text, source, code):
    shown = list(cues([segment(0, 60, text, source, code)], "eng"))
    assert all(len(cue.lines) <= 4 for cue in shown)
    if text:
        lines = [line for cue in shown for line in cue.lines]
        assert sorted("".join("".join(lines).split())) == sorted("".join((text + source).split()))


def test_the_longer_of_two_texts_tells_how_many_cues_there_are():
    short, long = "Yes.", " ".join(["Donaudampfschiff"] * 12)
    for text, source in ((short, long), (long, short)):
        shown = list(cues([segment(0, 9, text, source)], "eng"))
        assert len(shown) == 3
        assert max(len(cue.lines) for cue in shown) == 3
        said = " ".join(line for cue in shown for line in cue.lines)
        assert said.count("Donaudampfschiff") == 12


def test_a_word_that_fills_cues_is_parted_among_them():
    shown = list(cues([segment(0, 90, "x" * 6000, "Ach.")], "eng"))
    assert all(len(cue.lines) <= 3 for cue in shown)
    assert sum(line.count("x") for cue in shown for line in cue.lines) == 6000


def test_a_cue_is_shown_long_enough():
    assert apart([10.0, 10.0, 10.0, 12.0]) == [10.0, 10.5, 11.0, 12.0]
    assert apart([10.0, 12.0, 12.0, 12.0]) == pytest.approx([10.0, 11.0, 11.5, 12.0])
    assert apart([0.0, 0.1, 0.2]) == pytest.approx([0.0, 0.1, 0.2])
    assert apart([0.0, 5.0, 9.0]) == [0.0, 5.0, 9.0]
    words = [Word(f"word{n:02}", 0.0 if n < 2 else 3.0, 3.0) for n in range(20)]
    text = " ".join(word.text for word in words)
    shown = list(cues([segment(0.0, 3.0, text, words=words)], "eng"))
    assert [(cue.start, cue.end) for cue in shown] == [(0.0, 2.5), (2.5, 3.0)]


def test_korean_which_has_spaces_is_as_wide_as_it_looks():
    text = " ".join(["안녕하세요"] * 9)
    lines = wrapped(text, True, 42)
    assert " ".join(lines) == text
    assert max(wide(line) for line in lines) <= 42
    assert len(lines) == 3


def test_lines_are_of_like_length_and_scripts_without_spaces_are_broken_too():
    assert wrapped("one two three four five six seven eight nine ten", True, 42) == [
        "one two three four five",
        "six seven eight nine ten",
    ]
    chinese = "今天天气很好\uff0c我们去公园散步\uff0c然后回家吃饭。"
    lines = wrapped(chinese, False, 20)
    assert "".join(lines) == chinese
    assert all(len(line) <= 10 for line in lines)
    assert not any(line.startswith(("\uff0c", "。")) for line in lines)
    assert wrapped("", False, 42) == wrapped("", True, 42) == []


def test_a_word_longer_than_a_line_is_broken():
    assert [len(line) for line in wrapped("x" * 100, True, 42)] == [34, 34, 32]


def test_what_is_empty_is_not_shown():
    segments = [segment(0, 1, ""), segment(2, 3, "a\tb")]
    assert len(list(cues(segments, "eng"))) == 1
    assert tsv(segments) == "start\tend\ttext\n2000\t3000\ta b\n"
    assert srt([]) == ""
    assert vtt([]) == "WEBVTT\n\n"


def test_a_clock_rounds_to_milliseconds():
    assert clock(59.9996, ",") == "00:01:00,000"
    assert clock(360_000.0, ".") == "100:00:00.000"
