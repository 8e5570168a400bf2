#!/bin/bash
# Container entry: starts ComfyUI (its own venv and folder, restarted when it dies), then the worker's handler, whose
# exit status becomes its own. Meant as the child of an init (tini); runs anywhere, since every path is a variable.
#
# Files in COMFY_RUN_DIR (a folder of this user's own, made when it is not there), read by api/comfyui/process.py:
#   comfyui.pid   pid of the running ComfyUI; absent while there is none
#   comfyui.exit  JSON: how the last one ended and whether it is given up
#   comfyui.log   its output (comfyui.log.1 holds what came before); lines with [start.sh] in it are from here
# With COMFY_INSTANCES each ComfyUI has these in a folder of its own there, named by its port, and a start.sh of its own
# that keeps nothing but it (COMFY_ALONE).
set -u

say() { printf '[start.sh] %s\n' "$*"; }
is_true() { [[ "${1,,}" =~ ^(true|t|1|yes|y|on)$ ]]; }
look_at_clock() { NOW="${EPOCHREALTIME//[.,]/}"; } # microseconds, without a process
pause() { read -rt "$1" -u "$NEVER_FD"; }           # likewise
runs() { kill -0 "$1" 2>/dev/null; }

first_executable() {
  local candidate
  for candidate in "$@"; do
    [[ -x $candidate ]] && break
  done
  printf '%s' "$candidate"
}

# ---------------------------------------------------------------------------------------------------- settings

# CHILD_PATH: what ComfyUI and the handler get. Root itself looks nothing up in folders that others can write to, such as
# ComfyUI's venv, which stands first in the image; for the same reason the first line of this file names bash in full.
guard_path() {
  CHILD_PATH="$PATH"
  if ((EUID == 0)); then PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; fi
}

read_settings() {
  local here
  SELF="$(readlink -f "${BASH_SOURCE[0]}")"
  here="$(dirname "$SELF")"
  : "${WORKER_ROOT:=$here}"
  : "${WORKER_PYTHON:=$(first_executable /opt/worker-venv/bin/python "$WORKER_ROOT/.venv/bin/python" "$(PATH="$CHILD_PATH" command -v python3)")}"
  : "${COMFY_ROOT:=/comfyui}" "${COMFY_PYTHON:=/opt/comfyui-venv/bin/python}" "${COMFY_RUN_DIR:=/tmp/comfyui-run}"
  : "${COMFY_LOG_LEVEL:=DEBUG}" "${COMFY_LOG_MAX_BYTES:=10000000}" "${COMFY_ARGS:=}"
  : "${COMFY_STANDIN:=false}" "${SKIP_GPU_CHECK:=false}" "${NETWORK_VOLUME_DEBUG:=false}"
  : "${COMFY_START_TIMEOUT_S:=600}" "${COMFY_STOP_GRACE_S:=10}"
  : "${COMFY_MAX_RESTARTS:=0}" "${COMFY_MAX_FAILED_STARTS:=3}" "${COMFY_BACKOFF_MAX_S:=30}"
  : "${SERVE_API_LOCALLY:=false}" "${HTTP_API_MODE:=false}" "${RUN_AS_USER:=root}"
  : "${COMFY_INSTANCES:=1}" "${COMFY_ALONE:=false}"
  COMFY_START_TIMEOUT_S="${COMFY_START_TIMEOUT_S%.*}"
  choose_address
  choose_instances
  if [[ -z ${COMFY_LISTEN:-} ]]; then
    COMFY_LISTEN=false
    if is_true "$SERVE_API_LOCALLY" || is_true "$HTTP_API_MODE"; then COMFY_LISTEN=true; fi
  fi
  find_oom_file
  PID_FILE="$COMFY_RUN_DIR/comfyui.pid"
  EXIT_FILE="$COMFY_RUN_DIR/comfyui.exit"
  LOG_FILE="$COMFY_RUN_DIR/comfyui.log"
  export COMFY_RUN_DIR COMFY_ROOT COMFY_HOST
}

# One port for both sides: --port of COMFY_ARGS, else COMFY_PORT, else that of COMFY_HOST, else 8188. A COMFY_HOST
# elsewhere means that no ComfyUI is started here.
choose_address() {
  : "${COMFY_HOST:=${COMFYUI_HOST:-}}"
  local host="${COMFY_HOST:-127.0.0.1}"
  host="${host#*://}" host="${host%%/*}"
  if [[ $COMFY_ARGS =~ --port[=\ ]([0-9]+) ]]; then COMFY_PORT="${BASH_REMATCH[1]}"; fi
  if [[ $host =~ ^(127\.0\.0\.1|localhost)(:([0-9]+))?$ ]]; then
    : "${COMFY_PORT:=${BASH_REMATCH[3]}}" "${COMFY_START:=true}"
  fi
  : "${COMFY_PORT:=8188}" "${COMFY_START:=false}"
  : "${COMFY_HOST:=127.0.0.1:$COMFY_PORT}"
}

# PORTS: those of the ComfyUIs that are started, when there are several. GPUS: what CUDA_VISIBLE_DEVICES may name, each
# ComfyUI gets one of them.
choose_instances() {
  local count="$COMFY_INSTANCES" number hosts=""
  PORTS=() GPUS=()
  is_true "$COMFY_START" && [[ $COMFY_ALONE == false && $count != 1 ]] || return 0
  if [[ -n ${CUDA_VISIBLE_DEVICES:-} ]]; then
    IFS=, read -ra GPUS <<<"$CUDA_VISIBLE_DEVICES"
  elif command -v nvidia-smi >/dev/null; then
    mapfile -t GPUS < <(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null)
  fi
  if [[ $count == auto ]]; then count="${#GPUS[@]}"; fi
  if [[ ! $count =~ ^[0-9]{1,2}$ ]]; then
    say "COMFY_INSTANCES=$COMFY_INSTANCES is neither auto nor a number up to 99."
    exit 1
  fi
  count=$((10#$count)) # 08 is no octal number
  if ((count < 2)); then return; fi
  if [[ $COMFY_ARGS =~ --port[=\ ][0-9]+ ]]; then COMFY_ARGS="${COMFY_ARGS/"${BASH_REMATCH[0]}"/}"; fi
  for ((number = 0; number < count; number++)); do
    PORTS+=($((COMFY_PORT + number)))
    hosts+="${hosts:+,}127.0.0.1:${PORTS[number]}"
  done
  COMFY_HOST="$hosts"
}

# OOM_FILE: where the kernel counts what it kills for memory in this container (cgroup v2, then v1).
find_oom_file() {
  local file inside
  inside="$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null)"
  OOM_FILE=""
  for file in "/sys/fs/cgroup$inside/memory.events" /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    if [[ -z $OOM_FILE && -r $file ]]; then OOM_FILE="$file"; fi
  done
}

# RUN_AS: what stands before a command to run it as RUN_AS_USER. Only root can change users.
choose_user() {
  RUN_AS=(env "PATH=$CHILD_PATH")
  if ((EUID != 0)) || [[ $RUN_AS_USER == root ]]; then return; fi
  local home
  if ! home="$(getent passwd "$RUN_AS_USER" | cut -d: -f6)" || [[ -z $home ]]; then
    say "RUN_AS_USER=$RUN_AS_USER is no user of this machine: name an existing one, or root."
    exit 1
  fi
  RUN_AS=(setpriv --reuid "$RUN_AS_USER" --regid "$(id -g "$RUN_AS_USER")" --init-groups "${RUN_AS[@]}" "HOME=$home" "USER=$RUN_AS_USER")
}

# ------------------------------------------------------------------------------------------------- preparations

prepare_run_dir() {
  (umask 022 && mkdir -p "$COMFY_RUN_DIR")
  if [[ ! -w $COMFY_RUN_DIR ]]; then
    say "COMFY_RUN_DIR=$COMFY_RUN_DIR cannot be written: name a folder that can."
    return 1
  fi
  # Whoever else could put links there would choose what is written to, as root in the image.
  if [[ ! -O $COMFY_RUN_DIR || $(stat -c %u "$COMFY_RUN_DIR") != "$EUID" ]] || ((8#$(stat -L -c %a "$COMFY_RUN_DIR") & 2)); then
    say "COMFY_RUN_DIR=$COMFY_RUN_DIR belongs to another user, or everybody can write there: name a folder of your own."
    return 1
  fi
  rm -f "$PID_FILE" "$EXIT_FILE" "$LOG_FILE" "$LOG_FILE.1" "$COMFY_RUN_DIR/worker.pid"
  if is_true "$COMFY_ALONE"; then
    mkdir -p "$COMFY_RUN_DIR/temp"
    if [[ ${RUN_AS[0]} == setpriv ]]; then chown "$RUN_AS_USER:" "$COMFY_RUN_DIR/temp"; fi
  fi
}

# A volume made by another user is the usual reason for a worker that cannot write.
warn_of_unwritable() {
  [[ ${RUN_AS[0]} == setpriv ]] || return 0
  local folder
  for folder in "$(dirname "${SQLITE_DB_PATH:-/tmp/x}")" "$COMFY_ROOT/input" "$COMFY_ROOT/output" /runpod-volume; do
    if [[ -d $folder ]] && ! "${RUN_AS[@]}" test -w "$folder"; then
      say "$folder cannot be written by $RUN_AS_USER: chown it to uid $(id -u "$RUN_AS_USER"), or set RUN_AS_USER=root."
    fi
  done
}

start_ssh() {
  [[ -n ${PUBLIC_KEY:-} ]] || return 0
  if ((EUID != 0)) || ! command -v sshd >/dev/null; then
    say "PUBLIC_KEY is set, but SSH needs root and an installed sshd: going on without."
    return 0
  fi
  local home="${HOME:-/root}"
  install -d -m 700 "$home/.ssh" && printf '%s\n' "$PUBLIC_KEY" >"$home/.ssh/authorized_keys" && chmod 600 "$home/.ssh/authorized_keys"
  ssh-keygen -A >/dev/null # only the host keys that are missing
  mkdir -p /run/sshd
  if "$(command -v sshd)"; then say "SSH server started."; else say "SSH server could not be started: going on without."; fi
}

report_network_volume() {
  is_true "$NETWORK_VOLUME_DEBUG" || return 0
  "${RUN_AS[@]}" "$WORKER_ROOT/docker/network_volume.sh" || true
}

set_manager_offline() {
  compgen -G "$COMFY_ROOT/custom_nodes/[Cc]omfy[Uu][Ii]-[Mm]anager" >/dev/null ||
    compgen -G "${COMFY_PYTHON%/*}/../lib/python3*/site-packages/comfyui_manager" >/dev/null || return 0
  COMFY_ROOT="$COMFY_ROOT" "${RUN_AS[@]}" "$WORKER_ROOT/docker/comfy_manager_set_mode.sh" offline || say "ComfyUI-Manager could not be set offline."
}

check_gpu() {
  if is_true "$SKIP_GPU_CHECK" || is_true "$COMFY_STANDIN" || ! is_true "$COMFY_START"; then return 0; fi
  [[ " $COMFY_ARGS " == *" --cpu "* ]] && return 0
  local report="$COMFY_RUN_DIR/gpu.check" reason="nothing said" line
  local probe='import torch; torch.cuda.init(); print(torch.cuda.get_device_name(0))'
  timeout -k 5 300 "${RUN_AS[@]}" "$COMFY_PYTHON" -c "$probe" >"$report" 2>&1 </dev/null & # so that a signal is seen meanwhile
  local check=$! status
  while runs "$check"; do
    if ((GOT_TERM + GOT_INT + GOT_HUP)); then kill "$check" 2>/dev/null; fi
    pause 0.1
  done
  wait "$check" 2>/dev/null
  status=$?
  if ((GOT_TERM + GOT_INT + GOT_HUP)); then exit $((128 + (GOT_TERM ? 15 : GOT_INT ? 2 : 1))); fi
  while read -r line; do reason="$line"; done <"$report" # the last one
  rm -f "$report"
  if ((status == 0)); then
    say "GPU: $reason"
    return 0
  elif ((status == 124)); then
    reason="torch.cuda did not answer within 300 s"
  fi
  say "No usable GPU: $reason"
  say "On RunPod: report this machine to its support. On your own: start the container with --gpus all and look at nvidia-smi."
  say "A driver too old for this image needs an update, or an image built for its CUDA. Without a GPU: COMFY_ARGS=--cpu."
  say "SKIP_GPU_CHECK=true skips this check."
  return 1
}

prepare_commands() {
  is_true "$COMFY_START" && ((${#PORTS[@]} == 0)) || return 0
  local extra tcmalloc
  mapfile -t extra < <(xargs -rn 1 printf '%s\n' <<<"$COMFY_ARGS") # quotes in COMFY_ARGS count, nothing is expanded
  COMFY_COMMAND=(--disable-auto-launch --port "$COMFY_PORT" --verbose "$COMFY_LOG_LEVEL" --log-stdout)
  if is_true "$COMFY_LISTEN"; then COMFY_COMMAND+=(--listen); fi
  # Each ComfyUI empties its folder of previews when it starts.
  if is_true "$COMFY_ALONE"; then COMFY_COMMAND+=(--temp-directory "$COMFY_RUN_DIR"); fi
  COMFY_COMMAND+=("${extra[@]}")
  if is_true "$COMFY_STANDIN"; then
    say "COMFY_STANDIN=true: a CPU STAND-IN answers instead of ComfyUI. It knows no models: for demos and tests only."
    COMFY_FOLDER="$WORKER_ROOT"
    if [[ -w $COMFY_ROOT ]]; then COMFY_COMMAND+=(--base-directory "$COMFY_ROOT"); fi
    COMFY_COMMAND=("$WORKER_PYTHON" -u -m api.standin "${COMFY_COMMAND[@]}")
    return
  fi
  COMFY_FOLDER="$COMFY_ROOT"
  COMFY_COMMAND=("$COMFY_PYTHON" -u main.py "${COMFY_COMMAND[@]}")
  tcmalloc="$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | awk '/libtcmalloc(_minimal)?\.so\.[0-9]+ /{print $NF; exit}')"
  if [[ -n $tcmalloc ]]; then COMFY_COMMAND=(env "LD_PRELOAD=$tcmalloc" "${COMFY_COMMAND[@]}"); fi
}

# --------------------------------------------------------------------------------------------------------- log

# Everything ComfyUI prints goes to our stdout and into a file that starts anew at its limit.
open_log() {
  is_true "$COMFY_START" && ((${#PORTS[@]} == 0)) || return 0
  exec {LOG_FD}> >(keep_log)
  LOG_PID=$!
}

keep_log() {
  trap '' TERM INT HUP
  while :; do
    stdbuf -o0 head -c "$COMFY_LOG_MAX_BYTES" | tee -p "$LOG_FILE"
    (($(stat -c %s "$LOG_FILE" || echo 0) < COMFY_LOG_MAX_BYTES)) && break
    mv -f "$LOG_FILE" "$LOG_FILE.1"
  done
  cat # nothing, at the end of input; when the disk is full, the rest goes to stdout alone
}

close_log() {
  [[ -n $LOG_FD ]] || return 0
  exec {LOG_FD}>&-
  local tries=0
  while runs "$LOG_PID" && ((++tries <= 100)); do pause 0.02; done
  kill -KILL "$LOG_PID" 2>/dev/null # should a stray child of ComfyUI keep it open
}

# ------------------------------------------------------------------------------------------------------ ComfyUI
#
# One loop (`tick`) looks at everything ten times a second or more, and a trap only sets a flag for it: traps that act, or a
# `wait` that blocks, lose a child's end in bash when both come at the same moment. Nor is there a $(…) or <(…) from here
# on: bash 5.2 cannot take a trap while it parses one, and ends with a syntax error.
#
# COMFY_STATE: off, running, waiting (for its next start), given_up.

port_is_open() {
  local fd
  { exec {fd}<>"/dev/tcp/127.0.0.1/$COMFY_PORT"; } 2>/dev/null && exec {fd}>&-
}

# Sets OOM_KILLS: how many processes the kernel has killed for memory in this container.
count_oom_kills() {
  local key value
  OOM_KILLS=0
  [[ -n $OOM_FILE ]] || return 0
  while read -r key value; do
    if [[ $key == oom_kill ]]; then OOM_KILLS=$value; fi
  done <"$OOM_FILE"
}

start_comfy() {
  is_true "$COMFY_START" || return 0
  if is_true "$COMFY_LISTEN"; then
    say "ComfyUI will listen on all interfaces and has no authentication; COMFY_LISTEN=false keeps it to this machine."
  fi
  launch_comfy
}

launch_comfy() {
  STATUS="" REASON="" CAME_UP=false COMFY_PID="" KILL_AT=0
  look_at_clock
  count_oom_kills
  STARTED=$NOW OOM_BEFORE=$OOM_KILLS
  say "Starting ComfyUI: ${COMFY_COMMAND[*]}" >&"$LOG_FD"
  if port_is_open; then
    REASON=port_in_use
    say "Port $COMFY_PORT is already in use by another process: ComfyUI is not started." >&"$LOG_FD"
    comfy_ended
    return
  fi
  (
    cd "$COMFY_FOLDER" || exit 1
    # A session of its own: no Ctrl-C from the terminal, and its children can be ended with it.
    exec setsid env --default-signal "${RUN_AS[@]}" "${COMFY_COMMAND[@]}"
  ) </dev/null >&"$LOG_FD" 2>&1 {LOG_FD}>&- {NEVER_FD}<&- &
  COMFY_PID=$!
  COMFY_STATE=running
  printf '%s\n' "$COMFY_PID" >"$PID_FILE.new" && mv -f "$PID_FILE.new" "$PID_FILE"
}

watch_comfy() {
  if ! runs "$COMFY_PID"; then
    wait "$COMFY_PID" 2>/dev/null
    STATUS=$?
    kill -KILL -- "-$COMFY_PID" 2>/dev/null # forked children would hold its port and its GPU memory
    comfy_ended
  elif ((KILL_AT)); then
    if ((NOW >= KILL_AT)); then kill -KILL -- "-$COMFY_PID" 2>/dev/null; else kill -TERM -- "-$COMFY_PID" 2>/dev/null; fi
  elif [[ $CAME_UP == false ]]; then
    if port_is_open; then
      CAME_UP=true
      say "ComfyUI answers on port $COMFY_PORT after $(((NOW - STARTED) / 1000)) ms." >&"$LOG_FD"
    elif ((NOW - STARTED >= COMFY_START_TIMEOUT_S * 1000000)); then
      REASON=start_timeout
      say "ComfyUI has not opened port $COMFY_PORT within $COMFY_START_TIMEOUT_S s: ending it." >&"$LOG_FD"
      end_comfy "$COMFY_STOP_GRACE_S"
    fi
  fi
}

# TERM now and at each look, KILL when it is still there after so many seconds.
end_comfy() {
  [[ $COMFY_STATE == running ]] || return 0
  kill -TERM -- "-$COMFY_PID" 2>/dev/null
  KILL_AT=$((NOW + $1 * 1000000))
}

comfy_ended() {
  local next
  look_at_clock
  if [[ $PHASE == stopping ]]; then
    COMFY_STATE=off
  else
    plan_next_start
    write_exit
    next="next start in $DELAY s"
    if [[ $COMFY_STATE == given_up ]]; then next="not started again: every job will be answered with the reason"; fi
    describe_end
    say "ComfyUI $END after $(((NOW - STARTED) / 1000000)) s; $next." >&"$LOG_FD"
  fi
  rm -f "$PID_FILE"
}

plan_next_start() {
  COMFY_STATE=waiting
  if [[ $CAME_UP == true ]]; then FAILED_STARTS=0; else FAILED_STARTS=$((FAILED_STARTS + 1)); fi
  if ((NOW - STARTED >= 60000000)); then DELAY=1; else DELAY=$((DELAY ? DELAY * 2 : 1)); fi
  if ((DELAY > COMFY_BACKOFF_MAX_S)); then DELAY=$COMFY_BACKOFF_MAX_S; fi
  NEXT_START=$((NOW + DELAY * 1000000))
  if ((FAILED_STARTS >= COMFY_MAX_FAILED_STARTS)); then COMFY_STATE=given_up; fi
  if ((COMFY_MAX_RESTARTS > 0 && RESTARTS >= COMFY_MAX_RESTARTS)); then COMFY_STATE=given_up; fi
}

describe_end() {
  local -A names=([6]=" (SIGABRT)" [9]=" (SIGKILL)" [11]=" (SIGSEGV)" [15]=" (SIGTERM)")
  if [[ -z $STATUS ]]; then
    END="was not started"
  elif ((STATUS > 128)); then
    END="ended by signal $((STATUS - 128))${names[$((STATUS - 128))]:-}"
  else
    END="ended with exit code $STATUS"
  fi
}

write_exit() {
  local code=null signal=null gave_up=false started at
  if [[ -n $STATUS ]]; then
    if ((STATUS > 128)); then signal=$((STATUS - 128)); else code=$STATUS; fi
  fi
  if [[ $COMFY_STATE == given_up ]]; then gave_up=true; fi
  printf -v started '%d.%06d' $((STARTED / 1000000)) $((STARTED % 1000000))
  printf -v at '%d.%06d' $((NOW / 1000000)) $((NOW % 1000000))
  count_oom_kills
  printf '{"pid": %s, "exit_code": %s, "signal": %s, "reason": "%s", "came_up": %s, "gave_up": %s, "restarts": %d, "started_at": %s, "at": %s, "oom_kill_before": %d, "oom_kill_after": %d}\n' \
    "${COMFY_PID:-null}" "$code" "$signal" "$REASON" "$CAME_UP" "$gave_up" "$RESTARTS" "$started" "$at" "$OOM_BEFORE" \
    "$OOM_KILLS" >"$EXIT_FILE.new" && mv -f "$EXIT_FILE.new" "$EXIT_FILE"
}

# ---------------------------------------------------------------------------------------------- several ComfyUIs

# One start.sh for each, which restarts it when it dies. CREW: their pids. From here on there is none to start here.
start_crew() {
  local number port gpu
  COMFY_START=false
  for number in "${!PORTS[@]}"; do
    port="${PORTS[number]}" gpu=()
    if ((${#GPUS[@]})); then gpu=("CUDA_VISIBLE_DEVICES=${GPUS[number % ${#GPUS[@]}]}"); fi
    say "ComfyUI $((number + 1)) of ${#PORTS[@]}: port $port ${gpu[*]}"
    (umask 022 && mkdir -p "$COMFY_RUN_DIR/$port")
    (
      # Sessions of their own: no Ctrl-C from the terminal, they live on for the handler.
      exec setsid env --default-signal "PATH=$CHILD_PATH" COMFY_ALONE=true COMFY_START=true COMFY_PORT="$port" \
        COMFY_HOST="127.0.0.1:$port" COMFY_RUN_DIR="$COMFY_RUN_DIR/$port" COMFY_LISTEN="$COMFY_LISTEN" \
        COMFY_ARGS="$COMFY_ARGS" SKIP_GPU_CHECK=true "${gpu[@]}" /bin/bash "$SELF"
    ) </dev/null {NEVER_FD}<&- &
    CREW+=("$!")
  done
}

# TERM: each lets its ComfyUI end in peace; a second one: at once.
end_crew() {
  local pid
  for pid in "${CREW[@]}"; do kill -TERM "$pid" 2>/dev/null; done
}

stop_crew() {
  local pid
  end_crew
  for pid in "${CREW[@]}"; do
    while runs "$pid"; do tick; done
  done
}

# What a start.sh does that keeps nothing but its ComfyUI.
keep_comfy() {
  start_comfy
  until ((GOT_TERM + GOT_INT + GOT_HUP)); do tick_comfy; done
  GOT_TERM=0 GOT_INT=0 GOT_HUP=0
  stop_comfy
  exit 0
}

# ------------------------------------------------------------------------------------------- handler and the loop

start_handler() {
  local arguments=("$@")
  if is_true "$SERVE_API_LOCALLY" && ! is_true "$HTTP_API_MODE"; then
    arguments=(--rp_serve_api --rp_api_host=0.0.0.0 "$@")
  fi
  say "Starting the handler."
  (
    cd "$WORKER_ROOT" || exit 1
    if [[ -n $LOG_FD ]]; then exec {LOG_FD}>&-; fi
    exec setsid env --default-signal "${RUN_AS[@]}" "$WORKER_PYTHON" -u handler.py "${arguments[@]}"
  ) </dev/null {NEVER_FD}<&- &
  HANDLER_PID=$!
  printf '%s\n' "$HANDLER_PID" >"$COMFY_RUN_DIR/worker.pid"
}

# First signal: the handler's to deal with, ComfyUI lives on for it. Second: everything ends now.
on_signal() { # name
  if ((SIGNALS_SEEN++ == 0)) && runs "$HANDLER_PID"; then
    say "SIG$1: passed to the handler; a second signal ends everything at once."
    kill -"$1" "$HANDLER_PID" 2>/dev/null
  else
    say "SIG$1: ending at once."
    if runs "$HANDLER_PID"; then kill -KILL -- "-$HANDLER_PID" 2>/dev/null; fi
    end_comfy 0
    end_crew
  fi
}

# Not while the handler's process is still a copy of this shell, which would swallow them: until setsid has run.
can_take_signals() { ! runs "$HANDLER_PID" || kill -0 -- "-$HANDLER_PID" 2>/dev/null; }

tick() {
  look_at_clock
  if can_take_signals; then
    if ((GOT_TERM)); then GOT_TERM=0 && on_signal TERM; fi
    if ((GOT_INT)); then GOT_INT=0 && on_signal INT; fi
    if ((GOT_HUP)); then GOT_HUP=0 && on_signal HUP; fi
  fi
  tick_comfy
}

tick_comfy() {
  look_at_clock
  if [[ $COMFY_STATE == running ]]; then
    watch_comfy
  elif [[ $COMFY_STATE == waiting ]] && ((NOW >= NEXT_START)); then
    RESTARTS=$((RESTARTS + 1))
    launch_comfy
  fi
  # A job may kill ComfyUI a moment after it has come up; that it had must be known by then.
  if [[ $COMFY_STATE == running && $CAME_UP == false ]]; then pause 0.02; else pause 0.1; fi
}

stop_comfy() {
  PHASE=stopping
  look_at_clock
  end_comfy "$COMFY_STOP_GRACE_S"
  while [[ $COMFY_STATE == running ]]; do tick; done
  COMFY_STATE=off
  stop_crew
  close_log
}

main() {
  PHASE=starting LOG_FD="" GOT_TERM=0 GOT_INT=0 GOT_HUP=0 SIGNALS_SEEN=0
  COMFY_STATE=off RESTARTS=0 FAILED_STARTS=0 DELAY=0 NEXT_START=0 HANDLER_PID="" CREW=()
  trap 'exit 130' INT # bash itself forgets one that comes during a command substitution; TERM and HUP end it anyway
  guard_path
  exec {NEVER_FD}<> <(:) # a pipe nothing is ever written to: reading it is a sleep without a process
  read_settings
  choose_user
  prepare_run_dir || exit 1
  if ! is_true "$COMFY_ALONE"; then
    warn_of_unwritable
    start_ssh
    report_network_volume
    set_manager_offline
  fi
  prepare_commands
  if is_true "$COMFY_STANDIN" && port_is_open; then
    say "Port $COMFY_PORT is taken, and jobs would run on what answers there: choose another with COMFY_PORT."
    exit 1
  fi
  open_log
  trap 'GOT_TERM=1' TERM # until here a signal simply ended this script: nothing ran yet
  trap 'GOT_INT=1' INT
  trap 'GOT_HUP=1' HUP
  check_gpu || exit 1
  if is_true "$COMFY_ALONE"; then keep_comfy; fi
  if ((${#PORTS[@]})); then start_crew; fi
  start_comfy
  start_handler "$@"
  local status
  while runs "$HANDLER_PID"; do tick; done
  wait "$HANDLER_PID" 2>/dev/null
  status=$?
  kill -KILL -- "-$HANDLER_PID" 2>/dev/null # children it left behind
  say "The handler ended with status $status."
  stop_comfy
  rm -f "$COMFY_RUN_DIR/worker.pid"
  exit "$status"
}

main "$@"
