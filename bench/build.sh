#!/bin/sh
# Build the load generator and its tiny child into bench/build/.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cc=${CC:-cc}
warnings="-Wall -Wextra -Werror"

mkdir -p "$here/build"

# Static: a fork copies the page tables, and a C library mapped five times over
# would be most of them.
# shellcheck disable=SC2086
$cc -std=gnu11 -O2 $warnings -static -o "$here/build/loadgen" "$here/loadgen.c"

# shellcheck disable=SC2086
$cc -std=gnu11 -O2 $warnings -static -nostdlib -no-pie -ffreestanding \
	-fno-stack-protector -fno-asynchronous-unwind-tables \
	-Wl,--build-id=none -Wl,-z,noseparate-code -s \
	-o "$here/build/tiny" "$here/tiny.c"

# shellcheck disable=SC2086
$cc -std=gnu11 -O2 $warnings -static -o "$here/build/crowd" "$here/crowd.c"
