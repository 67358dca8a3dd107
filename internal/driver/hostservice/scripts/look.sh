# look ROOT RELEASES HISTORY_LINES LINK…: what is in a release root, as records. Changes nothing.
root=$1 releases=$2 lines=$3
shift 3
if ! [ -d "$root" ]; then
	record noroot "$(ls -ld -- "$root" 2>&1)"
	exit 0
fi
if ! [ -d "$releases" ]; then
	record noreleases "$(ls -ld -- "$releases" 2>&1)"
elif ! { [ -r "$releases" ] && [ -x "$releases" ]; }; then
	record unreadable "$releases: permission denied"
else
	( # entered once, so that all that is said is of one folder
		cd -P -- "$releases" || exit
		record releases "$(pwd -P)"
		find . ! -name . -prune -type d -exec sh -c '
			stat --printf="release\000%n\000%Y\000\000" -- "$@" 2>/dev/null && exit
			for path; do
				printf "release\000%s\000%s\000\000" "$path" "$(stat -c %Y -- "$path" 2>/dev/null || stat -f %m -- "$path")"
			done' sh {} +
		for name in * .[!.]*; do
			if [ -L "$name" ]; then
				record other "$name" "a symbolic link, not a folder"
			elif [ -e "$name" ] && ! [ -d "$name" ]; then
				record other "$name" "not a folder"
			fi
		done
	)
fi
for path; do
	if [ -L "$path" ]; then
		record link "$path" "$(readlink -- "$path")" "$(readlink -f -- "$path")"
		record changed "$path" "$(stat -c %.9Z -- "$path" 2>/dev/null || stat -f %c -- "$path")"
	elif [ -e "$path" ]; then
		record notlink "$path"
	else
		record nolink "$path"
	fi
done
[ -r "$root/.astern.lock" ] && record lock "$(head -n 1 "$root/.astern.lock")"
[ "$lines" -gt 0 ] && [ -r "$root/.astern-history.jsonl" ] &&
	record history "$(tail -n "$lines" "$root/.astern-history.jsonl")"
exit 0
