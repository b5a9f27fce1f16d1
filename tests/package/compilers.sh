#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Everything builds without a warning with every gcc and clang that is installed, of whatever
# version. The one that the build has is left out: it has done so already.
#
# timeout: 1800

. "$(dirname "$0")/common.sh"

version() # compiler: the same for all its names
{
	"$1" --version | sed '1s/^gcc[^ ]*/gcc/; q'
}

# gcc-14, clang-19 and the like; each compiler once, and what it is.
installed()
{
	local name

	for name in gcc clang $(compgen -c | grep -xE '(gcc|clang)-[0-9]+' | sort -u); do
		! have "$name" || echo "$name $(version "$name")"
	done | sort -u -k 2
}

used=$(version "${CC:-gcc}")
tried=0
while read -r cc version; do
	[[ $version != "$used" ]] || continue
	cxx=${cc/#gcc/g++}
	cxx=${cxx/#clang/clang++}
	have "$cxx" || cxx=${CXX:-g++}
	build_with B="$build/$cc" CC="$cc" CXX="$cxx" all programs
	echo "$version: no warning"
	tried=$((tried + 1))
done < <(installed)
[[ $tried -gt 0 ]] || skip "there is no compiler here but $used"
