# SPDX-License-Identifier: MIT
#
# What both checks of the Debian packages share: to be sourced after common.sh.

deb_packages="libmapcache-dev libmapcache-doc mapcache-tools"
deb_version=$(tools/version)
deb_source=libmapcache-$deb_version

deb_needs() # tool...
{
	local tool

	for tool in "$@"; do
		have "$tool" || skip "there is no $tool here: make deps FOR=deb"
	done
	grep -q "^libmapcache ($deb_version-" debian/changelog ||
		fail "debian/changelog is not about version $deb_version"
}

# The pages of the documentation lead to what is in the package, under the name that it has there.
deb_links() # folder
{
	local root=$work/pages page link

	dpkg-deb --extract "$1"/libmapcache-doc_*.deb "$root"
	find "$root" -name '*.md' | while read -r page; do
		sed '/^ *```/,/^ *```/d; s/`[^`]*`//g' "$page" | grep -oE '\]\([^)#]+' | sed 's/^](//' |
			grep -vE '^(https?|mailto):' | while read -r link; do
			[ -e "$(dirname "$page")/$link" ] || echo "${page#"$root"}: no $link"
		done
	done >"$work/broken"
	[ ! -s "$work/broken" ] || fail "$(cat "$work/broken")"
	[ -e "$root/usr/share/doc/libmapcache-doc/docs/design.md" ] || fail "the documentation has no pages"
}

# All packages are there, lintian has nothing to say, and what is for others is in one of them.
deb_check() # folder
{
	local package deb file

	for package in $deb_packages; do
		ls "$1/${package}_$deb_version-"*.deb >/dev/null || fail "$package was not built"
	done
	lintian --allow-root --fail-on error,warning --info --tag-display-limit 0 \
		"$1"/*.changes >"$work/lintian" 2>&1 || fail "$(cat "$work/lintian")"
	for deb in "$1"/*.deb; do
		dpkg-deb --contents "$deb"
	done >"$work/contents"
	for file in include/mapcache/mapcache.h man3/mapcache_close.3.gz man7/mapcache.7.gz \
		man1/mapcache-bench-xen.1.gz bin/mapcache-bench-xen pkgconfig/libmapcache.pc \
		cmake/mapcache/mapcacheConfig.cmake examples/mmio/mmio.c \
		include/xensim.h libxensim.a pkgconfig/libxensim.pc \
		examples/qemu/apply examples/qemu/xen-mapcache.c examples/dropin/ranges.c \
		examples/demu/mapcache.c; do
		grep -q "/$file" "$work/contents" || fail "no package has $file"
	done
	deb_links "$1"
}
