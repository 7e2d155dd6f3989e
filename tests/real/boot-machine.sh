#!/usr/bin/env bash
# Boots a real systemd as PID 1 over a temporary copy of this machine's file system: an overlay with its upper layer
# in memory. It has only a loopback network, and nothing outside changes. machine.py starts it like this:
#
#   unshare --mount --propagation private boot-machine.sh FOLDER CGROUP NSPAWN-OPTION...
# The script becomes systemd-nspawn. When that ends, the mounts disappear with its namespace.
set -euo pipefail
folder=$1 cgroup=$2
shift 2

mount -t tmpfs -o size=1g,mode=755 machine "$folder"
mkdir "$folder"/{upper,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" machine "$folder/root"
root=$folder/root

# Without a machine id, systemd assumes a first boot and enables everything; so write a random one.
tr -d - </proc/sys/kernel/random/uuid >"$folder/id"
rm -f "$root/etc/machine-id"
cp "$folder/id" "$root/etc/machine-id"
# An empty machine: no services of this host, and no units of ours.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/rc?.d "$root/var/log/journal"
rm -rf "$root"/etc/{systemd/system,systemd/user,}/openclaw-auth-exporter* "$root"/var/lib/{private/,}openclaw-auth-exporter*
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
for unit in getty@tty1 console-getty systemd-firstboot systemd-logind systemd-networkd systemd-resolved systemd-timesyncd; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done

# Give it a cgroup in every hierarchy that systemd uses (v1: systemd; v2: unified, or all of it).
for hierarchy in systemd unified .; do
  at=/sys/fs/cgroup/$hierarchy
  if [ -w "$at/cgroup.procs" ]; then
    mkdir -p "$at/$cgroup"
    echo $$ >"$at/$cgroup/cgroup.procs"
  fi
done

exec systemd-nspawn --quiet --directory="$root" --machine="$cgroup" --register=no --keep-unit --link-journal=no \
  --private-network --console=pipe --boot "$@" systemd.log_target=journal </dev/null
