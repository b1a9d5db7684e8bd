# What the other scripts need, for a fresh Debian machine: sourced, not run; with --build-only nothing but what
# a build needs. Installs missing packages (as root, or with sudo), finds cargo, leaves everything else alone.

need() { # PROGRAM-or-FILE:PACKAGE...
  local missing=() wanted
  for wanted in "$@"; do
    case ${wanted%%:*} in
      /*) [ -e "${wanted%%:*}" ] || missing+=("${wanted##*:}") ;;
      *) command -v "${wanted%%:*}" >/dev/null || missing+=("${wanted##*:}") ;;
    esac
  done
  [ ${#missing[@]} = 0 ] && return
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "missing packages: ${missing[*]}; install them as root: apt-get install ${missing[*]}" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  # The lists may be missing or too old to find anything by: try, refresh, try again.
  local install=("${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}")
  "${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -qq && "${install[@]}" >/dev/null; }
}

need_cargo() {
  PATH=$PATH:$HOME/.cargo/bin
  command -v cargo >/dev/null && return
  need rustup:rustup && rustup default stable && return
  echo "missing: cargo 1.91 or newer; install Rust from https://rustup.rs" >&2
  exit 1
}

need cc:gcc /usr/include/stdio.h:libc6-dev /usr/include/pcap/pcap.h:libpcap-dev
[ "${1-}" = --build-only ] || need ip:iproute2 unshare:util-linux tshark:tshark capinfos:wireshark-common zstd:zstd jq:jq
need_cargo
