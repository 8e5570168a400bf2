#!/usr/bin/env bash
# download_models.sh MODEL_TYPE TARGET: fetches the models of one type from models.txt. Used while the image is built.
set -euo pipefail

type="$1" target="$2"
token_file=/run/secrets/huggingface
token="${HUGGINGFACE_ACCESS_TOKEN:-$([[ -r $token_file ]] && cat "$token_file" || true)}"

mkdir -p "$target"
if [[ $type == none || $type == base ]]; then exit 0; fi

found=false
while read -r row folder name address needs; do
  [[ $row == "$type" ]] || continue
  found=true
  if [[ -n $needs && -z $token ]]; then
    echo "$name needs HUGGINGFACE_ACCESS_TOKEN (build argument, or --secret id=huggingface)." >&2
    exit 1
  fi
  mkdir -p "$target/$folder"
  echo "Fetching $folder/$name"
  wget --quiet --tries=3 ${needs:+--header="Authorization: Bearer $token"} --output-document="$target/$folder/$name" "$address"
done < <(grep -v '^#' "$(dirname "$0")/models.txt")

if [[ $found == false ]]; then
  echo "MODEL_TYPE=$type is not in models.txt. It knows: none $(grep -v '^#' "$(dirname "$0")/models.txt" | awk '{print $1}' | sort -u | tr '\n' ' ')" >&2
  exit 1
fi
