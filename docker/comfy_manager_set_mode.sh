#!/usr/bin/env bash
# comfy-manager-set-mode <public|private|offline>: ComfyUI-Manager's network_mode, in its configuration.
# Offline keeps it from fetching its node lists at every start of a worker.
set -euo pipefail

mode="${1:-}"
case "$mode" in
  public | private | offline) ;;
  *)
    echo "Usage: comfy-manager-set-mode <public|private|offline>" >&2
    exit 64
    ;;
esac

set_mode() {
  mkdir -p "$(dirname "$1")"
  touch "$1"
  grep -q '^\[default\]' "$1" || printf '[default]\n' >>"$1"
  sed -i -e '/^network_mode *=/d' -e "s/^\[default\]/&\nnetwork_mode = $mode/" "$1"
}

user_dir="${COMFY_ROOT:-/comfyui}/user"
if [[ -n ${COMFYUI_MANAGER_CONFIG:-} ]]; then
  set_mode "$COMFYUI_MANAGER_CONFIG"
else # ComfyUI 0.3.76 and later keep it in __manager, earlier ones in default
  set_mode "$user_dir/__manager/config.ini"
  set_mode "$user_dir/default/ComfyUI-Manager/config.ini"
fi
