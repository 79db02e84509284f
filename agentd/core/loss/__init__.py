"""The account: what the kernel attempted against what came out."""
