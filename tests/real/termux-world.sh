#!/usr/bin/env bash
# Runs a script in a root file system that resembles Android's for a Termux process: Termux's prefix has its path on a
# phone, SHELL is the shell, there is no /bin and no /tmp, and the script has no other user's rights.
#
#   termux-world.sh PHONE SHELL PYTHON SCRIPT
# PHONE is a folder with usr/ and home/; changes are copied back at the end. SHELL runs SCRIPT in an empty environment.
# PYTHON is the prefix of the stand-ins' Python, which is /python inside. Needs root. Everything is in a separate mount
# namespace and disappears with it.
set -euo pipefail

if [ "${IN_NAMESPACE:-}" != yes ]; then
  IN_NAMESPACE=yes exec unshare --mount --propagation private bash "$0" "$@"
fi
phone=$1 shell=$2 python=$3 script=$4
files=/data/data/com.termux/files
user=10123

# The new root has the machine's folders, for their libraries, except those that a phone does not have.
root=$phone.root
mkdir "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
for entry in /*; do
  case $entry in
    /bin | /sbin | /tmp | /data | /home) ;;
    *)
      if [ -L "$entry" ]; then
        cp -P "$entry" "$root$entry"
      elif [ -d "$entry" ]; then
        mkdir "$root$entry"
        mount --rbind "$entry" "$root$entry"
      fi
      ;;
  esac
done
mkdir -p "$root$files" "$root/python"
mount --bind "$python" "$root/python"
cp -a "$phone/." "$root$files/"
ln -sfn "$shell" "$root$files/usr/bin/sh"
chown -hR $user:$user "$root$files"

code=0
env -i "$(command -v chroot)" --userspec=$user:$user "$root" "$files/usr/bin/sh" "$files/$script" </dev/null || code=$?
cp -a "$root$files/." "$phone/"
exit $code
