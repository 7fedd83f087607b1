"""Training on several GPUs: processes that torchrun starts, and the messages between them."""
