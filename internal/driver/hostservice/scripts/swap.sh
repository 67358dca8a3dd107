# swap ROOT FENCE CONTENT LINK EXPECTED RELEASE TEXT TOKEN HISTORY: points LINK to RELEASE by the relative TEXT, when it
# still is what it was: EXPECTED, as readlink shows it, "" for no link. The lock is held by the very command that swaps.
root=$1 fence=$2 content=$3 link=$4 expected=$5 release=$6 text=$7 token=$8 history=$9
guard "$root" "$fence" "$content"
[ -d "$release" ] || exit 84
plain "$root/.astern-history.jsonl"
enter "$root" "${link%/*}"
link=./${link##*/}
if [ -L "$link" ]; then
	there=$(readlink -- "$link")
	if [ "$link" -ef "$release" ]; then
		echo already
		exit 0
	fi
elif [ -e "$link" ]; then
	exit 85
else
	there=
fi
if [ "$there" != "$expected" ]; then
	printf '%s\n' "$there"
	exit 82
fi
new=./.astern-link-$token
if [ -e "$new" ] || [ -L "$new" ]; then rm -f -- "$new"; fi
# Opened before the rename, written after it: nothing happens where it can't be noted, and nothing is noted that did not happen.
exec 7>>"$root/.astern-history.jsonl" || exit 86
opened "$root" 7 .astern-history.jsonl
ln -s -- "$text" "$new" || exit 86
take() { # the new link gets the link's name
	rename "$new" "$link" || { rm -f -- "$new"; exit 87; }
}
# From here on a shell that gives up, which it does with 2, has not done nothing.
trap '[ "$?" != 2 ] || exit 92' EXIT
take
if ! [ -d "$release" ]; then # somebody who cleans up looked before the swap and removed it after
	if [ -n "$there" ]; then ln -s -- "$there" "$new" && take; else rm -f -- "$link"; fi
	exit 84
fi
# A disk that ran full meanwhile costs the note, not the swap; half a note that one left before costs no other.
[ -z "$(tail -c 1 -- "$root/.astern-history.jsonl")" ] || echo >&7 || :
printf '%s\n' "$history" >&7 || :
flush "$root/.astern.lock" "$root/.astern-history.jsonl" .
echo swapped
