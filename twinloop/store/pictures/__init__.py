"""Picture and video files: reading them, what lies beside and inside them, and the marks on made ones."""
