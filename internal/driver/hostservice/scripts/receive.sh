# receive ROOT FENCE CONTENT RELEASES TOKEN: unpacks the archive on the standard input beside the releases, and removes
# what copies that did not finish have left.
root=$1 fence=$2 content=$3 releases=$4 token=$5
[ -d "$root" ] || exit 84
guard "$root" "$fence" "$content"
mkdir -p -- "$releases" || exit 86
rm -rf -- "$releases"/.partial-* # under the lock: those of a newer execution are never among them
mkdir -- "$releases/.partial-$token" || exit 86
exec 8>&-
tar -x -o -f - -C "$releases/.partial-$token" || exit 87
