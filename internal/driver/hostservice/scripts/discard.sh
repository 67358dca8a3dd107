# discard RELEASES TOKEN: removes an unpacked folder that is not what it should be.
rm -rf -- "$1/.partial-$2"
