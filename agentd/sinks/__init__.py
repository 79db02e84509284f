"""Where entries go. One file each; a renderer makes bytes, a writer carries them off."""
