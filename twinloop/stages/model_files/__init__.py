"""Looking after model files: which ones are known, there and sound; bringing, fetching and converting them."""
