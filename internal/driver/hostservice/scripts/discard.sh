# discard ROOT RELEASES TOKEN: removes an unpacked folder that is not what it should be.
enter "$1" "$2"
rm -rf -- "./.partial-$3"
