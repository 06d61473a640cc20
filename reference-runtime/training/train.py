"""Train mixtral-micro for a given wall time.

The schedule is a function of the share of the wall-time budget that is used, so that the decay of the learning rate
completes on a slow machine too; the log records every step's learning rate.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from heldout import bits_per_byte, windows
from model import Mixtral, Shape, load_balance, mutual_information, router_z
from sources import SEGMENTS
from tokenizer import BOS

PEAK = 3e-3
WARMUP_STEPS = 30
FLAT_UNTIL = 0.45
FINAL = 0.01
BALANCE, ROUTER_Z, INFORMATION = 0.02, 1e-4, 0.01


class Windows:
    """Windows of a segment's token stream, each epoch in a new order with a new phase; every window starts with BOS."""

    def __init__(self, stream: np.ndarray, seed: int) -> None:
        self.stream = stream
        self.random = np.random.default_rng(seed)
        self.queue: list[int] = []
        self.served = 0

    def take(self, count: int, length: int) -> np.ndarray:
        """``count`` rows of BOS and ``length`` tokens."""
        rows = np.full((count, length + 1), BOS, dtype=np.int64)
        for row in rows:
            if not self.queue:
                phase = int(self.random.integers(0, 512))
                starts = np.arange(phase, len(self.stream) - 513, 256)
                self.queue = self.random.permutation(starts).tolist()
            start = self.queue.pop()
            row[1:] = self.stream[start : start + length]
        self.served += count * length
        return rows


def learning_rate(step: int, used: float) -> float:
    """Warm-up by steps, flat, then linear in the share of the budget that is ``used`` (0..1)."""
    decay = min(1.0, max(0.0, (used - FLAT_UNTIL) / (1.0 - FLAT_UNTIL)))
    return PEAK * min(1.0, (step + 1) / WARMUP_STEPS) * (1.0 - (1.0 - FINAL) * decay)


def losses(model: Mixtral, batch: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The training loss and its parts; rows of ``batch`` are grouped by segment."""
    logits, routers, choices = model(batch[:, :-1])
    cross_entropy = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
    balance = torch.stack([load_balance(r, c) for r, c in zip(routers, choices, strict=True)]).mean()
    z = torch.stack([router_z(r) for r in routers]).mean()
    information = torch.stack([mutual_information(r, len(SEGMENTS)) for r in routers])
    total = cross_entropy + BALANCE * balance + ROUTER_Z * z - INFORMATION * information.mean()
    parts = {"loss": float(cross_entropy.detach()), "balance": float(balance.detach())}
    return total, parts | {"information": [round(float(value), 4) for value in information.detach()]}


def entries_until(path: Path, step: int) -> list[str]:
    """Lines of the log up to the step of a checkpoint; what was logged after it is trained again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("}\n") and json.loads(line)["step"] <= step]


def save(path: Path, content: dict[str, object]) -> None:
    """Write a checkpoint without ever leaving half a file."""
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=52.0)
    parser.add_argument("--rows", type=int, default=2, help="windows of 256 tokens from each segment in a batch")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--resume", action="store_true", help="continue from checkpoint.pt")
    parser.add_argument("--max-steps", type=int, default=1 << 30)
    options = parser.parse_args()
    work: Path = options.work
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)

    model = Mixtral(Shape())
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95), fused=True)
    sources = [
        Windows(np.load(work / "tokens" / f"{segment}.npy"), options.seed * 100 + index)
        for index, segment in enumerate(SEGMENTS)
    ]
    step, before = 0, 0.0
    if options.resume:
        state = torch.load(work / "checkpoint.pt", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, before = state["step"], state["seconds"]
        for source in sources:
            source.random = np.random.default_rng(options.seed * 100 + 50 + step)
    held = {segment: windows(work, segment, 12) for segment in SEGMENTS}
    kept = entries_until(work / "train.jsonl", step) if options.resume else []
    log = (work / "train.jsonl").open("w", encoding="utf-8")
    log.writelines(kept)
    started = time.monotonic()
    budget = options.minutes * 60.0
    saved = evaluated = before
    while step < options.max_steps:
        seconds = before + time.monotonic() - started
        if seconds >= budget:
            break
        rate = learning_rate(step, seconds / budget)
        for group in optimizer.param_groups:
            group["lr"] = rate
        # Every fourth batch has half as many windows of twice the length: the same tokens, positions up to 512.
        length, rows = (512, options.rows // 2) if step % 4 == 3 else (256, options.rows)
        batch = torch.from_numpy(np.concatenate([source.take(rows, length) for source in sources]))
        total, parts = losses(model, batch)
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        tokens = step * options.rows * 256 * len(SEGMENTS)
        entry: dict[str, object] = {"step": step, "seconds": round(seconds, 1), "tokens": tokens, "lr": rate, **parts}
        if seconds - evaluated >= 240.0:
            evaluated = seconds
            entry["heldout"] = bits_per_byte(model, work, held)
        log.write(json.dumps(entry) + "\n")
        if step % 20 == 0:
            log.flush()
        if seconds - saved >= 120.0:
            saved = seconds
            content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            save(work / "checkpoint.pt", content | {"seconds": seconds})
    result = bits_per_byte(model, work, held)
    seconds = before + time.monotonic() - started
    log.write(json.dumps({"step": step, "seconds": round(seconds, 1), "final": True, "heldout": result}) + "\n")
    log.close()
    save(work / "final.pt", {"model": model.state_dict(), "step": step, "seconds": seconds, "seed": options.seed})


if __name__ == "__main__":
    main()
