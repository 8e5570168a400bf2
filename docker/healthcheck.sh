#!/bin/bash
# Container health: in HTTP mode the API's own answer, else whether the worker process lives.
# A ComfyUI that restarts is no reason to replace the container; the API's /health tells about it.
set -u

run_dir="${COMFY_RUN_DIR:-/tmp/comfyui-run}"

http_ok() {
  local status=""
  exec 3<>"/dev/tcp/127.0.0.1/${API_PORT:-8000}" || return 1
  printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  read -rt 5 _ status _ <&3
  [[ $status == 200 ]]
}

if [[ ${HTTP_API_MODE:-} == [Tt][Rr][Uu][Ee] || ${HTTP_API_MODE:-} == 1 ]]; then
  http_ok
else
  # No command is looked up: it runs as root, with a PATH that has folders of ComfyUI's user in it.
  pid="$(<"$run_dir/worker.pid")" && [[ -d /proc/$pid ]]
fi
