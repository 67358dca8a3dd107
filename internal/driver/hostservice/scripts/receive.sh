# receive ROOT FENCE CONTENT RELEASES TOKEN: unpacks the archive on the standard input beside the releases, and removes
# what copies that did not finish have left.
root=$1 fence=$2 content=$3 releases=$4 token=$5
[ -d "$root" ] || exit 84
guard "$root" "$fence" "$content"
enter "$root" "$releases" make
rm -rf -- ./.partial-* # under the lock: those of a newer execution are never among them
mkdir -- "./.partial-$token" || exit 86
exec 8>&-
enter "$root" "$releases/.partial-$token"
tar -x -o -f - || exit 87
