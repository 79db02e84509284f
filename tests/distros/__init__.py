"""agentd on fresh Debians, made by debootstrap on this machine's kernel (``make test-distros``)."""
