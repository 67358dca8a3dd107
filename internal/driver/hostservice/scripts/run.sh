# run ROOT FENCE CONTENT NAME TOKEN COMMAND…: runs one of the user's commands, once at a time for each instance. Its
# output goes to a file, so that a process which it leaves behind keeps a place to write to. Prints the exit code and the
# end of the output. The file NAME.run tells afterwards, also after a crash, which token ran and how it ended.
root=$1 fence=$2 content=$3 name=$4 token=$5
shift 5
mkdir -p -- "$root/.astern" || exit 86
out=$root/.astern/$name.out run=$root/.astern/$name.run
exec 9>>"$run" || exit 86
try_lock 9 || { head -n 1 "$run" >&2; exit 88; }
rm -f -- "$out"
: >>"$out" || exit 86
guard "$root" "$fence" "$content"
exec 8>&-
printf '%-255s\n' "$token started" 1<>"$run" || exit 86
flush "$run"
# The lock can't be held while the command runs, so what is left is a window: as small as can be.
if newer "$fence"; then
	printf '%-255s\n' "$token 81" 1<>"$run"
	head -n 1 "$lockfile" >&2
	exit 81
fi
"$@" >>"$out" 2>&1 9>&- </dev/null
code=$?
printf '%-255s\n' "$token $code" 1<>"$run"
printf '%s\n' "$code"
tail -c 4000 -- "$out"
exit 0
