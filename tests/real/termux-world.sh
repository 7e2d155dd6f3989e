#!/usr/bin/env bash
# A root that looks like Android's to a Termux process: Termux's prefix is where it is on a phone,
# the shell is SHELL there, and there is no /bin, no /tmp and no other user's right.
#
#   termux-world.sh PHONE SHELL PYTHON SCRIPT
#
# PHONE is a folder with usr/ and home/, written back when SCRIPT is done, which SHELL runs in an
# empty environment. PYTHON is the prefix of the Python of the stand-ins; it is /python there.
# Needs root. Everything lives in a mount namespace of its own and is gone with it.
set -euo pipefail

if [ "${IN_NAMESPACE:-}" != yes ]; then
  IN_NAMESPACE=yes exec unshare --mount --propagation private bash "$0" "$@"
fi
phone=$1 shell=$2 python=$3 script=$4
files=/data/data/com.termux/files
user=10123

# The new root has the machine's folders, for its libraries, but for those a phone has not.
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
