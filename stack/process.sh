# shellcheck shell=bash
# Part of `stack`: processes and their logs. Each server has a folder STACK_DATA/NAME with pid, log, and log.1 of the run before.

# started PID prints when a process started; nothing for a dead one, that is a zombie none of whose threads still runs.
started() { awk '$3 != "Z" || $20 > 1 {print $22}' "/proc/$1/stat" 2>/dev/null || true; }

# pid_of SERVER prints its pid if the very process that was started still runs.
pid_of() {
  local pid at
  read -r pid at 2>/dev/null <"$STACK_DATA/$1/pid" || return 1
  [[ -n $at && $(started "$pid") == "$at" ]] && echo "$pid"
}

port_of() { local v=STACK_${1^^}_PORT; echo "${!v}"; }
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# spawn SERVER COMMAND…
spawn() {
  local d=$STACK_DATA/$1
  shift
  [[ -f $d/log ]] && mv "$d/log" "$d/log.1"
  setsid "$@" >"$d/log" 2>&1 </dev/null 8>&- &
  echo "$! $(started $!)" >"$d/pid"
}

# port_free SERVER waits a moment for its port: a program that was killed just now may hold it still.
port_free() {
  local i
  for ((i = 0; i < 50; i++)); do
    is_open "$(port_of "$1")" || return 0
    sleep 0.1
  done
  die "$1: another program has port $(port_of "$1"); set STACK_${1^^}_PORT"
}

up() {
  local name until new=()
  for name in "$@"; do
    if pid_of "$name" >/dev/null; then continue; fi
    mkdir -p "$STACK_DATA/$name"
    port_free "$name"
    "start_$name"
    new+=("$name")
  done
  for name in "$@"; do
    until=$((SECONDS + STACK_WAIT))
    until "ready_$name"; do
      if pid_of "$name" >/dev/null && ((SECONDS < until)); then sleep 0.1; continue; fi
      tail -n 20 "$STACK_DATA/$name/log" >&2
      pid_of "$name" >/dev/null && die "$name is not ready after $STACK_WAIT s (log: $STACK_DATA/$name/log)"
      die "$name ended while it started (log: $STACK_DATA/$name/log)"
    done
  done
  say "up: $* (started by this command: ${new[*]:-none}); data in $STACK_DATA"
}

# stop SIGNAL SERVER…
stop() {
  local sig=$1 name pid i
  shift
  for name in "$@"; do
    pid=$(pid_of "$name") || continue
    # PostgreSQL waits for its clients on TERM, and ends at once on INT
    if [[ $sig$name == TERMpg ]]; then kill -INT "$pid"; else kill "-$sig" "$pid"; fi
  done
  for name in "$@"; do
    for ((i = 0; i < 150; i++)); do pid_of "$name" >/dev/null || break; sleep 0.1; done
    if pid=$(pid_of "$name"); then say "$name did not end in 15 s: kill -9"; kill -9 "$pid"; fi
    rm -f "$STACK_DATA/$name/pid"
  done
}

# status is 1 if a server is not up.
status() {
  local name pid state rc=0
  printf '%-10s %-5s %-6s %-8s %s\n' server state port pid MiB
  for name in "${SERVERS[@]}" "${OPTIONAL[@]}"; do
    if pid=$(pid_of "$name"); then state=$("ready_$name" && echo up || echo busy); else state=down pid=-; fi
    [[ $state == up || " ${OPTIONAL[*]} " == *" $name "* ]] || rc=1
    printf '%-10s %-5s %-6s %-8s %s\n' "$name" "$state" "$(port_of "$name")" "$pid" \
      "$(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$pid/status" 2>/dev/null || echo -)"
  done
  return $rc
}
