#!/usr/bin/env bash
# Builds what is given to others, into dist/:
#
#   dashcap_VERSION_amd64.deb     the Debian package, with libraries of this Debian release
#   dashcap-VERSION-x86_64        the static binary, for any Linux: built with musl and a libpcap of its own
#   dashcap-VERSION-prometheus.tar.gz   rules, a dashboard and examples for Prometheus; in the package, too
#   dashcap-VERSION.cdx.json      what is in both: CycloneDX
#   dashcap-VERSION-notices.txt   the licence texts of others; both are in the package, too
#   SHA256SUMS
#
# libpcap is Debian's source, checked by apt, without what dashcap has no use for (D-Bus, USB, Bluetooth, ...).
#
#   scripts/release.sh [--ci]      --ci: without optimisation across crates, to try this script
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need musl-gcc:musl-tools flex:flex bison:bison make:make dpkg-deb:dpkg gzip:gzip strip:binutils jq:jq

profile=release
case ${1-} in
  '') ;;
  --ci) profile=ci ;;
  *) echo "unknown argument $1; accepted: --ci" >&2; exit 2 ;;
esac
musl=x86_64-unknown-linux-musl
target=${CARGO_TARGET_DIR:-$PWD/target}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
work=$target/package
PATH=$PATH:$target/tools/bin

# The compiler that releases are built with: another one gives other bytes, and perhaps another program. CI tries this
# script with the one that it has.
toolchain=1.95.0
if [ "$profile" = release ]; then
  rustup toolchain list | grep -q "^$toolchain-" || rustup toolchain install --profile minimal "$toolchain"
  export RUSTUP_TOOLCHAIN=$toolchain
fi
# Neither when nor where it was built is in what is built.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# The last that fits holds: what is made while building lies below the sources, or elsewhere.
export RUSTFLAGS="${RUSTFLAGS-} --remap-path-prefix=$PWD=/dashcap --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$target=/target"

# The source package, into the current directory, from where this machine has its packages; its lists are
# left alone.
fetch_libpcap() {
  local places
  mkdir -p apt/lists/partial apt/places
  for places in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -e "$places" ] || sed -n 's/^deb /deb-src /p' "$places" >"apt/places/$(basename "$places" .list).list"
  done
  for places in /etc/apt/sources.list.d/*.sources; do
    [ ! -e "$places" ] || sed 's/^Types:.*/Types: deb-src/' "$places" >"apt/places/$(basename "$places")"
  done
  local ours=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$PWD/apt/places"
    -o "Dir::State::Lists=$PWD/apt/lists" -o APT::Sandbox::User=)
  apt-get "${ours[@]}" update -qq
  apt-get "${ours[@]}" source --download-only -qq libpcap
}

# For everything in C: zstd by its crate's build, libpcap. musl has no checking functions for _FORTIFY_SOURCE, so
# there it costs and does nothing; in the package it does.
hardened="-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
hardened+=" -ffile-prefix-map=$PWD=/dashcap -ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$target=/target"
export CFLAGS=$hardened

build_libpcap() {
  rm -rf "$work/libpcap" && mkdir -p "$work/libpcap"
  (
    cd "$work/libpcap"
    fetch_libpcap
    tar -xf libpcap_*.orig.tar.?z --strip-components=1
    # The kernel's headers are the system's; musl has all others.
    kernel="-idirafter /usr/include -idirafter /usr/include/$(uname -m)-linux-gnu"
    CC=musl-gcc CFLAGS="-O2 $hardened $kernel" ./configure --host=$musl --disable-shared --disable-dbus --disable-rdma \
      --disable-usb --disable-bluetooth --disable-remote --without-libnl
    make -j"$(nproc)" libpcap.a
  ) >"$work/libpcap.log" 2>&1 &
  # In the background, because what stands before || does not stop at the first failure.
  wait $! || { tail -20 "$work/libpcap.log" >&2; exit 1; }
}

need_cargo_deb() {
  command -v cargo-deb >/dev/null || cargo install --quiet --locked --root "$target/tools" cargo-deb
}

mkdir -p "$work" dist
rm -f dist/*
[ -e "$work/libpcap/libpcap.a" ] || build_libpcap
rustup target list --installed | grep -q "$musl" || rustup target add "$musl"
LIBPCAP_LIBDIR=$work/libpcap LIBPCAP_VER=$(<"$work/libpcap/VERSION") \
  cargo build --locked --quiet --profile "$profile" --target "$musl"
static=dist/dashcap-$version-$(uname -m)
strip -o "$static" "$target/$musl/$profile/dashcap"
# Said by the kernel's loader, not by us: no interpreter, no library.
if readelf -dl "$static" | grep -q 'NEEDED\|INTERP'; then
  echo "$static needs libraries" >&2
  exit 1
fi

# Manual pages and completions, by the program itself.
"$static" man "$work/man"
gzip -9 -n -f "$work"/man/*.1
"$static" completions bash >"$work/dashcap.bash"
"$static" completions zsh >"$work/_dashcap"
"$static" completions fish >"$work/dashcap.fish"

# What others made, and how it may be used.
scripts/dependencies.sh sbom >"$work/sbom.cdx.json"
scripts/dependencies.sh notices >"$work/notices.txt"
cp "$work/sbom.cdx.json" "dist/dashcap-$version.cdx.json"
cp "$work/notices.txt" "dist/dashcap-$version-notices.txt"

tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C packaging -c prometheus \
  | gzip -9 -n >"dist/dashcap-$version-prometheus.tar.gz"

need_cargo_deb
cargo build --locked --quiet --profile "$profile"
# What was asked of everything in C is in the program.
if ! readelf -W --dyn-syms "$target/$profile/dashcap" | grep -q __stack_chk_fail; then
  echo 'the C parts are built without a stack protector' >&2
  exit 1
fi
[ "$profile" = release ] || { mkdir -p "$target/release" && cp "$target/$profile/dashcap" "$target/release/dashcap"; }
# cargo-deb finds user, units and conffile by [package.metadata.deb] in Cargo.toml.
cargo deb --quiet --no-build --output dist/

(cd dist && sha256sum -- * >SHA256SUMS)
cat dist/SHA256SUMS
