# discard ROOT INTO TOKEN: removes a folder that was filled and is not what it should be.
enter "$1" "$2"
rm -rf -- "./.partial-$3"
