#!/usr/bin/env bash
# Installs the cargo subcommands that lint and fuzzing use, pinned; unoptimised builds, since they run briefly.
set -euo pipefail
install() {
  local name=$1 version=$2
  cargo install --list | grep -q "^$name v" && return
  echo "installing $name $version (a few minutes, once)"
  cargo install --quiet --locked --profile dev --version "$version" "$name"
}
install cargo-deny 0.20.2
install cargo-fuzz 0.13.2
