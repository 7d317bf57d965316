# Says things on both outputs.
echo "reading 3 records"
echo "record 2 has no date" >&2
echo "wrote 2 records"
echo "1 record left out" >&2
