# fence ROOT FENCE CONTENT: refuses when a newer fence was here, and changes nothing else.
guard "$1" "$2" "$3"
