# prune ROOT FENCE CONTENT LINK NAME…: removes the folders of what was served before, except those named and the one that
# the link leads to.
root=$1 fence=$2 content=$3 link=$4
shift 4
guard "$root" "$fence" "$content"
[ -d "$root/served" ] || exit 0
enter "$root" served
now=$(readlink -f -- "$root/$link" 2>/dev/null)
for name in * .partial-*; do
	[ -d "./$name" ] && ! [ -L "./$name" ] || continue
	[ "$now" != "$(pwd -P)/$name" ] || continue
	stays=no
	for keep; do [ "$keep" != "$name" ] || stays=yes; done
	[ "$stays" = yes ] || rm -rf -- "./$name" || exit 87
done
flush .
