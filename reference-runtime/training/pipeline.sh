#!/usr/bin/env bash
# Export a checkpoint, measure it and write everything that ships: pipeline.sh WORK MODELS CPU [CHECKPOINT]
# Runs with one thread; takes about ten minutes. Python packages: requirements.txt. Node packages: ../install.mjs.
set -euo pipefail
work=$1 models=$2 cpu=$3 checkpoint=${4:-final.pt}
here=$(dirname "$0")
name=mixtral-micro
mkdir -p "$work/export"
for kind in q8_0 f16 q5_0 q4_0; do
  python "$here/export.py" --work "$work" --checkpoint "$checkpoint" --type "$kind" --out "$work/export/$name-$kind.gguf"
done
for kind in f16 q8_0; do
  router=()
  if [ "$kind" = q8_0 ]; then router=(--router "$work/export/reference-router.json"); fi
  python "$here/reference.py" --work "$work" --model "$work/export/$name-$kind.gguf" --cases "$work/cases-$kind.json" "${router[@]}"
  node "$here/parity.ts" "$work/export/$name-$kind.gguf" "$work/cases-$kind.json" --json "$work/parity-$kind.json"
done
node "$here/router-parity.ts" "$work/export/$name-q8_0.gguf" "$work/export/reference-router.json" --json "$work/parity-router.json"
python "$here/evaluate.py" --work "$work" --model "$work/export/$name-q8_0.gguf" \
  --also "$work/export/$name-f16.gguf" "$work/export/$name-q5_0.gguf" "$work/export/$name-q4_0.gguf" \
  --windows "${WINDOWS:-240}" --damage-windows "${DAMAGE_WINDOWS:-24}"
mv "$work/export/$name-q8_0.gguf" "$work/export/reference-router.json" "$models/"
python "$here/card.py" --work "$work" --model "$models/$name-q8_0.gguf" --cpu "$cpu"
