# Sourced by scripts that make network namespaces: each by a short name, and at the end nothing is left of them.
spaces=()
leave() {
  local space
  # The shell would tell of each that ends.
  exec 2>/dev/null
  # All that runs in these namespaces was started here.
  for space in "${spaces[@]}"; do ip netns pids "$space" | xargs -r kill || true; done
  wait || true
  for space in "${spaces[@]}"; do ip netns del "$space" || true; done
}
trap leave EXIT

# What ip(8) calls it: those of several runs live side by side.
named() { echo "dashcap$$-$1"; }
space() { # NAME
  ip netns add "$(named "$1")"
  spaces+=("$(named "$1")")
  in_ "$1" ip link set lo up
}
in_() { # NAME COMMAND...
  local space
  space=$(named "$1")
  shift
  ip netns exec "$space" "$@"
}
