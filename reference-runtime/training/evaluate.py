"""Measure a GGUF of mixtral-micro: bits per byte, use of experts by segment, and what damage to one expert does.

Everything is computed by the PyTorch model from the (dequantised) weights in the file. Writes ``evaluation.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from export import load_gguf
from heldout import bits_per_byte, windows
from model import Mixtral
from sources import SEGMENTS

Table = dict[str, list[float]]


def entropy(share: Tensor) -> Tensor:
    """Entropy in bits over the last dimension."""
    return -(share * share.clamp_min(1e-12).log2()).sum(-1)


@torch.no_grad()
def usage(model: Mixtral, held: dict[str, Tensor]) -> list[dict[str, object]]:
    """For each layer: share of token-slots by segment and expert, entropy (max 3 bits), information (max 2.32 bits)."""
    counts = torch.zeros(len(SEGMENTS), model.shape.layers, model.shape.experts, dtype=torch.double)
    gate = torch.zeros(model.shape.layers, dtype=torch.double)
    tokens = 0
    for index, segment in enumerate(SEGMENTS):
        for part in held[segment].split(8):
            _, routers, choices = model(part[:, :-1])
            for layer, (router, chosen) in enumerate(zip(routers, choices, strict=True)):
                counts[index, layer] += torch.bincount(chosen.reshape(-1), minlength=model.shape.experts)
                gate[layer] += float(entropy(router.softmax(-1)).sum())
            tokens += part[:, :-1].numel()
    result: list[dict[str, object]] = []
    for layer in range(model.shape.layers):
        share = counts[:, layer] / counts[:, layer].sum(-1, keepdim=True)
        mean = share.mean(0)
        result.append(
            {
                "layer": layer,
                "usage_entropy_bits": round(float(entropy(mean)), 4),
                "information_bits": round(float(entropy(mean) - entropy(share).mean()), 4),
                "gate_entropy_nats": round(float(gate[layer]) / tokens * math.log(2), 4),
                "share": {
                    segment: [round(value, 4) for value in share[index].tolist()]
                    for index, segment in enumerate(SEGMENTS)
                },
            }
        )
    return result


@contextmanager
def damaged(model: Mixtral, layer: int, expert: int, kind: str) -> Iterator[None]:
    """The model with the down projection of one expert zeroed, or with its output rows in another (fixed) order."""
    weight = model.layers[layer].experts.down
    before = weight.data[expert].clone()
    if kind == "zeroed":
        weight.data[expert].zero_()
    else:
        order = torch.randperm(before.shape[0], generator=torch.Generator().manual_seed(layer * 8 + expert))
        weight.data[expert] = before[order]
    try:
        yield
    finally:
        weight.data[expert] = before


def degradations(model: Mixtral, work: Path, held: dict[str, Tensor]) -> dict[str, object]:
    """Relative change of bits per byte, in percent, for each layer, expert and kind of damage."""
    base = bits_per_byte(model, work, held)
    rows = []
    for kind in ("zeroed", "permuted"):
        for layer in range(model.shape.layers):
            for expert in range(model.shape.experts):
                with damaged(model, layer, expert, kind):
                    after = bits_per_byte(model, work, held)
                change = {name: round(100 * (after[name] / base[name] - 1), 2) for name in base}
                rows.append({"kind": kind, "layer": layer, "expert": expert, "change_percent": change})
    return {"windows_per_segment": len(held["en"]), "rows": rows}


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="the GGUF that ships")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="other types, for their bits per byte")
    parser.add_argument("--windows", type=int, default=240)
    parser.add_argument("--damage-windows", type=int, default=24)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(1)
    held = {segment: windows(work, segment, options.windows) for segment in SEGMENTS}
    model = load_gguf(options.model)
    bits = {options.model.name: bits_per_byte(model, work, held)}
    for path in options.also:
        bits[path.name] = bits_per_byte(load_gguf(path), work, held)
    longer = {segment: windows(work, segment, options.windows // 4, 512) for segment in SEGMENTS}
    shorter = {segment: rows[: options.damage_windows] for segment, rows in held.items()}
    result = {
        "file": options.model.name,
        "sha256": hashlib.sha256(options.model.read_bytes()).hexdigest(),
        "windows_per_segment": options.windows,
        "bits_per_byte": bits,
        "bits_per_byte_512": bits_per_byte(model, work, longer),
        "usage": usage(model, held),
        "degradations": degradations(model, work, shorter),
    }
    (work / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(bits, indent=1))


if __name__ == "__main__":
    main()
