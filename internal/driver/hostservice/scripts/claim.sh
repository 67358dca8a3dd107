# claim ROOT FENCE CONTENT OWNER SEEN OVER…: claims the release root for an execution. Refused when the root says another
# owner than the one who was SEEN there ("FENCE OWNER", "0 " for nobody) or a newer fence (81), and when an open claim of
# another holds it who is not among OVER (89); the line is then on the standard error.
root=$1 fence=$2 content=$3 owner=$4 seen=$5
shift 5
[ -d "$root" ] || exit 0 # nothing can be done there, and the steps say so
take_lock "$root"
noted
holder=
case $claimed in
*'"owner":"'*)
	holder=${claimed##*\"owner\":\"}
	holder=${holder%%\"*}
	;;
esac
refuse() {
	printf '%s\n' "$claimed" >&2
	exit "$1"
}
if [ -n "$claimed" ] && [ "$holder" != "$owner" ]; then
	case $claimed in *'"open":true'*)
		over=no
		for may; do [ "$may" != "$holder" ] || over=yes; done
		[ "$over" = yes ] || refuse 89
		;;
	esac
	[ "${there:-0} $holder" = "$seen" ] || refuse 81
	[ "${there:-0}" -lt "$fence" ] || refuse 81
fi
[ "${there:-0}" -le "$fence" ] || refuse 81
printf '%-511s\n' "$content" 1<>"$lockfile" || exit 86
flush "$lockfile"
