# list FOLDER…: one record "now SECONDS", then one for each thing in the folders: FOLDER, PATH, KIND, and its permissions,
# size, times and inode. Fails where find can't print these, or can't list everything. Changes nothing.
record now "$(date +%s)"
exec find -H "$@" -printf '%H\0%P\0%y\0%m %s %T@ %C@ %i\0'
