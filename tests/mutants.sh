#!/usr/bin/env bash
# Plants each bug of tests/mutants.txt in a copy of the tree and fails if one is not found:  tests/mutants.sh [NAME]
#
# One build holds all of them, each behind a switch (TOILE_MUTANT=NAME; shaders are read from a folder of their own), so
# that a bug costs a run, not a build. The copy and its program stay in target/mutants. With NAME only the bugs whose
# name holds it are run. Prints a table in Markdown. Needs perl and what the tests need.
#
# Exit status: 0 every bug is found; 1 one survives; 2 one cannot be planted (its text is not there just once), or
# something is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
say() { echo "tests/mutants.sh: $*" >&2; }
die() { say "$@"; exit 2; }

PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
command -v cargo >/dev/null || die "no cargo"
command -v perl >/dev/null || die "no perl"
export NODEVICE_SELECT=1
gpu=${TOILE_MUTANTS_GPU:-gpu:llvmpipe}
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/mutants
tree=$work/tree

say "copying the tree and planting"
mkdir -p "$work"
rm -rf "$work/planted" "$tree.new"
mkdir -p "$tree.new"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [[ ! -e $file ]] || printf '%s\0' "$file"
done | tar --null -T - -cf - | tar -xf - -C "$tree.new"

perl - "$root" "$tree.new" "$work/planted" <<'PERL' || die "nothing was run"
use strict;
use warnings;
use File::Path 'make_path';
my ($root, $tree, $planted) = @ARGV;
sub slurp { open(my $f, '<', $_[0]) or die "$_[0]: $!\n"; local $/; <$f> }
sub spill { open(my $f, '>', $_[0]) or die "$_[0]: $!\n"; print $f $_[1]; close $f }
my ($broken, @list) = (0);
for my $entry (split /\n\n+/, slurp("$root/tests/mutants.txt")) {
    my %m = map { /^(\w+) ?(.*)$/ ? ($1 => $2) : () } grep { !/^#/ } split /\n/, $entry;
    next unless $m{name};
    $m{in} //= '@';
    s/\\n/\n/g for @m{qw(in old new)};
    # Rust files collect several bugs: the text is looked for in the file as it was.
    my ($before, $after) = split /@/, $m{in}, -1;
    my $wanted = "$before$m{old}$after";
    my $count = () = slurp("$root/$m{file}") =~ /\Q$wanted\E/g;
    if ($count != 1) {
        warn "$m{name}: its text stands $count times in $m{file}: $wanted\n";
        $broken = 1;
        next;
    }
    my $text = slurp("$tree/$m{file}");
    if ($m{file} =~ /\.wgsl$/) {
        $text =~ s/\Q$wanted\E/$before$m{new}$after/;
        (my $path = "$planted/$m{name}/$m{file}") =~ s{/shaders/}{/};
        make_path($path =~ s{/[^/]*$}{}r);
        spill($path, $text);
    } else {
        my $switch = "(if crate::planted(\"$m{name}\") { $m{new} } else { $m{old} })";
        $text =~ s/\Q$wanted\E/$before$switch$after/ or die "$m{name}: overlaps another bug\n";
        spill("$tree/$m{file}", $text);
    }
    push @list, join("\t", @m{qw(name family file run)}) . "\n";
}
exit 1 if $broken;
spill("$planted/list", join '', @list);

# Another version: the build shares the dependencies of the tests, but must not take the place of the program's own.
for my $file ('Cargo.toml', 'Cargo.lock') {
    my $text = slurp("$tree/$file");
    $text =~ s/(name = "toile"\nversion = "[^"]+)"/$1-planted"/ or die "$file: no version of toile\n";
    spill("$tree/$file", $text);
}

# The switches: for Rust text by name, for shaders the folder that TOILE_MUTANT_SHADERS names.
spill("$tree/src/lib.rs", "#![allow(unused_parens)]\n" . slurp("$tree/src/lib.rs") . <<'RUST');

/// Whether this planted bug is on.
pub fn planted(name: &str) -> bool {
    static ON: std::sync::LazyLock<Option<String>> = std::sync::LazyLock::new(|| std::env::var("TOILE_MUTANT").ok());
    ON.as_deref() == Some(name)
}
RUST
my $shader = slurp("$tree/src/gpu/shader.rs");
my $find = 'files.into_iter().find(|(path, _)| path.strip_suffix(".wgsl") == Some(name)).copied()';
$shader =~ s/\Q$find\E/let found = $find;
    let (path, _) = found?;
    let planted = std::env::var("TOILE_MUTANT_SHADERS").ok().map(|folder| std::path::Path::new(&folder).join(path));
    match planted.and_then(|path| std::fs::read_to_string(path).ok()) {
        Some(text) => Some((path, text.leak())),
        None => found,
    }/ or die "src\/gpu\/shader.rs: the place where files are found is not as it was\n";
spill("$tree/src/gpu/shader.rs", $shader);
PERL

# Files that did not change keep their time, so that cargo builds only what did.
mkdir -p "$tree"
rsync_like() {
    (cd "$tree.new" && find . -type f -print0) | while IFS= read -r -d '' file; do
        cmp -s "$tree.new/$file" "$tree/$file" || { mkdir -p "$(dirname "$tree/$file")"; cp "$tree.new/$file" "$tree/$file"; }
    done
    (cd "$tree" && find . -type f -print0) | while IFS= read -r -d '' file; do
        [[ -e $tree.new/$file ]] || rm "$tree/$file"
    done
}
rsync_like
rm -rf "$tree.new"

say "building (dependencies are those of the tests)"
start=$SECONDS
own=$target/debug/toile
[[ ! -e $own ]] || cp -p "$own" "$work/own"
(cd "$tree" && CARGO_TARGET_DIR=$target cargo test --locked --quiet --no-run --test cli) || die "the planted tree does not build"
cp -p "$own" "$work/toile"
# The program that stood there goes back to its place.
[[ ! -e $work/own ]] || mv "$work/own" "$own"
say "built in $((SECONDS - start)) s"

# Runs the program with a bug (or none); sets code, seconds, found (the first thing that was found).
run() {
    local name=$1 begun ended output=$work/output
    shift
    begun=$(date +%s%N)
    code=0
    (cd "$tree" && TOILE_MUTANT=$name TOILE_MUTANT_SHADERS=$work/planted/$name "$work/toile" "$@") >"$output" 2>&1 || code=$?
    ended=$(date +%s%N)
    seconds=$(((ended - begun) / 100000000))
    seconds=$((seconds / 10)).$((seconds % 10))
    found=$(sed -nE 's/^ *FAILED //p; s/^(.* panicked at .*)$/\1/p' "$output" | sed -n 1p)
    count=$(grep -cE '^ *FAILED ' "$output" || true)
}
arguments() {
    local line=${1//GPU/$gpu}
    IFS=' ' read -ra words <<<"$line"
}

declare -A sound=()
survived=0 planted=0
printf '| planted bug | family | file | found by | checks | seconds |\n|---|---|---|---|---|---|\n'
while IFS=$'\t' read -r name family file line; do
    [[ -z ${1:-} || $name == *"$1"* ]] || continue
    arguments "$line"
    if [[ -z ${sound[$line]:-} ]]; then
        run none "${words[@]}"
        ((code == 0)) || { cat "$work/output" >&2; die "without any bug: toile $line: exit status $code"; }
        sound[$line]=1
    fi
    run "$name" "${words[@]}"
    planted=$((planted + 1))
    if ((code == 0)) || [[ -z $found ]]; then
        survived=$((survived + 1))
        say "SURVIVED: $name (toile $line: exit status $code)"
        tail -3 "$work/output" >&2
        found="**nothing**"
    fi
    # `case, variant: check of what: numbers`: the numbers are of no use in a table.
    found=$(sed -E 's/^ +//; s/ (at \[[0-9, ]*\]): got .*$/ \1/; s/: at \[[0-9, ]*\]$//; s/ by another.*//; s/\|/\\|/g' <<<"$found")
    printf '| %s | %s | `%s` | `%s`: %s | %s | %s |\n' "$name" "$family" "$file" "${line/ --device GPU/ --device $gpu}" "$found" "$count" "$seconds"
done <"$work/planted/list"
((planted > 0)) || die "no bug is called so: ${1:-}"
say "$planted bugs planted, $survived survived, $SECONDS s"
((survived == 0))
