"""Write a checkpoint as GGUF, and read a GGUF back into the PyTorch model.

llama.cpp's ``llama`` architecture with ``llama.expert_count`` is Mixtral. Experts are merged tensors; norms and routers
stay F32 in every type; there is no ``output.weight`` because embeddings are tied.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, TokenType

from heldout import processor
from model import Mixtral, Shape

NAME = "mixtral-micro"
VERSION = "1.0.0"
LICENCE = "Apache-2.0"
TYPES = {
    "f16": (GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q5_0": (GGMLQuantizationType.Q5_0, gguf.LlamaFileType.MOSTLY_Q5_0),
    "q4_0": (GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] + '\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}"
    "{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)


def tensors(model: Mixtral) -> dict[str, torch.Tensor]:
    """GGUF names to weights, experts as (experts, out, in)."""
    width = model.shape.expert_width
    result = {"token_embd.weight": model.embedding.weight, "output_norm.weight": model.norm.weight}
    for index, layer in enumerate(model.layers):
        block = f"blk.{index}"
        result |= {
            f"{block}.attn_norm.weight": layer.attention_norm.weight,
            f"{block}.attn_q.weight": layer.attention.query.weight,
            f"{block}.attn_k.weight": layer.attention.key.weight,
            f"{block}.attn_v.weight": layer.attention.value.weight,
            f"{block}.attn_output.weight": layer.attention.output.weight,
            f"{block}.ffn_norm.weight": layer.experts_norm.weight,
            f"{block}.ffn_gate_inp.weight": layer.experts.router.weight,
            f"{block}.ffn_gate_exps.weight": layer.experts.gate_up[:, :width],
            f"{block}.ffn_up_exps.weight": layer.experts.gate_up[:, width:],
            f"{block}.ffn_down_exps.weight": layer.experts.down,
        }
    return result


def stays_f32(name: str) -> bool:
    """Norms and routers are small and sensitive."""
    return name.endswith(("norm.weight", "ffn_gate_inp.weight"))


def load_gguf(path: Path) -> Mixtral:
    """The PyTorch model with the (dequantised) weights of a GGUF that :func:`write` made."""
    reader = gguf.GGUFReader(path)
    model = Mixtral(Shape())
    wanted = tensors(model)
    if sorted(tensor.name for tensor in reader.tensors) != sorted(wanted):
        raise ValueError(f"{path}: not the tensors of {NAME}")
    with torch.no_grad():
        for tensor in reader.tensors:
            values = gguf.dequantize(tensor.data, tensor.tensor_type)
            wanted[tensor.name].copy_(torch.from_numpy(np.array(values)).view_as(wanted[tensor.name]))
    return model.eval()


def load_checkpoint(path: Path) -> tuple[Mixtral, dict[str, float]]:
    """A training checkpoint and its numbers (step, seconds)."""
    state = torch.load(path, weights_only=True)
    model = Mixtral(Shape())
    model.load_state_dict(state["model"])
    return model.eval(), {"step": state["step"], "seconds": state["seconds"]}


def add_metadata(writer: gguf.GGUFWriter, shape: Shape, work: Path, seed: int, step: int) -> None:
    """Names, licence, provenance and shape."""
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_basename(NAME)
    writer.add_version(VERSION)
    writer.add_size_label("8x0.8M")
    writer.add_license(LICENCE)
    writer.add_description(
        "Small Mixtral-architecture language model for tests and demonstrations of routing and canary analysis. "
        "Trained from scratch; a base model, not an assistant."
    )
    writer.add_languages(["en", "de", "fr"])
    writer.add_tags(["mixtral", "mixture-of-experts", "text-generation"])
    names: dict[str, str] = {}
    for entry in json.loads((work / "sources.json").read_text(encoding="utf-8")):
        names.setdefault(f"{entry['source']} {entry['version']}", entry["licence"])
    writer.add_dataset_count(len(names))
    for index, (name, licence) in enumerate(sorted(names.items())):
        writer.add_dataset_name(index, name)
        writer.add_dataset_description(index, f"licence: {licence}")
    writer.add_uint32("mixgate.training.seed", seed)
    writer.add_uint32("mixgate.training.steps", step)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.expert_width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_expert_count(shape.experts)
    writer.add_expert_used_count(shape.experts_used)


def add_tokenizer(writer: gguf.GGUFWriter, work: Path) -> None:
    """The SentencePiece vocabulary with scores and types."""
    tokenizer = processor(work)
    tokens, scores, kinds = [], [], []
    for token in range(tokenizer.get_piece_size()):
        tokens.append(tokenizer.id_to_piece(token).encode("utf-8"))
        scores.append(tokenizer.get_score(token))
        if tokenizer.is_unknown(token):
            kinds.append(TokenType.UNKNOWN)
        elif tokenizer.is_control(token):
            kinds.append(TokenType.CONTROL)
        elif tokenizer.is_byte(token):
            kinds.append(TokenType.BYTE)
        else:
            kinds.append(TokenType.NORMAL)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(tokenizer.unk_id())
    writer.add_bos_token_id(tokenizer.bos_id())
    writer.add_eos_token_id(tokenizer.eos_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def write(model: Mixtral, path: Path, kind: str, work: Path, seed: int, step: int) -> None:
    """Write ``model`` as GGUF of the type ``kind``; the same inputs give the same bytes."""
    quantisation, file_type = TYPES[kind]
    temporary = path.with_name(path.name + ".tmp")
    writer = gguf.GGUFWriter(temporary, "llama")
    add_metadata(writer, model.shape, work, seed, step)
    writer.add_file_type(file_type)
    if kind != "f16":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_tokenizer(writer, work)
    for name, tensor in tensors(model).items():
        values = tensor.detach().float().contiguous().numpy()
        # The tied embedding is also the output layer: it stays at eight bits.
        used = GGMLQuantizationType.Q8_0 if kind in {"q4_0", "q5_0"} and name == "token_embd.weight" else quantisation
        if stays_f32(name):
            used = GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quantize(values, used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(temporary, path)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint", default="final.pt")
    parser.add_argument("--type", choices=sorted(TYPES), default="q8_0")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model, numbers = load_checkpoint(options.work / options.checkpoint)
    write(model, options.out, options.type, options.work, options.seed, int(numbers["step"]))
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
