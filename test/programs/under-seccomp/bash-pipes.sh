printf '%s\n' a b c | cat | wc -l
echo "$(echo sub)"
cat <<< here
mkfifo fifo
echo fifo > fifo &
cat < fifo
wait
rm fifo
cat <(echo 1) <(echo 2) | tail -1
