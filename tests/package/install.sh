#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `make install`, a program outside of the tree built from what it installed, documents and layers
# that are complete, DESTDIR and the folder variables honoured, and `make uninstall` leaving nothing.

. "$(dirname "$0")/common.sh"

outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT

files()
{
	(cd "$1" && find . ! -type d | sort)
}

# ---- the program in the README, with nothing but the installed files

build_with B="$build" install PREFIX="$outside/prefix"
readme_program "$outside/peek.c"
export PKG_CONFIG_PATH="$outside/prefix/lib/pkgconfig"
flags=$(pkg-config --cflags --libs libmapcache)
for cc in $(c_compilers); do
	for static in '' --static; do
		# shellcheck disable=SC2046
		(cd "$outside" && $cc -Wall -Wextra -Werror -o peek peek.c \
			$(pkg-config --cflags --libs $static libmapcache)) ||
			fail "the README's program does not build ($cc $static)"
	done
done

# ---- who maps no grants needs no libxengnttab, who does gets it

case " $flags " in *gnttab*) fail "libmapcache.pc names libxengnttab" ;; esac
grants_program "$outside/granted.c"
# shellcheck disable=SC2046
${CC:-gcc} -Wall -Wextra -Werror -o "$outside/granted" "$outside/granted.c" \
	$(pkg-config --cflags --libs libmapcache-grants) ||
	fail "a program that maps grants does not build"
runs "$outside/granted"

# ---- an example, built from where it was installed

(cd "$outside/prefix/share/doc/libmapcache/examples/mmio" &&
	# shellcheck disable=SC2086
	${CC:-gcc} -Wall -Wextra -Werror -o "$outside/mmio" ./*.c $flags -lxenevtchn) ||
	fail "the installed example does not build"

# ---- the layers: applied to a tree of QEMU's shape, compiled into one of DEMU's

documents=$outside/prefix/share/doc/libmapcache
mkdir -p "$outside/qemu/hw/i386/xen"
echo old >"$outside/qemu/hw/i386/xen/xen-mapcache.c"
printf '%s\n' 'i386_ss.add(when: xen, if_true: files(' "  'xen-mapcache.c'," '))' \
	>"$outside/qemu/hw/i386/xen/meson.build"
"$documents/examples/qemu/apply" "$outside/qemu" || fail "the QEMU layer cannot be applied"
for file in examples/qemu/*.[ch] examples/dropin/*.[ch]; do
	cmp -s "$file" "$outside/qemu/hw/i386/xen/${file##*/}" || fail "not in the tree: $file"
done
grep -q libmapcache-grants "$outside/qemu/hw/i386/xen/meson.build" || fail "QEMU does not link the library"
# shellcheck disable=SC2086
${CC:-gcc} -std=gnu11 -Wall -Wextra -Werror $flags -c -o "$outside/demu.o" \
	"$documents/examples/demu/mapcache.c" || fail "the installed DEMU layer does not compile"

# ---- no installed page leads to what is not there

find "$documents" -name '*.md' | while read -r page; do
	sed '/^ *```/,/^ *```/d; s/`[^`]*`//g' "$page" | grep -oE '\]\([^)#]+' | sed 's/^](//' |
		grep -vE '^(https?|mailto):' | while read -r link; do
		[ -e "$(dirname "$page")/$link" ] || echo "$page: no $link"
	done
done >"$work/broken"
[ ! -s "$work/broken" ] || fail "$(cat "$work/broken")"
grep -q '](docs/design.md' "$documents/README.md" || fail "links that lead somewhere are gone, too"

# ---- the library's version, and that what was built runs

[ "$(pkg-config --modversion libmapcache)" = "$(tools/version)" ] ||
	fail "libmapcache.pc has another version than the header"

runs "$outside/peek"

# ---- DESTDIR and the folders

folders="PREFIX=/opt/x LIBDIR=/opt/x/lib/here INCLUDEDIR=/opt/x/inc MANDIR=/opt/x/manual"
# shellcheck disable=SC2086
build_with B="$build" install DESTDIR="$outside/stage" $folders
build_with B="$build" install-tools DESTDIR="$outside/stage" PREFIX=/opt/x MANDIR=/opt/x/manual
files "$outside/stage" >"$work/staged"
for file in lib/here/libmapcache.a lib/here/libmapcache-grants.a lib/here/pkgconfig/libmapcache.pc \
	lib/here/pkgconfig/libmapcache-grants.pc inc/mapcache/mapcache.h \
	lib/here/cmake/mapcache/mapcacheConfig.cmake \
	lib/here/cmake/mapcache/mapcacheConfigVersion.cmake share/doc/libmapcache/packaging/libmapcache.wrap \
	inc/xensim.h lib/here/libxensim.a lib/here/pkgconfig/libxensim.pc \
	share/doc/libmapcache/examples/qemu/README.md share/doc/libmapcache/examples/demu/mapcache.h \
	bin/mapcache-bench bin/mapcache-bench-xen manual/man1/mapcache-bench.1 \
	manual/man3/mapcache_open.3 manual/man3/mapcache_close.3 manual/man7/mapcache.7; do
	grep -qx "./opt/x/$file" "$work/staged" || fail "$file was not installed"
done
[ -z "$(find "$outside/stage" -xtype l)" ] || fail "a link leads nowhere"
! grep -v '^\./opt/x/' "$work/staged" || fail "installed outside of PREFIX"
! grep -rl -e "$outside" -e "$top" "$outside/stage" || fail "a path of this machine inside"
find "$outside/stage" -type f ! -perm 644 ! -path '*/bin/*' ! -path '*/qemu/apply' | grep . && fail "permissions are not 644"

# ---- uninstall

# shellcheck disable=SC2086
build_with B="$build" uninstall DESTDIR="$outside/stage" $folders
build_with B="$build" uninstall PREFIX="$outside/prefix"
for root in stage prefix; do
	files "$outside/$root" >"$work/left"
	[ ! -s "$work/left" ] || fail "uninstall left:" $(cat "$work/left")
	find "$outside/$root" -name '*mapcache*' | grep . && fail "uninstall left a folder"
done
true
