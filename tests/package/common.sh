# SPDX-License-Identifier: MIT
#
# For the scripts beside it, which source this: the top folder as the current one, a fresh
# folder to work in, and the words they share.

set -eu
cd "$(dirname "$0")/../.."
top=$PWD
build=${B:-build}
work=$top/$build/package/$(basename "$0" .sh)
rm -rf "$work"
mkdir -p "$work"

fail()
{
	echo "$*" >&2
	exit 1
}

skip() # reason
{
	echo "$*"
	exit 77
}

have()
{
	command -v "$1" >/dev/null
}

# The compilers at hand, C and C++ of each family.
c_compilers()
{
	echo "${CC:-gcc}"
	! have clang || echo clang
}

cxx_compilers()
{
	echo "${CXX:-g++}"
	! have clang++ || echo clang++
}

# A make of its own, with nothing from the one that runs the checks but compiler and flags.
build_with()
{
	make --no-print-directory -j2 "$@" >>"$work/make.log" 2>&1 || {
		tail -n 30 "$work/make.log"
		fail "make $* failed"
	}
}

# The program in the README: its first block of C.
readme_program() # output
{
	awk '/^```c$/ && !n++ { inside = 1; next } /^```$/ { inside = 0 } inside' README.md >"$1"
	grep -q 'int main' "$1" || fail "there is no program in README.md"
}

# The same program with granted pages instead of the guest's memory.
grants_program() # output
{
	readme_program "$1"
	sed -i 's/struct mapcache_options options = {/&\n\t\t.backend = \&mapcache_backend_grants,/' "$1"
	grep -q mapcache_backend_grants "$1" || fail "the README's program has no options"
}

# A folder with that program and what other build systems need to build it.
install_consumer() # folder
{
	mkdir -p "$1"
	cp tests/package/consumer/* "$1/"
	readme_program "$1/peek.c"
	grants_program "$1/granted.c"
}

# No domain has this number: the program says what is wrong, returns 1, and has run.
runs() # program
{
	status=0
	"$1" 32767 0x1000 >"$work/output" 2>&1 || status=$?
	{ [ "$status" -eq 1 ] && [ -s "$work/output" ]; } ||
		fail "the README's program ended with $status: $(cat "$work/output")"
}
