"""Ordinary DNS answers as pure functions of a request and a snapshot."""
