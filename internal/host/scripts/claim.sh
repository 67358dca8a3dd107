# claim FOLDER NAME FENCE CONTENT OWNER SEEN OVER…: claims a release root or a site, or the file of that name there, for an
# execution. Refused when the lock file says another owner than the one who was SEEN there ("FENCE OWNER", "0 " for nobody)
# or a newer fence (81), and when an open claim of another holds it who is not among OVER (89); the line is then on the
# standard error.
folder=$1 name=$2 fence=$3 content=$4 owner=$5 seen=$6
shift 6
take_place "$folder" "$name" || exit 0 # nothing can be done there, and the steps say so
noted
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
