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

# The program in the README.
readme_program() # output
{
	sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' >"$1"
	grep -q 'int main' "$1" || fail "there is no program in README.md"
}
