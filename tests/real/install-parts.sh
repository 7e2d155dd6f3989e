#!/usr/bin/env bash
# Installs the real parts that tests/real needs: OpenClaw releases with a Node new enough for them
# (npm), and Prometheus with promtool, Alertmanager with amtool (Debian). Idempotent: what is already there is kept.
#
#   tests/real/install-parts.sh            install everything, print the folder
#   OAE_REAL_PARTS=DIR                     where to (default: ~/.cache/openclaw-auth-exporter/real-parts)
#
# Nothing is started, and nothing outside that folder and the Debian packages is touched.
set -euo pipefail

parts=${OAE_REAL_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-auth-exporter/real-parts}
releases="2026.9.6 2026.6.11 2026.2.9"
mkdir -p "$parts"

say() { printf 'real parts: %s\n' "$*" >&2; }

# A folder is complete when its marker is there; an interrupted install starts over.
npm_folder() { # NAME OVERRIDES EXTRA_FLAGS PACKAGE...
  local dir="$parts/$1" overrides=$2 flags=$3
  shift 3
  [ -e "$dir/.complete" ] && return 0
  say "installing $* into $dir"
  rm -rf "$dir"
  mkdir -p "$dir"
  printf '{"private": true, "overrides": %s}\n' "$overrides" >"$dir/package.json"
  # shellcheck disable=SC2086  # the flags are words
  (cd "$dir" && PATH="$parts/node/node_modules/.bin:$PATH" npm install --no-audit --no-fund --loglevel=error $flags "$@" >&2)
  touch "$dir/.complete"
}

# OpenClaw needs Node >= 24.16; the npm package `node` ships the binary.
npm_folder node '{}' '' node@24
for release in $releases; do
  # Releases before about 2026.6 depend on a git repository; the registry has the same package.
  case $release in
    2026.[1-5].*) npm_folder "openclaw-$release" '{"libsignal": "npm:libsignal@6.0.0"}' --ignore-scripts "openclaw@$release" ;;
    *) npm_folder "openclaw-$release" '{}' '' "openclaw@$release" ;;
  esac
done

debian() { # COMMAND PACKAGE
  command -v "$1" >/dev/null && return 0
  if [ "$(id -u)" != 0 ]; then
    say "$1 is missing and this is not root: install the Debian package $2"
    return 1
  fi
  say "installing the Debian package $2"
  # Exit 101 keeps the package's own service from starting.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made=yes
  fi
  export DEBIAN_FRONTEND=noninteractive
  [ -n "${apt_updated:-}" ] || { apt-get update -qq >&2; apt_updated=yes; }
  local result=0
  apt-get install -y -qq --no-install-recommends "$2" >&2 || result=$?
  if [ -n "$made" ]; then rm -f $policy; fi
  return $result
}
debian prometheus prometheus
debian promtool prometheus
debian prometheus-alertmanager prometheus-alertmanager
debian amtool prometheus-alertmanager

printf '%s\n' "$parts"
