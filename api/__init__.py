"""Slipway: a self-hosted backend for LLM applications that speaks Dify's API."""

__version__ = "0.1.0"
