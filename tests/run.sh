#!/usr/bin/env bash
# Runs all tests:  tests/run.sh [arguments for cargo test]
#
# Needs a Rust toolchain and a C linker. The GPU tests need a Vulkan driver too; where none is found, a Debian or
# Ubuntu machine gets Mesa's software driver by apt-get (as root, or by sudo). Other systems: nothing is installed.
# The exit status is cargo's; 2 means that something the tests need is missing.
#
# Variables:
#   TOILE_TEST_NO_GPU=1                  do without a driver and without the GPU tests
#   VK_DRIVER_FILES, VK_ICD_FILENAMES    the Vulkan loader's own: the driver to use, instead of the installed ones
#   TOILE_SWIFTSHADER=PATH               SwiftShader's library or its folder, for a lane of its own (else a browser's is
#                                        looked for; lanes without their driver say that they are skipped)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "tests/run.sh: $*"; }
die() { printf 'tests/run.sh: %s\n' "$@" >&2; exit 2; }

packages="mesa-vulkan-drivers libvulkan1"

# Whether the dynamic linker finds the library $1 (a name, or an absolute path).
has_library() {
    local dir dirs
    [[ $1 != /* ]] || { [[ -e $1 ]]; return; }
    IFS=: read -ra dirs <<<"${LD_LIBRARY_PATH:-}:"
    for dir in "${dirs[@]}"; do
        [[ -z $dir || ! -e $dir/$1 ]] || return 0
    done
    grep -qF "$1 " <<<"$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null)"
}

# Prints the manifests (.json) of the Vulkan drivers whose library is there, as the Vulkan loader looks for them.
drivers() {
    local places place file library
    places=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}
    if [[ -z $places ]]; then
        places=${XDG_CONFIG_HOME:-${HOME:-}/.config}:${XDG_CONFIG_DIRS:-/etc/xdg}:/etc:/usr/local/etc
        places+=:${XDG_DATA_HOME:-${HOME:-}/.local/share}:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}
        places=${VK_ADD_DRIVER_FILES:+$VK_ADD_DRIVER_FILES:}${places//://vulkan/icd.d:}/vulkan/icd.d
    fi
    IFS=: read -ra places <<<"$places"
    for place in "${places[@]}"; do
        for file in "$place" "$place"/*.json; do
            [[ -f $file ]] || continue
            library=$(sed -nE 's/.*"library_path"[[:space:]]*:[[:space:]]*"([^"]*)".*/\1/p' "$file")
            [[ $library != */* || $library == /* ]] || library=$(cd "$(dirname "$file")" && pwd)/$library
            [[ -z $library ]] || ! has_library "$library" || echo "$file"
        done
    done
}

# Sets `found` to the drivers' manifests; false without a driver or without the Vulkan loader.
found=
find_driver() {
    found=$(drivers)
    [[ -n $found ]] && has_library libvulkan.so.1
}

install_driver() {
    local start=$SECONDS root=()
    local by_hand="apt-get update && apt-get install $packages"
    local without="or run without the GPU tests:  TOILE_TEST_NO_GPU=1 tests/run.sh"
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "no Vulkan driver here, and neither root nor sudo to install one. Run as root:  $by_hand" "$without"
        root=(sudo env)
        [[ -t 0 ]] || root=(sudo -n env) # nobody is there to type a password
    else
        root=(env)
    fi
    root+=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
    say "no Vulkan driver here: installing $packages (a software GPU, for the GPU tests), by apt-get"
    "${root[@]}" update || say "apt-get update failed; trying to install all the same"
    # shellcheck disable=SC2086 # two packages, two words
    "${root[@]}" install --yes --no-install-recommends $packages ||
        die "the driver could not be installed. Run as root:  $by_hand" "$without"
    find_driver || die "still no Vulkan driver after the installation of $packages" "$without"
    say "installed in $((SECONDS - start)) s"
}

# Tools.
PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin # where rustup puts cargo, for shells that do not know
command -v cargo >/dev/null || die "no cargo: install a Rust toolchain (https://www.rust-lang.org/tools/install)"
command -v cc >/dev/null || die "no C linker (cc): install one, on Debian and Ubuntu:  apt-get install gcc libc6-dev"

# Driver.
if [[ ${TOILE_TEST_NO_GPU:-} == 1 ]]; then
    say "!!! TOILE_TEST_NO_GPU=1: THE GPU TESTS ARE SKIPPED, no kernel is tested !!!"
elif [[ $(uname -s) != Linux ]]; then
    say "GPU driver: the system's own"
else
    if find_driver; then
        : # as it should be
    elif [[ -n ${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}} ]]; then
        die "VK_DRIVER_FILES or VK_ICD_FILENAMES is set, but names no usable driver, or libvulkan.so.1 is missing:" \
            "${VK_DRIVER_FILES:-$VK_ICD_FILENAMES}"
    elif command -v apt-get >/dev/null; then
        install_driver
    else
        say "no Vulkan driver found, and no apt-get to install one: the GPU tests may fail (see TOILE_TEST_NO_GPU)"
    fi
    # shellcheck disable=SC2086 # one a word
    say "Vulkan drivers:" ${found:-none}
fi

# Mesa's device-selection layer prints an error for every device that is opened on a machine without a display.
export NODEVICE_SELECT=1

# Build apart from the run, so that its time is seen and cargo test has the last word.
case " $* " in
*" --doc "* | *" --help "* | *" -h "*) ;;
*)
    start=$SECONDS
    say "building the tests (dev profile, optimised): the first time takes minutes on a machine with few cores"
    cargo test --locked --no-run "$@"
    say "built in $((SECONDS - start)) s; running"
    ;;
esac
exec cargo test --locked "$@"
