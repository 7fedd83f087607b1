"""Nearest neighbours among very many vectors."""
