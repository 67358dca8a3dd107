# swap ROOT FENCE CONTENT LINK EXPECTED RELEASE TEXT TOKEN HISTORY: points LINK to RELEASE by the relative TEXT, when it
# still is what it was: EXPECTED, as readlink shows it, "" for no link. The lock is held by the very command that swaps.
root=$1 fence=$2 content=$3 link=$4 expected=$5 release=$6 text=$7 token=$8 history=$9
guard "$root" "$fence" "$content"
[ -d "$release" ] || exit 84
if [ -L "$link" ]; then
	there=$(readlink -- "$link")
	if [ "$(readlink -f -- "$link")" = "$(cd -- "$release" && pwd -P)" ]; then
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
folder=${link%/*}
new=$folder/.astern-link-$token
rm -f -- "$new"
ln -s -- "$text" "$new" || exit 86
printf '%s\n' "$history" >>"$root/.astern-history.jsonl" || { rm -f -- "$new"; exit 86; }
take() { # the new link gets the link's name
	if command -v perl >/dev/null 2>&1 && ! mv --version >/dev/null 2>&1; then
		perl -e 'rename($ARGV[0], $ARGV[1]) or die "rename: $!\n"' "$new" "$link"
	else
		mv -T -- "$new" "$link"
	fi || { rm -f -- "$new"; exit 87; }
}
take
if ! [ -d "$release" ]; then # somebody who cleans up looked before the swap and removed it after
	if [ -n "$there" ]; then ln -s -- "$there" "$new" && take; else rm -f -- "$link"; fi
	exit 84
fi
flush "$root/.astern.lock" "$root/.astern-history.jsonl" "$folder"
echo swapped
