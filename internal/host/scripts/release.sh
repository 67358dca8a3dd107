# release FOLDER NAME FENCE CONTENT OWNER: writes that the execution has ended, where the claim is still its own.
folder=$1 name=$2 fence=$3 content=$4 owner=$5
if [ -z "$name" ]; then at=$folder/.astern.lock; else at=$folder/$name.astern/lock; fi
[ -e "$at" ] || exit 0
take_place "$folder" "$name" || exit 0
if overtaken "$fence" "$owner" || [ "$holder" != "$owner" ]; then exit 0; fi
printf '%-511s\n' "$content" 1<>"$lockfile" || exit 86
flush "$lockfile"
