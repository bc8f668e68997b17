"""Text of the micro world and a tokenizer of it, for the tests of both pretrainings."""

import pytest

from recipes.micro import pretrain_llm
from recipes.micro.text import sentences
from recipes.micro.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def texts():
    return pretrain_llm.in_columns(sentences(60, 0, "pretrain"))


@pytest.fixture(scope="session")
def tokenizer(texts):
    return train_tokenizer((text for column in texts.values() for text in column), texts, 400)
