# Shared by the commands beside it: where the project is, its virtual environments, what a machine may lack.
# Source it. It prints nothing unless something is made or fails, and leaves the working directory alone.
# shellcheck shell=bash

project=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() {
  say "scripts/$(basename -- "$0"): $*"
  exit 1
}

# as_root COMMAND …: run it as root, or return 1 if this user may not without being asked for a password.
as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

may_install() { command -v apt-get >/dev/null && as_root true; }

# install_packages PACKAGE …: from Debian. A service that comes with one of them is neither started nor enabled.
install_packages() {
  local policy=/usr/sbin/policy-rc.d made='' failed='' log
  log=$(mktemp)
  say "Installing $* …"
  if [[ ! -e $policy ]]; then
    made=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  {
    as_root apt-get -qq update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq --no-install-recommends install "$@"
  } </dev/null >"$log" 2>&1 || failed=yes
  if [[ $made ]]; then as_root rm -f "$policy"; fi
  if [[ $failed ]]; then cat "$log" >&2; fi
  rm -f "$log"
  [[ ! $failed ]]
}

# Print the path of a Python that is new enough: $PYTHON, or the first on PATH.
find_python() {
  local each
  for each in ${PYTHON:+"$PYTHON"} python3.11 python3 python3.12 python3.13 python3.14; do
    if "$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      "$each" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

# make_venv DIRECTORY: an empty virtual environment with a pip that knows dependency groups.
make_venv() {
  local base version
  if ! base=$(find_python); then
    may_install || die "no Python 3.11 or newer on PATH: install python3 and python3-venv, or set PYTHON to one"
    install_packages python3 python3-venv || die "python3 could not be installed"
    base=$(find_python) || die "no Python 3.11 or newer on PATH, and Debian's is older: set PYTHON to one"
  fi
  if ! "$base" -c 'import venv; from ensurepip import version' 2>/dev/null; then
    version=$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    may_install || die "$base cannot make virtual environments: apt-get install $version"
    install_packages "$version" || die "$version could not be installed"
  fi
  "$base" -m venv --clear "$1"
  "$1/bin/python" -m pip install -qq --disable-pip-version-check 'pip>=25.1'
}

# use_venv DIRECTORY ARGUMENT …: have what `pip install ARGUMENT …` installs, and set $python to the interpreter.
# What was installed stays good until pyproject.toml changes, or the project moves.
use_venv() {
  local directory=$project/$1 state stamp lock
  shift
  python=$directory/bin/python
  state=$({ cat "$project/pyproject.toml" && printf '%s' "$project"; } | sha256sum | cut -c1-16)
  stamp=$directory/.installed-$state-$(printf '%s\0' "$@" | sha256sum | cut -c1-16)
  if [[ -e $stamp && -x $python ]]; then return; fi
  mkdir -p "$directory"
  exec {lock}>"$directory/.lock"
  flock "$lock"
  if [[ ! -e $stamp || ! -x $python ]]; then
    say "Preparing $(basename -- "$directory") …"
    if ! compgen -G "$directory/.installed-*" >/dev/null || [[ ! -x $python ]]; then make_venv "$directory"; fi
    (cd "$project" && "$python" -m pip install -qq --disable-pip-version-check "$@")
    find "$directory" -maxdepth 1 -name '.installed-*' ! -name ".installed-$state-*" -delete
    : >"$stamp"
  fi
  exec {lock}>&-
}
