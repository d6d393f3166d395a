"""Small models with random weights, saved as their libraries save them."""

import json
import string
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
)

TOWER = {"intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
MAX_TOKENS = 64


def save_bert(folder: Path, seed: int = 0) -> Path:
    """Save a BERT of 24 features that knows the letters."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [*string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words), hidden_size=24, max_position_embeddings=MAX_TOKENS, **TOWER
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), model_max_length=MAX_TOKENS)
    tokenizer.save_pretrained(folder)
    return folder


def save_clip(folder: Path) -> Path:
    """Save a CLIP of 8 features that knows the letters."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = [c + end for end in ("", "</w>") for c in string.ascii_lowercase]
    ids = {piece: i for i, piece in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    torch.manual_seed(0)
    told = {"vocab_size": len(ids), "max_position_embeddings": MAX_TOKENS}
    told |= {f"{end}_token_id": ids[f"<|{name}oftext|>"] for end, name in (("bos", "start"),)}
    told["eos_token_id"] = told["pad_token_id"] = ids["<|endoftext|>"]
    config = CLIPConfig(
        text_config={"hidden_size": 16, "projection_dim": 8, **TOWER, **told},
        vision_config={
            "hidden_size": 16, "projection_dim": 8, "image_size": 16, "patch_size": 8, **TOWER,
        },
        projection_dim=8,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(folder)
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def export_onnx(folder: Path) -> Path:
    """Write a saved BERT beside itself as ``model.onnx``."""
    network = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "n", 1: "t"} for name in [*names, "last_hidden_state"]}
    ones = torch.ones((2, 5), dtype=torch.int64)

    class Last(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            read = dict(zip(names, given, strict=True))
            return self.network(**read).last_hidden_state

    torch.onnx.export(
        Last(), (ones, ones, 0 * ones), str(folder / "model.onnx"), input_names=names,
        output_names=["last_hidden_state"], dynamic_axes=axes, dynamo=False,
    )  # fmt: skip
    return folder


def save_gpt2(folder: Path) -> Path:
    """Save a GPT-2 that knows bytes, and writes nothing sensible."""
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    folder.mkdir(parents=True, exist_ok=True)
    pieces = [*bytes_to_unicode().values(), "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    torch.manual_seed(0)
    end = len(pieces) - 1
    config = GPT2Config(
        vocab_size=len(pieces), n_embd=16, n_layer=1, n_head=2, n_positions=512,
        bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
