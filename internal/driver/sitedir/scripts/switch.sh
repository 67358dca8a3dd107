# switch ROOT FENCE CONTENT LINK EXPECTED TEXT TOKEN: points the link to the folder TEXT of the root, when it still is what
# it was: EXPECTED, as readlink shows it, "" for no link. The lock is held by the very command that switches.
root=$1 fence=$2 content=$3 link=$4 expected=$5 text=$6 token=$7
guard "$root" "$fence" "$content"
enter "$root" ""
if [ -L "./$link" ]; then
	there=$(readlink -- "./$link")
elif [ -e "./$link" ]; then
	exit 85
else
	there=
fi
if [ "$there" = "$text" ]; then
	echo already
	exit 0
fi
if [ "$there" != "$expected" ]; then
	printf '%s\n' "$there"
	exit 82
fi
[ -d "./$text" ] && ! [ -L "./$text" ] || exit 84
new=./.astern-link-$token
rm -f -- ./.astern-link-*
ln -s -- "$text" "$new" || exit 86
rename "$new" "./$link" || { rm -f -- "$new"; exit 87; }
flush .
echo switched
