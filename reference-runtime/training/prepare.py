"""Fetch the pinned sources and write the split text: ``train/<segment>.jsonl``, ``heldout/<segment>.jsonl``.

``sources.json`` next to them registers, per segment and source: package version, licence, number of documents and
bytes, and the SHA-256 over the sorted documents, so that a rerun can prove it saw the same text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
from collections import defaultdict
from pathlib import Path

from sources import DEBIAN, NPM, PYPI, SEGMENTS, Document, documents, fetch

HELD_OUT_SHARE = 0.05
MAX_TRAIN_BYTES = {"Python standard library": 5_000_000, "Go standard library": 5_000_000, "botocore": 9_000_000}


def digest(text: str) -> str:
    """Hex SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def version_of(source: str) -> str:
    """The exact version of the package a source comes from."""
    if source == "Python standard library":
        return f"CPython {platform.python_version()}"
    if source == "Go standard library":
        return subprocess.run(["go", "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    if source == "package.json files":
        return "of the npm packages named here"
    name = source.split(" ")[0]
    return {**NPM, **PYPI, **DEBIAN}[name]


def group_of(document: Document) -> str:
    """Near-duplicates stay on one side of the split: all versions of a service, all files of a Go package."""
    if document.source == "botocore":
        return document.name.split("/")[0]
    if document.source == "Go standard library":
        return document.name.rpartition("/")[0]
    return document.name


def is_held_out(document: Document) -> bool:
    """Stable choice by the hash of the document's group: about one in twenty; package.json files only train."""
    if document.source == "package.json files":
        return False
    value = int(digest(f"{document.source}\n{group_of(document)}")[:8], 16)
    return value / 2**32 < HELD_OUT_SHARE


def split(work: Path, segment: str) -> tuple[list[Document], list[Document]]:
    """Train and held-out documents of a segment, without repeated texts, in an order that mixes the sources.

    Lines that a training document shares with a held-out one (menus, set phrases of help texts) stay: real text of
    this kind has them, and a document is the unit of the split.
    """
    seen: set[str] = set()
    unique: list[Document] = []
    for document in documents(work, segment):
        key = digest(document.text)
        if key not in seen:
            seen.add(key)
            unique.append(document)
    unique.sort(key=lambda document: digest(f"order\n{document.source}\n{document.name}"))
    train: list[Document] = []
    held: list[Document] = []
    used: dict[str, int] = defaultdict(int)
    for document in unique:
        if is_held_out(document):
            held.append(document)
        elif used[document.source] < MAX_TRAIN_BYTES.get(document.source, 1 << 60):
            used[document.source] += len(document.text.encode("utf-8"))
            train.append(document)
    return train, newest(held)


def newest(held: list[Document]) -> list[Document]:
    """Held-out service models without what would flatter the result.

    Older versions of a service repeat its windows; endpoint rules are nearly the same text for every service.
    """
    held = [document for document in held if not document.name.endswith("endpoint-rule-set-1.json.gz")]
    latest: dict[tuple[str, str], str] = {}
    for document in held:
        if document.source == "botocore":
            key = (group_of(document), Path(document.name).name)
            latest[key] = max(latest.get(key, ""), document.name)
    kept = set(latest.values())
    return [document for document in held if document.source != "botocore" or document.name in kept]


def register(segment: str, part: str, chosen: list[Document]) -> list[dict[str, object]]:
    """One entry per source for ``sources.json``."""
    by_source: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for document in chosen:
        by_source[(document.source, document.licence)].append(document)
    entries = []
    for (source, licence), group in sorted(by_source.items()):
        hashes = sorted(f"{document.name}\t{digest(document.text)}" for document in group)
        entries.append(
            {
                "segment": segment,
                "part": part,
                "source": source,
                "version": version_of(source),
                "licence": licence,
                "documents": len(group),
                "bytes": sum(len(document.text.encode("utf-8")) for document in group),
                "sha256": digest("\n".join(hashes)),
            }
        )
    return entries


def write(path: Path, chosen: list[Document]) -> None:
    """One JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for document in chosen:
            file.write(json.dumps(document.__dict__, ensure_ascii=False) + "\n")


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder outside the repository")
    work: Path = parser.parse_args().work
    fetch(work)
    entries: list[dict[str, object]] = []
    for segment in SEGMENTS:
        train, held = split(work, segment)
        for part, chosen in (("train", train), ("heldout", held)):
            write(work / part / f"{segment}.jsonl", chosen)
            entries += register(segment, part, chosen)
    (work / "sources.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    for entry in entries:
        print(f"{entry['segment']:5}{entry['part']:9}{entry['bytes']:>10}  {entry['documents']:>5}  {entry['source']}")


if __name__ == "__main__":
    main()
