# SPDX-License-Identifier: MIT
#
# What the checks on a real Xen share, which source this: the top folder as the current one.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

skip() # reason
{
	echo "$1"
	[[ ${MAPCACHE_XEN_REQUIRED:-0} != 1 ]] || exit 1
	exit 77
}

need() # tool...
{
	local tool

	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "there is no $tool here"
	done
}

# Runs a script that gets packages; its last line says why it could not.
fetch() # script, arguments
{
	local reason

	reason=$("$@" 2>&1) || skip "$(tail -n 1 <<<"$reason")"
}

# A make of its own, for programs that are not this machine's.
build() # arguments of make
{
	env -u B -u CC -u CXX -u AR -u NM -u OBJCOPY -u CROSS_COMPILE -u SAN -u CFLAGS -u LDFLAGS \
		make --no-print-directory -s -j2 "$@" xen-files || exit 1
}

# Which programs a check is asked to run, in programs. Nothing said: facts and tests.
choose() # folder, name
{
	case ${2:-} in
	all) programs=("$1/facts" "$1/random" "$1/tests" "$1/figures") ;;
	figures) programs=("$1/figures") ;;
	facts*) programs=("$1/facts") ;;
	random) programs=("$1/random") ;;
	"") programs=("$1/facts" "$1/tests") ;;
	*) programs=("$1/tests") ;;
	esac
}

# Boots, judges, and ends with what came of it. The figures go to FOLDER/figures.txt.
boot_and_judge() # folder of the programs, console, name of tests, boot script, its arguments
{
	local folder=$1 log=$2 name=$3 boot status
	shift 3

	mkdir -p "$(dirname "$log")"
	case $name in
	all | figures | facts | random) name= ;;
	facts/*) name=${name#facts/} ;;
	esac
	"$@" ${name:+XEN_TESTS=${name//,/+}} ${XEN_SEQUENCES:+XEN_SEQUENCES=$XEN_SEQUENCES} \
		${XEN_FIRST_SEED:+XEN_FIRST_SEED=$XEN_FIRST_SEED} \
		${XEN_FIGURES_ROUNDS:+XEN_FIGURES_ROUNDS=$XEN_FIGURES_ROUNDS} >"$log" &
	boot=$!
	# shellcheck disable=SC2064
	trap "kill $boot 2>/dev/null; wait $boot" EXIT
	wait "$boot"
	tests/xen/judge "$log" "${programs[@]##*/}"
	status=$?
	sed -n 's/^FIGURE //p' "$log" >"$folder/figures.txt"
	# For tests/conformance/table; a boot without them leaves those of the last one.
	! grep -q '^STATUS facts ' "$log" || grep '^FACT ' "$log" >"$folder/facts.txt"
	exit "$status"
}
