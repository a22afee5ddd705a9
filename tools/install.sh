#!/usr/bin/env bash
# install.sh VENV: everything that `make demo` and `make test` need, into VENV. Called by make, once per change
# of pyproject.toml or constraints.txt. System libraries come through apt when root; else it prints the line to run.
set -euo pipefail
venv=$1
# set by the ROS wheels in every child of a Python that has them; it would keep a new one from finding its libraries
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE

fail() { echo "setup: $*" >&2; exit 2; }
usable() { "$1" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12)))' >/dev/null 2>&1; }
has_library() { { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -q "$1"; }

python=
for candidate in "${PYTHON:-}" python3 python3.12 python3.11; do
  if [ -n "$candidate" ] && usable "$candidate"; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "no Python 3.11 or 3.12 found (tried python3, python3.12, python3.11): install one, or name it with PYTHON=/path/to/python3.12."

packages=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
has_library libEGL.so.1 || packages+=(libegl1)
has_library libusb-1.0.so.0 || packages+=(libusb-1.0-0)
has_library libOpenGL.so.0 || packages+=(libopengl0)
compgen -G '/usr/lib/*/dri/swrast_dri.so' >/dev/null || compgen -G '/usr/lib/*/libgallium*.so' >/dev/null || packages+=(libgl1-mesa-dri)
# where a compiler is, what tools/genmsg.py wants besides
if [ "$(id -u)" = 0 ] && command -v gcc >/dev/null && [[ $(readlink -f "$(command -v "$python")") == /usr/bin/* ]]; then
  command -v g++ >/dev/null || packages+=(g++)
  "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' ||
    packages+=("$("$python" -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])')")
fi
if [ ${#packages[@]} -gt 0 ]; then
  line="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
  command -v apt-get >/dev/null || fail "these system packages (Debian names) are missing: ${packages[*]}; install them and run make again."
  [ "$(id -u)" = 0 ] || fail "system packages are missing; run this line, then make again:  sudo sh -c '$line'"
  echo "setup: installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  said=$({ apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } 2>&1) || {
    echo "$said" >&2
    fail "apt-get could not install ${packages[*]}; mend what it says above, or run: $line"
  }
fi

if ! usable "$venv/bin/python"; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi
extras=test,dev
# the ROS wheels exist for x86-64 alone; elsewhere, and where a workspace is sourced, rclpy is not pip's business
sourced() { [ -n "${AMENT_PREFIX_PATH:-}" ] && "$python" -c "import rclpy" 2>/dev/null; }
if [ "$(uname -m)" = x86_64 ] && ! sourced; then extras=ros,interfaces,$extras; fi
echo "setup: installing robot_rl[$extras] into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --use-pep517 --constraint constraints.txt --editable ".[$extras]"

case $extras in ros,*)
  # message packages that PyPI lacks; without a compiler their clients are not served, and their tests are left out
  "$venv/bin/python" tools/genmsg.py interfaces/*/ || [ $? = 3 ] || fail "the message packages of interfaces/ could not be made; see above."
  # a test's client, beside the environment: it asks for an older NumPy than ours, though it runs with this one
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --upgrade --target "$venv/clients/crisp" crisp_python==3.6.0
esac
