"""Write the model card, its chart and the machine-readable summary from measured results only."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from chart import loss_chart
from export import LICENCE, NAME, VERSION, load_gguf, tensors
from model import Mixtral
from sources import SEGMENTS

TEMPLATE = Path(__file__).with_name("card.template.md")


def read_json(path: Path) -> Any:
    """Parsed JSON of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(["---"] + ["--:"] * (len(header) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def parameters(model: Mixtral) -> tuple[int, int, int]:
    """Parameters in total, those used for one token, and those of the experts; tied embeddings count once."""
    sizes = {name: tensor.numel() for name, tensor in tensors(model).items()}
    experts = sum(size for name, size in sizes.items() if "_exps." in name)
    total = sum(sizes.values())
    unused = experts * (model.shape.experts - model.shape.experts_used) // model.shape.experts
    return total, total - unused, experts


def curve(log: list[dict[str, Any]]) -> tuple[list[tuple[float, float]], dict[str, list[tuple[float, float]]]]:
    """Smoothed training loss (means of 1/120 of the steps), and held-out values, both over tokens."""
    steps = [entry for entry in log if "loss" in entry]
    size = max(1, len(steps) // 120)
    train = []
    for start in range(0, len(steps) - size + 1, size):
        part = steps[start : start + size]
        train.append((part[-1]["tokens"], sum(entry["loss"] for entry in part) / len(part)))
    held: dict[str, list[tuple[float, float]]] = {name: [] for name in (*SEGMENTS, "mean")}
    for entry in log:
        for name, value in entry.get("heldout", {}).items():
            held[name].append((entry.get("tokens", steps[-1]["tokens"]), value))
    return train, held


def curve_table(log: list[dict[str, Any]]) -> str:
    """Rows of the loss curve: every held-out measurement with the mean training loss of the 50 steps before it."""
    steps = [entry for entry in log if "loss" in entry]
    rows = []
    for entry in (entry for entry in log if "heldout" in entry):
        step = entry["step"]
        before = steps[max(0, step - 50) : step]
        loss = sum(item["loss"] for item in before) / len(before)
        rows.append(
            [
                f"{entry['seconds'] / 60:.0f}",
                str(step),
                f"{before[-1]['tokens'] / 1e6:.2f}",
                f"{before[-1]['lr']:.2e}",
                f"{loss:.3f}",
                *(f"{entry['heldout'][name]:.3f}" for name in (*SEGMENTS, "mean")),
            ]
        )
    return table(["minute", "step", "M tokens", "rate", "loss", *SEGMENTS, "mean"], rows)


def sources_table(entries: list[dict[str, Any]]) -> str:
    """One row for each segment, source and part."""
    rows = [
        [
            f"{entry['segment']}: {entry['source']}",
            entry["part"],
            entry["version"],
            entry["licence"],
            str(entry["documents"]),
            f"{entry['bytes']:,}",
            f"`{entry['sha256'][:16]}`",
        ]
        for entry in entries
    ]
    return table(["source", "part", "version", "licence", "documents", "bytes", "SHA-256 (first 16)"], rows)


def usage_tables(usage: list[dict[str, Any]]) -> str:
    """Entropy and information by layer, then the share of token-slots by segment and expert."""
    rows = [
        [
            str(layer["layer"]),
            f"{layer['usage_entropy_bits']:.2f}",
            f"{layer['information_bits']:.2f}",
            f"{layer['gate_entropy_nats']:.2f}",
        ]
        for layer in usage
    ]
    header = [
        "layer",
        "usage entropy, bits (max 3)",
        "information segment-expert, bits (max 2.32)",
        "gate entropy, nats",
    ]
    parts = [table(header, rows)]
    for layer in usage:
        shares = [[name, *(f"{100 * value:.1f}" for value in values)] for name, values in layer["share"].items()]
        header = [f"layer {layer['layer']}, % of slots", *(f"expert {index}" for index in range(len(shares[0]) - 1))]
        parts.append(table(header, shares))
    return "\n\n".join(parts)


def percent(value: float) -> str:
    """A signed percentage without a negative zero."""
    return f"{value:+.1f}".replace("-0.0", "+0.0")


def degradation_table(rows: list[dict[str, Any]], kind: str) -> str:
    """All experts: change of bits per byte in percent."""
    chosen = [row for row in rows if row["kind"] == kind]
    cells = []
    for row in chosen:
        change = row["change_percent"]
        worst = max(SEGMENTS, key=lambda name: change[name])
        values = [f"**{percent(change[name])}**" if name == worst else percent(change[name]) for name in SEGMENTS]
        cells.append([f"{row['layer']} / {row['expert']}", *values, percent(change["mean"])])
    return table(["layer / expert", *SEGMENTS, "mean"], cells)


def localised(rows: list[dict[str, Any]]) -> str:
    """By layer and kind: the damage that most hurts one segment compared with the next one."""
    best = []
    for kind in ("zeroed", "permuted"):
        for layer in sorted({row["layer"] for row in rows}):
            ranked = []
            for row in (row for row in rows if row["kind"] == kind and row["layer"] == layer):
                change = row["change_percent"]
                order = sorted(SEGMENTS, key=lambda name: -change[name])
                ranked.append((change[order[0]] - change[order[1]], row, order))
            _, row, order = max(ranked, key=lambda item: item[0])
            change = row["change_percent"]
            second = f"{order[1]} {percent(change[order[1]])} %"
            best.append(
                [
                    f"{kind}, layer {layer}",
                    str(row["expert"]),
                    f"{order[0]} {change[order[0]]:+.1f} %",
                    second,
                    f"{change['mean']:+.1f} %",
                ]
            )
    return table(["damage", "expert", "segment hit most", "next segment", "mean"], best)


def write(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cpu", required=True, help="the processor it was trained on")
    options = parser.parse_args()
    work: Path = options.work
    models: Path = options.model.parent
    log = [json.loads(line) for line in (work / "train.jsonl").read_text().splitlines()]
    evaluation = read_json(work / "evaluation.json")
    sources = read_json(work / "sources.json")
    parity = {kind: read_json(work / f"parity-{kind}.json") for kind in ("f16", "q8_0")}
    router = read_json(work / "parity-router.json")
    digest = hashlib.sha256(options.model.read_bytes()).hexdigest()
    if digest != evaluation["sha256"]:
        raise SystemExit(f"evaluation.json is of another file: {evaluation['sha256']}")
    model = load_gguf(options.model)
    total, active, experts = parameters(model)
    shape = model.shape
    last = [entry for entry in log if "loss" in entry][-1]
    bits = evaluation["bits_per_byte"][options.model.name]
    summary = {
        "name": NAME,
        "version": VERSION,
        "file": options.model.name,
        "sha256": digest,
        "bytes": options.model.stat().st_size,
        "licence": LICENCE,
        "architecture": "llama (Mixtral)",
        "quantisation": "Q8_0",
        "parameters": {"total": total, "active": active, "experts": experts},
        "layers": shape.layers,
        "embedding_length": shape.width,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "experts": shape.experts,
        "experts_used": shape.experts_used,
        "expert_feed_forward_length": shape.expert_width,
        "vocabulary": shape.vocabulary,
        "context_length": shape.context,
        "languages": ["en", "de", "fr"],
        "training": {"seed": 20, "steps": last["step"], "tokens": last["tokens"], "seconds": round(log[-1]["seconds"])},
        "bits_per_byte": bits,
        "expert_usage": evaluation["usage"],
        "degradations": evaluation["degradations"],
    }
    write(models / f"{NAME}.json", json.dumps(summary, indent=1) + "\n")
    write(models / "loss.svg", loss_chart(*curve(log)))
    names = {key: key for key in evaluation["bits_per_byte"]}
    rows = [
        [names[key]] + [f"{value[s]:.3f}" for s in (*SEGMENTS, "mean")]
        for key, value in evaluation["bits_per_byte"].items()
    ]
    longer = evaluation["bits_per_byte_512"]
    rows.append([f"{options.model.name}, windows of 512"] + [f"{longer[s]:.3f}" for s in (*SEGMENTS, "mean")])
    fields = {
        "total": f"{total:,}",
        "active": f"{active:,}",
        "experts": f"{experts:,}",
        "bytes": f"{summary['bytes']:,}",
        "sha256": digest,
        "file": options.model.name,
        "mean": f"{bits['mean']:.3f}",
        "steps": f"{last['step']:,}",
        "tokens": f"{last['tokens'] / 1e6:.1f}",
        "minutes": f"{log[-1]['seconds'] / 60:.0f}",
        "speed": f"{last['tokens'] / last['seconds']:,.0f}",
        "cpu": options.cpu,
        "windows": str(evaluation["windows_per_segment"]),
        "damage_windows": str(evaluation["degradations"]["windows_per_segment"]),
        "sources": sources_table(sources),
        "curve": curve_table(log),
        "bits": table(["file", *SEGMENTS, "mean"], rows),
        "usage": usage_tables(evaluation["usage"]),
        "localised": localised(evaluation["degradations"]["rows"]),
        "zeroed": degradation_table(evaluation["degradations"]["rows"], "zeroed"),
        "permuted": degradation_table(evaluation["degradations"]["rows"], "permuted"),
        "router_equal": f"{router['equal_choices']:,} of {router['token_layers']:,}",
        "router_margin": f"{router['largest_margin_of_a_difference']:.4f}",
        "router_median": f"{router['median_difference']:.4f}",
        "router_p99": f"{router['p99_difference']:.4f}",
        **{
            f"{key}_{kind}": f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
            for kind, result in parity.items()
            for key, value in result.items()
            if key not in {"file"}
        },
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for key, value in fields.items():
        text = text.replace("{{" + key + "}}", value)
    if "{{" in text:
        raise SystemExit("card.template.md names a field that nothing fills")
    write(models / "MODEL_CARD.md", text)


if __name__ == "__main__":
    main()
