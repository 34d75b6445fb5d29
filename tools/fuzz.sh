#!/usr/bin/env bash
# Runs every fuzz target, sharing SECONDS (first argument) between them. A find stops the run and names its input.
set -euo pipefail
cd "$(dirname "$0")/.."
total_s=${1:-60}
export RUSTC_BOOTSTRAP=1   # cargo-fuzz passes flags that only a nightly or this variable accepts
mapfile -t targets < <(cargo fuzz list)
each_s=$((total_s / ${#targets[@]}))
[ "$each_s" -ge 2 ] || each_s=2
cargo fuzz build --sanitizer none --dev >/dev/null 2>&1 || cargo fuzz build --sanitizer none --dev
for target in "${targets[@]}"; do
  mkdir -p "fuzz/seeds/$target" "fuzz/corpus/$target"
  echo "fuzz $target for $each_s s"
  cargo fuzz run --sanitizer none --dev "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$each_s" -timeout=5 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0
done
echo "fuzzing: ${#targets[@]} passed, 0 failed"
