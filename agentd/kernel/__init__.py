"""Everything that touches bpf(): the loader and the transports."""
