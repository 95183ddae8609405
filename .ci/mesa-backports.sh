#!/usr/bin/env bash
# Unpacks the lavapipe (software Vulkan) of bookworm-backports beside the installed one. Debian bookworm only.
#
#   eval "$(.ci/mesa-backports.sh [FOLDER])"     unpack, or reuse what is there, and use it in this shell
#   . FOLDER/env                                 use it again later
#
# Nothing is installed, no system file is written and no root is needed: apt works in FOLDER with a private
# configuration. The backports entry is derived from the machine's own bookworm entry (same address, same key).
# FOLDER defaults to ${XDG_CACHE_HOME:-$HOME/.cache}/toile/mesa-backports; delete it to start afresh.
# Standard output has the export lines only, progress goes to standard error. Exit 2: not a bookworm machine.
#
# Variables it reads:  XDG_CACHE_HOME, HOME
# Variables it prints: VK_DRIVER_FILES, VK_ICD_FILENAMES (the same, for older loaders), LD_LIBRARY_PATH
set -euo pipefail

say() { echo "mesa-backports: $*" >&2; }
die() { say "$@"; exit 2; }

suite=bookworm
# shellcheck source=/dev/null
system=$(. /etc/os-release 2>/dev/null && echo "${ID-} ${VERSION_CODENAME-}") || system=unknown
[[ $system == "debian $suite" ]] ||
    die "works on Debian $suite only (this is: $system); elsewhere use your distribution's driver"

(($# <= 1)) || die "usage: $0 [FOLDER]"
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/toile/mesa-backports}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
[[ $folder != *[[:space:]:\'\"\\]* ]] || die "the folder's name must have no space, colon, quote or backslash: $folder"

exec 9>"$folder/lock"
flock 9 # two runs at a time: the second waits, then reuses

# Whether the unpacked driver finds all its libraries here, in FOLDER or on the system.
complete() {
    local needs
    [[ -s $folder/env ]] || return
    # shellcheck source=/dev/null
    needs=$(. "$folder/env" && ldd "$driver" 2>&1) && ! grep 'not found' <<<"$needs" >&2
}
driver=$folder/lvp.so

if complete; then
    say "reusing $folder"
    cat "$folder/env"
    exit
fi

say "preparing a private apt in $folder"
apt=$folder/apt
rm -rf "$apt" "$folder/root"
mkdir -p "$apt"/{sources.list.d,preferences.d,state/lists/partial,cache/archives/partial} "$folder/root"
# What is installed need not be fetched, except the driver itself.
awk 'BEGIN { RS = ""; ORS = "\n\n" } !/^Package: mesa-vulkan-drivers\n/' /var/lib/dpkg/status >"$apt/status"

# The machine's first entry for the suite, once as it is and once for backports.
shopt -s nullglob
for file in /etc/apt/sources.list.d/*.sources; do
    # One paragraph (an entry) a record, one line a field.
    awk -v suite="$suite" 'BEGIN { RS = ""; FS = "\n" }
        !/(^|\n)Enabled:[ \t]*no/ && /(^|\n)Types:[^\n]*deb([ \t\n]|$)/ {
            for (i = 1; i <= NF; i++) {
                if ($i !~ ("^Suites:(.*[ \t])?" suite "([ \t]|$)")) continue
                for (j = 1; j <= NF; j++)
                    if ($j ~ /^Types:/) print "Types: deb"
                    else if (j == i) print "Suites: " suite " " suite "-backports"
                    else if ($j !~ /^#/) print $j
                exit
            }
        }' "$file" >"$apt/sources.list.d/toile.sources"
    [[ ! -s $apt/sources.list.d/toile.sources ]] || break
done
if [[ ! -s $apt/sources.list.d/toile.sources ]]; then
    rm -f "$apt/sources.list.d/toile.sources"
    files=(/dev/null /etc/apt/sources.list.d/*.list)
    [[ ! -r /etc/apt/sources.list ]] || files+=(/etc/apt/sources.list)
    blank='[[:blank:]]+' word='[^[:blank:]]+'
    sed -nE "s/^(deb$blank(\[[^]]*\]$blank)?$word)$blank$suite$blank(.*)/\1 $suite \3\n\1 $suite-backports \3/p" "${files[@]}" |
        sed -n 1,2p >"$apt/sources.list.d/toile.list"
    [[ -s $apt/sources.list.d/toile.list ]] || die "found no entry for $suite in the apt sources of this machine"
fi

cat >"$apt/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets::deb::DEP-11;
APT::Sandbox::User "root";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/sources.list.d";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$apt/preferences.d";
CONF
private_apt() { apt-get -c "$apt/apt.conf" -qq "$@" >&2; }

say "reading the package lists"
private_apt update
say "fetching the driver and the libraries that are newer than, or missing from, this machine"
private_apt install --yes --download-only --no-install-recommends -t "$suite-backports" \
    mesa-vulkan-drivers libvulkan1

for deb in "$apt"/cache/archives/*.deb; do
    say "  unpacking $(basename "$deb")"
    dpkg-deb -x "$deb" "$folder/root"
done

ln -sf "$(find "$folder/root" -name libvulkan_lvp.so -print -quit)" "$driver"
[[ -f $driver ]] || { say "the packages hold no libvulkan_lvp.so"; exit 1; }
libraries=$(find "$folder/root" -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd:)
version=$(dpkg-deb -f "$(find "$apt/cache/archives" -name 'mesa-vulkan-drivers_*.deb' -print -quit)" Version)
icd=$folder/lvp_icd.json
cat >"$icd" <<JSON
{ "file_format_version": "1.0.0", "ICD": { "api_version": "1.4.305", "library_path": "$driver" } }
JSON
cat >"$folder/env" <<ENV
export VK_DRIVER_FILES='$icd'
export VK_ICD_FILENAMES='$icd'
export LD_LIBRARY_PATH='$libraries'"\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
ENV
complete || { rm "$folder/env"; say "the driver misses the libraries above"; exit 1; }
rm -rf "$apt"
say "mesa-vulkan-drivers $version is in $folder"
cat "$folder/env"
