"""FaceVault: from a messy folder to a person's training set. scan, cluster, dedup, label, caption, prep, in order."""
