# release ROOT FENCE CONTENT OWNER: writes that the execution has ended, where the claim is still its own.
root=$1 fence=$2 content=$3 owner=$4
[ -e "$root/.astern.lock" ] || exit 0
take_lock "$root"
[ "$(sed -n '1s/.*"owner":"\([0-9a-f]*\)".*/\1/p' "$lockfile")" = "$owner" ] || exit 0
[ "$(sed -n '1s/.*"fence":\([0-9][0-9]*\).*/\1/p' "$lockfile")" -le "$fence" ] || exit 0
printf '%-511s\n' "$content" 1<>"$lockfile" || exit 86
