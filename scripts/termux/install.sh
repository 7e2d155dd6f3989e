#!/data/data/com.termux/files/usr/bin/sh
# Installs openclaw-auth on an Android phone (Termux). It can be run again at any time, and undone.
#
#   sh install.sh SSH=me@host                          request the status by ssh
#   sh install.sh URL=http://host:10785 SSH=me@host    request it by HTTP, re-authenticate by ssh
#   sh install.sh                                      run again with the existing configuration
#   sh install.sh --uninstall                          remove everything, also the configuration
#
# COMMAND=PATH is the exporter on the host, if ssh does not find it. STALE_HOURS=N is the time
# without an answer after which a notification reports it. CA=FILE is the certificate that the
# host's own certificate is checked with. NAME=cabin installs a second host beside the first.
set -eu
umask 077

PREFIX=${PREFIX:-/data/data/com.termux/files/usr}
HOME=${HOME:-/data/data/com.termux/files/home}
PATH=$PREFIX/bin${PATH:+:$PATH}
export PREFIX HOME PATH

SOURCE=$(cd "$(dirname "$0")" && pwd)

# Sets where everything is, for a host without a NAME or with one.
places() { # NAME
  OURS=openclaw-auth${1:+-$1}
  PROGRAMS=$HOME/.local/share/$OURS
  CONFIG=$HOME/.config/$OURS/config
  STATE=$HOME/.local/state/$OURS
  WIDGET=$HOME/.shortcuts/$OURS
  BOOT=$HOME/.termux/boot/$OURS
  LINK=$PREFIX/bin/$OURS
}

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
  rm -f "$WIDGET" "$BOOT" "$LINK"
  rm -rf "$PROGRAMS" "$STATE" "${CONFIG%/*}"
  echo "$OURS is removed: job, notification, widget, boot script, configuration."
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

newline='
'
setting() { # KEY: its value in the settings
  value=${settings#*"$newline$1="}
  printf '%s' "${value%%"$newline"*}"
}

# Says what keeps ssh from running the exporter, which the button "Re-authenticate" needs.
check_ssh() {
  settings=$newline$(openclaw_auth config)
  SSH=$(setting SSH) COMMAND=$(setting COMMAND)
  [ -n "$SSH" ] || return 0
  [ -z "$(on_host "command -v $COMMAND")" ] || return 0
  found=$(on_host 'ls -d ~/.local/bin/openclaw-auth-exporter ~/.venv/bin/openclaw-auth-exporter 2>/dev/null')
  found=${found%%"$newline"*}
  if [ -n "$found" ]; then
    printf 'On %s, ssh does not find %s: its shell does not have %s on its PATH. Run this instead:\n' \
      "$SSH" "$COMMAND" "${found%/*}"
    # Settings replace those that there are, so it names all of them.
    set -- ${NAME:+"NAME=$NAME"}
    for key in URL SSH STALE_HOURS CA; do
      value=$(setting "$key")
      [ -z "$value" ] || [ "$key=$value" = STALE_HOURS=6 ] || set -- "$@" "$key=$value"
    done
    printf '  sh install.sh %s COMMAND=%s\n' "$*" "$found"
  else
    printf 'ssh cannot run %s on %s: ' "$COMMAND" "$SSH"
    ssh -n -o BatchMode=yes -o ConnectTimeout=10 -- "$SSH" "$COMMAND --version" 2>&1 | tail -n 1
  fi
}

on_host() { # COMMAND: what it prints there, without errors
  ssh -n -o BatchMode=yes -o ConnectTimeout=10 -- "$SSH" "$1" 2>/dev/null || :
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
  printf '#!%s/bin/sh\nexec "%s/bin/sh" "%s/openclaw-auth" "$@"\n' "$PREFIX" "$PREFIX" "$PROGRAMS" >"$LINK"
  chmod 700 "$LINK"
  openclaw_auth schedule || stop 69 'the job could not be scheduled: is the app Termux:API installed and allowed to run?'
  echo 'Installed. The status now:'
  answer=$(openclaw_auth job) || stop 69 'no notification could be shown: is the app Termux:API installed and allowed to run?'
  if [ -n "$answer" ]; then
    printf '%s\n' "$answer"
  else
    echo 'No answer yet (see above). The job tries again.'
  fi
  check_ssh
  openclaw_auth test
}

# Run from where it is installed, it is about that host.
case $SOURCE in "$HOME"/.local/share/openclaw-auth-?*) NAME=${SOURCE##*/openclaw-auth-} ;; *) NAME='' ;; esac
case ${1-} in
  NAME=*)
    NAME=${1#*=}
    shift
    ;;
esac
case $NAME in *[!A-Za-z0-9_-]* | ????????????????*) stop 64 'NAME may have 15 letters, digits, "-" and "_"' ;; esac
places "$NAME"
case ${1-} in
  --uninstall) uninstall ;;
  -*) stop 64 'usage: sh install.sh [NAME=...] [URL=...] [SSH=...] [COMMAND=...] [STALE_HOURS=...] [CA=...], or [NAME=...] --uninstall' ;;
  *) install "$@" ;;
esac
