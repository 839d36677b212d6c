"""Hugging Face's Flax models, as transformers 4 has them, in small configurations."""

from __future__ import annotations

from typing import Any

import jax

from exporter import TensorSpec
from scripts.parity.case import case


@case(ranges={"inputs": (0, 63)})
def hf_gpt2() -> Any:
    """GPT-2 of Hugging Face: logits of tokens."""
    from transformers import FlaxGPT2LMHeadModel, GPT2Config

    config = GPT2Config(vocab_size=64, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    model = FlaxGPT2LMHeadModel(config, seed=0)

    def func(params: Any, tokens: jax.Array) -> jax.Array:
        return model(tokens, params=params, train=False).logits

    return func, model.params, TensorSpec(("b", 12), "int32")


@case(
    ranges={"input_ids": (0, 63), "attention_mask": (0, 1)},
)
def hf_bert() -> Any:
    """BERT of Hugging Face, its ModelOutput returned as it is."""
    from transformers import BertConfig, FlaxBertModel

    config = BertConfig(
        vocab_size=64,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    model = FlaxBertModel(config, seed=0)

    def func(params: Any, inputs: Any) -> Any:
        return model(**inputs, params=params, train=False)

    tokens = TensorSpec(("b", 10), "int32")
    return func, model.params, {"input_ids": tokens, "attention_mask": tokens}


@case()
def hf_vit() -> Any:
    """ViT of Hugging Face: pixels to classes."""
    from transformers import FlaxViTForImageClassification, ViTConfig

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=4,
        num_labels=5,
    )
    model = FlaxViTForImageClassification(config, seed=0)

    def func(params: Any, inputs: Any) -> dict[str, jax.Array]:
        return {"logits": model(inputs["pixel_values"], params=params, train=False).logits}

    return func, model.params, {"pixel_values": TensorSpec(("b", 3, 16, 16))}
