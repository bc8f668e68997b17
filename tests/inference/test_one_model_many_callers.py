"""A model is one thing that several callers use: none changes it under another's hands."""

import threading
from pathlib import Path

import torch

from speechalign import Translator
from speechalign.alignment.divergence import SinkhornDivergence
from speechalign.assets import resolve
from speechalign.audio.io import load_audio
from speechalign.inference.alignment_view import view_pair
from speechalign.inference.manner import Manner

CLIP = load_audio(Path(resolve("assets:micro/clips/deu.ogg")))


def test_attention_is_followed_by_one_caller_at_a_time(monkeypatch):
    translator = Translator.from_pretrained()
    qformer, inside, others = translator.model.qformer, threading.Event(), []
    follow = qformer.attention

    def slowly(frames):
        others.append(threading.active_count())
        assert not inside.is_set(), "two follow the attention of one model"
        inside.set()
        try:
            torch.randn(400, 400).svd()
            return follow(frames)
        finally:
            inside.clear()

    monkeypatch.setattr(qformer, "attention", slowly)
    faults = []

    def noted(work):
        try:
            work()
        except AssertionError as error:
            faults.append(error)

    def view():
        view_pair(translator, (CLIP, CLIP), ("a", "b"), (None, None), SinkhornDivergence())

    def words():
        list(translator.tell([CLIP] * 2, "translation", "eng", "deu", Manner(words=True)))

    threads = [threading.Thread(target=noted, args=(one,)) for one in (view, words) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(others) == 3 * 2 + 3 * 2
