#!/usr/bin/env bash
# Tells why models of the network volume are or are not found. start.sh runs it with NETWORK_VOLUME_DEBUG=true.
set -u

paths_file="${EXTRA_MODEL_PATHS:-${COMFY_ROOT:-/comfyui}/extra_model_paths.yaml}"
readonly paths_file

say() { printf '[network volume] %s\n' "$*"; }

# "<key> <folder>" for each line of the file that names a folder below base_path; a `key: |` block has one a line.
model_folders() {
  awk '/^ +[a-z0-9_]+: *\|/ {key = $1; next}
       /^ +[a-z0-9_]+: */ {key = $1; folder = $2}
       /^ +[^:#]+$/ {folder = $1}
       folder && key != "base_path:" {print substr(key, 1, length(key) - 1), folder}
       {folder = ""}' "$paths_file"
}

# One folder: its models with sizes, and what ComfyUI will not take for a model.
report_folder() {
  local key="$1" folder="$2" known='.*\.(safetensors|sft|ckpt|pt|pt2|pth|bin|pkl|gguf|onnx|yaml|json)'
  local models others
  models="$(find -L "$folder" -type f -regextype posix-extended -iregex "$known" -printf '%s %P\n' 2>&1 | sort -k 2)"
  others="$(find -L "$folder" -type f -regextype posix-extended ! -iregex "$known" -printf '%P\n' 2>/dev/null | wc -l)"
  say "$key: $folder$([[ -r $folder ]] || printf ' (NOT READABLE by %s)' "$(id -un)")"
  if [[ -n $models ]]; then
    numfmt --to=iec --field=1 <<<"$models" | sed 's/^/[network volume]     /'
  fi
  if ((others > 0)); then say "    and $others files that are no models by their extension: ComfyUI does not list them"; fi
}

main() {
  say "configuration: $paths_file"
  if [[ ! -r $paths_file ]]; then
    say "NOT FOUND. ComfyUI reads it from its own folder; without it only the image's own models are there."
    return 1
  fi
  local base key folder found=0
  base="$(awk '$1 == "base_path:" {print $2; exit}' "$paths_file")"
  if [[ ! -d $base ]]; then
    say "$base: NOT MOUNTED. Attach the network volume to the endpoint (RunPod), or mount a folder there (-v models:$base)."
    return 1
  fi
  if [[ ! -d $base/models ]]; then
    say "$base is mounted, but has no folder 'models'. It holds: $(find "$base" -maxdepth 1 -mindepth 1 -printf '%f ' 2>&1)"
    say "Put models under $base/models/<folder>, for instance $base/models/checkpoints/model.safetensors."
    return 1
  fi
  while read -r key folder; do
    if [[ -d $base/$folder ]]; then
      found=$((found + 1))
      report_folder "$key" "$base/${folder%/}"
    fi
  done < <(model_folders)
  say "$found model folders found; $base has $(df -h --output=avail "$base" | tail -n 1 | tr -d ' ') free."
  local unknown
  unknown="$(comm -13 <(model_folders | awk '{sub("models/", "", $2); sub("/.*", "", $2); print $2}' | sort -u) \
    <(find "$base/models" -maxdepth 1 -mindepth 1 -type d -printf '%f\n' | sort) | tr '\n' ' ')"
  if [[ -n $unknown ]]; then say "not in the configuration, so only for custom nodes that look there themselves: $unknown"; fi
}

main
