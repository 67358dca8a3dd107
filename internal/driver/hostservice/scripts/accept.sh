# accept ROOT FENCE CONTENT RELEASES TOKEN REVISION: gives the unpacked folder its name.
root=$1 fence=$2 content=$3 releases=$4 token=$5 revision=$6
guard "$root" "$fence" "$content"
[ -d "$releases/.partial-$token" ] || exit 84
if [ -e "$releases/$revision" ] || [ -L "$releases/$revision" ]; then exit 82; fi
touch -- "$releases/.partial-$token"
sync -f "$releases" 2>/dev/null || sync
mv -- "$releases/.partial-$token" "$releases/$revision" || exit 87
flush "$releases"
