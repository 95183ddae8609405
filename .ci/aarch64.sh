#!/usr/bin/env bash
# The unit tests and the selftest of the cpu device on an emulated aarch64 processor, whose instructions are NEON's.
# Debian bookworm or trixie, as root; not a part of .ci/run.
#
#   .ci/aarch64.sh [FOLDER]     sets up a cross compiler in FOLDER, or reuses what is there, builds and tests
#
# FOLDER gets a Debian trixie of its own (root/, 2 GB: rustc of trixie-backports, the standard library and a linker for
# aarch64, qemu) and what is built (target/). It is made by debootstrap from the mirror of the machine's own apt sources; nothing
# is installed on the machine, and what is mounted into it is gone when the script ends. cargo fetches the dependencies
# here, as it does for any build. FOLDER defaults to ${XDG_CACHE_HOME:-$HOME/.cache}/toile/aarch64; delete it to start
# afresh. Exit 2: not such a machine.
#
# Variables it reads: XDG_CACHE_HOME, HOME, CARGO_HOME
set -euo pipefail

say() { echo "aarch64: $*" >&2; }
die() { say "$@"; exit 2; }

# shellcheck source=/dev/null
system=$(. /etc/os-release 2>/dev/null && echo "${ID-} ${VERSION_CODENAME-}") || system=unknown
[[ $system == "debian bookworm" || $system == "debian trixie" ]] ||
    die "works on Debian bookworm and trixie (this is: $system); elsewhere: rustup target add aarch64-unknown-linux-gnu, a linker for it and qemu-user"
((EUID == 0)) || die "makes and enters a root folder, so it must run as root"
command -v debootstrap >/dev/null || die "needs debootstrap (apt-get install debootstrap)"
(($# <= 1)) || die "usage: $0 [FOLDER]"

PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin # where rustup puts cargo, for shells that do not know
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/toile/aarch64}
mkdir -p "$folder/target"
folder=$(cd "$folder" && pwd)
root=$folder/root

exec 9>"$folder/lock"
flock 9 # two runs at a time: the second waits

if [[ ! -e $folder/complete ]]; then
    # The address of the machine's first entry for its own suite.
    shopt -s nullglob
    mirror=$(
        for file in /etc/apt/sources.list.d/*.sources; do
            awk -v suite="${system#* }" 'BEGIN { RS = ""; FS = "\n" } $0 ~ ("\nSuites:(.*[ \t])?" suite "([ \t\n]|$)") {
                for (i = 1; i <= NF; i++) if (sub(/^URIs:[ \t]*/, "", $i)) { split($i, all, " "); print all[1] } }' "$file"
        done
        sed -nE "s/^deb[[:blank:]]+(\[[^]]*\][[:blank:]]+)?([^[:blank:]]+)[[:blank:]]+${system#* }[[:blank:]].*/\2/p" \
            /dev/null /etc/apt/sources.list.d/*.list $([[ ! -r /etc/apt/sources.list ]] || echo /etc/apt/sources.list)
    )
    mirror=${mirror%%$'\n'*}
    [[ -n $mirror ]] || die "found no entry for ${system#* } in the apt sources of this machine"

    say "making a Debian trixie in $root"
    rm -rf "$root"
    debootstrap --variant=minbase trixie "$root" "$mirror" >"$folder/setup.log" 2>&1 || die "see $folder/setup.log"
    printf 'deb %s %s main\n' "$mirror" trixie "$mirror" trixie-backports >"$root/etc/apt/sources.list"
    say "installing the compilers"
    {
        chroot "$root" dpkg --add-architecture arm64
        chroot "$root" apt-get -q update
        DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q install --yes --no-install-recommends -t trixie-backports \
            cargo rustc gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstd-rust-dev:arm64 libc6:arm64 libgcc-s1:arm64 qemu-user
    } >>"$folder/setup.log" 2>&1 || die "see $folder/setup.log"
    touch "$folder/complete"
fi

say "fetching the dependencies"
cargo fetch --locked --quiet --manifest-path "$tree/Cargo.toml"

# In a mount namespace of its own: its mounts end with it.
export root tree folder cargo_home=${CARGO_HOME:-$HOME/.cargo}
exec unshare --mount bash -euo pipefail -c '
    mkdir -p "$root"/{tree,target,cargo}
    mount --bind "$tree" "$root/tree"
    mount --bind "$folder/target" "$root/target"
    mount --bind "$cargo_home" "$root/cargo"
    mount --rbind /proc "$root/proc"
    mount --rbind /dev "$root/dev"
    inside() {
        chroot "$root" env -i HOME=/root PATH=/usr/bin:/bin CARGO_HOME=/cargo CARGO_TARGET_DIR=/target RUSTFLAGS="-D warnings" \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /" CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu \
            TOILE_TEST_NO_GPU=1 bash -euc "cd /tree; $*"
    }
    inside cargo test --locked --offline --lib
    inside cargo run --locked --offline --bin toile -- selftest --device cpu --quiet
    inside TOILE_SIMD=portable cargo run --locked --offline --bin toile -- selftest --device cpu --quiet
'
