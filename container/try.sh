#!/usr/bin/env bash
# `make run`: the appliance in the foreground, its state below RUN_DIR, with the weakest protection there is.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(realpath --canonicalize-missing "${RUN_DIR:-.run}")
memory=/dev/shm/kleidi-$(printf %s "$dir" | cksum | cut -d ' ' -f 1)
socket=$dir/run/kms.sock
admin=$dir/admin/admin.sock

length=$(printf %s "$admin" | wc -c)
# A Unix socket's path has 107 bytes (unix(7)), and a name in use is taken over by way of a slightly longer one.
if ((length > 107 - 13)); then
  echo "RUN_DIR is too long for a Unix socket below it: $admin has $length bytes of $((107 - 13)); choose a shorter one" >&2
  exit 2
fi
if [[ ! -w /dev/shm ]]; then
  echo "/dev/shm must be there and writable: the open token lives only in memory" >&2
  exit 1
fi
# As it can be typed from here, where it is below.
command=${dir#"$PWD"/}/kleidi
umask 077
mkdir -p "$dir/volume" "$dir/etc" "$dir/run" "$dir/admin"

# Held by supervisord, too, for as long as it lives, whatever becomes of this script.
exec 9>"$dir/lock"
if ! flock --nonblock 9; then
  echo "kleidi: E-VOLUME-LOCKED: an appliance runs in $dir already. Ask it with \`$command status\`, stop it, or choose" \
    "another RUN_DIR" >&2
  exit 8
fi

# What the caller has set wins, for the curious.
export KLEIDI_PROVISION=${KLEIDI_PROVISION:-auto} KLEIDI_SLOT=${KLEIDI_SLOT:-volume}
export KLEIDI_ALLOW_UNMOUNTED=true KLEIDI_LOG_FORMAT=${KLEIDI_LOG_FORMAT:-text}
export KLEIDI_VOLUME_DIR=$dir/volume KLEIDI_ANCHOR_FILE=$dir/etc/anchor.json KLEIDI_MEMORY_DIR=$memory
export KLEIDI_SOCKET=$socket KLEIDI_ADMIN_SOCKET=$admin
# Its own, not that of a node which this machine may be as well.
if [[ ! -v KLEIDI_CONFIG_FILE ]]; then
  export KLEIDI_CONFIG_FILE=$dir/etc/config.toml
  [[ -e $KLEIDI_CONFIG_FILE ]] || : >"$KLEIDI_CONFIG_FILE"
fi
export SUPERVISOR_DIR=$memory-supervisor

# The same settings for whoever asks from another terminal.
{
  printf '#!/usr/bin/env bash\n# Written by make run: kleidi with the settings of the appliance that runs here.\n'
  for name in $(compgen -v KLEIDI_); do
    [[ ! -v $name ]] || printf 'export %s=%q\n' "$name" "${!name}"
  done
  printf 'exec %q "$@"\n' "$PWD/.venv/bin/kleidi"
} >"$dir/kleidi"
chmod 0700 "$dir/kleidi"

announce() {
  .venv/bin/kleidi status --wait 60 || return 0
  printf '\nGive this to kube-apiserver with --encryption-provider-config:\n\n'
  .venv/bin/kleidi encryption-config
  printf '\nIn another terminal: %s status\nCtrl-C stops the appliance; its state stays in %s\n' "$command" "$dir"
}

# A process group of its own, so that it can be ended with all it started.
set -m
announce 9>&- &
announcer=$!
set +m

.venv/bin/python -m appliance.boot --config container/supervisord.conf &
appliance=$!
# A terminal's signals reach the appliance as well, as a member of this group; getting one twice does it no harm.
for signal in INT TERM HUP; do
  # shellcheck disable=SC2064 # the signal's name is meant now, the rest is constant by now
  trap "interrupted=yes; kill -$signal $appliance 2>/dev/null || true" $signal
done
trap 'kill -TERM -- -$announcer 2>/dev/null || true; rmdir "$memory" 2>/dev/null || true' EXIT

interrupted=yes
while [[ $interrupted ]]; do # a trapped signal ends wait, not the appliance (bash(1), SIGNALS)
  interrupted=
  code=0
  wait "$appliance" || code=$?
done
exit "$code"
