# fill ROOT FENCE CONTENT INTO TOKEN: makes the folder ROOT/INTO/.partial-TOKEN of copies, and removes what others that did
# not finish have left. The standard input says of what, a line each: "s FOLDER" below the root, "d FOLDER" in it and in
# the new one, "f NAME" a file there. The files are compared by whoever asked, and accept.sh gives the folder its name.
root=$1 fence=$2 content=$3 into=$4 token=$5
guard "$root" "$fence" "$content"
enter "$root" "$into" make
base=$(cd -P -- "$root" && pwd -P)
rm -rf -- ./.partial-* # under the lock: those of a newer execution are never among them
mkdir -- "./.partial-$token" || exit 86
exec 8>&-
enter "$root" "$into/.partial-$token"
source= dir=
# Each folder is entered on the way to what is put there: none can be exchanged for a link that leads elsewhere.
put() { [ $# -eq 0 ] || (enter ./ "$dir" make && cp -p -- "$@" ./ || exit 87) || exit; }
set --
while IFS= read -r line; do
	rest=${line#? }
	case $line in
	"f "*)
		set -- "$@" "$base/$source/$dir/$rest"
		if [ $# -ge 100 ]; then
			put "$@"
			set --
		fi
		;;
	*)
		put "$@"
		set --
		case $line in
		"s "*) source=$rest ;;
		"d .") dir= ;;
		"d "*) dir=$rest ;;
		*) exit 64 ;;
		esac
		;;
	esac
done
put "$@"
exit 0
