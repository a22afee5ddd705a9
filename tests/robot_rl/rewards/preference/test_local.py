"""A vision-language model of random weights stands for a real one; what loads and asks it is the real code."""

import string

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from robot_rl.data.png import encode_png
from robot_rl.exceptions import ConfigError
from robot_rl.rewards.preference import local
from robot_rl.rewards.preference.configuration import LabelConfig
from robot_rl.rewards.preference.judges import Questions, VlmJudge
from robot_rl.rewards.preference.store import Cache
from tests.robot_rl import operators  # noqa: F401
from tests.robot_rl.rewards.preference import moving

SIDE = 28
TEMPLATE = (
    "{% for m in messages %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A LLaVA of two layers that knows single letters."""
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    names = ["<pad>", "<s>", "</s>", "<image>", *string.printable]
    letters = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<pad>"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    pictures = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    processor = LlavaProcessor(
        pictures, tokenizer, patch_size=14, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        image_token="<image>", num_additional_image_tokens=1,
    )  # fmt: skip
    sees = CLIPVisionConfig(**small, image_size=SIDE, patch_size=14)
    says = LlamaConfig(**small, vocab_size=len(names), max_position_embeddings=4096, pad_token_id=0, eos_token_id=2)
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=sees, text_config=says, image_token_index=3, image_seq_length=4)
    )
    place = tmp_path_factory.mktemp("llava")
    model.save_pretrained(place, safe_serialization=True)
    processor.save_pretrained(place)
    return place


@pytest.fixture
def model(folder, monkeypatch):
    monkeypatch.setattr(local, "TOKENS", 6)
    return local.LocalModel(LabelConfig(task="right", model=str(folder)))


def shown(x):
    return encode_png(moving.picture(np.random.default_rng(0), x))


def test_it_looks_at_pictures_and_answers_the_same_each_time(model):
    first = model.ask("which one?", [shown(0.1), shown(0.9)])
    assert first == model.ask("which one?", [shown(0.1), shown(0.9)]) and first.strip()
    assert model.ask("which one?")  # text alone
    assert model.name.endswith("@local")


def test_an_answer_that_is_none_counts_as_failed(model, tmp_path):
    judge = VlmJudge(Questions(model, Cache(tmp_path)), LabelConfig(task="right", model="tiny"))
    verdict = judge.compare(shown(0.1), shown(0.9))
    assert verdict.status in ("failed", "unsure", "ok")  # letters at random
    assert judge.compare(shown(0.1), shown(0.9)) == verdict and len(Cache(tmp_path)) == 2
    assert judge.compare(shown(0.1), shown(0.1)).status == "identical"


def test_what_is_no_model_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="does not load .*check its name, or name a local copy"):
        local.LocalModel(LabelConfig(task="right", model=str(tmp_path)))
