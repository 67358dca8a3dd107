# run ROOT FENCE CONTENT NAME TOKEN COMMAND…: runs one of the user's commands, once at a time for each instance. Its
# output goes to a file, so that a process which it leaves behind keeps a place to write to; a file that grows beyond
# 8 MB takes no more than its end does while the command runs, and is cut to that afterwards and when the next one begins.
# Prints the exit code and the end of the output. The file NAME.run tells afterwards, also after a crash, which token ran
# and how it ended.
root=$1 fence=$2 content=$3 name=$4 token=$5
shift 5
plain "$root/.astern"
[ -d "$root/.astern" ] || mkdir -p -- "$root/.astern" || exit 86
out=$root/.astern/$name.out note=$root/.astern/$name.run
run=$note
plain "$run"
exec 9>>"$run" || exit 86
opened "$root" 9 ".astern/$name.run"
[ -e /proc/self/fd/9 ] && run=/proc/self/fd/9 # wherever its name may lead
try_lock 9 || { head -n 1 "$run" >&2; exit 88; }
large() { [ -s "$1" ] && size=$(wc -c <"$1") && [ "$size" -gt 8388608 ]; }
# trim FILE cuts a file that grew too long to its end. Whoever writes to it appends, and goes on behind that.
trim() {
	large "$1" || return 0
	end=$(tail -c 65536 -- "$1" | tr -d '\000'; echo .)
	printf '' >"$1"
	printf '[the beginning was cut off]\n%s' "${end%.}" >>"$1"
}
# spare FILE gives back to the disk what such a file begins with while somebody writes to it: nothing that is written meanwhile can
# get lost. Where the system can't it is cut.
spare() {
	large "$1" || return 0
	fallocate -p -o 0 -l "$((size - 65536))" "$1" || trim "$1"
}
# One program looks at all of them, for there may be thousands; no name of an instance holds what a line can't.
find "$root/.astern" -maxdepth 1 -type f -name '*.out' -size +16384 2>/dev/null | while read -r old; do
	large "$old" && ! held "${old%.out}.run" && trim "$old" # but not those that are written to
done
if [ -e "$out" ] || [ -L "$out" ]; then rm -f -- "$out"; fi
exec 6>>"$out" || exit 86
opened "$root" 6 ".astern/$name.out"
[ -e /proc/self/fd/6 ] && out=/proc/self/fd/6
guard "$root" "$fence" "$content"
if [ -e /proc/self/fd/8 ]; then
	exec 7<"$lockfile" # the same file without its lock
	lockfile=/proc/self/fd/7
fi
exec 8>&-
printf '%-255s\n' "$token started" 1<>"$run" || exit 86
flush "$run"
self=$$ over=
# It ends with this script, with the command, and when it is told to, but never between two halves of what it does.
while kill -0 "$self" && read -r _ state <"$note" && [ "${state%% *}" = started ]; do
	sleep 0.1 || sleep 1
	trap 'over=yes' TERM
	spare "$out"
	trap - TERM
	[ -z "$over" ] || exit 0
done >/dev/null 2>&1 7<&- 9>&- </dev/null &
watcher=$!
# The lock can't be held while the command runs, so what is left is a window: as small as can be.
if overtaken "$fence" "$ours"; then
	kill "$watcher" 2>/dev/null
	printf '%-255s\n' "$token 81" 1<>"$run"
	head -n 1 "$lockfile" >&2
	exit 81
fi
# From here on a shell that gives up, which it does with 2, has not done nothing.
trap '[ "$?" != 2 ] || exit 92' EXIT
"$@" >>"$out" 2>&1 6>&- 7<&- 9>&- </dev/null
code=$?
printf '%-255s\n' "$token $code" 1<>"$run"
kill "$watcher" 2>/dev/null
wait "$watcher"
trim "$out"
printf '%s\n' "$code"
[ ! -s "$out" ] || tail -c 4000 -- "$out"
exit 0
