#!/data/data/com.termux/files/usr/bin/sh
# Installs openclaw-auth on an Android phone (Termux). It can be run again at any time, and undone.
#
#   sh install.sh SSH=me@host                          request the status by ssh
#   sh install.sh URL=http://host:10785 SSH=me@host    request it by HTTP, re-authenticate by ssh
#   sh install.sh                                      run again with the existing configuration
#   sh install.sh --uninstall                          remove everything, also the configuration
#
# COMMAND=PATH is the exporter on the host, if ssh does not find it. STALE_HOURS=N is the time
# without an answer after which a notification reports it.
set -eu
umask 077

PREFIX=${PREFIX:-/data/data/com.termux/files/usr}
HOME=${HOME:-/data/data/com.termux/files/home}
PATH=$PREFIX/bin${PATH:+:$PATH}
export PREFIX HOME PATH

SOURCE=$(cd "$(dirname "$0")" && pwd)
PROGRAMS=$HOME/.local/share/openclaw-auth
CONFIG=$HOME/.config/openclaw-auth/config
STATE=$HOME/.local/state/openclaw-auth
WIDGET=$HOME/.shortcuts/openclaw-auth
BOOT=$HOME/.termux/boot/openclaw-auth

stop() { # CODE MESSAGE
  printf 'install.sh: %s\n' "$2" >&2
  exit "$1"
}

openclaw_auth() { "$PREFIX/bin/sh" "$PROGRAMS/openclaw-auth" "$@"; }

# Android starts widgets, jobs and boot scripts without arguments, so each has its own file.
starter() { # FILE COMMAND
  mkdir -p "${1%/*}"
  chmod 700 "${1%/*}"
  printf '#!%s/bin/sh\nexec "%s/bin/sh" "%s/openclaw-auth" %s\n' "$PREFIX" "$PREFIX" "$PROGRAMS" "$2" >"$1"
  chmod 700 "$1"
}

uninstall() {
  [ ! -e "$PROGRAMS/openclaw-auth" ] || openclaw_auth unschedule || :
  rm -f "$WIDGET" "$BOOT"
  rm -rf "$PROGRAMS" "$STATE" "${CONFIG%/*}"
  echo 'openclaw-auth is removed: job, notification, widget, boot script, configuration.'
}

install_config() { # KEY=VALUE...
  mkdir -p "${CONFIG%/*}"
  printf '%s\n' "$@" >"$CONFIG.new"
  if ! OPENCLAW_AUTH_CONFIG=$CONFIG.new "$PREFIX/bin/sh" "$SOURCE/openclaw-auth" config >/dev/null; then
    rm -f "$CONFIG.new"
    stop 78 'nothing was changed'
  fi
  mv -f "$CONFIG.new" "$CONFIG"
}

install() { # KEY=VALUE...
  for tool in termux-notification termux-job-scheduler curl ssh timeout; do
    command -v "$tool" >/dev/null || stop 69 "$tool is missing: pkg install termux-api curl openssh coreutils"
  done
  if [ $# -gt 0 ]; then
    install_config "$@"
  elif [ ! -e "$CONFIG" ]; then
    stop 64 'name the host: sh install.sh SSH=me@host, or sh install.sh URL=http://host:10785 SSH=me@host'
  fi
  mkdir -p "$PROGRAMS"
  if [ "$SOURCE" != "$PROGRAMS" ]; then
    cp "$SOURCE/openclaw-auth" "$SOURCE/install.sh" "$PROGRAMS"
  fi
  chmod 700 "$PROGRAMS/openclaw-auth"
  starter "$WIDGET" widget
  starter "$BOOT" boot
  starter "$PROGRAMS/job" job
  starter "$PROGRAMS/reauth" reauth
  openclaw_auth schedule || stop 69 'the job could not be scheduled: is the app Termux:API installed and allowed to run?'
  echo 'Installed. The status now:'
  answer=$(openclaw_auth job) || stop 69 'no notification could be shown: is the app Termux:API installed and allowed to run?'
  if [ -n "$answer" ]; then
    printf '%s\n' "$answer"
  else
    echo 'No answer yet. The job tries again. With ssh, run "ssh HOST true": it must not prompt for anything.'
  fi
}

case ${1-} in
  --uninstall) uninstall ;;
  -*) stop 64 'usage: sh install.sh [URL=...] [SSH=...] [COMMAND=...] [STALE_HOURS=...], or --uninstall' ;;
  *) install "$@" ;;
esac
