"""Reference values from PyTorch: router decisions for tests of the tracing, and cases for the parity check.

All are computed from the (dequantised) weights of one GGUF, on held-out text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
from pathlib import Path

import torch

from export import load_gguf
from heldout import processor, windows
from model import Mixtral
from sources import SEGMENTS
from tokenizer import texts

DIGITS = 5
SEQUENCES, LENGTH = 64, 20
ODD_STRINGS = [
    "", " ", "  ", "\n", "\t", "\n\n\n", " a", "a ", "a  b", "\u00a0", "\u2581", "a\u2581b", "<s>", "</s>", "<unk>",
    "<0x0A>", "[INST] hi [/INST]", "é", "e\u0301", "ﬁ", "Ⅷ", "½", "日本語", "Ελληνικά", "кириллица",
    "עברית", "😀👩‍👩‍👧", "\u200b",
    "\ufeffx", "0123456789", "3.14159e-10", "{}[]();:,.", "\r\n", "a\x7fb", "ÄÖÜäöüß", "œuvre",
    "«guillemets»", "„Anführung“",
]  # fmt: skip


def sequences(work: Path) -> list[tuple[str, list[int]]]:
    """``SEQUENCES`` pairs of segment and tokens (BOS first), the segments in turn."""
    result = []
    for index in range(SEQUENCES):
        segment = SEGMENTS[index % len(SEGMENTS)]
        row = windows(work, segment, SEQUENCES)[index]
        result.append((segment, row[:LENGTH].tolist()))
    return result


@torch.no_grad()
def router_reference(model: Mixtral, work: Path, sha256: str) -> str:
    """The JSON text of ``reference-router.json``, one sequence a line; arrays are [layer][token][expert]."""
    lines = []
    for index, (segment, tokens) in enumerate(sequences(work)):
        _, routers, choices = model(torch.tensor([tokens]))
        entry = {
            "id": f"{segment}-{index:02d}",
            "segment": segment,
            "tokens": tokens,
            "top2": [chosen.tolist() for chosen in choices],
            "probabilities": [
                [[round(value, DIGITS) for value in row] for row in router.softmax(-1).tolist()] for router in routers
            ],
        }
        lines.append(json.dumps(entry, separators=(",", ":")))
    head = {
        "model": "mixtral-micro",
        "sha256": sha256,
        "computed_by": f"PyTorch {torch.__version__.split('+')[0]}, float32, from the dequantised weights of the file",
        "layers": model.shape.layers,
        "experts": model.shape.experts,
        "experts_used": model.shape.experts_used,
        "token_layers": sum(len(json.loads(line)["tokens"]) for line in lines) * model.shape.layers,
        "digits": DIGITS,
    }
    return json.dumps(head)[:-1] + ', "sequences": [\n' + ",\n".join(lines) + "\n]}\n"


@torch.no_grad()
def parity_cases(model: Mixtral, work: Path) -> dict[str, object]:
    """Strings with their SentencePiece tokens; sequences with PyTorch's next-token choices and log-probabilities."""
    strings = list(ODD_STRINGS)
    for segment in SEGMENTS:
        rng = random.Random(f"parity/{segment}")
        chosen = list(texts(work, "heldout", segment))
        for _ in range(36):
            text = rng.choice(chosen)
            start = rng.randrange(len(text))
            strings.append(text[start : start + rng.randrange(1, 300)])
    tokenizer = processor(work)
    scored = []
    for segment in SEGMENTS:
        for row in windows(work, segment, 96)[-8:, :161]:
            logits = model(row[None, :-1])[0][0].log_softmax(-1)
            scored.append(
                {
                    "segment": segment,
                    "tokens": row.tolist(),
                    "best": logits.argmax(-1).tolist(),
                    "logprobs": logits.gather(1, row[1:, None])[:, 0].tolist(),
                }
            )
    return {"strings": [{"text": text, "tokens": tokenizer.encode(text)} for text in strings], "scored": scored}


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cases", type=Path, required=True, help="parity cases, for parity.ts")
    parser.add_argument("--router", type=Path, help="reference-router.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_gguf(options.model)
    options.cases.write_text(json.dumps(parity_cases(model, options.work)))
    if options.router is not None:
        sha256 = hashlib.sha256(options.model.read_bytes()).hexdigest()
        temporary = options.router.with_name(options.router.name + ".tmp")
        temporary.write_text(router_reference(model, options.work, sha256), encoding="utf-8")
        os.replace(temporary, options.router)


if __name__ == "__main__":
    main()
