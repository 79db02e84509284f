# What scripts of this folder share: each check's own output, a line of how it went, and a sum.
set -o pipefail
passed=0 failed=0

check() # NAME COMMAND...
{
	local name=$1 begun=$SECONDS
	shift
	echo "--     $name"
	if ("$@") 2>&1; then
		passed=$((passed + 1))
		echo "ok     $name ($((SECONDS - begun)) s)"
	else
		failed=$((failed + 1))
		echo "FAILED $name ($((SECONDS - begun)) s)"
	fi
}

finish() # the sum, in words as pytest's; the exit code
{
	echo "$passed passed, $failed failed"
	[ $failed -eq 0 ]
}
