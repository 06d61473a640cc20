"""Train the SentencePiece tokenizer (BPE, byte fallback) on a balanced sample, and turn documents into token files.

Options that llama.cpp can reproduce exactly: BPE (not unigram), identity normalisation, byte fallback, whitespace-only
pieces, no dummy prefix (``tokenizer.ggml.add_space_prefix`` is false). Newlines and tabs become byte tokens.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sentencepiece as spm

from sources import SEGMENTS

VOCABULARY = 2048
SAMPLE_BYTES = 2_000_000
BOS, EOS = 1, 2


def texts(work: Path, part: str, segment: str) -> Iterator[str]:
    """Texts of the prepared documents of a part (``train`` or ``heldout``)."""
    with (work / part / f"{segment}.jsonl").open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def sample_lines(work: Path, seed: int) -> Iterator[str]:
    """About ``SAMPLE_BYTES`` of lines from each segment's training documents."""
    for segment in SEGMENTS:
        chosen = list(texts(work, "train", segment))
        random.Random(f"{seed}/{segment}").shuffle(chosen)
        used = 0
        for text in chosen:
            for line in text[:20_000].split("\n"):
                if line.strip():
                    used += len(line.encode("utf-8"))
                    yield line
            if used > SAMPLE_BYTES:
                break


def train(work: Path, seed: int) -> spm.SentencePieceProcessor:
    """Train and load ``tokenizer.model``."""
    spm.SentencePieceTrainer.train(
        sentence_iterator=sample_lines(work, seed),
        model_prefix=str(work / "tokenizer"),
        model_type="bpe",
        vocab_size=VOCABULARY,
        character_coverage=0.9998,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        add_dummy_prefix=False,
        byte_fallback=True,
        split_digits=True,
        max_sentence_length=20_000,
        max_sentencepiece_length=16,
        num_threads=1,
        unk_id=0,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        minloglevel=2,
    )
    return spm.SentencePieceProcessor(model_file=str(work / "tokenizer.model"))


def main() -> None:
    """Write ``tokens/<segment>.npy`` (training stream, documents end with EOS) and report bytes per token."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    work: Path = options.work
    processor = train(work, options.seed)
    (work / "tokens").mkdir(exist_ok=True)
    for segment in SEGMENTS:
        stream: list[int] = []
        size = 0
        for text in texts(work, "train", segment):
            size += len(text.encode("utf-8"))
            stream += processor.encode(text)
            stream.append(EOS)
        np.save(work / "tokens" / f"{segment}.npy", np.array(stream, dtype=np.uint16))
        print(f"{segment}: {len(stream)} tokens, {size / len(stream):.3f} bytes per token")


if __name__ == "__main__":
    main()
