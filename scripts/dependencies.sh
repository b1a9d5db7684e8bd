#!/usr/bin/env bash
# What dashcap is built from, by Cargo.lock:
#
#   scripts/dependencies.sh check      licences, sources and banned crates against deny.toml; says what is not allowed
#   scripts/dependencies.sh sbom       all of it as CycloneDX 1.5, JSON
#   scripts/dependencies.sh notices    the licence texts of all of it, each once
#
# Needs cargo and jq; the crates must have been fetched for `notices`.
set -euo pipefail
cd "$(dirname "$0")/.."

metadata() { cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu; }

# Packages that are in the program: reached from it without what only tests need, itself left out.
readonly reached='
  (.resolve.root) as $root
  | ([.resolve.nodes[] | {key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind != "dev")) | .pkg]}] | from_entries) as $needs
  | def reach($seen; $next):
      if ($next | length) == 0 then $seen
      else reach($seen + $next; [$next[] | $needs[.][]] | unique - ($seen + $next)) end;
    reach([]; [$root]) as $ids
  | [.packages[] | select(.id != $root and (.id as $id | $ids | index($id)))] | sort_by(.name, .version)'

# The words between "KEY = [" and "]" of deny.toml.
listed() { sed -n "/^$1 = \[/,/\]/p" deny.toml | grep -o '"[^"]*"' | tr -d '"'; }

# True if an SPDX expression holds with the licences of the list: each of them becomes 1, all others 0.
holds() {
  local expression=$1 word value
  expression=$(sed 's|/| OR |g; s/\([A-Za-z0-9.+-]*\) WITH \([A-Za-z0-9.-]*\)/\1_WITH_\2/g; s/[()]/ & /g' <<<"$expression")
  local terms=''
  for word in $expression; do
    case $word in
      AND) terms+=' && ' ;;
      OR) terms+=' || ' ;;
      '(' | ')') terms+=$word ;;
      *)
        value=0
        grep -qxF "${word//_WITH_/ WITH }" <<<"$allowed" && value=1
        terms+=$value
        ;;
    esac
  done
  [ -n "$terms" ] && ((terms))
}

check() {
  local wrong=0 name version licence source
  allowed=$(listed allow)
  registries=$(listed allow-registry)
  banned=$(sed -n '/^deny = \[/,/^\]/s/.*name = "\([^"]*\)".*/\1/p' deny.toml)
  while IFS=$'\t' read -r name version licence source; do
    holds "$licence" || { echo "$name $version: licence ${licence:-unknown} is not allowed" >&2; wrong=1; }
    grep -qxF "${source#registry+}" <<<"$registries" || { echo "$name $version: source ${source:-none} is not allowed" >&2; wrong=1; }
    ! grep -qxF "$name" <<<"$banned" || { echo "$name $version: banned" >&2; wrong=1; }
  done < <(metadata | jq -r '.resolve.root as $root | .packages[] | select(.id != $root)
    | [.name, .version, .license // "", .source // ""] | @tsv')
  [ $wrong = 0 ] || { echo "see deny.toml" >&2; exit 1; }
}

sbom() {
  local sums
  # Name, version and sum of each crate, as the registry has them.
  sums=$(awk -F'"' '/^name = /{n=$2} /^version = /{v=$2} /^checksum = /{print n" "v" "$2}' Cargo.lock |
    jq -Rn '[inputs | split(" ") | {key: "\(.[0]) \(.[1])", value: .[2]}] | from_entries')
  metadata | jq --argjson sums "$sums" --arg at "$(date -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" +%FT%TZ)" '
    (.packages[] | select(.name == "dashcap")) as $self | '"$reached"' | {
      bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
      metadata: {
        timestamp: $at,
        component: {type: "application", "bom-ref": "dashcap", name: "dashcap", version: $self.version,
          licenses: [{expression: $self.license}]}
      },
      components: [.[] | {
        type: "library", "bom-ref": "pkg:cargo/\(.name)@\(.version)", name, version, purl: "pkg:cargo/\(.name)@\(.version)",
        licenses: [{expression: ((.license // "") | gsub("/"; " OR "))}],
        hashes: [{alg: "SHA-256", content: $sums["\(.name) \(.version)"]}]
      }]
    }'
}

notices() {
  local name version licence manifest text sum
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  while IFS=$'\t' read -r name version licence manifest; do
    for text in "${manifest%/*}"/{LICENSE,LICENCE,COPYING,COPYRIGHT,NOTICE,UNLICENSE}*; do
      [ -f "$text" ] || continue
      sum=$(sha256sum <"$text" | cut -d' ' -f1)
      [ -e "$work/$sum" ] || cp "$text" "$work/$sum"
      echo "  $name $version ($licence)" >>"$work/$sum.of"
    done
    echo "$name $version: $licence" >>"$work/all"
  done < <(metadata | jq -r "$reached"' | .[] | [.name, .version, (.license // "unknown"), .manifest_path] | @tsv')
  echo 'dashcap is built from these crates, by their authors:'
  echo
  cat "$work/all"
  echo
  echo 'libpcap (BSD-3-Clause, The Tcpdump Group), zstd (BSD-3-Clause, Meta Platforms) and, in the static program, musl'
  echo '(MIT, Rich Felker and others) are in it, too.'
  for text in "$work"/*.of; do
    printf '\n%s\n' ------------------------------------------------------------------------------
    sort -u "$text"
    echo
    cat "${text%.of}"
  done
}

case ${1-} in
  check | sbom | notices) "$1" ;;
  *) echo "unknown argument ${1-}; accepted: check, sbom, notices" >&2; exit 2 ;;
esac
