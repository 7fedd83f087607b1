"""Reading other people's files in processes of their own, so that a decoder that hangs or crashes costs one file."""
