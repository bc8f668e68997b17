"""The frozen LLM: logits at labels equal the full ones, wherever padding stands."""

import shutil
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from speechalign.data.batch import IGNORE
from speechalign.errors import UserError
from speechalign.models.llm import CausalLLM, positions


@pytest.fixture
def llm(llm_folder) -> CausalLLM:
    return CausalLLM(llm_folder, dtype="float32")


def test_label_logits_equal_the_full_ones(llm, llm_folder):
    torch.manual_seed(0)
    speech, tokens = torch.randn(2, 5, llm.width), torch.randint(0, 256, (2, 7))
    labels = torch.full((2, 7), IGNORE)
    labels[0, 3:6], labels[1, 2:7] = tokens[0, 3:6], tokens[1, 2:7]
    valid = torch.tensor([[1] * 6 + [0], [1] * 7], dtype=torch.bool)
    mask = torch.ones(2, 5, dtype=torch.bool)
    predicted = llm(speech, mask, tokens, valid, labels)
    full = AutoModelForCausalLM.from_pretrained(llm_folder).eval()
    for row, length in enumerate((6, 7)):
        text = full.get_input_embeddings()(tokens[row : row + 1, :length])
        logits = full(inputs_embeds=torch.cat([speech[row : row + 1], text], dim=1)).logits[0]
        at = [i for i in range(7) if labels[row, i] != IGNORE]
        kept = predicted.labels[row] != IGNORE
        assert_close(predicted.logits[row][kept], logits[[5 + i - 1 for i in at]])
        assert predicted.labels[row][kept].tolist() == tokens[row, at].tolist()


def test_the_head_sees_labelled_positions_alone(llm):
    labels = torch.full((1, 7), IGNORE)
    labels[0, 5:] = 3
    ones = torch.ones(1, 7, dtype=torch.bool)
    predicted = llm(torch.zeros(1, 5, llm.width), ones[:, :5], ones.long(), ones, labels)
    assert predicted.logits.shape == (1, 2, len(llm.tokenizer))


def test_masked_speech_changes_nothing(llm):
    torch.manual_seed(0)
    speech, tokens = torch.randn(1, 6, llm.width), torch.randint(0, 256, (1, 4))
    ones = torch.ones(1, 6, dtype=torch.bool)
    hole = torch.tensor([[1, 1, 1, 0, 1, 0]], dtype=torch.bool)
    valid = ones[:, :4]
    labels = tokens.clone()
    labels[:, 0] = IGNORE  # a prompt always stands between speech and the first label
    with_hole = llm(speech, hole, tokens, valid, labels).logits
    without = llm(speech[hole][None], ones[:, :4], tokens, valid, labels).logits
    assert_close(with_hole, without, atol=1e-5, rtol=1e-5)


def test_positions_count_valid_tokens():
    mask = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 1, 1, 0]], dtype=torch.bool)
    assert positions(mask).tolist() == [[0, 0, 1, 1, 2], [0, 1, 2, 3, 3]]


def test_is_frozen(llm):
    assert not any(p.requires_grad for p in llm.parameters())
    assert not any(part.training for part in llm.train().modules())


def test_a_folder_without_a_tokenizer_is_told(llm_folder, tmp_path):
    for file in Path(llm_folder).iterdir():
        if "tokenizer" not in file.name:
            shutil.copy(file, tmp_path)
    with pytest.raises(UserError, match="holds no tokenizer"):
        CausalLLM(str(tmp_path))


def test_a_tokenizer_of_another_llm_is_told(llm_folder, tmp_path):
    shutil.copytree(llm_folder, tmp_path, dirs_exist_ok=True)
    Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=99,
            hidden_size=8,
            num_hidden_layers=1,
            intermediate_size=8,
            num_attention_heads=1,
            num_key_value_heads=1,
        )
    ).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="embeds only 99"):
        CausalLLM(str(tmp_path))


@pytest.mark.parametrize(
    ("file", "damage"),
    [("tokenizer.json", '{"a": 1}'), ("tokenizer.json", '{"a"'), ("tokenizer_config.json", '{"a"')],
)
def test_a_damaged_tokenizer_is_told(llm_folder, tmp_path, file, damage):
    shutil.copytree(llm_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).write_text(damage)
    with pytest.raises(UserError, match="tokenizer"):
        CausalLLM(str(tmp_path))


@pytest.mark.parametrize("damage", [b"", b"\x10" * 99])
def test_damaged_weights_are_told(llm_folder, tmp_path, damage):
    shutil.copytree(llm_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").write_bytes(damage)
    with pytest.raises(UserError, match="No model could be loaded"):
        CausalLLM(str(tmp_path))


def test_home_is_understood(llm_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(Path(llm_folder).parent))
    assert CausalLLM(f"~/{Path(llm_folder).name}").width == CausalLLM(llm_folder).width


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(UserError, match="no model folder"):
        CausalLLM(str(tmp_path / "none"))
