# accept ROOT FENCE CONTENT RELEASES TOKEN REVISION: gives the unpacked folder its name.
root=$1 fence=$2 content=$3 releases=$4 token=$5 revision=$6
guard "$root" "$fence" "$content"
enter "$root" "$releases"
[ -d "./.partial-$token" ] && ! [ -L "./.partial-$token" ] || exit 84
if [ -e "./$revision" ] || [ -L "./$revision" ]; then exit 82; fi
touch -- "./.partial-$token"
sync -f . 2>/dev/null || sync
rename "./.partial-$token" "./$revision" || exit 87
flush .
