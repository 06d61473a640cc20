"""Bits per byte on fixed windows of the held-out documents."""

from __future__ import annotations

import math
import random
from functools import cache
from pathlib import Path

import sentencepiece as spm
import torch
from torch import Tensor
from torch.nn import functional

from model import Mixtral
from tokenizer import BOS, texts


@cache
def processor(work: Path) -> spm.SentencePieceProcessor:
    """The trained tokenizer."""
    return spm.SentencePieceProcessor(model_file=str(work / "tokenizer.model"))


@cache
def byte_lengths(work: Path) -> Tensor:
    """Bytes of text that each token stands for (0 for control tokens)."""
    tokenizer = processor(work)
    sizes = []
    for token in range(tokenizer.get_piece_size()):
        if tokenizer.is_control(token) or tokenizer.is_unknown(token):
            sizes.append(0)
        elif tokenizer.is_byte(token):
            sizes.append(1)
        else:
            sizes.append(len(tokenizer.id_to_piece(token).replace("\u2581", " ").encode("utf-8")))
    return torch.tensor(sizes)


def windows(work: Path, segment: str, count: int, length: int = 256) -> Tensor:
    """``count`` windows (count, length + 1), each BOS and ``length`` tokens inside one held-out document.

    The choice depends only on the held-out text, so that every model is measured on the same windows.
    """
    tokenizer = processor(work)
    found: list[list[int]] = []
    for text in texts(work, "heldout", segment):
        tokens = tokenizer.encode(text)
        for start in range(0, len(tokens) - length + 1, length):
            found.append([BOS, *tokens[start : start + length]])
    random.Random(f"windows/{segment}").shuffle(found)
    if len(found) < count:
        raise ValueError(f"segment {segment}: {len(found)} held-out windows, {count} wanted")
    return torch.tensor(found[:count])


@torch.no_grad()
def bits_per_byte(model: Mixtral, work: Path, held: dict[str, Tensor]) -> dict[str, float]:
    """Bits per byte for each segment, and their mean."""
    sizes = byte_lengths(work)
    result: dict[str, float] = {}
    for segment, rows in held.items():
        nats, count = 0.0, 0
        for part in rows.split(8):
            logits, _, _ = model(part[:, :-1])
            nats += float(functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum"))
            count += int(sizes[part[:, 1:]].sum())
        result[segment] = round(nats / math.log(2) / count, 4)
    result["mean"] = round(sum(result.values()) / len(result), 4)
    return result
